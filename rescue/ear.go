package rescue

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sysrq/sysrq"
	"github.com/sysrq/sysrq/transport"
)

// heard is a transport.Heard that may be kept: its text is a copy.
type heard struct {
	what     transport.Saw
	evidence sysrq.Evidence
	program  bool // a program wrote the line into the log, through /dev/kmsg
	lost     uint64
	unsized  bool // lost is only known to be more than nothing
}

// queueLimit bounds what an ear holds for a reader that is busy. Beyond it the
// ear stops hearing, and the transport accounts for what is lost.
const queueLimit = 1 << 16

// ear hears a transport in a goroutine of its own, so that a dump longer than
// the kernel's buffer is read while it is written, and a wait can end for any
// of several reasons.
type ear struct {
	ready chan struct{} // has a token while something may be in the queue
	room  chan struct{} // has a token when a full queue was emptied
	stop  context.CancelFunc
	once  sync.Once
	run   func()
	ended chan struct{}

	mu    sync.Mutex
	queue []heard
	spare []heard
	err   error // why hearing ended
	lines uint64
}

// listen gets ready to hear t, from where its log stood when it was opened.
func listen(ctx context.Context, t transport.Transport) *ear {
	ctx, stop := context.WithCancel(ctx)
	e := &ear{
		ready: make(chan struct{}, 1), room: make(chan struct{}, 1),
		stop: stop, ended: make(chan struct{}),
	}
	e.run = func() { e.hear(ctx, t) }
	return e
}

// begin starts hearing; once is enough.
func (e *ear) begin() { e.once.Do(func() { go e.run() }) }

// close stops hearing and waits until the transport is let go of.
func (e *ear) close() {
	e.stop()
	e.once.Do(func() { close(e.ended) }) // if it never began
	<-e.ended
}

func (e *ear) hear(ctx context.Context, t transport.Transport) {
	defer close(e.ended)
	for {
		h, err := t.Hear(ctx)
		e.mu.Lock()
		if err != nil {
			e.err = err
			e.mu.Unlock()
			token(e.ready)
			return
		}
		e.queue = append(e.queue, e.keep(h))
		full := len(e.queue) >= queueLimit
		e.mu.Unlock()
		token(e.ready)
		if full {
			select {
			case <-e.room:
			case <-ctx.Done():
			}
		}
	}
}

func (e *ear) keep(h transport.Heard) heard {
	if h.What != transport.SawRecord {
		return heard{what: h.What, evidence: sysrq.Evidence{Text: h.Text}}
	}
	rec := &h.Record
	if rec.Lost > 0 {
		return heard{lost: rec.Lost, unsized: rec.LostUnknown}
	}
	// What comes through /dev/kmsg never has the kernel's own facility
	// (kernel/printk/printk.c, devkmsg_write, 6.1 to 7.2).
	k := heard{program: rec.Facility != 0, evidence: sysrq.Evidence{
		Seq: rec.Seq, HasSeq: rec.HasSeq, Uptime: rec.Time, HasUptime: rec.HasTime, Text: string(rec.Text),
	}}
	if !rec.HasSeq {
		e.lines++
		k.evidence.Line = e.lines
	}
	return k
}

// take is everything heard since the last call, in order, and why nothing more
// will come. The slice is valid until the next call.
func (e *ear) take() ([]heard, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	got := e.queue
	e.queue, e.spare = e.spare[:0], got
	if len(got) >= queueLimit {
		token(e.room)
	}
	return got, e.err
}

func token(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// clock follows the kernel's time over what was heard: it tells old lines that
// are printed again from new ones, and a new boot from both.
//
// Sequence numbers decide where there are any. On a console only the times
// are left, and two things move them back: processors that disagree by
// microseconds, and replay-kernel-logs (key R), which prints the log from its
// beginning, the first boot message included.
type clock struct {
	now       time.Duration // the latest time heard
	known     bool
	seq       uint64
	seqKnown  bool
	replaying bool
	replayed  time.Duration // the time of the R that started the replay
	any       bool          // something was heard at all
}

// skew is how far the clocks of two processors may disagree. Seen: some
// microseconds (facts: 6.1 to 7.2, x86-64).
const skew = 10 * time.Millisecond

// moment is a place in the log.
type moment struct {
	time     time.Duration
	known    bool
	seq      uint64
	seqKnown bool
}

func (c *clock) mark() moment { return moment{c.now, c.known, c.seq, c.seqKnown} }

// after reports whether ev was printed after m, as far as can be known.
func (m moment) after(ev sysrq.Evidence) bool {
	switch {
	case ev.HasSeq && m.seqKnown:
		return ev.Seq > m.seq
	case ev.HasUptime && m.known:
		return ev.Uptime+skew >= m.time
	}
	return true
}

// hear moves the clock on and reports whether ev is the first line of a new
// boot.
func (c *clock) hear(ev sysrq.Evidence) (booted bool) {
	first := !c.any
	c.any = true
	if ev.HasSeq {
		if c.seqKnown && ev.Seq < c.seq {
			return false // printed again
		}
		c.seq, c.seqKnown = ev.Seq, true
	}
	if !ev.HasUptime {
		// Firmware and boot loaders print no times, kernels without
		// PRINTK_TIME neither: only the banner can tell.
		return isBanner(ev.Text) && !first && !c.replaying
	}
	if c.replaying && ev.Uptime >= c.replayed {
		c.replaying = false
	}
	if action, ok := sysrq.Header(ev.Text); ok && action == "Replay kernel logs on consoles" &&
		!c.replaying && (!c.known || ev.Uptime > c.replayed) {
		c.replaying, c.replayed = true, ev.Uptime
	}
	if c.known && !c.replaying && ev.Uptime+skew < c.now && isBanner(ev.Text) {
		*c = clock{now: ev.Uptime, known: true, any: true}
		return true
	}
	if !c.known || ev.Uptime > c.now {
		c.now, c.known = ev.Uptime, true
	}
	return false
}

// isBanner recognises the first line of a boot (init/version-timestamp.c,
// linux_banner), and what arm64 prints before it.
func isBanner(text string) bool {
	return hasAnyPrefix(text, "Linux version ", "Booting Linux on physical CPU")
}

// errGone reports whether hearing ended because the far side went away, as
// opposed to our own stopping it.
func errGone(err error) bool {
	return err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) &&
		!errors.Is(err, transport.ErrDeaf)
}
