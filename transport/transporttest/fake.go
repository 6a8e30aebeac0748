package transporttest

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sysrq/sysrq"
	"github.com/sysrq/sysrq/kmsg"
	"github.com/sysrq/sysrq/transport"
)

// Fake is a transport to a machine in memory whose kernel does what it is told.
//
// Without a script a key is answered as drivers/tty/sysrq.c answers it: with
// HELP where the table has no command, with a refusal where the door asks the
// mask and the mask forbids, else with the header and, for commands that end
// with a line, that line. [Fake.On] puts something else in its place.
//
// Time is package time's, so that testing/synctest can make it go by. All
// methods may be called from any goroutine.
type Fake struct {
	props transport.Properties
	began time.Time
	ready chan struct{}

	mu      sync.Mutex
	mask    sysrq.Mask
	level   int // console_loglevel
	script  map[sysrq.Key][][]Reply
	presses map[sysrq.Key]int
	fails   error
	sent    []byte
	log     []transport.Heard
	heard   int // how much of log Hear has returned
	seq     uint64
	end     error // what Hear returns after the log
	closed  bool
	timers  []*time.Timer
}

// Reply is one thing that happens after a key.
type Reply struct {
	// After is the time since the key; 0 is before Trigger returns.
	After time.Duration
	// Text is what is printed, a record a line. A last line without its
	// newline comes out torn, as one that the machine's end cut off.
	Text string
	// Level is the urgency. A path that is Filtered does not show what is not
	// below the console's level. Headers and HELP always are shown.
	Level int8
	// Lost is a gap of that many records.
	Lost uint64
	// Saw and SawText are something that was seen rather than printed.
	Saw     transport.Saw
	SawText string
	// Reboot restarts the kernel's clock and numbers, and the console's level.
	Reboot bool
	// End is what Hear returns from then on, after what was said: io.EOF.
	End error
}

// Drop is a press that never arrives.
var Drop []Reply

// NewFake makes a machine with everything permitted, and a console level of 7.
// Empty properties are those of a serial console.
func NewFake(props transport.Properties) *Fake {
	if props == (transport.Properties{}) {
		props = transport.Properties{Door: sysrq.DoorSerial, Filtered: true}
	}
	if props.Target == "" {
		props.Target = "fake:"
	}
	return &Fake{
		props: props, began: time.Now(), ready: make(chan struct{}, 1),
		mask: sysrq.MaskAll, level: consoleLevel,
		script: map[sysrq.Key][][]Reply{}, presses: map[sysrq.Key]int{},
	}
}

// consoleLevel is console_loglevel after a boot without 'quiet'.
const consoleLevel = 7

// SetMask changes kernel.sysrq.
func (f *Fake) SetMask(m sysrq.Mask) { f.locked(func() { f.mask = m }) }

// SetLevel changes the console's log level.
func (f *Fake) SetLevel(level int) { f.locked(func() { f.level = level }) }

// Fail has Trigger return err from now on, as it is, or work again for nil.
func (f *Fake) Fail(err error) { f.locked(func() { f.fails = err }) }

// On tells what happens at each press of k: presses[0] at the first, and so on;
// after the last, the usual answer. [Drop] is nothing at all, Usual(k) the usual
// answer in between.
func (f *Fake) On(k sysrq.Key, presses ...[]Reply) {
	f.locked(func() { f.script[k] = presses; f.presses[k] = 0 })
}

// Usual is what a healthy kernel that permits k answers.
func Usual(k sysrq.Key) []Reply { return usual(k, "") }

// Help is the HELP line, which answers every key without a command.
var Help = Reply{Text: help(), Level: forced}

// Refusal is the answer to a command that the mask forbids.
var Refusal = Reply{Text: "sysrq: This sysrq operation is disabled.\n", Level: forced}

// Header is the line that announces a command.
func Header(k sysrq.Key) Reply {
	return Reply{Text: "sysrq: " + sysrq.ForKeyOn(k, "").Action + "\n", Level: forced}
}

// forced is the level of what is shown at any: handle_sysrq raises the
// console's for its header and HELP. It prints them at 6.
const forced int8 = -1

func help() string {
	var b strings.Builder
	b.WriteString("sysrq: HELP : loglevel(0-9)")
	for _, c := range sysrq.Commands() {
		if c.Config == "" && len(c.Arch) == 0 && c.Mask != sysrq.MaskLog && c.Completion.Kind != sysrq.CompletesHelp {
			fmt.Fprintf(&b, " %s(%v)", c.Name, c.Key)
		}
	}
	return b.String() + " \n"
}

