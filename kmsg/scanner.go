package kmsg

import (
	"bytes"
	"io"
	"time"
)

// Scanner reads records from the text of a console: a serial line, a file that
// dmesg wrote, a basic netconsole datagram.
//
// Every line is a record. What the kernel put before its text is taken off and
// becomes fields (print_prefix in kernel/printk/printk.c; 6.1, 6.12, 7.2):
//
//	[    3.772366] text             the usual
//	[    3.772366][  T123] text     with PRINTK_CALLER; [    C0] is a processor
//	<6>[    3.772366] text          console_msg_format=syslog, dmesg --raw
//	[Mon Nov 23 21:51:00 2026] text dmesg -T; the record has no Time
//
// Lines end with LF, CR or both. Empty ones are skipped. Escape sequences and
// control characters are taken off the beginning of a line and left alone
// elsewhere: who shows a Text on a terminal has to make it harmless.
//
// A terminal also shows what programs write, and the kernel writes where the
// cursor stands, so that its line may follow a prompt. Those come out as two
// records, of which the first is Torn. A line that begins as the kernel's is
// not searched for a second beginning: anybody who can name a USB device can
// have one printed.
//
// The records of a stream do not depend on how it is cut into Reads. A line
// comes out as soon as the Read that ended it returns, and memory does not grow
// with the stream.
type Scanner struct {
	lines
	// rest is the line, or what is left of it, that comes next.
	rest []byte
	// begun: a line was seen.
	begun bool

	rec Record
}

// NewScanner makes a Scanner of r.
func NewScanner(r io.Reader) *Scanner {
	return &Scanner{lines: newLines(r)}
}

// Record is what the last Scan found. It changes with the next.
func (s *Scanner) Record() *Record { return &s.rec }

// Err is why the last Scan found nothing, or nil at the end of the stream.
func (s *Scanner) Err() error {
	if s.err == io.EOF {
		return nil
	}
	return s.err
}

// Pending is the beginning of a line whose end has not arrived, such as a
// prompt. It is of use when a Scan was ended by a deadline, and changes with
// the next.
func (s *Scanner) Pending() []byte { return s.buf[s.pos:s.end] }

// Scan waits for the next record. It returns false at the end of the stream,
// after the line that was begun last has come out as Torn, and after an error.
//
// An error that is a timeout (it wraps [os.ErrDeadlineExceeded] or has a method
// Timeout that says so) ends nothing: the next Scan reads on, in the midst of
// the line.
func (s *Scanner) Scan() bool {
	if s.err != nil && isTimeout(s.err) {
		s.err = nil
	}
	for {
		for len(s.rest) == 0 {
			if !s.next() {
				return false
			}
			s.rest = s.line
		}
		if s.record() {
			return true
		}
	}
}

// record makes a record of rest, or of its beginning. It returns false if there
// was nothing but noise.
func (s *Scanner) record() bool {
	line := s.rest
	s.rest = nil
	if line[0] < ' ' || line[0] == 0x7f {
		if line = trimNoise(line); len(line) == 0 {
			return false
		}
	}
	first := !s.begun
	s.begun = true

	rec := &s.rec
	*rec = Record{Level: LevelUnknown}
	if c := line[0]; c == '[' || c == '<' {
		line = line[rec.prefix(line):]
	}
	if len(line) > 0 && line[0] == '*' {
		if lost, n := dropped(line); n > 0 {
			*rec = Record{Lost: lost}
			s.headless = false
			s.rest = bytes.TrimPrefix(line[n:], space)
			return true
		}
		if bytes.HasPrefix(line, replaying) {
			rec.Kernel = false
		}
	}
	rec.Text = line[:len(line):len(line)] // who appends to it gets a copy
	if rec.Kernel {
		rec.Torn = s.cut
		s.headless = false
		return true
	}
	rec.Torn = s.cut || s.headless || first && beheaded(line)
	if i := glued(line); i > 0 {
		rec.Text, rec.Torn = line[:i:i], true
		s.rest, s.headless = line[i:], false
	}
	return true
}

// replaying is what a console prints that was taken over in the midst of a
// record, before it prints that again (console_prepend_replay). It is about the
// console and in no kernel's log. The line before it is only a beginning, which
// nobody could know then.
var replaying = []byte("** replaying previous printk message **")

