package kmsg

import (
	"bytes"
	"encoding/binary"
	"time"
)

// Sources that keep a record in fields: journalctl -o export and -o json, and
// dmesg --json.

// field is a field that says something about a record.
type field uint8

const (
	fieldNone field = iota
	fieldMessage
	fieldLine // a message of a program that knows nothing of kernels
	fieldPriority
	fieldFacility
	fieldPri
	fieldFac
	fieldTime
	fieldCaller
	fieldTransport
	fieldIdentifier
	fieldMonotonic
	fieldSourceBoottime
	fieldSourceMonotonic
	fieldSubsystem
	fieldDevice
)

// fieldOf knows the names of systemd.journal-fields(7), and those of
// print_record in util-linux, sys-utils/dmesg.c. LAVA writes msg too, and Docker
// log.
func fieldOf(name []byte) field {
	switch string(name) {
	case "MESSAGE", "msg":
		return fieldMessage
	case "PRIORITY":
		return fieldPriority
	case "SYSLOG_FACILITY":
		return fieldFacility
	case "SYSLOG_IDENTIFIER":
		return fieldIdentifier
	case "_TRANSPORT":
		return fieldTransport
	case "__MONOTONIC_TIMESTAMP":
		return fieldMonotonic
	case "_SOURCE_BOOTTIME_TIMESTAMP":
		return fieldSourceBoottime
	case "_SOURCE_MONOTONIC_TIMESTAMP":
		return fieldSourceMonotonic
	case "_KERNEL_SUBSYSTEM":
		return fieldSubsystem
	case "_KERNEL_DEVICE":
		return fieldDevice
	case "pri":
		return fieldPri
	case "fac":
		return fieldFac
	case "time":
		return fieldTime
	case "caller":
		return fieldCaller
	case "log", "message", "line", "text":
		return fieldLine
	}
	return fieldNone
}

// maxField is the longest name that is looked up, and the longest value of a
// field other than the message.
const maxField = 64

// who says where an entry came from.
type who uint8

const (
	nobodyKnows who = iota
	theKernel
	aProgram
)

// entry is a record whose fields are still coming.
type entry struct {
	rec       Record
	begun     bool  // something is known of it
	first     int64 // the line that it began in, or 0
	last      int64 // the last that has something of it, in an export
	messages  bool  // it has one, in Log.message
	generic   bool  // which a program wrote that knows nothing of kernels
	cut       bool  // the message is longer than may be
	dmesg     bool  // it has fields that only dmesg writes
	transport who
	name      who
	source    field // of the time: the better replaces the worse
}

func (e *entry) reset() { *e = entry{rec: Record{Level: LevelUnknown}} }

// set takes a field other than the message, of which Text is not set.
func (l *Log) set(f field, v []byte) {
	e := &l.entry
	e.begun = e.begun || f != fieldNone
	switch f {
	case fieldPriority:
		if p, n := number(v); n > 0 && n == len(v) && p <= maxPriority {
			e.rec.Level = int8(p & 7)
		} else if p, ok := levelOf(v); ok {
			e.rec.Level = p
		}
	case fieldPri:
		e.dmesg = true
		if p, n := number(v); n > 0 && n == len(v) && p <= maxPriority {
			e.rec.Level, e.rec.Facility = int8(p&7), uint8(p>>3)
		} else if p, ok := levelOf(v); ok {
			e.rec.Level = p
		}
	case fieldFac:
		e.dmesg = true
		e.rec.Facility, _ = facilityOf(v)
	case fieldFacility:
		if p, n := number(v); n > 0 && n == len(v) && p <= maxPriority>>3 {
			e.rec.Facility = uint8(p)
		}
	case fieldTime:
		if t, n := seconds(bytes.TrimLeft(v, " [")); n > 0 {
			e.rec.Time, e.rec.HasTime, e.dmesg = t, true, true
		}
	case fieldCaller:
		if c, n := caller(v); n > 0 && n == len(v) {
			e.rec.Caller = c
		}
	case fieldTransport:
		e.transport = kernelOr(v)
	case fieldIdentifier:
		e.name = kernelOr(v)
	case fieldMonotonic, fieldSourceBoottime, fieldSourceMonotonic:
		// The source is the kernel; without it there is when journald heard it.
		if t, n := number(v); n > 0 && n == len(v) && t < 1e15 && f >= e.source {
			e.rec.Time, e.rec.HasTime, e.source = time.Duration(t)*time.Microsecond, true, f
		}
	case fieldSubsystem, fieldDevice:
		if len(e.rec.Dict)+len(v) > maxLine {
			return
		}
		name := "SUBSYSTEM="
		if f == fieldDevice {
			name = "DEVICE="
		}
		if e.rec.Dict == nil {
			l.pairs = l.pairs[:0]
		}
		l.pairs = append(append(append(l.pairs, name...), v...), '\n')
		e.rec.Dict = l.pairs
	}
}

