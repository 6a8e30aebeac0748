package kmsg

import (
	"bytes"
	"errors"
	"math"
	"time"
)

// ErrSyntax is wrapped by every error of [Parse]: the bytes are no record of
// /dev/kmsg.
var ErrSyntax = errors.New("not a record of /dev/kmsg")

// syntaxError says what is wrong. It is a constant: a reader that is fed
// garbage allocates no more than one that is fed records, and a program that
// reads none pays nothing for it when it starts.
type syntaxError string

const (
	errPriority syntaxError = "priority"
	errSequence syntaxError = "sequence number"
	errTime     syntaxError = "time"
	errFlags    syntaxError = "flags"
	errNoText   syntaxError = "no text"
	errBehind   syntaxError = "something else behind it"
)

func (e syntaxError) Error() string { return ErrSyntax.Error() + ": " + string(e) }

func (syntaxError) Unwrap() error { return ErrSyntax }

// maxPriority is facility 255, level 7: LOG_FACILITY keeps eight bits
// (kernel/printk/printk.c, devkmsg_write; 6.1, 6.12, 7.2).
const maxPriority = 255<<3 | 7

// Parse reads one record as a read of /dev/kmsg or an extended netconsole
// sends it:
//
//	PRIO,SEQ,USEC,FLAGS[,caller=T12][,…];TEXT\n
//	 KEY=VALUE\n
//
// Fields of the header that it does not know are skipped, as
// Documentation/ABI/testing/dev-kmsg asks for. A record without its final
// newline is Torn: Linux 6.12 and 7.2 cut what does not fit into 2048 bytes
// (PRINTK_MESSAGE_MAX), even amidst an escape, which then stays as it is.
//
// Parse copies out of b into the buffers that rec holds already, and keeps no
// reference to b. After an error rec is as it was.
func Parse(b []byte, rec *Record) error {
	prio, n := number(b)
	if n == 0 || prio > maxPriority || !at(b, n, ',') {
		return errPriority
	}
	b = b[n+1:]
	seq, n := number(b)
	if n == 0 || !at(b, n, ',') {
		return errSequence
	}
	b = b[n+1:]
	usec, n := number(b)
	if n == 0 || usec > uint64(math.MaxInt64/time.Microsecond) || !at(b, n, ',') {
		return errTime
	}
	b = b[n+1:]

	// Nothing in a header contains a semicolon, nor does a header a newline.
	semi := bytes.IndexByte(b, ';')
	if semi < 0 {
		return errNoText
	}
	head, b := b[:semi], b[semi+1:]
	if bytes.IndexByte(head, '\n') >= 0 {
		return errNoText
	}
	flags, head, _ := bytes.Cut(head, comma)
	if len(flags) == 0 {
		return errFlags
	}
	if extent(b) < len(b) {
		return errBehind
	}

	rec.reset()
	rec.Level, rec.Facility = int8(prio&7), uint8(prio>>3)
	rec.Seq, rec.HasSeq = seq, true
	rec.Time, rec.HasTime = time.Duration(usec)*time.Microsecond, true
	// Linux 3.x flagged the fragments behind the first '+'.
	rec.Continues = flags[0] == 'c' || flags[0] == '+'
	rec.Kernel = true
	for len(head) > 0 {
		var field []byte
		field, head, _ = bytes.Cut(head, comma)
		if v, ok := bytes.CutPrefix(field, callerIs); ok {
			if c, n := caller(v); n == len(v) {
				rec.Caller = c
			}
		}
	}

	text, b, whole := bytes.Cut(b, newline)
	rec.Text = appendUnescaped(rec.Text, text, false)
	for len(b) > 0 {
		var pair []byte
		pair, b, whole = bytes.Cut(b, newline)
		pair = bytes.TrimPrefix(pair, space)
		rec.Dict = append(appendUnescaped(rec.Dict, pair, true), '\n')
	}
	rec.Torn = !whole
	return nil
}

var (
	comma    = []byte(",")
	newline  = []byte("\n")
	space    = []byte(" ")
	callerIs = []byte("caller=")
)

// extent returns how many bytes of b belong to its first record: its lines but
// the first begin with a space.
func extent(b []byte) int {
	for n := 0; n < len(b); {
		i := bytes.IndexByte(b[n:], '\n')
		if i < 0 {
			break
		}
		if n += i + 1; !at(b, n, ' ') {
			return n
		}
	}
	return len(b)
}

// reset makes r empty and keeps its buffers.
func (r *Record) reset() {
	*r = Record{Text: r.Text[:0], Dict: r.Dict[:0]}
}

// appendUnescaped appends src to dst with each \xNN undone. With keepLines an
// escaped newline stays escaped.
func appendUnescaped(dst, src []byte, keepLines bool) []byte {
	for {
		i := bytes.IndexByte(src, '\\')
		if i < 0 {
			return append(dst, src...)
		}
		dst = append(dst, src[:i]...)
		src = src[i:]
		if len(src) >= 4 && src[1] == 'x' {
			hi, lo := unhex(src[2]), unhex(src[3])
			if c := hi<<4 | lo; hi < 16 && lo < 16 && (c != '\n' || !keepLines) {
				dst, src = append(dst, c), src[4:]
				continue
			}
		}
		dst, src = append(dst, '\\'), src[1:]
	}
}

// unhex gives the value of a hexadecimal digit, or more than 15.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}

// caller reads T123 or C0 and returns how many bytes that took, or 0.
func caller(b []byte) (c Caller, n int) {
	if len(b) == 0 || b[0] != 'T' && b[0] != 'C' {
		return c, 0
	}
	id, n := number(b[1:])
	if n == 0 || id > math.MaxUint32 {
		return c, 0
	}
	return Caller{Kind: b[0], ID: uint32(id)}, n + 1
}

// number reads the decimal number at the beginning of b and returns how many
// bytes that took: 0 if there is none or it does not fit.
func number(b []byte) (v uint64, n int) {
	for n < len(b) {
		d := uint64(b[n] - '0')
		if d > 9 {
			break
		}
		if v > (math.MaxUint64-d)/10 {
			return 0, 0
		}
		v = v*10 + d
		n++
	}
	return v, n
}

// at reports whether b has c at i.
func at(b []byte, i int, c byte) bool {
	return i < len(b) && b[i] == c
}
