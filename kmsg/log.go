package kmsg

import (
	"bytes"
	"encoding/binary"
	"io"
)

// Log reads records from any text that a kernel's log was kept in: what dmesg
// or journalctl printed, a system log, a serial capture, netconsole, pstore, a
// mail that quotes one of them. Forms may be mixed, and what is no kernel's log
// comes out as well: every line that is not empty is in some record's Lines.
//
// What stood before the kernel's text becomes fields and Prefix. Text is what
// the kernel printed, with its indentation, and without the escape sequences of
// terminals. A line of the source that held nothing but framing, such as the
// bracket at the end of JSON, is a record without marks.
//
//	dmesg, with all its options     journalctl -o short…, cat, export, json…
//	/dev/kmsg, netconsole           system logs of RFC 3164 and 5424, logread
//	serial lines, with CI's clocks  pstore, vmcore-dmesg
//	a dump in a JSON string         all of them quoted, indented, or from grep -n
//
// Records of several lines keep their newlines where the form has one record
// for them: /dev/kmsg, #012 in system logs, the journal, dmesg --json. A string
// of other JSON comes out line by line.
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
	// mailed: spaces became no-break spaces on the way.
	mailed bool
	// cutNow: what a record is made of ends where its line does not.
	cutNow bool

	// What lines are part of, and what was read of that.
	mode    mode
	entry   entry
	json    jsonReader
	notJSON int64 // a line that is none
	// more is what is left of a text of several lines that one line held.
	more                           []byte
	inMore, moreTorn, moreHeadless bool
	moreFirst                      int64

	// The envelope of the line before, if it says all by itself, and what it
	// said; the same for what stands in it behind the time.
	envelope []byte
	said     envelope
	head     []byte
	headSaid envelope
	kind     timeKind // the form of the time
	timeLen  int      // envelope is a time of that length, and head
	// host is what the lines before named as their machine.
	host      []byte
	hostKnown bool
	// mono is "host kernel: " where it was seen right behind a stamp:
	// journalctl -o short-monotonic.
	mono []byte

	// Buffers of what does not lie in buf: what Parse read, what stood before
	// it; a string, a message, a dictionary.
	text, dict, prefix      []byte
	joined, fragment        []byte // fragments, and what the next begins with
	decoded, message, pairs []byte
	name                    []byte // a line that reading on may move
}

// mode is what a line is read as.
type mode uint8

const (
	modeLines mode = iota
	modeJSON
	modeExport
)

// NewLog makes a Log of r.
func NewLog(r io.Reader) *Log {
	l := &Log{lines: newLines(r)}
	l.entry.reset()
	return l
}

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
	if len(l.more) > 0 {
		l.first, l.last = l.moreFirst, l.number
		if l.nextOfMore() {
			return true
		}
	}
	for {
		if l.mode == modeJSON && len(l.json.rest) > 0 {
			if l.readJSON() {
				return true
			}
			continue
		}
		switch {
		case l.held:
			l.held = false
		case !l.next():
			return l.atEnd()
		}
		line := l.line
		if l.mode == modeExport {
			if l.exportLine(line) {
				return true
			}
			continue
		}
		if len(line) == 0 {
			continue
		}
		l.first, l.last = l.number, l.number
		l.cutNow, l.inMore = l.cut, false
		// Most files have no escape sequence at all: that is asked once for a
		// whole buffer.
		if l.start < 0 && bytes.IndexByte(line, 0x1b) >= 0 ||
			l.start >= 0 && l.esc.find(l.buf, 0x1b, l.start, l.end) < l.start+len(line) {
			n := stripEscapes(line)
			if n == 0 && l.mode == modeLines {
				l.rec = Record{Level: LevelUnknown, Prefix: line[:len(line):len(line)]}
				return true
			}
			line = line[:n]
			l.line = line
		}
		switch {
		case l.mode == modeJSON:
			l.jsonLine(line)
			continue
		case !mayBeStructured(line[0]) || !l.structured(line):
			l.record(line)
			return true
		}
	}
}

