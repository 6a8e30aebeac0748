package kmsg

import (
	"bytes"
	"time"
)

// The times that programs put before lines. They are recognized and not read:
// most say neither a zone nor a year, and the kernel's own time is better.

// timeKind is a way to write a time.
type timeKind uint8

const (
	timeNone   timeKind = iota
	timeSyslog          // Nov  5 12:00:00, 2026-11-05T12:00:00.123456+01:00: names follow
	timeClock           // what a CI or ts writes: anything may follow
	timeDmesg           // 2026-11-05T12:00:00,123456+01:00: the kernel's text follows
)

// timeAt reads a time at the beginning of b, and the space behind it. It
// returns its length, or 0.
func timeAt(b []byte) (n int, kind timeKind) {
	n, kind = bareTime(b)
	if n > 0 && n < len(b) {
		if b[n] != ' ' {
			return 0, timeNone
		}
		n++
	}
	return n, kind
}

// bracketedTime reads "[00:01:02] " and its like. What dmesg itself writes in
// brackets is not for here.
func bracketedTime(b []byte) (n int, kind timeKind) {
	if len(b) < len("[00:00:00]") || b[0] != '[' || b[1]-'0' > 9 {
		return 0, timeNone
	}
	n, _ = bareTime(b[1:])
	if n == 0 || !at(b, n+1, ']') {
		return 0, timeNone
	}
	return separated(b, n+2), timeClock
}

func bareTime(b []byte) (n int, kind timeKind) {
	if len(b) < len("00:00:00") {
		return 0, timeNone
	}
	// The commonest first: "Nov  5 12:00:00".
	if len(b) >= 15 && b[3] == ' ' && b[6] == ' ' && clock(b[7:]) {
		if (b[4] == ' ' || b[4]-'0' <= 3) && b[5]-'0' <= 9 && b[0]|0x20-'a' < 26 {
			return 15 + fraction(b[15:]), timeSyslog
		}
	}
	if b[0]-'0' <= 9 {
		if n, kind = isoTime(b); n > 0 {
			return n, kind
		}
		if clock(b) {
			return 8 + fraction(b[8:]), timeClock
		}
		// Seconds since 1970: journalctl -o short-unix.
		if len(b) > 17 && b[10] == '.' && digits(b[:10]) && digits(b[11:17]) {
			return 17, timeSyslog
		}
	}
	return longTime(b)
}

// isoTime reads "2026-11-05T12:00:00.123456+01:00" and its like.
func isoTime(b []byte) (n int, kind timeKind) {
	if len(b) < 19 || b[4] != '-' && b[4] != '/' || b[7] != b[4] || b[10] != 'T' && b[10] != ' ' || !clock(b[11:]) ||
		!digits(b[:4]) || !digits(b[5:7]) || !digits(b[8:10]) {
		return 0, timeNone
	}
	n = 19
	f := fraction(b[n:])
	comma := f > 0 && b[n] == ','
	n += f
	z := zone(b[n:])
	n += z
	switch {
	case comma && z > 1 && b[10] == 'T':
		return n, timeDmesg // ISO_TIMESTAMP_COMMA_T in util-linux
	case z > 1:
		return n, timeSyslog
	}
	return n, timeClock
}

// longTime reads the times that begin with words in whatever language:
//
//	Tue Mar 11 09:26:00 2025         OpenWrt's logread
//	Mon 2026-11-23 21:51:00 UTC      journalctl -o short-full
//	Mär 11 09:26:00                  journalctl
func longTime(b []byte) (n int, kind timeKind) {
	if b[0] <= ' ' || b[0] == '[' || b[0] == '<' {
		return 0, timeNone
	}
	// The first colon is the clock's, and a number stands before that: a day,
	// or a date.
	i := bytes.IndexByte(b[:min(len(b), 48)], ':') - 2
	if i < len("Nov 5 ") || b[i-1] != ' ' || b[i-2]-'0' > 9 || !clock(b[i:]) {
		return 0, timeNone
	}
	if k := bytes.Count(b[:i-1], space); k < 1 || k > 4 {
		return 0, timeNone
	}
	n = i + 8
	n += fraction(b[n:])
	rest := b[n:]
	if i > 11 && digits(b[i-11:i-7]) && b[i-7] == '-' {
		// short-full: a zone by name follows.
		j := bytes.IndexByte(rest[min(1, len(rest)):min(len(rest), 8)], ' ')
		if !at(rest, 0, ' ') || j < 1 {
			return 0, timeNone
		}
		return n + 1 + j, timeSyslog
	}
	if len(rest) >= 5 && rest[0] == ' ' && digits(rest[1:5]) && (len(rest) == 5 || rest[5] == ' ') {
		n += 5
	}
	return n, timeSyslog
}

