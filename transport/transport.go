// Package transport delivers SysRq keys to one machine and hears what its
// kernel says.
//
// A transport is a small package of its own (transport/local, transport/qmp,
// …) behind the interface [Transport]. It knows how to get a byte there and
// how to bring lines back; it does not know what a key means, and it never
// looks at another transport. A [Registry] turns URLs into transports;
// transport/all holds the one that has them all.
package transport

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sysrq/sysrq"
	"github.com/sysrq/sysrq/kmsg"
)

// Transport is one open way to one machine.
//
// Trigger and Hear may be called from different goroutines at the same time,
// but each from only one at a time; only a Trigger that is stuck though its
// context has ended may be overtaken by another. Close may be called at any
// time and makes both return.
type Transport interface {
	// Properties say what the path can do. They are fixed once it is open.
	Properties() Properties

	// Trigger delivers one key and returns as soon as it has left. It never
	// delivers a key twice. An error is an *[OpError]; its MayHaveArrived tells
	// whether trying again could run the command twice.
	Trigger(ctx context.Context, k sysrq.Key) error

	// Hear waits for the next thing that the machine says. Nothing that was
	// said before the transport was opened is returned. It loses nothing while
	// nobody calls it, or says how much it lost, with a record that has Lost
	// set. The record's text is valid until the next call.
	//
	// It returns ctx's error when ctx ends first, and [io.EOF] or an *[OpError]
	// when nothing will ever be heard again. A path without ears returns
	// [ErrDeaf] at once.
	Hear(ctx context.Context) (Heard, error)

	// Close lets go of the path. It changes nothing on the machine.
	Close() error
}

// Properties say what a path can do.
type Properties struct {
	// Target is the URL, without its secrets, or a name that a person gave it.
	Target string
	// Door is where keys arrive: it decides whether the mask is asked.
	Door sysrq.Door
	// Arch is the machine's architecture as GOARCH writes it, or empty.
	Arch string
	// Deaf paths hear nothing: the best outcome on them is Sent.
	Deaf bool
	// Filtered paths hear a console, which shows only what is more urgent than
	// its log level; others hear every record.
	Filtered bool
	// Sequenced paths give each record the kernel's sequence number.
	Sequenced bool
	// Dies is set when the path ends with the machine's boot: a local path
	// will not see the reboot.
	Dies bool
}

// Heard is one thing that the machine said, or that was seen of it.
type Heard struct {
	// What says which; SawRecord is the zero value.
	What Saw
	// Record is set for SawRecord.
	Record kmsg.Record
	// Text describes what was seen, for everything else.
	Text string
}

// Saw says what was heard or seen.
type Saw uint8

const (
	SawRecord   Saw = iota // the kernel printed a record
	SawReset               // the hypervisor or BMC saw the machine reset
	SawPowerOff            // it saw the machine switched off
	SawPanic               // it was told of a kernel panic
)

// Marker is implemented by transports that can put a line of ours into the
// kernel's log. The line comes back through Hear after everything that was
// printed before it.
type Marker interface {
	// Mark writes one line at a level that no console shows by default. It
	// must not wait for anything but the write itself.
	Mark(text string) error
}

// LastWorder is implemented by transports that can leave word on the machine's
// console, whatever its log level, just before a key that ends the machine.
type LastWorder interface {
	// LastWords writes one line, and waits for nothing but the write itself.
	LastWords(text string) error
}

// Doer is implemented by transports that do some commands better than the
// kernel's own handler would: locally, e and i must not kill their sender, and
// s and u can say which file system is stuck.
type Doer interface {
	// Does reports whether Do should be called for k instead of Trigger.
	Does(k sysrq.Key) bool
	// Do carries k out and waits for its end or for ctx. What it saw is told
	// through say, as it happens, from any goroutine, but never after Do has
	// returned. Outcome 0 with a nil error means: judge by what the kernel
	// prints.
	Do(ctx context.Context, k sysrq.Key, say func(text string)) (sysrq.Outcome, error)
}

// Preparer is implemented by transports that can get ready for what is coming:
// lock memory, open files, leave a session that is about to be killed.
type Preparer interface {
	// Prepare is called once, after everything was validated and before the
	// first key. What it could not get ready is told through say and does not
	// stop the run; an error does.
	Prepare(ctx context.Context, steps []sysrq.Step, say func(text string)) error
}

// Settler is implemented by transports that can see when programs which were
// asked to end have ended.
type Settler interface {
	// Settle waits until none is left, or for ctx. It returns what is left, in
	// words; empty for nothing.
	Settle(ctx context.Context) (left string)
}

// ErrDeaf is returned by Hear of a path that can hear nothing.
var ErrDeaf = errors.New("nothing can be heard on this path")

// ErrNoSysRq is wrapped when the machine's kernel has no SysRq at all.
var ErrNoSysRq = errors.New("this kernel has no SysRq")

// OpError is the error of every transport, in the manner of net.OpError.
type OpError struct {
	Op     string // "open", "trigger", "hear", "close"
	Target string // URL without secrets
	Err    error
	// MayHaveArrived is set when a key may have reached the machine in spite
	// of the error: it must not be sent again.
	MayHaveArrived bool
	// Hint is the next thing to type, or empty.
	Hint string
}

// NewOpError wraps err, and returns nil for nil, so that it can stand around
// any call. An error that is an *OpError already is returned as it is.
func NewOpError(op, target string, err error) error {
	if err == nil {
		return nil
	}
	var oe *OpError
	if errors.As(err, &oe) {
		return err
	}
	return &OpError{Op: op, Target: target, Err: err}
}

func (e *OpError) Error() string {
	return fmt.Sprintf("%s %s: %v", e.Op, strings.TrimSuffix(e.Target, ":"), e.Err)
}

// Unwrap gives the cause.
func (e *OpError) Unwrap() error { return e.Err }

// Timeout makes an OpError usable as a net.Error.
func (e *OpError) Timeout() bool {
	var t interface{ Timeout() bool }
	return errors.As(e.Err, &t) && t.Timeout()
}
