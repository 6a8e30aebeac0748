package kmsg

import (
	"bytes"
	"io"
)

// Log reads records from any text that a kernel's log was kept in: what dmesg
// or journalctl printed, a system log, a serial capture, netconsole, pstore, a
// mail that quotes one of them. Forms may be mixed, and what is no kernel's log
// comes out as well: every line that is not empty is in some record's Lines.
//
// What stood before the kernel's text becomes fields and Prefix. Text is what
// the kernel printed, with its indentation and without escape sequences of
// terminals. A record with an empty Text and neither a stamp nor a level is a
// line of the source that held nothing but framing, which its Prefix shows.
//
// Lines that a mail program wrapped are not joined: whoever knows the grammar
// can. Their second halves are records without Kernel. The parts of a pstore
// dump come in the order of the file, which is mostly the last first.
//
// The records of a stream do not depend on how it is cut into Reads, and memory
// does not grow with it. Lines longer than 64 KiB come out in Torn pieces.
type Log struct {
	lines
	rec         Record
	first, last int64

	// rest is what is left of the line behind a record that another was glued
	// to.
	rest  []byte
	held  bool // line was looked at and is still to come
	begun bool // a line was seen

	// The envelope of the line before, if it says all by itself, and what it
	// said; the same for what stands in it behind the time.
	envelope []byte
	head     []byte
	said     envelope
	kind     timeKind // the form of its time
	// host is what the lines before named as their machine.
	host      []byte
	hostKnown bool
	// mono is "host kernel: " where it was seen right behind a stamp:
	// journalctl -o short-monotonic.
	mono []byte

	// Buffers of the records that do not lie in buf.
	text, dict, prefix []byte
}

// NewLog makes a Log of r.
func NewLog(r io.Reader) *Log { return &Log{lines: newLines(r)} }

// Record is what the last Scan found. It changes with the next.
func (l *Log) Record() *Record { return &l.rec }

// Lines tells from which lines of the source the record came, the first being
// 1. Most come from one. Several records may come from one as well.
func (l *Log) Lines() (first, last int64) { return l.first, l.last }

// Err is why the last Scan found nothing, or nil at the end of the stream.
func (l *Log) Err() error {
	if l.err == io.EOF {
		return nil
	}
	return l.err
}

// Scan waits for the next record. It returns false at the end of the stream and
// after an error, when what was begun has come out as Torn.
func (l *Log) Scan() bool {
	if l.err != nil && isTimeout(l.err) {
		l.err = nil
	}
	if len(l.rest) > 0 {
		line := l.rest
		l.rest = nil
		l.kernelLine(line, 0, envelope{level: LevelUnknown})
		return true
	}
	for {
		if l.held {
			l.held = false
		} else if !l.next() {
			return false
		}
		if len(l.line) == 0 {
			continue
		}
		l.first, l.last = l.number, l.number
		line := l.line
		// Most files have no escape sequence at all: that is asked once for a
		// whole buffer.
		if l.esc.find(l.buf, 0x1b, l.start, l.end) < l.start+len(line) {
			n := stripEscapes(line)
			if n == 0 {
				l.rec = Record{Level: LevelUnknown, Prefix: line[:len(line):len(line)]}
				return true
			}
			line = line[:n]
		}
		l.record(line)
		return true
	}
}

// record makes a record of a line.
func (l *Log) record(line []byte) {
	n := len(l.envelope)
	if n > 0 && len(line) >= n && string(line[:n]) == string(l.envelope) {
		l.kernelLine(line, n, l.said)
		return
	}
	e := envelope{level: LevelUnknown}
	n = 0
	if c := line[0]; c == '[' {
		if _, s := stamp(line); s > 0 {
			l.kernelLine(line, 0, e)
			return
		}
	} else if c < ' ' || c == 0x7f {
		n = len(line) - len(trimNoise(line))
	}
	k, _ := l.peel(line[n:], &e, 0)
	// An envelope around nothing has lost its blank: the next would keep it.
	if n += k; e.sealed && n < len(line) {
		l.envelope, l.said = append(l.envelope[:0], line[:n]...), e
	}
	l.kernelLine(line, n, e)
}

// kernelLine makes a record of a line whose first n bytes, an envelope, were
// read already.
func (l *Log) kernelLine(whole []byte, n int, e envelope) {
	first := !l.begun
	l.begun = true
	if e.escapes {
		whole = whole[:n+undoOctal(whole[n:])]
	}
	line := whole[n:]
	rec := &l.rec
	*rec = Record{Level: e.level, Facility: e.facility, Kernel: e.kernel, User: e.user || e.facility != 0}
	if len(line) > 0 && !e.user {
		switch c := line[0]; {
		case c == '[' || c == '<':
			k, mailed := l.marks(line)
			if mailed {
				whole = whole[:n+k+undoBlanks(line[k:])]
				line = whole[n:]
			}
			line = line[k:]
		case c-'0' <= 9:
			if l.kmsgLine(whole, n) {
				return
			}
		}
		if len(line) > 0 && line[0] == '*' {
			if lost, k := dropped(line); k > 0 {
				*rec = Record{Lost: lost}
				l.rest, l.headless = bytes.TrimPrefix(line[k:], space), false
				return
			}
			if bytes.HasPrefix(line, replaying) {
				rec.Kernel = false
			}
		}
	}
	rec.Text = line[:len(line):len(line)]
	if k := len(whole) - len(line); k > 0 {
		rec.Prefix = whole[:k:k]
	}
	rec.Torn = l.cut
	if rec.Kernel || rec.User {
		l.headless = false
		return
	}
	rec.Torn = l.cut || l.headless || first && beheaded(line)
	if len(line) == 0 {
		return
	}
	if i := glued(line); i > 0 {
		rec.Text, rec.Torn = line[:i:i], true
		l.rest, l.headless = line[i:], false
	}
}