// clock reports whether b begins with 00:00:00.
func clock(b []byte) bool {
	return len(b) >= 8 && b[2] == ':' && b[5] == ':' && b[0]-'0' <= 2 && b[1]-'0' <= 9 &&
		b[3]-'0' <= 5 && b[4]-'0' <= 9 && b[6]-'0' <= 6 && b[7]-'0' <= 9
}

// fraction returns the length of ".123456" or ",123", or 0.
func fraction(b []byte) int {
	if len(b) < 2 || b[0] != '.' && b[0] != ',' {
		return 0
	}
	n := 1
	for n < len(b) && n <= 9 && b[n]-'0' <= 9 {
		n++
	}
	if n == 1 {
		return 0
	}
	return n
}

// zone returns the length of "Z", "+01:00", "+0100" or "+01", or 0.
func zone(b []byte) int {
	switch {
	case at(b, 0, 'Z'):
		return 1
	case len(b) < 3 || b[0] != '+' && b[0] != '-' || !digits(b[1:3]):
		return 0
	case len(b) >= 6 && b[3] == ':' && digits(b[4:6]):
		return 6
	case len(b) >= 5 && digits(b[3:5]):
		return 5
	}
	return 3
}

func digits(b []byte) bool {
	for _, c := range b {
		if c-'0' > 9 {
			return false
		}
	}
	return true
}

// loosePrefix reads what stands before a kernel's line that was printed by
// something else than the kernel, or copied by people, into r. It returns how
// many bytes that are, or 0:
//
//	[  240.] text                                     Linux 3 on a CI20
//	[   12.345] text
//	[   12.345678][T38] text                          blanks lost
//	[   12.345678 <    0.000012>] text                dmesg -d
//	[<    0.000012>] text                             dmesg --time-format=delta
//	[  +0.000012] text, [Nov23 21:51] text            dmesg --reltime
//	[Mo Nov 23 21:51:00 2026] text                    dmesg -T in other languages
//	[Mo Nov 23 21:51:00 2026 <    0.000012>] text     dmesg -T -d
//
// A no-break space may stand for a space: mail programs do that.
func (r *Record) loosePrefix(b []byte) int {
	i, t, timed := bracket(b)
	k := 0
	if c, m := looseCaller(b[i:]); m > 0 {
		r.Caller, k = c, m
	}
	if i+k == 0 {
		return 0
	}
	s := blank(b[i+k:])
	if s == 0 && i+k < len(b) {
		r.Caller = Caller{}
		return 0
	}
	if timed {
		r.Time, r.HasTime = t, true
	}
	r.Kernel = true
	return i + k + s
}

// blank returns the length of a space or no-break space, or 0.
func blank(b []byte) int {
	switch {
	case at(b, 0, ' '):
		return 1
	case at(b, 0, 0xc2) && at(b, 1, 0xa0):
		return 2
	}
	return 0
}

// undoBlanks makes the no-break spaces of b spaces, in place, and returns how
// long it is then.
func undoBlanks(b []byte) int {
	n := bytes.Index(b, noBreak)
	if n < 0 {
		return len(b)
	}
	for i := n; i < len(b); n++ {
		k := blank(b[i:])
		b[n] = b[i]
		if k == 2 {
			b[n] = ' '
		}
		i += max(k, 1)
	}
	return n
}

