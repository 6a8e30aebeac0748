package rescue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/sysrq/sysrq"
	"github.com/sysrq/sysrq/transport"
)

// attempt is one step under way: its key sent, perhaps more than once, and
// everything heard since held against it.
type attempt struct {
	*run
	st   sysrq.Step
	j    *judge
	sent time.Time // when the key left, or the work began
	fell time.Time // when the verdict fell

	delivered  bool          // Trigger has returned without error
	triggered  chan error    // its result, while it is under way
	done       chan doResult // Do's result, while it is under way
	said       chan string   // what Do tells
	repeats    int
	asked      bool  // a ping went out to learn whether the key arrived
	proved     bool  // the kernel says it is done, while Do still makes sure
	bracketed  bool  // the end of the dump was marked, by marker or by ping
	lost       bool  // records were lost since the key was sent
	raisedOnce bool  // the dump was hidden, and is asked for again
	broken     error // the path's error, where the key may have arrived in spite of it
}

type doResult struct {
	outcome sysrq.Outcome
	err     error
}

func (r *run) attempt(st sysrq.Step) *attempt {
	return &attempt{run: r, st: st, j: newJudge(st.Command, r.clock.mark())}
}

func (a *attempt) took() time.Duration {
	if a.sent.IsZero() || a.fell.IsZero() {
		return 0
	}
	return a.fell.Sub(a.sent)
}

// wait sends the key and waits for evidence until the deadline.
func (a *attempt) wait() verdict {
	ctx, cancel := context.WithTimeout(a.ctx, a.deadline(a.st))
	defer cancel()
	v := a.loop(ctx)
	// The proof can be heard before the trigger has returned. It has to have,
	// before the next key: a transport is handed one at a time.
	if a.triggered != nil && v.outcome != sysrq.Timeout {
		select {
		case err := <-a.triggered:
			if err == nil {
				a.event(sysrq.Event{Type: sysrq.EventSent})
			}
		case <-ctx.Done():
		}
	}
	return v
}

func (a *attempt) loop(ctx context.Context) verdict {
	a.send(ctx)
	ask := time.NewTimer(askAfter)
	defer ask.Stop()
	for {
		var ready <-chan struct{}
		if a.ear != nil && a.earDead == nil {
			ready = a.ear.ready
		}
		select {
		case err := <-a.triggered:
			a.triggered = nil
			if v, end := a.left(err); end {
				return v
			}
		case text := <-a.said:
			ev := sysrq.Evidence{Text: text}
			a.j.keep(ev)
			a.event(sysrq.Event{Type: sysrq.EventHeard, Line: &ev})
		case res := <-a.done:
			a.done = nil
			if v, end := a.did(res); end {
				return v
			}
		case <-ready:
			if v, end := a.listen(ctx); end {
				return v
			}
		case <-ask.C:
			a.ask(ctx)
			ask.Reset(askEvery)
		case <-ctx.Done():
			return a.late()
		}
		if a.quit {
			return a.late()
		}
	}
}

// send sets the key off, without waiting for it: a handler that runs inside
// the trigger can print for minutes.
func (a *attempt) send(ctx context.Context) {
	a.sent = time.Now()
	a.delivered = false
	key := a.st.Command.Key
	if a.doer != nil && a.doer.Does(key) {
		a.begin()
		a.done, a.said = make(chan doResult, 1), make(chan string, 64)
		done, said := a.done, a.said
		go func() {
			o, err := a.doer.Do(ctx, key, func(text string) {
				select {
				case said <- text: // what is said last, when ctx is over, says who is stuck
					return
				default:
				}
				select {
				case said <- text:
				case <-ctx.Done():
				}
			})
			done <- doResult{o, err}
		}()
		return
	}
	a.triggered = make(chan error, 1)
	c := a.triggered
	go func() { c <- a.t.Trigger(ctx, key) }()
	if a.ear != nil {
		time.AfterFunc(hearAfter, a.ear.begin)
	}
}

// begin starts hearing, where that has waited for the first key.
func (r *run) begin() {
	if r.ear != nil {
		r.ear.begin()
	}
}

// left judges the end of the delivery.
func (a *attempt) left(err error) (verdict, bool) {
	a.begin()
	if err != nil {
		var oe *transport.OpError
		if errors.As(err, &oe) && oe.MayHaveArrived && a.hears() {
			// It is not sent again. What it does, if it arrived, can still be
			// heard, on a console that outlives the monitor for example.
			a.broken = err
			a.warn(err.Error() + "; listening for " + afterglow.String() + " whether the key arrived")
			time.AfterFunc(afterglow, func() { token(a.ear.ready) })
			return verdict{}, false
		}
		if ctxErr := a.ctx.Err(); ctxErr != nil {
			return a.end(verdict{sysrq.Failed, "interrupted before the key was sent", ctxErr})
		}
		return a.end(verdict{sysrq.Failed, err.Error(), err})
	}
	a.delivered = true
	a.event(sysrq.Event{Type: sysrq.EventSent})
	if !a.hears() {
		if a.earDead != nil { // what was heard before still counts
			return a.deafened()
		}
		return a.end(verdict{sysrq.Sent, "delivered; nothing can be heard on this path", nil})
	}
	a.bracket()
	return verdict{}, false
}

