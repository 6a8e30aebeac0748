package kmsg

import (
	"errors"
	"io"
	"time"
)

// Start is where a Reader of /dev/kmsg begins.
type Start uint8

const (
	// FromEnd hears only what is printed from now on.
	FromEnd Start = iota
	// FromOldest begins with the oldest record that the kernel still has.
	FromOldest
	// FromClear begins behind the last `dmesg --clear`.
	FromClear
)

// readBuffer is for one record. A buffer that is too small costs the record:
// the kernel answers EINVAL and has moved on already. Linux 6.1 formats into
// 8192 bytes (CONSOLE_EXT_LOG_MAX), 6.12 and 7.2 into 2048.
const readBuffer = 16 << 10

// Reader reads records from /dev/kmsg, and says where records are missing.
//
// Read may be called from one goroutine at a time; SetReadDeadline and Close
// from any.
type Reader struct {
	r   io.Reader
	buf []byte
	// held is what was read and not yet returned, in buf: a record that waits
	// behind its gap, or several that came at once.
	held []byte
	// err came together with a record, and is for the next call.
	err error
	// next is the number that the next record should have, if counting.
	next     uint64
	counting bool
	// overrun is set from an EPIPE until the next record tells what it cost.
	overrun bool
}

// Open opens the kernel's log, usually at /dev/kmsg, for what is printed from
// now on. Where the kernel has no such file, the error is
// [errors.ErrUnsupported].
func Open(path string) (*Reader, error) { return OpenAt(path, FromEnd) }

// NewReader makes a Reader of r, which must return whole records from each
// Read, and may return the errors of /dev/kmsg. That itself returns one record
// at a time, but a FIFO in its place may return several.
func NewReader(r io.Reader) *Reader {
	return &Reader{r: r, buf: make([]byte, readBuffer)}
}

// Read waits for the next record and puts it into rec, whose buffers it
// reuses. Where records were lost, a gap comes first.
//
// An error that wraps [ErrSyntax] concerns one record and one that wraps
// [os.ErrDeadlineExceeded] one call: reading may go on after both.
func (r *Reader) Read(rec *Record) error {
	for {
		if len(r.held) == 0 {
			err := r.fetch()
			switch {
			case err == nil:
			case errors.Is(err, errOverrun):
				// Only the number of the next record tells how many were
				// overwritten. The kernel has it ready.
				r.overrun = true
				continue
			case errors.Is(err, errTooBig):
				if r.overrun && r.counting {
					continue // It is in the same hole.
				}
				r.gap(rec, 1, r.overrun)
				r.next++
				return nil
			default:
				return err
			}
		}
		n := extent(r.held)
		if err := Parse(r.held[:n], rec); err != nil {
			r.held = r.held[n:]
			return err
		}
		switch {
		case r.counting && rec.Seq > r.next:
			r.gap(rec, rec.Seq-r.next, false)
			r.next += rec.Lost
			return nil
		case r.overrun && !r.counting:
			r.gap(rec, 1, true)
			return nil
		}
		// A number that went back belongs to another kernel's log: nothing can
		// be said about what is between them.
		r.held, r.overrun = r.held[n:], false
		r.next, r.counting = rec.Seq+1, true
		return nil
	}
}

// fetch reads once. It returns an error or has set held.
func (r *Reader) fetch() error {
	if err := r.err; err != nil {
		r.err = nil
		return err
	}
	n, err := r.r.Read(r.buf)
	if n <= 0 || n > len(r.buf) {
		if err == nil {
			err = io.ErrNoProgress
		}
		return err
	}
	r.held, r.err = r.buf[:n], err
	return nil
}

// gap makes rec a gap. Whatever was overrun is told with it.
func (r *Reader) gap(rec *Record, lost uint64, unknown bool) {
	rec.reset()
	rec.Lost, rec.LostUnknown = lost, unknown
	r.overrun = false
}

// SetReadDeadline makes Read return [os.ErrDeadlineExceeded] from t on; the
// zero t takes that back. A source without deadlines gives
// [errors.ErrUnsupported] or [os.ErrNoDeadline].
func (r *Reader) SetReadDeadline(t time.Time) error {
	if d, ok := r.r.(interface{ SetReadDeadline(time.Time) error }); ok {
		return d.SetReadDeadline(t)
	}
	return errors.ErrUnsupported
}

// Close closes the source, if it can be closed. A Read that waits returns
// [os.ErrClosed].
func (r *Reader) Close() error {
	if c, ok := r.r.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
