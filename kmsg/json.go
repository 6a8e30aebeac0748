package kmsg

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// JSON, read as a stream and without a model of it: whatever object has a
// message is a record, and whatever string has several lines is a log. So it
// reads dmesg --json, journalctl -o json, json-pretty, json-seq and json-sse,
// LAVA's and Docker's lines, and a dump that some tool has put into a string.

// jsonState is what may come next.
type jsonState uint8

const (
	jsonValue   jsonState = iota
	jsonKey               // or the end of the object
	jsonColon             // behind a key
	jsonComma             // behind a value, or the end
	jsonString            // in a string
	jsonLiteral           // in a number or a word
	jsonOutside           // behind the outermost
)

// maxDepth is how deep objects and arrays may be in each other. Nobody keeps a
// log deeper.
const maxDepth = 32

type jsonReader struct {
	state  jsonState
	rest   []byte // of the line
	open   [maxDepth]byte
	depth  int
	base   int  // depth of a fragment that began within an object
	isKey  bool // the string is one
	escape int  // how much of an escape was read
	unit   rune // of \u
	high   rune // the first half of a surrogate pair
	field  field
	word   [maxField]byte
	words  int
	began  int64 // the line
	owner  int   // depth of the object that the entry is
	// Of a string that is longer than may be: flushed, lines of it have come
	// out already, and kept bytes of it are still at the end of decoded;
	// drop, the rest of it does not matter.
	flushed, drop bool
	kept          int
}

// startsJSON reports whether line begins JSON, and how much stands before it.
// fragment is an object's line without its beginning.
func startsJSON(line []byte) (skip int, fragment, ok bool) {
	n := 0
	for n < len(line) && (line[n] == ' ' || line[n] == '\t') {
		n++
	}
	b := line[n:]
	if len(b) == 0 || !mayBeStructured(b[0]) {
		return 0, false, false
	}
	for _, lead := range jsonLeads {
		if bytes.HasPrefix(b, lead) {
			n += len(lead)
			b = b[len(lead):]
			break
		}
	}
	switch {
	case len(b) == 0:
	case b[0] == '{':
		b = bytes.TrimLeft(b[1:], " \t")
		return n, false, len(b) == 0 || b[0] == '"' || b[0] == '}'
	case b[0] == '"':
		// "key": and then a value
		i := bytes.IndexByte(b[1:min(len(b), maxField)], '"')
		if i <= 0 {
			break
		}
		b = bytes.TrimLeft(b[1+i+1:], " \t")
		if len(b) < 2 || b[0] != ':' {
			break
		}
		b = bytes.TrimLeft(b[1:], " \t")
		return n, true, len(b) > 0 && (b[0] == '"' || b[0] == '{' || b[0] == '[')
	}
	return 0, false, false
}

// What stands before an object: of an array on one line, of LAVA's YAML, of
// server-sent events.
var jsonLeads = [][]byte{[]byte("[{")[:1], []byte("- "), []byte("data: ")}

// startJSON begins to read JSON with this line.
func (l *Log) startJSON(line []byte, fragment bool) {
	j := &l.json
	*j = jsonReader{rest: line, began: l.number}
	l.entry.reset()
	l.entry.first = l.number
	if fragment {
		j.open[0], j.depth, j.base, j.owner, j.state = '{', 1, 1, 1, jsonKey
	}
	l.mode = modeJSON
}

// jsonLine goes on with another line.
func (l *Log) jsonLine(line []byte) {
	l.json.rest = line
	if l.entry.first == 0 {
		l.entry.first = l.number
	}
}

// readJSON reads what is left of the line, up to a record, and reports whether
// there is one.
func (l *Log) readJSON() bool {
	j := &l.json
	for len(j.rest) > 0 {
		if j.state == jsonString {
			if l.jsonText() {
				return true
			}
			continue
		}
		c := j.rest[0]
		if j.state == jsonLiteral {
			if c-'0' <= 9 || c|0x20-'a' < 26 || c == '.' || c == '-' || c == '+' {
				if j.words < len(j.word) {
					j.word[j.words] = c
					j.words++
				}
				j.rest = j.rest[1:]
				continue
			}
			l.jsonWord()
		}
		if c == ' ' || c == '\t' {
			j.rest = j.rest[1:]
			continue
		}
		if !l.jsonToken(c) {
			return l.noJSON()
		}
		j.rest = j.rest[1:]
		if c == '}' && j.depth < j.owner {
			j.owner = j.depth
			if l.endEntry(false) {
				return true
			}
		}
	}
	if l.cut {
		return l.goOn() // the rest of the line is still to come
	}
	if j.state == jsonString {
		return l.noJSON()
	}
	if j.state == jsonLiteral {
		l.jsonWord()
	}
	if j.state == jsonOutside || j.depth == j.base && j.base > 0 {
		l.mode = modeLines
		return l.endEntry(false) || l.framing(l.line)
	}
	return l.goOn()
}