// prefix reads what the kernel puts before its text into r and returns how many
// bytes that are. Without any it returns 0 and changes nothing.
func (r *Record) prefix(b []byte) int {
	n := 0
	if b[0] == '<' {
		prio, d := number(b[1:])
		if d == 0 || prio > maxPriority || !at(b, d+1, '>') {
			return 0
		}
		n = d + 2
		r.Level, r.Facility, r.Kernel = int8(prio&7), uint8(prio>>3), true
	}
	t, s := stamp(b[n:])
	r.HasTime = s > 0
	if s > 0 {
		r.Time = t
	} else {
		s = date(b[n:])
	}
	c, k := bracketedCaller(b[n+s:])
	if s += k; s > 0 {
		// One space separates the text; that of an empty one is often lost.
		switch {
		case at(b, n+s, ' '):
			n += s + 1
		case n+s == len(b):
			n += s
		default:
			r.Time, r.HasTime = 0, false
			return n
		}
		r.Caller, r.Kernel = c, true
	}
	return n
}

// stamp reads "[%5lu.%06lu]" and returns its length, or 0. Fewer spaces are
// forgiven: people copy.
func stamp(b []byte) (t time.Duration, n int) {
	if len(b) < len("[0.000000]") || b[0] != '[' {
		return 0, 0
	}
	i := 1
	for i < 5 && b[i] == ' ' {
		i++
	}
	var sec uint64
	from := i
	for ; i < len(b); i++ {
		d := uint64(b[i] - '0')
		if d > 9 {
			break
		}
		sec = sec*10 + d
	}
	// Nine digits are thirty years.
	if d := i - from; d == 0 || d > 9 || len(b)-i < len(".000000]") || b[i] != '.' || b[i+7] != ']' {
		return 0, 0
	}
	var usec uint64
	for _, c := range b[i+1 : i+7] {
		d := uint64(c - '0')
		if d > 9 {
			return 0, 0
		}
		usec = usec*10 + d
	}
	return time.Duration(sec*1e6+usec) * time.Microsecond, i + 8
}

// bracketedCaller reads "[%6s]" and returns its length, or 0.
func bracketedCaller(b []byte) (c Caller, n int) {
	if len(b) < len("[123456]") || b[0] != '[' {
		return c, 0
	}
	i := 1
	for i < 5 && b[i] == ' ' {
		i++
	}
	c, n = caller(b[i:])
	if i += n; n == 0 || i < 7 || !at(b, i, ']') {
		return Caller{}, 0
	}
	return c, i + 1
}

// date reads "[Mon Nov 23 21:51:00 2026]" and returns its length, or 0. The
// names are not looked at: where the digits stand is mark enough, and dmesg may
// write them in another language of the same width.
func date(b []byte) int {
	const form = "[Aaa Aaa d0 00:00:00 0000]"
	if len(b) < len(form) {
		return 0
	}
	for i := range len(form) {
		c := b[i]
		switch f := form[i]; f {
		case '0':
			if c-'0' > 9 {
				return 0
			}
		case 'd':
			if c-'0' > 9 && c != ' ' {
				return 0
			}
		case 'A', 'a':
			if c|0x20 < 'a' || c|0x20 > 'z' {
				return 0
			}
		default:
			if c != f {
				return 0
			}
		}
	}
	return len(form)
}

// dropped reads "** 123 printk messages dropped **" and returns its length, or
// 0. The console says so by itself, where records were overwritten before it
// could show them (console_prepend_dropped in 6.12 and 7.2,
// call_console_driver in 6.1). Old kernels put the next record behind it, on the
// same line.
func dropped(b []byte) (lost uint64, n int) {
	const open, end = "** ", " printk messages dropped **"
	if len(b) < len(open) || string(b[:len(open)]) != open {
		return 0, 0
	}
	lost, d := number(b[len(open):])
	n = len(open) + d
	if d == 0 || lost == 0 || len(b) < n+len(end) || string(b[n:n+len(end)]) != end {
		return 0, 0
	}
	return lost, n + len(end)
}