func kernelOr(v []byte) who {
	if bytes.Equal(v, kernelName) {
		return theKernel
	}
	return aProgram
}

// endEntry makes a record of the entry, or lines that are still to be read, and
// reports whether it has made either.
func (l *Log) endEntry(torn bool) bool {
	e := l.entry
	l.entry.reset()
	if !e.messages {
		l.entry.first = e.first
		return false
	}
	l.entry.first = 0
	if e.first == 0 {
		e.first = l.number
	}
	l.first, l.last = e.first, l.number
	if e.generic || e.transport == nobodyKnows && e.name == nobodyKnows && !e.dmesg {
		l.more, l.moreTorn, l.moreFirst = l.message, torn || e.cut, e.first
		if l.nextOfMore() {
			return true
		}
		l.entry.first = e.first // it was empty
		return false
	}
	l.rec = e.rec
	rec := &l.rec
	rec.Kernel = e.transport == theKernel || e.transport == nobodyKnows && (e.name == theKernel || e.dmesg)
	rec.User = !rec.Kernel || e.name == aProgram || rec.Facility != 0
	rec.Torn = torn || e.cut
	text := l.message
	if e.dmesg {
		text = text[:untilNext(text)]
	}
	rec.Text = bytes.TrimRight(text, "\n")
	l.own()
	return true
}

// untilNext returns where in a text the next record begins, or its end. dmesg
// --json of util-linux 2.38 writes all that follows into each record, where it
// reads the kernel's buffer in one (dmesg -S, -F).
func untilNext(text []byte) int {
	for i := 0; i < len(text); i++ {
		j := bytes.IndexByte(text[i:], '\n')
		if j < 0 {
			break
		}
		i += j
		if b := text[i+1:]; len(b) > 0 && b[0] == '<' {
			if _, d := number(b[1:]); d > 0 && at(b, d+1, '>') {
				if _, s := stamp(b[d+2:]); s > 0 {
					return i
				}
			}
		}
	}
	return len(text)
}

// nextOfMore makes a record of the next line of a text that one line of the
// source held.
func (l *Log) nextOfMore() bool {
	for len(l.more) > 0 {
		i := bytes.IndexByte(l.more, '\n')
		torn := i < 0 && l.moreTorn
		if i < 0 {
			i = len(l.more)
		}
		line := bytes.Trim(l.more[:i], "\r")
		l.more = l.more[min(i+1, len(l.more)):]
		if len(line) == 0 {
			continue
		}
		l.cutNow, l.inMore, l.headless = torn, true, l.moreHeadless
		l.moreHeadless = false
		if bytes.IndexByte(line, 0x1b) >= 0 {
			if n := stripEscapes(line); n > 0 {
				line = line[:n]
			}
		}
		l.record(line)
		return true
	}
	return false
}

// startsExport reports whether line begins an entry of the Journal Export
// Format (systemd.io/JOURNAL_EXPORT_FORMATS): its address fields come first.
func startsExport(line []byte) bool {
	return line[0] == '_' && (bytes.HasPrefix(line, cursorIs) || bytes.HasPrefix(line, realtimeIs))
}

var (
	cursorIs   = []byte("__CURSOR=")
	realtimeIs = []byte("__REALTIME_TIMESTAMP=")
)

// maxBinary is the longest field that journald takes (DATA_SIZE_MAX). What says
// that it is longer is no export.
const maxBinary = 768 << 20

