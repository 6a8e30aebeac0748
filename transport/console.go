package transport

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/sysrq/sysrq/kmsg"
)

// Console hears what a machine prints on a console, for the transports that
// have one: a serial line, a socket, a session of a console server.
//
// It reads ahead in a goroutine of its own, so that the far side never stalls
// on a reader who is busy: a machine whose serial console is not read stands
// still in its interrupt. What nobody asked for yet is kept in a ring of
// records that are used again and again. When the ring is full the oldest
// record goes, and Hear says how many went, in their place.
type Console struct {
	target string
	from   io.ReadCloser
	ended  chan struct{} // closed when the reading goroutine has ended
	closed chan struct{}
	once   sync.Once
	ready  chan struct{} // has a token when there may be something to hear

	mu       sync.Mutex
	ring     []kmsg.Record
	head     uint64 // number of the oldest record in the ring
	tail     uint64 // number of the next record
	held     int    // bytes of text in the ring
	lost     uint64 // records that went since the last one that was heard
	unsized  bool   // lost is a minimum
	seen     []sighting
	err      error     // why reading ended
	lastRead time.Time // when bytes last came

	out kmsg.Record // what Hear handed out last; its text is swapped, not copied
}

// sighting is something seen when tail was at: it comes before the records
// from there on.
type sighting struct {
	at    uint64
	heard Heard
}

// What a Console keeps at most. With the log level up, a task dump of a machine
// with a thousand tasks is some 20 000 lines; who hears promptly needs none of
// this, and a terminal that is stopped for a minute loses nothing at 115200
// baud (11 kB/s).
const (
	consoleRecords = 1 << 14
	consoleBytes   = 2 << 20
	consoleSeen    = 64
	// keptText is the longest text whose memory a slot keeps for the next, in
	// bytes. Kernel lines are shorter; a program can print longer ones.
	keptText = 256
)

// NewConsole starts to hear what comes from a reader, and owns it from then on.
// Errors are an [*OpError] with target.
//
// The reader's Close must make its Read return, as that of a socket, a serial
// line or a pipe does.
func NewConsole(target string, from io.ReadCloser) *Console {
	c := &Console{
		target: target,
		from:   from,
		ended:  make(chan struct{}),
		closed: make(chan struct{}),
		ready:  make(chan struct{}, 1),
	}
	c.lastRead = time.Now()
	go c.read()
	return c
}

// Tee is a reader of r that writes what was read to a transcript as well, as
// raw bytes, to stand around NewConsole's argument. An error of the transcript
// ends the transcript, never the hearing.
func Tee(r io.ReadCloser, transcript io.Writer) io.ReadCloser {
	return &tee{r, transcript}
}

type tee struct {
	io.ReadCloser
	w io.Writer // nil once it failed
}

func (t *tee) Read(b []byte) (int, error) {
	n, err := t.ReadCloser.Read(b)
	if n > 0 && t.w != nil {
		if _, werr := t.w.Write(b[:n]); werr != nil {
			t.w = nil
		}
	}
	return n, err
}

// timedReader notes when bytes come.
type timedReader struct{ c *Console }

func (r timedReader) Read(b []byte) (int, error) {
	n, err := r.c.from.Read(b)
	if n > 0 {
		r.c.mu.Lock()
		r.c.lastRead = time.Now()
		r.c.mu.Unlock()
	}
	return n, err
}

func (c *Console) read() {
	defer close(c.ended)
	s := kmsg.NewScanner(timedReader{c})
	for s.Scan() {
		c.keep(s.Record())
	}
	err := s.Err()
	if err == nil {
		err = io.EOF
	} else {
		err = NewOpError("hear", c.target, err)
	}
	c.mu.Lock()
	c.err = err
	c.mu.Unlock()
	c.wake()
}

// keep puts a copy of r into the ring.
func (c *Console) keep(r *kmsg.Record) {
	c.mu.Lock()
	defer c.wake()
	defer c.mu.Unlock()
	for c.tail-c.head > 0 && (c.tail-c.head == consoleRecords || c.held+len(r.Text) > consoleBytes) {
		c.drop()
	}
	// A console that is heard promptly never grows to the full size.
	if n := uint64(len(c.ring)); c.tail-c.head == n {
		c.grow(max(64, 2*n))
	}
	slot := &c.ring[c.tail%uint64(len(c.ring))]
	text := append(slot.Text[:0], r.Text...)
	*slot = *r
	slot.Text, slot.Dict = text, bytes.Clone(r.Dict) // a console's has none
	c.tail++
	c.held += len(text)
}