// glued returns where in a line of other text the kernel's begins, or 0. Behind
// a beginning nothing is forgiven: the stamp must be as the kernel prints it.
func glued(line []byte) int {
	for i := 1; ; i++ {
		j := bytes.IndexByte(line[min(i, len(line)):], '[')
		if j < 0 {
			break
		}
		i += j
		_, n := stamp(line[i:])
		wide := n == len("[12345.123456]") || n > len("[12345.123456]") && line[i+1] != ' '
		if !wide {
			continue
		}
		if k := i + n; k < len(line) && line[k] != ' ' {
			if _, c := bracketedCaller(line[k:]); c == 0 || k+c < len(line) && line[k+c] != ' ' {
				continue
			}
		}
		return max(i-level(line[:i]), 0)
	}
	// The console's own words have no stamp. They end the line.
	if line[len(line)-1] == '*' {
		const end = " printk messages dropped **"
		i := len(line) - len(end)
		for i > 0 && line[i-1]-'0' <= 9 {
			i--
		}
		if i -= len("** "); i > 0 {
			if _, n := dropped(line[i:]); n == len(line)-i {
				return i
			}
		}
	}
	return 0
}

// level returns the length of the "<N>" that ends b, or 0.
func level(b []byte) int {
	i := len(b) - 1
	if i < 0 || b[i] != '>' {
		return 0
	}
	for i--; i >= 0 && len(b)-i <= len("<2047>"); i-- {
		if b[i] == '<' {
			if v, n := number(b[i+1:]); n > 0 && i+1+n == len(b)-1 && v <= maxPriority {
				return len(b) - i
			}
			return 0
		}
	}
	return 0
}

// beheaded reports whether a line begins with the rest of a prefix. That can
// only be the first of a stream.
func beheaded(line []byte) bool {
	for i, c := range line[:min(len(line), len("[12345.123456][T1234567"))] {
		switch {
		case c == ']':
			return len(line) == i+1 || line[i+1] == ' ' || line[i+1] == '['
		case c-'0' > 9 && c != '.' && c != ' ' && c != 'T' && c != 'C':
			return false
		}
	}
	return false
}

// trimNoise takes escape sequences and control characters, but not tabs, off
// the beginning of a line.
func trimNoise(b []byte) []byte {
	for len(b) > 0 {
		switch c := b[0]; {
		case c == 0x1b:
			b = b[1+escape(b[1:]):]
		case c < ' ' && c != '\t', c == 0x7f:
			b = b[1:]
		default:
			return b
		}
	}
	return b
}

// escape returns the length of what follows ESC in an escape sequence of
// ECMA-48, or 0 if it is torn: then what follows is text. '[' may begin the
// kernel's line as well, and does if the sequence would not be one.
func escape(b []byte) int {
	if len(b) == 0 {
		return 0
	}
	switch c := b[0]; {
	case c == '[': // CSI: parameters, intermediates, one final byte
		i := 1
		for i < len(b) && b[i] >= 0x30 && b[i] <= 0x3f {
			i++
		}
		for i < len(b) && b[i] >= 0x20 && b[i] <= 0x2f {
			i++
		}
		if i < len(b) && b[i] >= 0x40 && b[i] <= 0x7e && b[i] != '[' {
			return i + 1
		}
	case c == ']' || c == 'P' || c == 'X' || c == '^' || c == '_':
		// A string, ended by BEL or ESC \: a title, or systemd's context.
		for i := 1; i < len(b); i++ {
			switch {
			case b[i] == '\a':
				return i + 1
			case b[i] == 0x1b && at(b, i+1, '\\'):
				return i + 2
			case b[i] < ' ':
				return 0
			}
		}
	case c >= 0x20 && c <= 0x2f: // intermediates, one final byte: a character set
		i := 1
		for i < len(b) && b[i] >= 0x20 && b[i] <= 0x2f {
			i++
		}
		if i < len(b) && b[i] >= 0x30 && b[i] <= 0x7e && b[i] != '[' {
			return i + 1
		}
	case bytes.IndexByte(twoBytes, c) >= 0:
		return 1
	}
	return 0
}

// twoBytes are the sequences of ESC and one more that terminals know: save,
// restore, keypad, reset and cursor moves.
var twoBytes = []byte("78=>cDEHMZ")
