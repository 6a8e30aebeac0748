// Package rescue runs steps over a transport and judges each by evidence.
//
// A key goes out; the kernel answers in records; a rescue holds the answer
// against what that key promises, and says what is known. It never sleeps in
// the hope that something has happened meanwhile, and it never claims what it
// has not seen: the answers are the seven of [sysrq.Outcome].
//
// [Run] yields what happens as it happens. It prints nothing.
package rescue

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/sysrq/sysrq"
	"github.com/sysrq/sysrq/transport"
)

// Options of a run. The zero value is what a person at a console wants.
type Options struct {
	// Timeout replaces every step's deadline; 0 leaves them.
	Timeout time.Duration
	// Reason is written to the machine's own log where the path can, so that
	// whoever finds the machine rebooted knows why.
	Reason string
	// ConsoleLevel is the log level that the console is put back to after it
	// was raised, 1 to 9; 0 means that nobody knows it.
	ConsoleLevel int
	// KeepConsole leaves the console's level alone, whatever that hides.
	KeepConsole bool
}

// Limits of what is done for a key that does not answer.
const (
	// askAfter is how long a header may take before it is asked whether the
	// machine hears us at all. The header is printed from the interrupt that
	// brings the key, so a second is long.
	askAfter = 2 * time.Second
	// askEvery repeats that question, since a BREAK can be lost as well.
	askEvery = 2 * time.Second
	// maxRepeats bounds how often a key is sent again that demonstrably never
	// arrived.
	maxRepeats = 2
	// raiseDeadline bounds the wait for 'Loglevel set to 8'. It is a courtesy
	// to what comes after, so it must not cost much.
	raiseDeadline = 3 * time.Second
	// afterglow is how long the machine is listened to after the way to it
	// broke while a key was under way.
	afterglow = 2 * time.Second
	// hearAfter is how long hearing may wait for a handler that runs inside
	// the trigger, and has mostly written all of its lines when that returns:
	// then they are there to be read. A reader that waits for them is woken by
	// the kernel's next timer tick only (kernel/printk/printk.c, 6.1 to 7.2:
	// wake_up_klogd_work is lazy). No handler fills a log in so short a time.
	hearAfter = time.Millisecond
	// afterDo is how long what a transport does itself may take to return once
	// its time is over.
	afterDo = 500 * time.Millisecond
)

// Run carries out steps over t, one after another, and yields what happens.
// Every step that begins yields exactly one EventOutcome, whatever becomes of
// the path or the machine. When ctx ends, the current step ends with what is
// known, and no further one begins.
//
// Run does not close t. A caller that stops ranging stops the run at the next
// event; the key that was sent stays sent.
func Run(ctx context.Context, t transport.Transport, steps []sysrq.Step, opts Options) iter.Seq[sysrq.Event] {
	return func(yield func(sysrq.Event) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		r := &run{
			ctx: ctx, t: t, props: t.Properties(), opts: opts, steps: steps,
			yield: yield,
		}
		r.lowest = unknownLevel
		r.marker, _ = t.(transport.Marker)
		r.doer, _ = t.(transport.Doer)
		if !r.props.Deaf {
			r.ear = listen(ctx, t)
			defer r.ear.close()
			if r.props.Door != sysrq.DoorTrigger {
				r.ear.begin()
			}
		}
		defer cancel() // before the ear is waited for
		r.all()
	}
}

type run struct {
	ctx    context.Context
	t      transport.Transport
	props  transport.Properties
	marker transport.Marker
	doer   transport.Doer
	opts   Options
	steps  []sysrq.Step
	yield  func(sysrq.Event) bool
	quit   bool // the caller has stopped listening

	ear     *ear
	earDead error // why nothing can be heard any more
	clock   clock
	pings   int // pings whose answer is still owed

	// over says why no further key may be sent: the machine has rebooted, and
	// what runs there now is not what the steps were meant for.
	over string
	// panicked is set once the kernel has: only a reboot makes sense then.
	panicked string
	// gone is set once a key that ends the machine was sent: nothing is put
	// back on what comes up after it.
	gone bool
	console
	current int      // index of the step
	story   []string // what became of the steps before it
}

func (r *run) all() {
	r.prepare()
	for i, st := range r.steps {
		if r.ctx.Err() != nil || r.quit {
			break
		}
		r.current = i
		o := r.step(st)
		if o == sysrq.Timeout && st.OnTimeout == sysrq.StopThere {
			if i+1 < len(r.steps) {
				r.warn("stopped here, as the step asks for: nothing more is sent")
			}
			break
		}
		if st.Grace > 0 && o.OK() && i+1 < len(r.steps) {
			r.grace(st.Grace)
		}
	}
	r.putBack()
}

// prepare gets the transport ready, and leaves word of what is about to happen.
func (r *run) prepare() {
	if p, ok := r.t.(transport.Preparer); ok {
		if err := p.Prepare(r.ctx, r.steps, func(text string) { r.note(text) }); err != nil {
			r.warn(err.Error())
		}
	}
	if r.marker == nil && r.opts.Reason != "" {
		r.note("the reason can not be left on the machine: this path writes nothing into its log")
	}
	if r.marker != nil && (r.opts.Reason != "" || sysrq.DangerOf(r.steps) >= sysrq.Stop) {
		names := make([]string, len(r.steps))
		for i, st := range r.steps {
			names[i] = st.Command.Name
		}
		text := "sysrq[rescue]: begins " + strings.Join(names, ", ")
		if r.opts.Reason != "" {
			text += ": " + r.opts.Reason
		}
		if err := r.marker.Mark(text); err != nil {
			r.note("the kernel's log does not take our word of this: " + err.Error())
		}
	}
}