func (c *Console) grow(n uint64) {
	ring := make([]kmsg.Record, n)
	for i := c.head; i != c.tail; i++ {
		ring[i%n] = c.ring[i%uint64(len(c.ring))]
	}
	c.ring = ring
}

// drop counts the oldest record as lost; a gap among them keeps its size.
func (c *Console) drop() {
	slot := &c.ring[c.head%uint64(len(c.ring))]
	c.lost += max(1, slot.Lost)
	c.unsized = c.unsized || slot.LostUnknown
	c.release(slot)
}

// release takes the oldest record out of the ring.
func (c *Console) release(slot *kmsg.Record) {
	c.held -= len(slot.Text)
	if cap(slot.Text) > keptText {
		slot.Text = nil
	}
	slot.Text = slot.Text[:0]
	c.head++
}

// wake tells Hear that something changed.
func (c *Console) wake() {
	select {
	case c.ready <- struct{}{}:
	default:
	}
}

// Saw has Hear return something that was seen of the machine and not printed by
// it: after everything that came before this call, and before what comes later.
// At most 64 such things are kept; the oldest goes first.
func (c *Console) Saw(what Saw, text string) {
	c.mu.Lock()
	if len(c.seen) == consoleSeen {
		c.seen = append(c.seen[:0], c.seen[1:]...)
	}
	c.seen = append(c.seen, sighting{c.tail, Heard{What: what, Text: text}})
	c.mu.Unlock()
	c.wake()
}

// Settle waits until nothing came for a while, but for limit at most, or until
// the console or ctx has ended. It is for whoever learns by another way of
// something that must stand behind what the machine printed before: those bytes
// have been sent, but they may not have been read.
func (c *Console) Settle(ctx context.Context, quiet, limit time.Duration) {
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-c.ended:
			return
		case <-ctx.Done():
			return
		}
		c.mu.Lock()
		last := c.lastRead
		c.mu.Unlock()
		if last.Before(start) {
			last = start
		}
		wait := min(quiet-time.Since(last), limit-time.Since(start))
		if wait <= 0 {
			return
		}
		timer.Reset(wait)
	}
}

// Hear waits for the next thing that was printed or seen, as [Transport] wants
// it: io.EOF after the last one when the console has ended.
func (c *Console) Hear(ctx context.Context) (Heard, error) {
	for {
		select {
		case <-c.closed:
			return Heard{}, NewOpError("hear", c.target, net.ErrClosed)
		default:
		}
		if err := ctx.Err(); err != nil {
			return Heard{}, err
		}
		h, ok, err := c.next()
		if ok || err != nil {
			return h, err
		}
		select {
		case <-c.ready:
		case <-c.closed:
		case <-ctx.Done():
		}
	}
}

// next is what can be heard at once.
func (c *Console) next() (h Heard, ok bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.lost > 0:
		h.Record = kmsg.Record{Lost: c.lost, LostUnknown: c.unsized}
		c.lost, c.unsized = 0, false
		return h, true, nil
	case len(c.seen) > 0 && c.seen[0].at <= c.head:
		h = c.seen[0].heard
		c.seen = append(c.seen[:0], c.seen[1:]...)
		return h, true, nil
	case c.head != c.tail:
		slot := &c.ring[c.head%uint64(len(c.ring))]
		free := c.out.Text
		c.out = *slot
		h.Record = c.out
		c.release(slot)
		slot.Text = free[:0] // ours of the call before, for the caller has the slot's
		if cap(free) > keptText {
			slot.Text = nil
		}
		return h, true, nil
	}
	return h, false, c.err
}

// Close closes the reader and waits for the goroutine to end. It makes Hear
// return. Later calls do nothing.
func (c *Console) Close() error {
	var err error
	c.once.Do(func() {
		close(c.closed)
		if cerr := c.from.Close(); cerr != nil {
			err = NewOpError("close", c.target, fmt.Errorf("console: %w", cerr))
		}
	})
	<-c.ended
	return err
}

// Done is closed when the console has ended and everything that will ever come
// from it is in the ring.
func (c *Console) Done() <-chan struct{} { return c.ended }