// exportLine reads a line of an export, and reports whether there is a record
// now. With its last return the export may have ended: then mode is modeLines,
// and the line is held to be read again if it is not empty.
func (l *Log) exportLine(line []byte) bool {
	if l.headless && l.entry.first > 0 {
		return false // of a field that is longer than may be
	}
	if len(line) == 0 {
		l.number = l.entry.last // the empty line is none of the entry's
		return l.entry.first > 0 && (l.endEntry(false) || l.framing(nil))
	}
	if l.entry.first == 0 {
		if !startsExport(line) {
			l.mode, l.held = modeLines, true
			return false
		}
		l.entry.reset()
		l.entry.first = l.number
	}
	last := l.entry.last
	l.entry.last = l.number
	n := 0
	for n < len(line) && n < maxField && (line[n]-'A' < 26 || line[n] == '_' || line[n]-'0' <= 9) {
		n++
	}
	switch f := fieldOf(line[:n]); {
	case n == 0 || n < len(line) && line[n] != '=':
	case n < len(line):
		v := line[n+1:]
		switch {
		case f == fieldMessage:
			l.message, l.entry.messages, l.entry.cut = append(l.message[:0], v...), true, l.cut
		case len(v) <= maxField:
			l.set(f, v)
		}
		return false
	case l.cut:
	default:
		// Reading on may move the line.
		l.name = append(l.name[:0], line...)
		l.line, l.start = l.name, -1
		size, ok := l.peekSize()
		if !ok {
			break
		}
		if f == fieldMessage {
			l.message, l.entry.messages = l.message[:0], true
		}
		return l.exportBinary(f, size)
	}
	// No field: the export was cut here.
	l.mode, l.held = modeLines, true
	number := l.number
	l.number = max(last, l.entry.first)
	ok := l.endEntry(true) || l.framing(nil)
	l.number = number
	return ok
}

// peekSize reads the length of a binary field, and takes it if it is one.
func (l *Log) peekSize() (size uint64, ok bool) {
	for l.end-l.pos < 9 && l.err == nil {
		l.fill() // one more for the newline of a CR
	}
	if l.afterCR && l.pos < l.end {
		l.afterCR = false
		if l.buf[l.pos] == '\n' {
			l.skip(1)
		}
	}
	if l.end-l.pos < 8 {
		return 0, false
	}
	if size = binary.LittleEndian.Uint64(l.buf[l.pos:]); size > maxBinary {
		return 0, false
	}
	l.skip(8)
	return size, true
}

// exportBinary reads the bytes of a binary field.
func (l *Log) exportBinary(f field, size uint64) bool {
	var value [maxField]byte
	v := value[:0]
	for size > 0 {
		if l.pos == l.end {
			if l.err == nil {
				l.fill()
			}
			if l.pos == l.end {
				l.number = max(l.number, l.entry.last)
				return l.endEntry(true) || l.framing(nil)
			}
			continue
		}
		n := int(min(size, uint64(l.end-l.pos)))
		b := l.buf[l.pos : l.pos+n]
		if f == fieldMessage {
			l.message = append(l.message, b[:min(n, maxLine-len(l.message))]...)
			l.entry.cut = size > uint64(len(l.message)) && len(l.message) == maxLine
		} else {
			v = append(v, b[:min(n, maxField-len(v))]...)
		}
		l.skip(n)
		size -= uint64(n)
	}
	if f != fieldMessage {
		l.set(f, v)
	}
	// The newline behind it is no empty line.
	if l.pos == l.end && l.err == nil {
		l.fill()
	}
	if l.pos < l.end && l.buf[l.pos] == '\n' {
		l.skip(1)
	}
	l.entry.last = l.number
	return false
}

// skip takes n bytes that are no lines.
func (s *lines) skip(n int) {
	s.newlines += int64(bytes.Count(s.buf[s.pos:s.pos+n], newline))
	s.pos += n
	s.number = s.newlines
	if s.buf[s.pos-1] != '\n' {
		s.number++
	}
}

// framing makes a record of lines that held no message. It shows the last of
// them.
func (l *Log) framing(line []byte) bool {
	if l.entry.first == 0 {
		return false
	}
	l.first, l.last = l.entry.first, l.number
	l.entry.first = 0
	l.rec = Record{Level: LevelUnknown, Text: line[:len(line):len(line)], Torn: l.cut && len(line) > 0}
	return true
}