// goOn keeps the line, of which no record came, and reads the next.
func (l *Log) goOn() bool {
	l.name = append(l.name[:0], l.line...)
	return false
}

// jsonToken takes a character outside of strings and words.
func (l *Log) jsonToken(c byte) bool {
	j := &l.json
	switch {
	case c == '"' && (j.state == jsonValue || j.state == jsonKey):
		j.isKey = j.state == jsonKey
		j.state, j.escape, j.high, j.flushed, j.drop, j.kept = jsonString, 0, 0, false, false, 0
		if j.isKey {
			j.field = fieldNone
		}
		l.decoded = l.decoded[:0]
	case (c == '{' || c == '[') && (j.state == jsonValue || j.state == jsonOutside && c == '{'):
		if j.depth == maxDepth {
			return false
		}
		j.open[j.depth] = c
		j.depth++
		j.state = jsonValue
		if c == '{' {
			// An object within a record is none.
			if !l.entry.begun {
				j.owner = j.depth
			}
			j.state = jsonKey
		} else if j.field == fieldMessage {
			// Bytes that are no UTF-8 come as an array of their numbers.
			l.message, l.entry.messages, l.entry.begun = l.message[:0], true, true
		}
	case (c == '}' || c == ']') && j.depth > j.base && (j.state == jsonComma || c == '}' && j.state == jsonKey || c == ']' && j.state == jsonValue):
		if j.open[j.depth-1] != c-2 {
			return false
		}
		j.depth--
		j.state = jsonComma
		if j.depth == 0 {
			j.state = jsonOutside
		}
		j.field = fieldNone
	case c == ',' && j.state == jsonComma:
		j.state = jsonValue
		if j.depth > 0 && j.open[j.depth-1] == '{' {
			j.state = jsonKey
		}
	case c == ':' && j.state == jsonColon:
		j.state = jsonValue
	case (c == ',' || c == ']') && j.state == jsonOutside:
	case j.state == jsonValue && (c-'0' <= 9 || c|0x20-'a' < 26 || c == '-'):
		j.state, j.words = jsonLiteral, 1
		j.word[0] = c
	default:
		return false
	}
	return true
}

// jsonWord ends a number or a word.
func (l *Log) jsonWord() {
	j := &l.json
	v := j.word[:j.words]
	j.state = jsonComma
	switch {
	case j.depth > 0 && j.open[j.depth-1] == '[':
		if b, n := number(v); j.field == fieldMessage && n > 0 && b < 256 {
			if len(l.message) < maxLine {
				l.message = append(l.message, byte(b))
			} else {
				l.entry.cut = true
			}
		}
	case j.field != fieldMessage && j.field != fieldLine:
		l.set(j.field, v)
	}
}

// jsonText reads on in a string, and reports whether there is a record.
func (l *Log) jsonText() bool {
	j := &l.json
	l.keep()
	for len(j.rest) > 0 {
		if j.escape == 0 {
			n := 0
			for n < len(j.rest) && j.rest[n] != '"' && j.rest[n] != '\\' {
				n++
			}
			if n > 0 {
				l.unpaired()
			}
			n = min(n, maxLine-len(l.decoded))
			l.decoded = append(l.decoded, j.rest[:n]...)
			j.rest = j.rest[n:]
			if len(l.decoded) >= maxLine-2*utf8.UTFMax {
				if l.overflow() {
					return true
				}
				continue
			}
			if len(j.rest) == 0 {
				break
			}
		}
		c := j.rest[0]
		j.rest = j.rest[1:]
		switch {
		case j.escape == 0 && c == '"':
			return l.endString(false)
		case j.escape == 0:
			j.escape = 1
		case j.escape == 1 && c == 'u':
			j.escape, j.unit = 2, 0
		case j.escape == 1:
			l.unpaired()
			if i := bytes.IndexByte(jsonEscapes, c); i >= 0 {
				c = jsonEscaped[i]
			}
			l.decoded = append(l.decoded, c)
			j.escape = 0
		default:
			d := unhex(c)
			if d > 15 {
				return l.noJSON()
			}
			j.unit = j.unit<<4 | rune(d)
			if j.escape++; j.escape == 6 {
				j.escape = 0
				l.jsonUnit(j.unit)
			}
		}
	}
	j.kept = len(l.decoded)
	return false
}

// keep drops what has come out of a string already.
func (l *Log) keep() {
	if n, j := len(l.decoded), &l.json; j.flushed && j.kept < n {
		l.decoded = l.decoded[:copy(l.decoded, l.decoded[n-j.kept:])]
	}
}

