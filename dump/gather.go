package dump

import "bytes"

// gather puts a line together that may go on below: mailers and terminals
// break lines. A builder hands it a line and reads what it was at before, which
// is whole by then. The bytes are its own.
type gather struct {
	text []byte
	// width is the columns of what was gathered, with its prefix. full: all
	// pieces fill a terminal's line. blank: the last ended in a blank.
	width       int
	full, blank bool
	glued       bool // two pieces were joined without a blank
	piece       int  // columns of the last piece
}

// narrow is the width below which nobody breaks a line, but before a word as
// long as that.
const narrow = 40

// broken reports whether the last piece is long enough to have been broken.
func (g *gather) broken() bool { return g.piece >= narrow }

// terminal is the width at which most terminals break lines, in mid-word.
const terminal = 80

// maxGather bounds a line that goes on and on.
const maxGather = 16 << 10

// begin starts another line with the piece l.
func (g *gather) begin(l *line) {
	t := bytes.TrimRight(l.trim, " \t\r")
	g.text = append(g.text[:0], t...)
	g.width = l.before + len(l.text)
	g.piece = g.width
	g.full, g.blank = g.width == terminal, len(t) < len(l.trim)
	g.glued = false
}

// more adds a piece. word reports whether a word can be one by itself: where
// the last one can not, the line was broken in its midst.
func (g *gather) more(l *line, word func([]byte) bool) {
	t := bytes.TrimRight(l.trim, " \t\r")
	if len(g.text) == 0 || len(t) == 0 || len(g.text)+len(t) > maxGather {
		return
	}
	last := g.text[bytes.LastIndexByte(g.text, ' ')+1:]
	glue := false
	switch {
	case g.blank || len(l.trim) < len(l.text) || word != nil && word(last):
	case g.width%terminal == 0 && (g.full || word != nil), word != nil && g.joined(last, t, word):
		glue = true
	}
	if glue {
		g.glued = true
	} else {
		g.text = append(g.text, ' ')
		if !g.full {
			g.width++ // a mailer has eaten it
		}
	}
	g.width += len(l.text)
	g.piece = len(l.text)
	g.full = g.full && len(l.text) == terminal
	g.blank = len(t) < len(l.trim)
	g.text = append(g.text, t...)
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
