package render

import (
	"bufio"
	"io"
	"strings"
	"unicode/utf8"
)

// harmless reports whether a character may reach a terminal or a page as it
// is: those that steer a terminal, and those that turn the direction of text
// so that it reads otherwise than it is, may not.
func harmless(r rune) bool {
	switch {
	case r < ' ', r >= 0x7f && r < 0xa0:
		return false
	case r == '\u200e', r == '\u200f', r >= '\u2028' && r <= '\u202e', r >= '\u2066' && r <= '\u2069', r == '\ufeff':
		return false
	case r >= 0xfff9 && r <= 0xfffb, r == '\ufffe', r == '\uffff':
		return false
	}
	return true
}

// printable makes a text harmless: what could steer becomes U+FFFD, a tab a
// blank. Line feeds stay.
func printable(s string) string {
	ok := true
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' && c != '\n' || c >= 0x7f {
			ok = false
			break
		}
	}
	if ok {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case r == '\n' || harmless(r):
			return r
		}
		return utf8.RuneError
	}, s)
}

// oneLine is a harmless text without line feeds, and without blanks at its
// ends.
func oneLine(s string) string {
	s = printable(s)
	if strings.Contains(s, "\n") {
		s = strings.Join(strings.Fields(s), " ")
	}
	return strings.TrimSpace(s)
}

// columns is how many a text takes. Characters that take two, or none, are not
// looked at: names of the kernel's have none.
func columns(s string) int { return utf8.RuneCountInString(s) }

// clip shortens s to n columns.
func clip(s string, n int) string {
	if columns(s) <= n {
		return s
	}
	if n < 2 {
		return ""
	}
	r := []rune(s)
	return strings.TrimRight(string(r[:n-1]), " ") + "…"
}

// wrap breaks a text at blanks into lines of at most n columns. A word that is
// longer than that stands alone, and keeps its length: a command or a path
// that is broken can not be copied.
func wrap(text string, n int) []string {
	var lines []string
	line, have := "", 0
	for _, w := range strings.Fields(text) {
		c := columns(w)
		switch {
		case line == "":
			line, have = w, c
		case have+1+c > n:
			lines = append(lines, line)
			line, have = w, c
		default:
			line, have = line+" "+w, have+1+c
		}
	}
	return append(lines, line)
}

// output remembers the first error, so that a page can be written without an
// if behind each line.
type output struct {
	w   *bufio.Writer
	err error
}

func newOutput(w io.Writer) *output { return &output{w: bufio.NewWriterSize(w, 64<<10)} }

func (o *output) str(parts ...string) {
	for _, s := range parts {
		if o.err == nil {
			_, o.err = o.w.WriteString(s)
		}
	}
}

func (o *output) bytes(b []byte) {
	if o.err == nil {
		_, o.err = o.w.Write(b)
	}
}

func (o *output) end() error {
	if o.err == nil {
		o.err = o.w.Flush()
	}
	return o.err
}
