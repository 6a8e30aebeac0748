package kmsg

import (
	"bytes"
	"errors"
	"io"
	"os"
)

const (
	// maxLine is the longest line that comes out in one piece. No kernel
	// prints one as long (PRINTK_MESSAGE_MAX is 2048): only what is no log at
	// all is cut.
	maxLine = 64 << 10
	// scanBuffer is what lines begin with. It grows for long lines, to twice
	// maxLine.
	scanBuffer = 32 << 10
)

// lines are the lines of a stream. They end with LF, CR or both, and do not
// depend on how the stream is cut into Reads. A line comes out as soon as the
// Read that ended it returns.
type lines struct {
	r   io.Reader
	buf []byte
	// What was read and not yet taken is buf[pos:end].
	pos, end int
	lf, cr   finder
	esc      finder // a Log's

	// line is what next found, in buf at start, without its end. A Log may put
	// another there; start is less than 0 then.
	line  []byte
	start int
	// cut: line ends where its line does not.
	cut bool
	// afterCR: line ended with a CR, behind which nothing was read yet.
	afterCR bool
	// headless: the line does not begin where line does.
	headless bool
	// number counts lines as an editor does: it is one more than the newlines
	// that stand before line. A bare CR ends a line, but not for this.
	number, newlines int64

	err error
}

func newLines(r io.Reader) lines { return lines{r: r, buf: make([]byte, scanBuffer)} }

func isTimeout(err error) bool {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// finder remembers how far the buffer was searched for one character, so that
// no byte is searched twice for it, however slowly a line arrives.
type finder struct {
	at   int // where it was found; of use while not before pos
	seen int // there is none from at+1 (or pos) to here
}

// find returns where c is in buf[pos:end], or end.
func (f *finder) find(buf []byte, c byte, pos, end int) int {
	if f.at >= pos && f.at < f.seen {
		return f.at
	}
	from := max(pos, f.seen)
	if from >= end {
		return end
	}
	i := bytes.IndexByte(buf[from:end], c)
	if i < 0 {
		f.at, f.seen = -1, end
		return end
	}
	f.at, f.seen = from+i, from+i+1
	return f.at
}

func (f *finder) move(by int) { f.at, f.seen = f.at-by, max(f.seen-by, 0) }

// next finds the next line, which may be empty.
func (s *lines) next() bool {
	for {
		if s.afterCR && s.pos < s.end {
			s.afterCR = false
			if s.buf[s.pos] == '\n' {
				s.pos++
				s.newlines++
			}
		}
		// CR first: where lines end in CR LF, the LF is then one byte away, and
		// where there are none, the answer is known for the whole buffer.
		end := s.cr.find(s.buf, '\r', s.pos, s.end)
		end = min(end, s.lf.find(s.buf, '\n', s.pos, s.end))
		switch n := end - s.pos; {
		case n > maxLine:
			s.take(maxLine, 0, true)
			return true
		case end < s.end:
			skip := 1
			if s.buf[end] == '\r' {
				if end+1 == s.end {
					s.afterCR = true
				} else if s.buf[end+1] == '\n' {
					skip = 2
				}
			}
			s.take(n, skip, false)
			if s.buf[end+skip-1] == '\n' {
				s.newlines++
			}
			return true
		case s.err == nil:
			s.fill()
		case n > 0 && !isTimeout(s.err):
			s.take(n, 0, true)
			return true
		default:
			return false
		}
	}
}

// take makes the next n bytes the line, and skips what ended them.
func (s *lines) take(n, skip int, cut bool) {
	s.headless, s.start = s.cut, s.pos
	s.line, s.cut = s.buf[s.pos:s.pos+n], cut
	s.number = s.newlines + 1
	s.pos += n + skip
}

// fill reads once, or learns why not.
func (s *lines) fill() {
	if s.end == len(s.buf) || s.pos == s.end {
		old := s.buf
		if s.pos == 0 && s.end > 0 {
			s.buf = make([]byte, 2*len(old))
		}
		copy(s.buf, old[s.pos:s.end])
		s.lf.move(s.pos)
		s.cr.move(s.pos)
		s.esc.move(s.pos)
		s.pos, s.end = 0, s.end-s.pos
	}
	// A Reader may return nothing and no error, but not for ever.
	for range 100 {
		free := s.buf[s.end:]
		n, err := s.r.Read(free)
		if n < 0 || n > len(free) {
			n, err = 0, errors.New("a Reader returned an impossible count")
		}
		s.end += n
		s.err = err
		if n > 0 || err != nil {
			return
		}
	}
	s.err = io.ErrNoProgress
}
