package lab

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sysrq/sysrq/internal/lab/guest"
)

// Do has the guest carry out one op, and returns its reply. The op's number is
// set here. An op that fails in the guest is an error with the guest's words.
//
// Any number of ops may be under way at once.
func (m *Machine) Do(ctx context.Context, op guest.Op) (guest.Reply, error) {
	if m.talk == nil {
		return guest.Reply{}, errNoControl
	}
	op.ID = int(m.next.Add(1))
	// A panic or the machine's end ends the wait as well.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		never := func(*transcript) bool { return false }
		if err := m.await(ctx, "wait for an answer", never); err != nil && ctx.Err() == nil {
			cancel(err)
		}
	}()
	return m.talk.ask(ctx, op)
}

var errNoControl = errors.New("this machine has no control channel: give it a script")

// Run runs a program in the guest and fails unless it exits with 0.
func (m *Machine) Run(ctx context.Context, path string, args ...string) (*guest.Ran, error) {
	r, err := m.Do(ctx, guest.Op{Run: &guest.Run{Path: path, Args: args}})
	if err != nil {
		return r.Run, err
	}
	if r.Run.Exit != 0 || r.Run.Signal != 0 {
		return r.Run, fmt.Errorf("%s: exit status %d, signal %d: %s", path, r.Run.Exit, r.Run.Signal, r.Run.Stderr)
	}
	return r.Run, nil
}

// Mount mounts disk i's ext4 file system.
func (m *Machine) Mount(ctx context.Context, i int, target string) error {
	_, err := m.Do(ctx, guest.Op{Mount: &guest.Mount{Source: DiskDevice(i), Target: target, Type: "ext4"}})
	return err
}

// DiskDevice is disk i's path in the guest.
func DiskDevice(i int) string { return fmt.Sprintf("/dev/lab/disk%d", i) }

// Dirty writes bytes of seeded data to a file and leaves them unwritten in the
// guest's memory. It returns how much of the guest's memory is unsaved then.
func (m *Machine) Dirty(ctx context.Context, path string, bytes int64, seed uint64) (*guest.Dirtied, error) {
	r, err := m.Do(ctx, guest.Op{Dirty: &guest.Dirty{Path: path, Bytes: bytes, Seed: seed, Hold: true}})
	return r.Dirty, err
}

// Verify compares a file with what Dirty wrote.
func (m *Machine) Verify(ctx context.Context, path string, bytes int64, seed uint64) (*guest.Verified, error) {
	r, err := m.Do(ctx, guest.Op{Verify: &guest.Verify{Path: path, Bytes: bytes, Seed: seed}})
	return r.Verify, err
}

// Superblock reads disk i's superblock as it stands, from inside.
func (m *Machine) Superblock(ctx context.Context, i int) (*guest.Superblock, error) {
	r, err := m.Do(ctx, guest.Op{Superblock: &guest.ReadSuper{Device: DiskDevice(i)}})
	return r.Super, err
}

// Hang freezes the file system at dir and leaves so many tasks stuck on it.
func (m *Machine) Hang(ctx context.Context, dir string, tasks int) ([]int, error) {
	if _, err := m.Do(ctx, guest.Op{Freeze: &guest.Freeze{Target: dir}}); err != nil {
		return nil, err
	}
	r, err := m.Do(ctx, guest.Op{Hang: &guest.Hang{Path: dir, Tasks: tasks}})
	return r.PIDs, err
}

// Squeeze leaves the guest so much free memory.
func (m *Machine) Squeeze(ctx context.Context, leaveMiB int) error {
	_, err := m.Do(ctx, guest.Op{Squeeze: &guest.Squeeze{LeaveMiB: leaveMiB}})
	return err
}

// KillShell takes the console's shell away for good.
func (m *Machine) KillShell(ctx context.Context) error {
	_, err := m.Do(ctx, guest.Op{Signal: &guest.Signal{Sig: 9, Shell: true}})
	return err
}

// Status asks how the guest is.
func (m *Machine) Status(ctx context.Context) (*guest.State, error) {
	r, err := m.Do(ctx, guest.Op{Status: &guest.Status{}})
	return r.Status, err
}

// Trigger writes one key to the guest's /proc/sysrq-trigger.
func (m *Machine) Trigger(ctx context.Context, keys string) error {
	_, err := m.Do(ctx, guest.Op{WriteFile: &guest.WriteFile{
		Path: "/proc/sysrq-trigger", Data: []byte(keys), Existing: true,
	}})
	return err
}

// Mask sets kernel.sysrq.
func (m *Machine) Mask(ctx context.Context, value int) error {
	_, err := m.Do(ctx, guest.Op{Mask: &guest.Mask{Set: &value}})
	return err
}

// Replace makes another program the guest's init, and waits until a process
// beside it answers on the control channel.
func (m *Machine) Replace(ctx context.Context, argv ...string) error {
	if m.talk == nil {
		return errNoControl
	}
	before := m.talk.greetings()
	if _, err := m.Do(ctx, guest.Op{Replace: &guest.Replace{Argv: argv, Serve: true}}); err != nil {
		return err
	}
	return m.talk.awaitGreeting(ctx, before+1)
}

// Reboot reboots the guest in order, as an administrator would, and waits for
// the next boot.
func (m *Machine) Reboot(ctx context.Context) (guest.Boot, error) {
	_, err := m.Do(ctx, guest.Op{Reboot: &guest.RebootPlan{}})
	if err != nil && !errors.Is(err, ErrRebooted) {
		return guest.Boot{}, err
	}
	return m.WaitBoot(ctx)
}

// Within is a context with a deadline that says what it was for.
func Within(ctx context.Context, d time.Duration, what string) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, fmt.Errorf("%s took longer than %s", what, d))
}