func blanks(b []byte) (n int) {
	for {
		k := blank(b[n:])
		if k == 0 {
			return n
		}
		n += k
	}
}

// bracket reads one of the brackets of loosePrefix.
func bracket(b []byte) (n int, t time.Duration, timed bool) {
	if len(b) < len("[1.]") || b[0] != '[' {
		return 0, 0, false
	}
	i := 1 + blanks(b[1:])
	switch c := byteAt(b, i); {
	case c == '<':
		if d := delta(b[i:]); d > 0 && at(b, i+d, ']') {
			return i + d + 1, 0, false
		}
		return 0, 0, false
	case c == '+' || c == '-':
		if _, k := seconds(b[i+1:]); k > 0 && at(b, i+1+k, ']') {
			return i + k + 2, 0, false
		}
		return 0, 0, false
	case c-'0' <= 9:
		t, k := seconds(b[i:])
		if k > 0 {
			i += k
			if d := blanks(b[i:]); d > 0 {
				d2 := delta(b[i+d:])
				if d2 == 0 {
					return 0, 0, false
				}
				i += d + d2
			}
			if at(b, i, ']') {
				return i + 1, t, true
			}
			return 0, 0, false
		}
	}
	// A date: what matters is where its clock stands.
	end := bytes.IndexByte(b[:min(len(b), 80)], ']')
	if end < 0 {
		return 0, 0, false
	}
	d := b[1:end]
	if k := bytes.LastIndexByte(d, '<'); k > 1 && delta(d[k:]) == len(d)-k {
		d = bytes.TrimRight(d[:k], " ")
	}
	const long, short = "5 00:00:00 2026", "5 00:00"
	switch k := len(d); {
	case k >= len("X 5 00:00:00 2026"):
		d = d[k-len(long):]
		if d[0]-'0' <= 9 && d[1] == ' ' && clock(d[2:]) && d[10] == ' ' && digits(d[11:]) {
			return end + 1, 0, false
		}
	case k >= len("Nov 5 00:00"):
		head := d[:k-len(short)]
		d = d[k-len(short):]
		if d[0]-'0' <= 9 && d[1] == ' ' && digits(d[2:4]) && d[4] == ':' && digits(d[5:7]) && head[0] > ' ' && head[0]-'0' > 9 &&
			bytes.IndexByte(head[:len(head)-1], ' ') < 0 {
			return end + 1, 0, false
		}
	}
	return 0, 0, false
}

func byteAt(b []byte, i int) byte {
	if i < len(b) {
		return b[i]
	}
	return 0
}

// delta reads "<    0.000012>" and returns its length, or 0. journalctl has a
// space before its end.
func delta(b []byte) int {
	if !at(b, 0, '<') {
		return 0
	}
	i := 1 + blanks(b[1:])
	if at(b, i, '-') || at(b, i, '+') {
		i++
	}
	_, k := seconds(b[i:])
	if k == 0 {
		return 0
	}
	i += k
	if i += blanks(b[i:]); !at(b, i, '>') {
		return 0
	}
	return i + 1
}

// seconds reads "240.", "240.123" or "240.123456" and returns its length, or 0.
func seconds(b []byte) (t time.Duration, n int) {
	sec, d := number(b)
	if d == 0 || d > 9 || !at(b, d, '.') {
		return 0, 0
	}
	n = d + 1
	frac, f := number(b[n:])
	switch f {
	case 0:
		frac = 0
	case 3:
		frac *= 1000
	case 6:
	case 9:
		frac /= 1000
	default:
		return 0, 0
	}
	return time.Duration(sec*1e6+frac) * time.Microsecond, n + f
}

// looseCaller reads "[T38]", with blanks or without.
func looseCaller(b []byte) (c Caller, n int) {
	if !at(b, 0, '[') {
		return c, 0
	}
	i := 1 + blanks(b[1:min(len(b), 16)])
	c, n = caller(b[i:])
	if i += n; n == 0 || !at(b, i, ']') {
		return Caller{}, 0
	}
	return c, i + 1
}