var (
	jsonEscapes = []byte("bfnrt")
	jsonEscaped = []byte("\b\f\n\r\t")
)

// jsonUnit appends what \u0123 stands for.
func (l *Log) jsonUnit(u rune) {
	j := &l.json
	if j.high != 0 {
		if r := utf16.DecodeRune(j.high, u); r != utf8.RuneError {
			j.high = 0
			l.decoded = utf8.AppendRune(l.decoded, r)
			return
		}
		l.unpaired()
	}
	if utf16.IsSurrogate(u) && u < 0xdc00 {
		j.high = u
		return
	}
	l.decoded = utf8.AppendRune(l.decoded, u)
}

// unpaired appends half a surrogate pair that stayed alone.
func (l *Log) unpaired() {
	j := &l.json
	if j.high != 0 && j.escape < 2 {
		l.decoded = utf8.AppendRune(l.decoded, utf8.RuneError)
		j.high = 0
	}
}

// endString takes a string that is complete.
func (l *Log) endString(torn bool) bool {
	j := &l.json
	l.unpaired()
	v := l.decoded
	if j.isKey {
		j.state, j.field = jsonColon, fieldNone
		if !j.drop && len(v) <= maxField && j.depth == j.owner {
			j.field = fieldOf(v)
		}
		return false
	}
	j.state = jsonComma
	if j.drop {
		return false
	}
	f := j.field
	inArray := j.depth > 0 && j.open[j.depth-1] == '['
	switch {
	case f == fieldMessage && (!inArray || !l.entry.messages):
		l.message, l.entry.messages, l.entry.begun = append(l.message[:0], v...), true, true
	case f == fieldLine && !inArray && !j.flushed && bytes.IndexByte(bytes.TrimRight(v, "\n"), '\n') < 0:
		if !l.entry.messages || l.entry.generic {
			l.message = append(l.message[:0], v...)
			l.entry.messages, l.entry.generic, l.entry.begun = true, true, true
		}
	case j.flushed || bytes.IndexByte(v, '\n') >= 0:
		return l.stringLines(v, torn)
	case len(v) <= maxField && !inArray:
		l.set(f, v)
	}
	return false
}

// stringLines hands out the lines of a string.
func (l *Log) stringLines(v []byte, torn bool) bool {
	l.more, l.moreTorn, l.moreFirst = v, torn, l.number
	l.first, l.last = l.number, l.number
	if first := l.entry.first; first > 0 {
		l.first = first
	}
	if !l.nextOfMore() {
		return false
	}
	l.entry.first = 0
	return true
}

// overflow makes room in a string that is longer than may be: its lines come
// out, or its beginning. A message is cut, and so is a key.
func (l *Log) overflow() bool {
	j := &l.json
	switch {
	case j.drop:
	case j.isKey:
		j.drop = true
	case j.field == fieldMessage:
		if !l.entry.messages {
			l.message = append(l.message[:0], l.decoded...)
			l.entry.messages, l.entry.begun, l.entry.cut = true, true, true
		}
		j.drop = true
	default:
		n := bytes.LastIndexByte(l.decoded, '\n') + 1
		torn := n == 0
		if torn {
			n = len(l.decoded)
		}
		j.flushed, j.kept = true, len(l.decoded)-n
		ok := l.stringLines(l.decoded[:n], torn)
		l.moreHeadless = torn
		if ok {
			return true
		}
		l.decoded = l.decoded[:copy(l.decoded, l.decoded[n:])]
		return false
	}
	l.decoded = l.decoded[:0]
	return false
}

// noJSON ends the JSON where it is none. What was read of it comes out, and what
// is left of the line is read as a line.
func (l *Log) noJSON() bool {
	j := &l.json
	l.mode = modeLines
	number := l.number
	switch first := l.entry.first; {
	case first == 0:
		// Records came out of this line already.
		l.entry.reset()
		l.more, l.moreTorn, l.moreFirst = j.rest, l.cut, number
		l.first, l.last = number, number
		return l.nextOfMore()
	case first == number:
		l.entry.reset()
		l.held = true
		if j.began == number {
			l.notJSON = number // or it would begin again
		}
		return false
	}
	l.held = true
	l.number--
	ok := l.endEntry(true) || l.framing(nil)
	l.number = number
	return ok
}

// endJSON ends what the end of the stream has cut.
func (l *Log) endJSON() bool {
	j := &l.json
	if j.state == jsonString && !j.isKey {
		l.keep()
		if l.endString(true) {
			return true // and what else there is the next time
		}
	}
	l.mode = modeLines
	return l.endEntry(true) || l.framing(l.name)
}