// mayBeStructured reports whether JSON or an export may begin with c.
func mayBeStructured(c byte) bool {
	switch c {
	case '{', '"', '-', 'd', '_', ' ', '\t', '[', 0x1e:
		return true
	}
	return false
}

// structured begins to read JSON or an export, if line does.
func (l *Log) structured(line []byte) bool {
	if line[0] == '[' && !at(line, 1, '{') || l.notJSON == l.number || l.headless {
		return false
	}
	if startsExport(line) {
		l.mode, l.held = modeExport, true
		return true
	}
	if line[0] == 0x1e { // json-seq
		line = line[1:]
	}
	skip, fragment, ok := startsJSON(line)
	if ok {
		l.startJSON(line[skip:], fragment)
	}
	return ok
}

// atEnd makes a record of what was begun when the stream ended.
func (l *Log) atEnd() bool {
	switch mode := l.mode; {
	case isTimeout(l.err):
	case mode == modeJSON:
		return l.endJSON()
	case mode == modeExport:
		l.mode = modeLines
		return l.entry.first > 0 && (l.endEntry(l.cut) || l.framing(nil))
	}
	return false
}

// record makes a record of a line.
func (l *Log) record(line []byte) {
	n, e := len(l.envelope), envelope{level: LevelUnknown}
	switch c := line[0]; {
	case n > 0 && len(line) >= n && string(line[:n]) == string(l.envelope):
		e = l.said
	case l.timeLen > 0 && l.later(line):
		n, e = l.timeLen+len(l.head), l.said
	case bare(line, c):
		n = 0
	default:
		n = l.unwrap(line, &e)
	}
	l.kernelLine(line, n, e)
}

// bare reports whether line, which begins with c, can only begin with what the
// kernel itself has written.
func bare(line []byte, c byte) bool {
	switch c {
	case '[': // not [00:01:02] or [2026-11-05 …]
		return len(line) < 6 || line[3] != ':' && line[5] != '-' && line[5] != '/'
	case '<': // not <4>Nov or <4>1 2026
		i := bytes.IndexByte(line[:min(len(line), 6)], '>')
		return i > 0 && at(line, i+1, '[')
	}
	return c-'0' <= 9 && bytes.IndexByte(line[:min(len(line), 5)], ',') > 0
}

// unwrap reads the envelopes of a line and returns their length.
func (l *Log) unwrap(line []byte, e *envelope) (n int) {
	if c := line[0]; c < ' ' || c == 0x7f {
		n = len(line) - len(trimNoise(line))
	} else if !l.begun {
		n = len(line) - len(bytes.TrimPrefix(line, byteOrderMark))
	}
	k, _ := l.peel(line[n:], e, 0)
	// An envelope around nothing has lost its blank: the next would keep it.
	if n += k; !e.sealed || n == len(line) {
		return n
	}
	l.envelope, l.said, l.timeLen = append(l.envelope[:0], line[:n]...), *e, 0
	if k, _ := timeAt(line); k >= 8 && k+len(l.head) == n {
		l.timeLen = k
	}
	return n
}

// later reports whether line begins like the one before, but for the digits of
// its time.
func (l *Log) later(line []byte) bool {
	n := l.timeLen
	if len(line) < n+len(l.head) || string(line[n:n+len(l.head)]) != string(l.head) {
		return false
	}
	// Digits share their upper halves. Whatever else does, and has the same
	// names in the same place behind it, is a time as well.
	a, b := line[:n], l.envelope[:n]
	for i := 0; i < n; i += 8 {
		i = min(i, n-8)
		if (binary.LittleEndian.Uint64(a[i:])^binary.LittleEndian.Uint64(b[i:]))&0xf0f0f0f0f0f0f0f0 != 0 {
			return false
		}
	}
	return true
}