func (a *attempt) hears() bool { return a.ear != nil && a.earDead == nil }

// did judges the end of what the transport did by its own means.
func (a *attempt) did(res doResult) (verdict, bool) {
	for { // what it said last may not have been read yet
		select {
		case text := <-a.said:
			ev := sysrq.Evidence{Text: text}
			a.j.keep(ev)
			a.event(sysrq.Event{Type: sysrq.EventHeard, Line: &ev})
			continue
		default:
		}
		break
	}
	switch {
	case res.err != nil:
		return a.end(verdict{sysrq.Failed, res.err.Error(), res.err})
	case res.outcome == sysrq.Timeout:
		return a.end(verdict{sysrq.Timeout, fmt.Sprintf("not finished within %s", a.deadline(a.st)), nil})
	case res.outcome != 0:
		return a.end(verdict{res.outcome, "", nil})
	}
	a.delivered = true
	if a.proved {
		return a.end(verdict{sysrq.Done, "", nil})
	}
	if !a.hears() {
		return a.end(verdict{sysrq.Sent, "done as far as can be known; nothing can be heard on this path", nil})
	}
	return verdict{}, false
}

// listen judges what was heard since the last time.
func (a *attempt) listen(ctx context.Context) (verdict, bool) {
	got, err := a.ear.take()
	for i, h := range got {
		v, end := a.hearOne(ctx, h)
		if end {
			a.rest(got[i+1:])
			return v, true
		}
	}
	a.lostEar(err)
	if a.earDead != nil {
		return a.deafened()
	}
	if a.broken != nil && time.Since(a.sent) >= afterglow {
		return a.end(verdict{sysrq.Timeout, "the way broke while the key was under way, and nothing shows that it arrived; it is not sent again: " + a.broken.Error(), a.broken})
	}
	return verdict{}, false
}

func (a *attempt) hearOne(ctx context.Context, h heard) (verdict, bool) {
	cmd := a.st.Command
	booted := a.run.hear(h)
	switch {
	case h.lost > 0:
		a.lost = true
		return verdict{}, false
	case h.what == transport.SawPanic && !a.j.panicky:
		a.j.keep(h.evidence)
		return a.end(verdict{sysrq.Failed, "the kernel panicked meanwhile", errOver})
	case h.what == transport.SawPowerOff:
		a.over = "the machine is off"
		a.j.keep(h.evidence)
		if cmd.Key == 'o' {
			return a.end(verdict{sysrq.Done, "", nil})
		}
		return a.end(verdict{sysrq.Failed, "the machine went off meanwhile", errOver})
	case booted:
		a.over = "the machine has rebooted"
		a.j.keep(h.evidence)
		switch {
		case cmd.Completion.Kind == sysrq.CompletesReboot:
			return a.end(verdict{sysrq.Done, "", nil})
		case cmd.Danger == sysrq.Crash && a.j.header:
			return a.end(verdict{sysrq.Done, "the machine has come up again already", nil})
		}
		return a.end(verdict{sysrq.Failed, "the machine rebooted by itself before this was done", errOver})
	case h.what != transport.SawRecord:
		return verdict{}, false
	case h.program && !a.j.marked(h.evidence.Text):
		return verdict{}, false // anybody's words are no proof; only our own marker counts
	}
	switch a.j.hear(h.evidence) {
	case foundHeader:
		if cmd.Danger >= sysrq.Reboot {
			a.gone = true
		}
		if cmd.Completion.Kind == sysrq.CompletesUnseen {
			return a.end(verdict{sysrq.Accepted, "", nil})
		}
		a.bracket()
	case foundProof:
		if a.done != nil {
			// 'Emergency Sync complete' says that inodes were written, but
			// the journal's commit was only begun (fs/sync.c, do_sync_work,
			// 6.1 and 6.12): what the transport does itself knows better.
			a.proved = true
			return verdict{}, false
		}
		return a.end(verdict{sysrq.Done, "", nil})
	case foundRefusal:
		return a.end(verdict{sysrq.Refused, refusal(cmd), nil})
	case foundHelp:
		return a.help(ctx, h.evidence)
	case foundEnd:
		return a.dumped(ctx)
	case foundPanic:
		a.panicked = "the kernel has panicked"
		return a.end(verdict{sysrq.Failed, "the kernel panicked meanwhile", errOver})
	}
	return verdict{}, false
}