// step carries out one step and yields its outcome.
func (r *run) step(st sysrq.Step) sysrq.Outcome {
	r.event(sysrq.Event{Type: sysrq.EventStep, Text: st.Command.Effect})
	if v, ok := r.forbidden(st.Command); ok {
		return r.finish(v, nil, 0)
	}
	r.drain()
	r.ensureVisible(st)
	if v, ok := r.forbidden(st.Command); ok { // the raise can have shown it
		return r.finish(v, nil, 0)
	}
	r.lastWords(st.Command)
	a := r.attempt(st)
	v := a.wait()
	if v.outcome == sysrq.Done && a.j.header || v.outcome == sysrq.Accepted {
		r.learned(st.Command)
	}
	return r.finish(v, a.j.kept, a.took())
}

// forbidden reports why st's key must not be sent any more.
func (r *run) forbidden(c sysrq.Command) (verdict, bool) {
	switch {
	case r.over != "":
		return verdict{sysrq.Failed, "not sent: " + r.over, errOver}, true
	case r.panicked != "" && c.Danger < sysrq.Reboot:
		return verdict{sysrq.Failed, "not sent: " + r.panicked, errOver}, true
	}
	return verdict{}, false
}

// errOver is the cause of steps that were not sent because the machine they
// were meant for is no more.
var errOver = errors.New("the machine is not what it was when the run began")

// verdict is an outcome and the sentence that explains it.
type verdict struct {
	outcome sysrq.Outcome
	text    string
	err     error
}

// lastWords leaves the run's story on the machine's console before a key that
// ends the machine, and with it the path that would have told.
func (r *run) lastWords(c sysrq.Command) {
	l, ok := r.t.(transport.LastWorder)
	if !ok || c.Danger < sysrq.Reboot {
		return
	}
	text := "sysrq[rescue]: " + c.Name + " now"
	if len(r.story) > 0 {
		text += "; before: " + strings.Join(r.story, ", ")
	}
	if r.opts.Reason != "" {
		text += "; reason: " + r.opts.Reason
	}
	if err := l.LastWords(text); err != nil {
		r.note("no last words could be left in the kernel's log: " + err.Error())
	}
}

func (r *run) finish(v verdict, kept []sysrq.Evidence, took time.Duration) sysrq.Outcome {
	r.event(sysrq.Event{
		Type: sysrq.EventOutcome, Outcome: v.outcome, Text: v.text,
		Evidence: kept, Took: took, Err: v.err,
	})
	r.story = append(r.story, fmt.Sprintf("%s %s in %s", r.steps[r.current].Command.Name, v.outcome, took.Round(time.Millisecond)))
	return v.outcome
}

// drain notes what was heard between steps, so that the clock is right.
func (r *run) drain() {
	if r.ear == nil {
		return
	}
	got, err := r.ear.take()
	for _, h := range got {
		r.hear(h)
	}
	r.lostEar(err)
}

// hear yields one heard thing and takes from it what concerns the whole run.
// It reports whether the machine has just come up anew.
func (r *run) hear(h heard) (booted bool) {
	switch {
	case h.lost > 0:
		n := fmt.Sprintf("%d records were lost", h.lost)
		if h.unsized {
			n = "records were lost, nobody knows how many"
		}
		r.warn(n)
		return false
	case h.what == transport.SawPanic:
		r.panicked = "the kernel panicked"
		r.note(h.evidence.Text)
		return false
	case h.what != transport.SawRecord:
		r.note(h.evidence.Text)
		return h.what == transport.SawReset
	}
	ev := h.evidence
	r.event(sysrq.Event{Type: sysrq.EventHeard, Line: &ev})
	return r.clock.hear(ev)
}

func (r *run) lostEar(err error) {
	if r.earDead == nil && errGone(err) {
		r.earDead = err
	}
}

// grace lets programs end before the next step.
func (r *run) grace(d time.Duration) {
	ctx, cancel := context.WithTimeout(r.ctx, d)
	defer cancel()
	if s, ok := r.t.(transport.Settler); ok {
		begin := time.Now()
		if left := s.Settle(ctx); left != "" {
			r.note(fmt.Sprintf("after %s still there: %s", d, left))
		} else {
			r.note(fmt.Sprintf("every program has ended, %s after it was asked to", time.Since(begin).Round(time.Millisecond)))
		}
		r.drain()
		return
	}
	r.note(fmt.Sprintf("programs have %s to end by themselves", d))
	for {
		var ready <-chan struct{}
		if r.ear != nil {
			ready = r.ear.ready
		}
		select {
		case <-ctx.Done():
			return
		case <-ready:
			got, err := r.ear.take()
			for _, h := range got {
				if r.hear(h) {
					r.over = "the machine has rebooted by itself"
				}
			}
			r.lostEar(err)
			if r.over != "" || r.earDead != nil {
				return
			}
		}
	}
}

func (r *run) event(ev sysrq.Event) {
	if r.quit {
		return
	}
	ev.Time = time.Now()
	ev.Target = r.props.Target
	ev.Step, ev.Steps = r.current+1, len(r.steps)
	if r.current < len(r.steps) {
		ev.Key, ev.Name = r.steps[r.current].Command.Key, r.steps[r.current].Command.Name
	}
	if !r.yield(ev) {
		r.quit = true
	}
}

func (r *run) note(text string) { r.event(sysrq.Event{Type: sysrq.EventNote, Text: text}) }
func (r *run) warn(text string) { r.event(sysrq.Event{Type: sysrq.EventWarning, Text: text}) }
