package local

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sysrq/sysrq"
	"github.com/sysrq/sysrq/native"
)

// Bounds of the preparations: a machine that needs a rescue may hang at any
// of them.
const (
	hardenWithin = 5 * time.Second
	freezeWithin = 3 * time.Second
)

// Prepare implements [transport.Preparer]. Steps that change nothing on the
// machine need nothing. For dangerous ones the program gets ready to outlive
// what it does ([native.Harden]); when programs are to be ended, init is kept
// from starting them again ([native.FreezeInit]), until Close.
func (t *Transport) Prepare(ctx context.Context, steps []sysrq.Step, say func(text string)) error {
	if say == nil {
		say = func(string) {}
	}
	if t.deaf != nil {
		say(t.deaf.Error())
	}
	if sysrq.DangerOf(steps) < sysrq.Stop {
		return nil
	}
	if err := t.ready(); err != nil {
		say("the kernel's log can not be written: " + err.Error())
	}
	ends := has(steps, 'e', 'i')
	if !t.native {
		if ends {
			say("this program sees only a part of the machine (a container, or another procfs), so that e and i are the kernel's own, which end it, too: send what comes after them from elsewhere")
		}
		return nil
	}
	c, cancel := context.WithTimeout(ctx, hardenWithin)
	t.sys.harden(c, say)
	cancel()
	if !ends {
		return nil
	}
	c, cancel = context.WithTimeout(ctx, freezeWithin)
	defer cancel()
	how, thaw, err := t.sys.freezeInit(c)
	if thaw != nil {
		t.hold(thaw)
	}
	switch {
	case err == nil:
		say("init stands still (" + how + "): it starts nothing again while programs are ended")
	case errors.Is(err, native.ErrUnconfirmed):
		say(fmt.Sprintf("init was frozen, but does not stand still yet: %v", err))
	default:
		say(fmt.Sprintf("init may start programs again after they were ended: %v", err))
	}
	return nil
}

// Settle implements [transport.Settler]. Where there is nothing to be seen it
// waits for ctx.
func (t *Transport) Settle(ctx context.Context) (left string) {
	ps, err := t.sys.waitNone(ctx, nil)
	if err != nil && ps == nil {
		<-ctx.Done()
		return "nobody knows what: " + err.Error()
	}
	return native.Names(ps, mostNames)
}

// mostNames is how many programs a sentence lists.
const mostNames = 8