// help judges a HELP line. It answers an unknown key, and it answers a ping.
func (a *attempt) help(ctx context.Context, ev sysrq.Evidence) (verdict, bool) {
	cmd := a.st.Command
	switch {
	case cmd.Completion.Kind == sysrq.CompletesHelp:
		return a.end(verdict{sysrq.Done, "", nil})
	case a.pings == 0 && !a.j.header:
		return a.end(verdict{sysrq.Unsupported, a.unsupported(ev), nil})
	case a.pings == 0:
		return verdict{}, false // somebody else pressed a key
	}
	a.pings--
	switch {
	case a.bracketed && a.j.header:
		a.j.keep(ev)
		return a.dumped(ctx)
	case a.asked && !a.j.header && a.pings == 0:
		// The console is in order, and the ping was sent after the key: what
		// was printed for the key would have come before this. Unless records
		// were lost, it never arrived.
		a.asked = false
		a.j.kept = nil
		if a.lost || a.repeats >= maxRepeats {
			return verdict{}, false
		}
		a.repeats++
		a.warn(fmt.Sprintf("the machine answers, but the key never arrived: sending it again (%d of %d)", a.repeats, maxRepeats))
		a.j.from = a.clock.mark()
		a.send(ctx)
	}
	return verdict{}, false
}

// unsupported says what the kernel has instead.
func (a *attempt) unsupported(ev sysrq.Evidence) string {
	items, _ := sysrq.ParseHelp(ev.Text)
	c := a.st.Command
	text := fmt.Sprintf("this kernel has no key %s", c.Key)
	switch {
	case c.Since != "":
		text += fmt.Sprintf("; %s came with Linux %s", c.Name, c.Since)
		if c.Config != "" {
			text += ", and needs " + c.Config
		}
	case c.Config != "":
		text += fmt.Sprintf("; %s needs %s", c.Name, c.Config)
	case len(c.Arch) > 0:
		text += fmt.Sprintf("; %s is a command of other architectures", c.Name)
	}
	if len(items) > 0 {
		text += fmt.Sprintf(" (it has %d commands: sysrq list)", len(items))
	}
	return text
}

func refusal(c sysrq.Command) string {
	if c.Mask == 0 {
		return "the mask forbids it, and no bit permits it: on that machine, sysctl kernel.sysrq=1 does"
	}
	return fmt.Sprintf("the mask forbids it: on that machine, kernel.sysrq needs bit %d, or be 1 (sysctl kernel.sysrq=1)", int(c.Mask))
}

// dumped judges the end of a dump.
func (a *attempt) dumped(ctx context.Context) (verdict, bool) {
	cmd := a.st.Command
	must := len(cmd.Completion.Lines) > 0
	switch {
	case must && !a.j.sign && a.props.Filtered && !a.raisedOnce && !a.opts.KeepConsole && !a.cannot:
		// It can not be empty, so the console hid it. Asking again is harmless.
		a.raisedOnce = true
		if a.j.body == 0 {
			a.quietBelow = levelQuiet
		} else {
			a.quietBelow = int(cmd.Completion.Level)
		}
		if a.raise() {
			a.j = newJudge(cmd, a.clock.mark())
			a.bracketed = false
			a.send(ctx)
			return verdict{}, false
		}
		return a.end(verdict{sysrq.Accepted, "the kernel printed it, but the console's log level hides it", nil})
	case must && !a.j.sign && a.props.Filtered:
		return a.end(verdict{sysrq.Accepted, "the kernel printed it, but the console's log level hides it", nil})
	case must && !a.j.sign:
		return a.end(verdict{sysrq.Accepted, "announced, but nothing of it was printed", nil})
	case !a.shows(cmd.Completion.Level) && a.j.body == 0:
		return a.end(verdict{sysrq.Accepted, "nothing was printed, or the console's log level hides it", nil})
	case cmd.Key == 'p' && a.j.body == 0:
		return a.end(verdict{sysrq.Accepted, "no registers: they are printed only when the key comes in a hard interrupt, by PS/2 keyboard or serial line", nil})
	}
	if a.lost {
		return a.end(verdict{sysrq.Done, "with gaps: records were lost", nil})
	}
	return a.end(verdict{sysrq.Done, "", nil})
}

// bracket marks the end of a dump, which has none of its own: with a line of
// ours where the path can write one, else with the answer to a ping. Both are
// in order with what the handler printed, once it has begun and the trigger
// has returned.
func (a *attempt) bracket() {
	switch {
	case a.st.Command.Completion.Kind != sysrq.CompletesDump, a.bracketed, a.triggered != nil, !a.hears():
	case a.marker != nil:
		a.bracketed = true
		a.mark()
	case a.j.header:
		a.bracketed = a.ping(a.ctx)
	}
}

