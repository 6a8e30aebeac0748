package kmsg

import (
	"errors"
	"io"
	"unicode"
	"unicode/utf8"
)

// maxWrite is the most that every kernel takes in one write, level and newline
// included: Linux 6.1 answers EINVAL beyond 992 bytes, or beyond 976 with
// PRINTK_CALLER; 6.12 and 7.2 beyond 1024 (devkmsg_write).
const maxWrite = 976

// ErrLevel is returned for a level that is not between 0 and 7.
var ErrLevel = errors.New("log level not between 0 and 7")

// Writer puts lines into the kernel's log. It may be used from one goroutine
// at a time.
type Writer struct {
	w   io.Writer
	buf [maxWrite]byte
}

// NewWriter makes a Writer of w, which gets one line for each Write.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Print writes one line at a level from 0 (emergency) to 7 (debug). The kernel
// gives it the facility 1, user.
//
// The line is made fit: what is too long for a write ends in "...", white space
// becomes a space, and what else could steer a terminal or is not UTF-8 a
// question mark.
//
// Unless kernel.printk_devkmsg is "on", the kernel limits the rate of each open
// file, and drops what exceeds it without an error.
func (w *Writer) Print(level int8, text string) error {
	if level < 0 || level > 7 {
		return ErrLevel
	}
	// Without the newline the kernel would leave the record open for a
	// continuation, and show it to nobody before the next one is printed
	// (vprintk_store: prb_commit instead of prb_final_commit; tried on 6.18).
	const more, end = "...", "\n"
	b := append(w.buf[:0], '<', '0'+byte(level), '>')
	fits := len(b) // up to here there is room for more
	for _, r := range text {
		switch {
		case r == '\n', r == '\r', r == '\t', r == '\v', r == '\f':
			r = ' '
		case r == utf8.RuneError, unicode.IsControl(r):
			r = '?'
		}
		if len(b)+utf8.RuneLen(r)+len(end) > maxWrite {
			b = append(b[:fits], more...)
			break
		}
		b = utf8.AppendRune(b, r)
		if len(b)+len(more)+len(end) <= maxWrite {
			fits = len(b)
		}
	}
	b = append(b, end...)
	n, err := w.w.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return err
}

// Close closes what is written to, if it can be closed.
func (w *Writer) Close() error {
	if c, ok := w.w.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