// kernelLine makes a record of a line whose first n bytes, an envelope, were
// read already.
func (l *Log) kernelLine(whole []byte, n int, e envelope) {
	first := !l.begun
	l.begun = true
	if e.escapes {
		whole = whole[:n+undoOctal(whole[n:])]
	}
	mailed := l.mailed
	if mailed {
		whole = whole[:n+undoBlanks(whole[n:])]
	}
	line := whole[n:]
	rec := &l.rec
	*rec = Record{Level: e.level, Facility: e.facility, Kernel: e.kernel, User: e.user || e.facility != 0}
	if len(line) > 0 && !e.user {
		switch c := line[0]; {
		case c == '[' || c == '<':
			k := l.marks(line)
			if l.mailed && !mailed {
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
	rec.Torn = l.cutNow
	if rec.Kernel || rec.User {
		l.headless = false
		return
	}
	rec.Torn = l.cutNow || l.headless || first && beheaded(line)
	if len(line) == 0 {
		return
	}
	if i := glued(line); i > 0 {
		rec.Text, rec.Torn = line[:i:i], true
		l.rest, l.headless = line[i:], false
	} else if isPart(line) {
		l.begun = false
	}
}

// isPart reports whether line is the "Panic#1 Part2" before a part of a pstore
// dump (pstore_dump in fs/pstore/platform.c). The part may begin amidst a line.
func isPart(line []byte) bool {
	if len(line) > maxWord || line[len(line)-1]-'0' > 9 {
		return false
	}
	name, part, ok := bytes.Cut(line, partIs)
	return ok && digits(part) && bytes.IndexByte(name, '#') > 0 && bytes.IndexByte(name, ' ') < 0
}

var (
	partIs  = []byte(" Part")
	noBreak = []byte("\u00a0")
)

// marks reads what the kernel put before its text, in whichever form it was
// kept, and returns its length.
func (l *Log) marks(b []byte) (n int) {
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
		// What a mail program did to the spaces of a stamp it did to those of
		// the text, and of all that follows.
		l.mailed = l.mailed || bytes.Contains(b[:n], noBreak)
	}
	if rec.Level < 0 {
		rec.Level, rec.Facility = level, facility
	}
	rec.User = rec.User || rec.Facility != 0
	if !rec.HasTime || n == len(b) {
		return n
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
	return n
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
	_, k := number(line)
	switch {
	case k == 0 || k == len(line):
		return false
	case line[k] == '.' && isKmsg(line):
		k += bytes.IndexByte(line[k:], ',') + 1 // the kernel's release
		n, line = n+k, line[k:]
	case line[k] != ',':
		return false
	}
	rec := &l.rec
	user := rec.User
	rec.Text, rec.Dict = l.text[:0], l.dict[:0]
	head := bytes.IndexByte(line, ';')
	if head > 0 && bytes.Contains(line[:head], fragmentIs) && l.fragments(whole, n) {
		rec.User = user || rec.Facility != 0
		return true
	}
	if Parse(line, rec) != nil {
		rec.Text, rec.Dict = nil, nil
		return false
	}
	rec.Torn, rec.User = l.cutNow, user || rec.Facility != 0
	l.headless = false
	l.prefix = append(l.prefix[:0], whole[:n+head+1]...)
	for l.alone() && !l.cut && (l.pos == l.end || l.buf[l.pos] == ' ') && l.next() {
		if !isPair(l.line) || len(rec.Dict)+len(l.line) > maxLine {
			l.held = true
			break
		}
		rec.Dict = append(appendUnescaped(rec.Dict, l.line[1:], true), '\n')
		l.last = l.number
		rec.Torn = l.cut
	}
	l.text, l.dict, rec.Prefix = rec.Text, rec.Dict, l.prefix
	l.own()
	return true
}

// own tidies a record that does not lie in buf.
func (l *Log) own() {
	rec := &l.rec
	if bytes.IndexByte(rec.Text, 0x1b) >= 0 {
		rec.Text = rec.Text[:stripEscapes(rec.Text)]
	}
	if len(rec.Text) == 0 {
		rec.Text = nil
	}
	if len(rec.Dict) == 0 {
		rec.Dict = nil
	}
}

// alone reports whether the line is one of the source's, so that those behind
// it may belong to it.
func (l *Log) alone() bool {
	return l.mode == modeLines && len(l.more) == 0 && !l.inMore
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