func usual(k sysrq.Key, arch string) []Reply {
	c := sysrq.ForKeyOn(k, arch)
	if c.IsZero() || c.Completion.Kind == sysrq.CompletesHelp {
		return []Reply{Help}
	}
	answer := []Reply{{Text: "sysrq: " + c.Action + "\n", Level: forced}}
	switch {
	case k >= '0' && k <= '9':
		answer = append(answer, Reply{Text: fmt.Sprintf("sysrq: Loglevel set to %v\n", k), Level: forced})
	case c.Completion.Kind == sysrq.CompletesLine || c.Completion.Kind == sysrq.CompletesDump:
		for _, line := range c.Completion.Lines[:min(1, len(c.Completion.Lines))] {
			answer = append(answer, Reply{Text: line + "\n", Level: c.Completion.Level})
		}
	case c.Completion.Kind == sysrq.CompletesReboot:
		answer = append(answer, Reply{Text: "Linux version 6.1.0\n", After: time.Second, Level: 5, Reboot: true})
	}
	return answer
}

func (f *Fake) locked(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

// Sent are the keys that were triggered, those that never arrived among them.
func (f *Fake) Sent() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.sent)
}

// Say prints lines at a level, now.
func (f *Fake) Say(level int8, text string) { f.Do(Reply{Text: text, Level: level}) }

// Do makes something happen without a key.
func (f *Fake) Do(replies ...Reply) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.later(replies)
}

// later does what comes at once, and puts off the rest. f.mu is held.
func (f *Fake) later(replies []Reply) {
	for _, r := range replies {
		if r.After <= 0 {
			f.now(r)
			continue
		}
		f.timers = append(f.timers, time.AfterFunc(r.After, func() { f.locked(func() { f.now(r) }) }))
	}
}

// now lets one reply happen. f.mu is held.
func (f *Fake) now(r Reply) {
	if f.end != nil || f.closed {
		return
	}
	if r.Reboot {
		f.began, f.seq, f.level = time.Now(), 0, consoleLevel
	}
	if r.Lost > 0 {
		f.log = append(f.log, transport.Heard{Record: kmsg.Record{Lost: r.Lost}})
		f.seq += r.Lost
	}
	for text := range strings.Lines(r.Text) {
		f.print(r.Level, text)
	}
	if r.Saw != transport.SawRecord {
		f.log = append(f.log, transport.Heard{What: r.Saw, Text: r.SawText})
	}
	f.end = r.End
	select {
	case f.ready <- struct{}{}:
	default:
	}
}

func (f *Fake) print(level int8, text string) {
	f.seq++
	if level == forced {
		level = 6
	} else if f.props.Filtered && int(level) >= f.level {
		return
	}
	line, whole := strings.CutSuffix(text, "\n")
	rec := kmsg.Record{
		Level: level, Kernel: true, Text: []byte(line), Torn: !whole,
		Time: time.Since(f.began).Truncate(time.Microsecond), HasTime: true,
	}
	if f.props.Filtered {
		rec.Level = kmsg.LevelUnknown // as on a console
	}
	if f.props.Sequenced {
		rec.Seq, rec.HasSeq = f.seq, true
	}
	f.log = append(f.log, transport.Heard{Record: rec})
}

// Properties are what NewFake got.
func (f *Fake) Properties() transport.Properties { return f.props }

// Trigger presses a key.
func (f *Fake) Trigger(ctx context.Context, k sysrq.Key) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return transport.NewOpError("trigger", f.props.Target, ctx.Err())
	case f.closed:
		return transport.NewOpError("trigger", f.props.Target, net.ErrClosed)
	case f.fails != nil:
		return f.fails
	case f.end != nil:
		return transport.NewOpError("trigger", f.props.Target, io.ErrClosedPipe)
	}
	f.sent = append(f.sent, byte(k))
	n := f.presses[k]
	f.presses[k]++
	if presses := f.script[k]; n < len(presses) {
		f.later(presses[n])
		return nil
	}
	c := sysrq.ForKeyOn(k, f.props.Arch)
	if !c.IsZero() && !f.mask.Permits(c, f.props.Door) {
		f.later([]Reply{Refusal})
		return nil
	}
	switch {
	case k >= '0' && k <= '9':
		f.level = int(k - '0')
	case k == 'e' || k == 'i':
		f.level = 10 // CONSOLE_LOGLEVEL_MOTORMOUTH
	}
	f.later(usual(k, f.props.Arch))
	return nil
}

// Hear returns what happened, in order.
func (f *Fake) Hear(ctx context.Context) (transport.Heard, error) {
	if f.props.Deaf {
		return transport.Heard{}, transport.ErrDeaf
	}
	for {
		if err := ctx.Err(); err != nil {
			return transport.Heard{}, err
		}
		f.mu.Lock()
		var h transport.Heard
		var err error
		ok := false
		switch {
		case f.closed:
			err = transport.NewOpError("hear", f.props.Target, net.ErrClosed)
		case f.heard < len(f.log):
			h, ok = f.log[f.heard], true
			f.heard++
		case f.end != nil:
			err = f.end
		}
		f.mu.Unlock()
		if ok || err != nil {
			return h, err
		}
		select {
		case <-f.ready:
		case <-ctx.Done():
		}
	}
}

// Close ends the path and what was still to come.
func (f *Fake) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for _, t := range f.timers {
		t.Stop()
	}
	select {
	case f.ready <- struct{}{}:
	default:
	}
	return nil
}