// marks reads what the kernel put before its text, in whichever form it was
// kept, and returns its length, and whether a mail program made no-break spaces
// of its spaces: then it did the same to the text.
func (l *Log) marks(b []byte) (n int, mailed bool) {
	rec := &l.rec
	level, facility := rec.Level, rec.Facility
	n = rec.prefix(b)
	if !rec.HasTime && at(b, n, '[') {
		// dmesg can write several times in a row.
		for range 3 {
			k := rec.loosePrefix(b[n:])
			if n += k; k == 0 || !at(b, n, '[') {
				break
			}
		}
		mailed = bytes.IndexByte(b[:n], 0xc2) >= 0
	}
	if rec.Level < 0 {
		rec.Level, rec.Facility = level, facility
	}
	rec.User = rec.User || rec.Facility != 0
	if !rec.HasTime || n == len(b) {
		return n, mailed
	}
	switch c := b[n]; {
	case c == '[':
		// dmesg of util-linux since 2.41 has a space before the caller.
		if rec.Caller.Kind == 0 {
			if c, k := looseCaller(b[n:]); k > 0 && (at(b, n+k, ' ') || n+k == len(b)) {
				rec.Caller = c
				n = separated(b, n+k)
			}
		}
	case c != ' ':
		n += l.monotonic(b[n:])
	}
	return n, mailed
}

// monotonic reads "host kernel: " behind a stamp, as journalctl -o
// short-monotonic writes it. Where that was seen, the same host names programs
// as well.
func (l *Log) monotonic(b []byte) int {
	if k := len(l.mono); k > 0 && len(b) >= k && string(b[:k]) == string(l.mono) {
		return k
	}
	i := bytes.IndexByte(b[:min(len(b), maxWord)], ' ')
	if i < 0 || i+1 == len(b) {
		return 0
	}
	if b[i+1] == 'k' && bytes.HasPrefix(b[i+1:], kernelIs) {
		n := separated(b, i+1+len(kernelIs))
		l.mono = append(l.mono[:0], b[:n]...)
		return n
	}
	if len(l.mono) > i && string(l.mono[:i+1]) == string(b[:i+1]) {
		host := l.mono[:i]
		e := envelope{level: LevelUnknown}
		wasHost, was := l.host, l.hostKnown
		l.host, l.hostKnown = host, true
		n := l.names(b, timeSyslog, &e)
		l.host, l.hostKnown = wasHost, was
		if e.user {
			l.rec.User, l.rec.Kernel = true, false
			return n
		}
	}
	return 0
}

// kmsgLine makes a record of a line of /dev/kmsg or an extended netconsole, and
// of the lines of its dictionary behind it, if whole[n:] is one.
func (l *Log) kmsgLine(whole []byte, n int) bool {
	line := whole[n:]
	if !isKmsg(line) {
		return false
	}
	if _, k := number(line); line[k] == '.' {
		k += bytes.IndexByte(line[k:], ',') + 1 // the kernel's release
		n, line = n+k, line[k:]
	}
	rec := &l.rec
	user := rec.User
	rec.Text, rec.Dict = l.text[:0], l.dict[:0]
	if Parse(line, rec) != nil {
		rec.Text, rec.Dict = nil, nil
		return false
	}
	rec.Torn, rec.User = l.cut, user || rec.Facility != 0
	l.headless = false
	l.prefix = append(l.prefix[:0], whole[:n+bytes.IndexByte(line, ';')+1]...)
	for !l.cut && (l.pos == l.end || l.buf[l.pos] == ' ') && l.next() {
		if !isPair(l.line) || len(rec.Dict)+len(l.line) > maxLine {
			l.held = true
			break
		}
		rec.Dict = append(appendUnescaped(rec.Dict, l.line[1:], true), '\n')
		l.last = l.number
		rec.Torn = l.cut
	}
	l.text, l.dict = rec.Text, rec.Dict
	rec.Prefix = l.prefix
	if len(rec.Text) == 0 {
		rec.Text = nil
	}
	if len(rec.Dict) == 0 {
		rec.Dict = nil
	}
	return true
}

// isPair reports whether line is " KEY=VALUE", a line of a dictionary.
func isPair(line []byte) bool {
	if !at(line, 0, ' ') {
		return false
	}
	for i, c := range line[1:min(len(line), maxWord)] {
		switch {
		case c == '=':
			return i > 0
		case c-'A' < 26 || c-'a' < 26 || c-'0' <= 9 || c == '_':
		default:
			return false
		}
	}
	return false
}

// undoOctal undoes the #012 of rsyslog in place, for each control character,
// and returns how long b is then. No kernel pads a number so.
func undoOctal(b []byte) int {
	i := bytes.IndexByte(b, '#')
	if i < 0 {
		return len(b)
	}
	n := i
	for i < len(b) {
		c := b[i]
		if c == '#' && i+3 < len(b) && b[i+1] == '0' && b[i+2]-'0' <= 3 && b[i+3]-'0' <= 7 {
			c = (b[i+2]-'0')<<3 | b[i+3] - '0'
			i += 3
		}
		b[n] = c
		n, i = n+1, i+1
	}
	return n
}

// stripEscapes takes the escape sequences out of b in place and returns how
// long it is then.
func stripEscapes(b []byte) int {
	n := 0
	for i := 0; i < len(b); {
		if b[i] == 0x1b {
			i += 1 + escape(b[i+1:])
			continue
		}
		b[n] = b[i]
		n, i = n+1, i+1
	}
	return n
}
