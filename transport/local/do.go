package local

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/sysrq/sysrq"
	"github.com/sysrq/sysrq/native"
)

// Does implements [transport.Doer]: e, i, s and u, where the program sees the
// whole machine.
func (t *Transport) Does(k sysrq.Key) bool {
	switch k {
	case 'e', 'i':
		return t.native
	case 's', 'u':
		// To call a file system read-only that is only out of sight would be
		// a lie.
		return t.native && t.sys.seesMounts()
	}
	return false
}

// Do implements [transport.Doer]. It ends with ctx at the latest, and leaves
// behind what is stuck.
//
//   - e is kill(-1, SIGTERM), and Done when every program has been sent it:
//     whether they end is theirs to decide. Settle waits for them.
//   - i is kill(-1, SIGKILL), and Done when none of those that were there is
//     left.
//   - s is the kernel's own, and beside it a sync of each file system. It is
//     Done when each has answered, whatever the kernel's worker is waiting for,
//     and Accepted when one could not write everything.
//   - u is the kernel's own, then a remount of what it leaves read-write
//     (btrfs, for one). It is Done when mountinfo shows no file system of this
//     machine's devices that is not read-only, and each has written its last
//     block.
//
// Timeout names who is left, or stuck.
func (t *Transport) Do(ctx context.Context, k sysrq.Key, say func(text string)) (sysrq.Outcome, error) {
	if err := ctx.Err(); err != nil {
		return sysrq.Failed, t.err("trigger", err)
	}
	if say == nil {
		say = func(string) {}
	}
	var o sysrq.Outcome
	var err error
	switch k {
	case 'e':
		o, err = t.terminate(say)
	case 'i':
		o, err = t.kill(ctx, say)
	case 's':
		o, err = t.syncAll(ctx, say)
	case 'u':
		o, err = t.remountAll(ctx, say)
	default:
		err = t.Trigger(ctx, k)
	}
	if err != nil {
		return sysrq.Failed, t.err("trigger", err)
	}
	return o, nil
}

// attribute leaves word in the kernel's log, as its own handlers do with their
// headers: the terminal may not be there to tell. That it can not is no reason
// to stop.
func (t *Transport) attribute(format string, args ...any) {
	_ = t.write(notice, "sysrq[local]: "+fmt.Sprintf(format, args...))
}

func (t *Transport) terminate(say func(string)) (sysrq.Outcome, error) {
	t.attribute("terminate-all-tasks by kill(-1, SIGTERM): every process but init and this one")
	if err := t.sys.killAll(syscall.SIGTERM); err != nil {
		return 0, err
	}
	say("SIGTERM was sent to every program but init and this one")
	return sysrq.Done, nil
}

func (t *Transport) kill(ctx context.Context, say func(string)) (sysrq.Outcome, error) {
	before, err := t.sys.programs()
	if err != nil {
		say("what runs can not be seen: " + err.Error())
	}
	t.attribute("kill-all-tasks by kill(-1, SIGKILL): every process but init and this one")
	if err := t.sys.killAll(syscall.SIGKILL); err != nil {
		return 0, err
	}
	if before == nil && err != nil {
		return sysrq.Accepted, nil
	}
	type id struct {
		pid   int
		start uint64
	}
	there := make(map[id]bool, len(before))
	for _, p := range before {
		there[id{p.PID, p.Start}] = true
	}
	// What init started since, should it not stand still, is not what was to
	// be killed.
	left, err := t.sys.waitNone(ctx, func(p native.Process) bool { return there[id{p.PID, p.Start}] })
	if len(left) > 0 {
		names := native.Names(left, mostNames)
		say("killed, but still there: " + names)
		t.attribute("kill-all-tasks: still there: %s", names)
		return sysrq.Timeout, nil
	}
	if err != nil {
		say("what is left can not be seen: " + err.Error())
		return sysrq.Accepted, nil
	}
	say(fmt.Sprintf("every program that was there is gone, %d in all", len(before)))
	if now, err := t.sys.programs(); err == nil && len(now) > 0 {
		say("started since: " + native.Names(now, mostNames))
	}
	return sysrq.Done, nil
}

// beside triggers the kernel's own command without waiting for its handler,
// which may be what hangs. The channel tells when it has returned.
func (t *Transport) beside(ctx context.Context, k sysrq.Key) <-chan error {
	left := make(chan error, 1)
	// Our own part may be done, and ctx over, before the key has left.
	ctx = context.WithoutCancel(ctx)
	go func() { left <- t.Trigger(ctx, k) }()
	return left
}

func (t *Transport) syncAll(ctx context.Context, say func(string)) (sysrq.Outcome, error) {
	left := t.beside(ctx, 's')
	fss, err := t.sys.fileSystems()
	if err != nil {
		say("what is mounted can not be seen, the kernel syncs alone: " + err.Error())
		return t.alone(ctx, left)
	}
	outcome := sysrq.Done
	var stuck []string
	t.sys.sync(ctx, native.Writable(fss), func(r native.Result) {
		switch {
		case r.Stuck:
			outcome = outcome.Worse(sysrq.Timeout)
			stuck = append(stuck, r.FileSystem.Point)
			say(fmt.Sprintf("%s is stuck: no answer after %s", r.FileSystem, took(r)))
		case r.Err != nil:
			outcome = outcome.Worse(sysrq.Accepted)
			say(fmt.Sprintf("%s could not save everything: %v", r.FileSystem, r.Err))
		default:
			say(fmt.Sprintf("%s synced in %s", r.FileSystem, took(r)))
		}
	})
	if len(stuck) > 0 {
		t.attribute("sync: stuck at %s", strings.Join(stuck, ", "))
	}
	select {
	case err := <-left:
		if err != nil {
			say("the kernel's own sync was not asked for: " + err.Error())
		}
	case <-ctx.Done():
	case <-time.After(handlerWithin):
		say("the kernel's own sync was asked for, but its handler has not returned")
	}
	return outcome, nil
}

// handlerWithin bounds the wait for a handler that only queues work, once
// nothing else is to be waited for. Its header may have to go through a slow
// console.
const handlerWithin = time.Second

// alone leaves a command to the kernel, whose lines will tell.
func (t *Transport) alone(ctx context.Context, left <-chan error) (sysrq.Outcome, error) {
	select {
	case err := <-left:
		return 0, err
	case <-ctx.Done():
		return 0, nil
	}
}

func took(r native.Result) time.Duration {
	if r.Took < time.Second {
		return r.Took.Round(100 * time.Microsecond)
	}
	return r.Took.Round(10 * time.Millisecond)
}