// mark writes our own line behind the dump.
func (a *attempt) mark() {
	text := fmt.Sprintf("sysrq[rescue]: end of %s %s", a.st.Command.Name, nonce())
	if err := a.marker.Mark(text); err != nil {
		// The log takes no lines from us (printk.devkmsg=off, its rate limit):
		// the answer to a ping ends a dump as well.
		a.ping(a.ctx)
		return
	}
	a.j.marker = text
}

// nonce makes our line another than everybody else's. Go seeds its generator
// anew in each process; crypto/rand would cost every start of the program its
// self-tests.
func nonce() string { return fmt.Sprintf("%012x", rand.Uint64()>>16) }

// ping sends the harmless key. Its answer is owed from then on.
func (a *attempt) ping(ctx context.Context) bool {
	if err := a.t.Trigger(ctx, sysrq.Ping); err != nil {
		a.warn("the ping could not be sent: " + err.Error())
		return false
	}
	a.pings++
	return true
}

// ask pings a machine that has not announced the key, to learn whether the key
// or the machine is lost.
func (a *attempt) ask(ctx context.Context) {
	if a.st.Command.Completion.Kind == sysrq.CompletesHelp {
		// The ping itself: it is harmless to repeat.
		a.ping(ctx)
		return
	}
	if a.j.header || !a.delivered || !a.hears() || a.triggered != nil || a.done != nil || a.broken != nil {
		return
	}
	if a.doer != nil && a.doer.Does(a.st.Command.Key) {
		return
	}
	a.asked = a.ping(ctx) || a.asked
}

// deafened judges the end of hearing while the step was under way.
func (a *attempt) deafened() (verdict, bool) {
	why := a.earDead.Error()
	if errors.Is(a.earDead, io.EOF) {
		why = "the console was closed at the far end"
	}
	switch {
	case a.done != nil || a.triggered != nil:
		return verdict{}, false // the delivery's own end will tell
	case a.j.header && a.st.Command.Danger >= sysrq.Reboot:
		return a.end(verdict{sysrq.Accepted, "announced; then the way to the machine closed, so its end can not be seen: " + why, nil})
	case a.j.header:
		return a.end(verdict{sysrq.Accepted, "announced; then the way to the machine closed before the proof: " + why, nil})
	}
	return a.end(verdict{sysrq.Sent, "delivered; then nothing could be heard any more: " + why, nil})
}

// late judges a step whose deadline has passed.
func (a *attempt) late() verdict {
	cmd := a.st.Command
	wait := a.deadline(a.st)
	if a.ctx.Err() != nil || a.quit {
		v, _ := a.end(verdict{sysrq.Timeout, "interrupted while waiting; the key was sent, so it may still take effect", a.ctx.Err()})
		return v
	}
	if a.done != nil { // Do ends with its context, and says what is left
		select {
		case res := <-a.done:
			a.done = nil
			if v, end := a.did(res); end {
				return v
			}
		case <-time.After(afterDo):
		}
	}
	var text string
	switch {
	case a.done != nil:
		text = fmt.Sprintf("not finished within %s", wait)
	case a.triggered != nil:
		text = fmt.Sprintf("the key could not be handed over within %s; it may still arrive", wait)
	case a.j.header && cmd.Completion.Kind == sysrq.CompletesReboot:
		text = fmt.Sprintf("announced, but no new boot was seen within %s", wait)
	case a.j.header && !a.shows(cmd.Completion.Level):
		text = fmt.Sprintf("announced; no end was seen within %s, and the console's log level may hide it", wait)
	case a.j.header:
		text = fmt.Sprintf("announced, but not finished within %s", wait)
	case a.asked && a.pings > 0, cmd.Completion.Kind == sysrq.CompletesHelp:
		text = fmt.Sprintf("no answer within %s, not to the key and not to a ping: SysRq may be off there (kernel.sysrq=0), this may not be the kernel's console, or the machine is dead", wait)
	default:
		text = fmt.Sprintf("no answer within %s", wait)
	}
	v, _ := a.end(verdict{sysrq.Timeout, text, context.DeadlineExceeded})
	return v
}

func (a *attempt) end(v verdict) (verdict, bool) {
	a.fell = time.Now()
	if (v.outcome == sysrq.Done || v.outcome == sysrq.Accepted || v.outcome == sysrq.Sent || v.outcome == sysrq.Timeout) && a.st.Command.Danger >= sysrq.Reboot {
		a.gone = true
	}
	return v, true
}
