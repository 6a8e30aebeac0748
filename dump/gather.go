package dump

import "bytes"

// gather puts a line together that may go on below: mailers and terminals
// break lines. A builder hands it a line and reads what it was at before, which
// is whole by then. The bytes are its own.
type gather struct {
	text  []byte
	width int  // columns of what was gathered, with its prefix
	one   bool // it is one piece as yet
	glued bool // two pieces were joined without a blank
}

// terminal is the width at which most terminals break lines, in mid-word.
const terminal = 80

// maxGather bounds a line that goes on and on.
const maxGather = 16 << 10

// begin starts another line with the piece l.
func (g *gather) begin(l *line) {
	g.text = append(g.text[:0], bytes.TrimRight(l.trim, " \t\r")...)
	g.width = len(l.rec.Prefix) + len(l.text)
	g.glued, g.one = false, true
}

// more adds a piece. word reports whether a word can be one by itself: where
// the last one can not, the line was broken in its midst.
func (g *gather) more(l *line, word func([]byte) bool) {
	t := bytes.TrimRight(l.trim, " \t\r")
	if len(g.text) == 0 || len(t) == 0 || len(g.text)+len(t) > maxGather {
		return
	}
	last := g.text[bytes.LastIndexByte(g.text, ' ')+1:]
	switch {
	case word != nil && word(last):
		g.text = append(g.text, ' ')
	case g.width == terminal && (g.one || word != nil):
		g.glued = true
	case word != nil && g.joined(last, t, word):
		g.glued = true
	default:
		g.text = append(g.text, ' ')
	}
	if g.glued { // a mailer may have broken what a terminal had broken
		g.width = (g.width + len(l.text)) % terminal
	} else {
		g.width += 1 + len(l.text)
	}
	g.text = append(g.text, t...)
	g.one = false
}

// joined reports whether the last word and the next make one of their halves.
func (g *gather) joined(last, next []byte, word func([]byte) bool) bool {
	if i := bytes.IndexByte(next, ' '); i >= 0 {
		next = next[:i]
	}
	if word(next) {
		return false
	}
	n := len(g.text)
	both := append(g.text[n-len(last):n], next...) // behind the text, or a copy
	return word(both)
}

// cutWord is the first word of t, and what stands behind it.
func cutWord(t []byte) (word, rest []byte) {
	i := 0
	for i < len(t) && (t[i] == ' ' || t[i] == '\t') {
		i++
	}
	t = t[i:]
	for i = range t {
		if t[i] == ' ' || t[i] == '\t' {
			return t[:i], t[i:]
		}
	}
	return t, nil
}

// number reads the digits at the beginning of b, and how many there are. More
// than fit are as many as fit.
func number(b []byte) (v int64, n int) {
	for n < len(b) && b[n]-'0' <= 9 {
		if v < 1<<59 {
			v = v*10 + int64(b[n]-'0')
		}
		n++
	}
	return v, n
}

// signed reads a number that may be negative.
func signed(b []byte) (v int64, n int) {
	if len(b) > 1 && b[0] == '-' {
		v, n = number(b[1:])
		if n == 0 {
			return 0, 0
		}
		return -v, n + 1
	}
	return number(b)
}

// grow makes s one longer. The new element is what stood there before: its own
// slices are used again.
func grow[T any](s []T) []T {
	if len(s) < cap(s) {
		return s[:len(s)+1]
	}
	var fresh T
	return append(s, fresh)
}
