package native

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// confirmWithin bounds the wait for a freeze to be seen. Init does nothing but
// wait for children and requests, so that it stands still at once.
const confirmWithin = time.Second

// initGroup is the control group that init is moved to where it can not be
// frozen in its own.
const initGroup = "sysrq-init"

// FreezeInit keeps init from running, so that it restarts nothing that is
// about to be killed. It says how, and thaw undoes it. thaw is never nil; it
// may be called more than once, and does nothing where nothing holds.
//
// Signals do not stop init, not even SIGSTOP (kernel/signal.c,
// SIGNAL_UNKILLABLE). What does, tried in this order:
//
//   - The freezer of the unified control groups (since Linux 5.2), which needs
//     no mount. systemd has /init.scope to itself, and is frozen there. Where
//     pid 1 is in the root group, which can not be frozen (sysvinit, OpenRC,
//     busybox), or shares its group, it is moved to a group of its own first.
//   - The old freezer controller, where it is mounted.
//   - ptrace: stops init as a debugger would.
//
// A frozen group stays frozen when the caller dies. Until thaw, or the reboot,
// the machine has no working init: zombies pile up, systemctl hangs, and a
// hardware watchdog that systemd feeds (RuntimeWatchdogSec=) resets the
// machine when its time is up.
//
// The error tells what each attempt failed by. With an error that wraps
// [ErrUnconfirmed] the freeze holds all the same: init did not stand still
// in time, but will before it runs another instruction of its own. With any
// other nothing holds, unless the error says so.
func FreezeInit(ctx context.Context) (how string, thaw func() error, err error) {
	type result struct {
		hold
		err error
	}
	// Files of control groups wait for locks of the kernel, which somebody
	// stuck may hold.
	got := make(chan result, 1)
	go func() {
		h, err := freeze(ctx, 1, freezers)
		got <- result{h, err}
	}()
	select {
	case r := <-got:
		return r.how, r.thaw, r.err
	case <-ctx.Done():
	}
	select {
	case r := <-got: // in time after all
		return r.how, r.thaw, r.err
	case <-time.After(confirmWithin):
	}
	go func() { _ = (<-got).thaw() }() // should it still succeed, it is not left so
	return "", nothing, fmt.Errorf("freeze init: %w", ErrStuck)
}

// ErrUnconfirmed is wrapped when init was frozen but did not stand still yet.
var ErrUnconfirmed = errors.New("not standing still yet")

// hold is a process kept from running.
type hold struct {
	how  string
	thaw func() error
}

func nothing() error { return nil }

type freezer func(ctx context.Context, pid int) (hold, error)

var freezers = []freezer{freezeV2, freezeV1, freezePtrace}

// freeze tries one way after the other. A hold whose thaw is nil holds nothing.
func freeze(ctx context.Context, pid int, ways []freezer) (hold, error) {
	var errs []error
	for _, way := range ways {
		h, err := way(ctx, pid)
		if h.thaw != nil {
			h.thaw = sync.OnceValue(h.thaw)
			return h, err
		}
		errs = append(errs, err)
	}
	return hold{thaw: nothing}, fmt.Errorf("freeze init: %w", errors.Join(errs...))
}

func freezeV2(ctx context.Context, pid int) (hold, error) {
	root, err := cgroupV2()
	if err != nil {
		return hold{}, err
	}
	was, err := cgroupOf(pid, "")
	if err != nil {
		root.close()
		return hold{}, err
	}
	if was != "/" && was != "/"+initGroup {
		if own, err := root.open(was); err == nil {
			if own.only(pid) {
				root.close()
				return freezeGroup(ctx, own, own.close, func() error { return nil })
			}
			own.close()
		}
	}
	return freezeMoved(ctx, root, pid, was)
}

func freezeV1(ctx context.Context, pid int) (hold, error) {
	roots, err := cgroupsV1("freezer")
	if err != nil {
		return hold{}, err
	}
	if len(roots) == 0 {
		return hold{}, errors.New("cgroup v1: no freezer is mounted")
	}
	for _, other := range roots[1:] {
		other.close()
	}
	was, err := cgroupOf(pid, "freezer")
	if err != nil {
		roots[0].close()
		return hold{}, err
	}
	return freezeMoved(ctx, roots[0], pid, was)
}

// freezeMoved gives pid a group of its own under root and freezes that.
func freezeMoved(ctx context.Context, root cgroupDir, pid int, was string) (hold, error) {
	id := strconv.Itoa(pid)
	// One that is there already was left by a run that died, or is in use by
	// one that did not: either way it holds init and nothing else.
	if err := unix.Mkdirat(root.fd, initGroup, 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
		defer root.close()
		return hold{}, fmt.Errorf("%s: mkdir %s: %w", root.name, initGroup, err)
	}
	own, err := root.open(initGroup)
	if err != nil {
		defer root.close()
		return hold{}, errors.Join(err, removeGroup(root))
	}
	leave := func() error {
		old, err := root.open(was)
		if err == nil {
			err = old.write("cgroup.procs", id)
			old.close()
		}
		if err != nil && was != "/" && was != "/"+initGroup {
			err = root.write("cgroup.procs", id) // its old group is gone
		}
		if err != nil {
			return fmt.Errorf("it stays in the group /%s, which does no harm: %w", initGroup, err)
		}
		return removeGroup(root)
	}
	if was == "/"+initGroup {
		leave = func() error { return errors.Join(root.write("cgroup.procs", id), removeGroup(root)) }
	}
	done := func() { own.close(); root.close() }
	if err := own.write("cgroup.procs", id); err != nil {
		defer done()
		return hold{}, errors.Join(err, removeGroup(root))
	}
	return freezeGroup(ctx, own, done, leave)
}

func removeGroup(root cgroupDir) error {
	if err := unix.Unlinkat(root.fd, initGroup, unix.AT_REMOVEDIR); err != nil {
		return fmt.Errorf("%s: rmdir %s: %w", root.name, initGroup, err)
	}
	return nil
}

// freezeGroup freezes g, which holds one process. after follows the thaw, done
// lets go of what is open.
func freezeGroup(ctx context.Context, g cgroupDir, done func(), after func() error) (hold, error) {
	ctx, cancel := context.WithTimeout(ctx, confirmWithin)
	defer cancel()
	thaw := func() error {
		defer done()
		if err := g.thaw(); err != nil {
			return fmt.Errorf("init is still frozen: %w", err)
		}
		return after()
	}
	err := g.freeze(ctx)
	switch {
	case err == nil:
		return hold{how: g.name, thaw: thaw}, nil
	case errors.Is(err, ErrUnconfirmed):
		return hold{how: g.name, thaw: thaw}, fmt.Errorf("%s: %w", g.name, err)
	}
	return hold{}, errors.Join(err, thaw())
}
