package kmsg

import "bytes"

// What other programs put around the kernel's lines when they keep or show
// them. All of it is told from the line alone, but for the names of machines,
// which a log repeats.

// envelope is what stands around a kernel's line.
type envelope struct {
	level    int8
	facility uint8
	kernel   bool // it names the kernel
	user     bool // it names a program
	escapes  bool // it comes from a system log, which writes #012 for a newline
	sealed   bool // the same bytes say the same again, whatever follows
}

// add adds what an envelope within says.
func (e *envelope) add(in envelope) {
	if e.level < 0 {
		e.level, e.facility = in.level, in.facility
	}
	e.kernel, e.user = e.kernel || in.kernel, e.user || in.user
	e.escapes, e.sealed = e.escapes || in.escapes, e.sealed || in.sealed
}

const (
	// maxPeels is how many envelopes may be in each other. A mail that quotes
	// the CI's copy of a system log of netconsole has five.
	maxPeels = 12
	// maxWord is the longest name of a machine or program (HOST_NAME_MAX), and
	// maxHead the longest head of a line behind its time.
	maxWord = 64
	maxHead = 160
)

// peel reads the envelopes of b. It returns their length, and whether it is
// certain that these are some, by themselves or by what is in them.
func (l *Log) peel(b []byte, e *envelope, depth int) (n int, certain bool) {
	if len(b) == 0 || depth == maxPeels {
		return 0, false
	}
	switch c := b[0]; {
	case c == ' ' || c == '\t' || blank(b) > 0:
		// The kernel's own indentation has no mark behind it.
		k := 0
		for {
			n := blank(b[k:])
			if at(b, k, '\t') {
				n = 1
			}
			if n == 0 {
				break
			}
			k += n
		}
		return l.before(b, k, e, depth)
	case c == '>':
		// "> " of a mail. /proc/sched_debug marks the running task with ">R".
		switch {
		case at(b, 1, ' '):
			n, certain = l.peel(b[2:], e, depth+1)
			return 2 + n, certain
		case len(b) == 1 || b[1] == '>':
			n, certain = l.peel(b[1:], e, depth+1)
			return 1 + n, certain
		}
		return l.before(b, 1, e, depth)
	case c == '[':
		if _, s := stamp(b); s > 0 {
			return 0, true
		}
		if k, kind := bracketedTime(b); k > 0 {
			return l.behindTime(b, k, kind, e, depth)
		}
		var r Record
		return 0, r.loosePrefix(b) > 0
	case c == '<':
		return l.priority(b, e, depth)
	case c-'0' <= 9:
		if k, kind := timeAt(b); k > 0 {
			return l.behindTime(b, k, kind, e, depth)
		}
		if isKmsg(b) {
			return 0, true
		}
		// grep -n writes 12: before what it sought and 12- around that.
		if _, k := number(b); k < len(b) && (b[k] == ':' || b[k] == '-') {
			return l.before(b, k+1, e, depth)
		}
		return 0, false
	}
	// All else has a colon, in a time or behind a name.
	if bytes.IndexByte(b[:min(len(b), maxWord)], ':') < 0 {
		return 0, false
	}
	if k := decoded(b, e); k > 0 {
		e.kernel, e.sealed = true, true
		n, _ = l.peel(b[k:], e, depth+1)
		return k + n, true
	}
	if bytes.HasPrefix(b, kernelIs) {
		e.kernel, e.escapes, e.sealed = true, true, true
		return separated(b, len(kernelIs)), true
	}
	if k, kind := timeAt(b); k > 0 {
		return l.behindTime(b, k, kind, e, depth)
	}
	// grep writes the file's name before what it found.
	if k := bytes.IndexByte(b[:min(len(b), maxWord)], ':') + 1; k > 1 && k < len(b) && bytes.IndexByte(b[:k], ' ') < 0 {
		if c := b[k]; c == '[' || c == '<' || c-'0' <= 9 || c-'A' < 26 {
			return l.before(b, k, e, depth)
		}
	}
	return 0, false
}

// before takes k bytes off if certainly an envelope or a mark is behind them.
func (l *Log) before(b []byte, k int, e *envelope, depth int) (n int, certain bool) {
	was := *e
	if n, certain = l.peel(b[k:], e, depth+1); !certain {
		*e = was
		return 0, false
	}
	return k + n, true
}

var (
	kernelIs   = []byte("kernel:")
	kernelName = kernelIs[:len(kernelIs)-1]
)

// separated returns n, and one more for a space there.
func separated(b []byte, n int) int {
	if at(b, n, ' ') {
		n++
	}
	return n
}

// decoded reads "kern  :warn  : " of dmesg -x and returns its length, or 0
// (print_record in util-linux, sys-utils/dmesg.c).
func decoded(b []byte, e *envelope) int {
	i := bytes.IndexByte(b[:min(len(b), 10)], ':')
	if i < 6 {
		return 0
	}
	j := bytes.IndexByte(b[i+1:min(len(b), i+10)], ':')
	if j < 6 {
		return 0
	}
	j += i + 1
	f, ok1 := facilityOf(bytes.TrimRight(b[:i], " "))
	v, ok2 := levelOf(bytes.TrimRight(b[i+1:j], " "))
	if !ok1 || !ok2 {
		return 0
	}
	e.facility, e.level = f, v
	return separated(b, j+1)
}

// facilityOf and levelOf know the names of syslog(3), and those that programs
// write for them.
func facilityOf(name []byte) (uint8, bool) {
	switch string(name) {
	case "kern":
		return 0, true
	case "user":
		return 1, true
	case "mail":
		return 2, true
	case "daemon":
		return 3, true
	case "auth", "security":
		return 4, true
	case "syslog":
		return 5, true
	case "lpr":
		return 6, true
	case "news":
		return 7, true
	case "uucp":
		return 8, true
	case "cron":
		return 9, true
	case "authpriv":
		return 10, true
	case "ftp":
		return 11, true
	}
	if len(name) == len("local0") && bytes.HasPrefix(name, local) && name[5]-'0' <= 7 {
		return 16 + name[5] - '0', true
	}
	return 0, false
}

var local = []byte("local")

func levelOf(name []byte) (int8, bool) {
	switch string(name) {
	case "emerg", "panic":
		return 0, true
	case "alert":
		return 1, true
	case "crit":
		return 2, true
	case "err", "error":
		return 3, true
	case "warn", "warning":
		return 4, true
	case "notice":
		return 5, true
	case "info":
		return 6, true
	case "debug":
		return 7, true
	}
	return LevelUnknown, false
}

// priority reads "<4>" before the head of a system log's line: as it is sent
// (RFC 3164), or with a version (RFC 5424). Otherwise it is the kernel's.
func (l *Log) priority(b []byte, e *envelope, depth int) (n int, certain bool) {
	prio, d := number(b[1:])
	if d == 0 || prio > maxPriority || !at(b, d+1, '>') {
		return 0, false
	}
	n = d + 2
	inner := b[n:]
	if len(inner) > 2 && inner[0] == '1' && inner[1] == ' ' {
		if k := rfc5424(inner, e); k > 0 {
			e.level, e.facility = int8(prio&7), uint8(prio>>3)
			return n + k, true
		}
	}
	if len(inner) > 0 && inner[0] != '[' {
		if k, kind := timeAt(inner); k > 0 {
			e.level, e.facility = int8(prio&7), uint8(prio>>3)
			k, _ = l.behindTime(inner, k, kind, e, depth)
			return n + k, true
		}
	}
	return 0, true
}

// rfc5424 reads "1 TIME HOST APP PROCID MSGID [DATA...] " and returns its
// length, or 0.
func rfc5424(b []byte, e *envelope) int {
	var word [6][]byte
	n := 0
	for i := range word {
		j := bytes.IndexByte(b[n:min(len(b), n+256)], ' ')
		if j <= 0 {
			return 0
		}
		word[i] = b[n : n+j]
		n += j + 1
	}
	if k, _ := timeAt(b[2:]); k == 0 && string(word[1]) != "-" {
		return 0
	}
	switch {
	case at(b, n, '-'):
		n++
	case at(b, n, '['):
		quoted := false
		for ; n < len(b); n++ {
			switch c := b[n]; {
			case quoted && c == '\\':
				n++
			case c == '"':
				quoted = !quoted
			case c == ']' && !quoted && !at(b, n+1, '['):
				goto end
			}
		}
		return 0
	end:
		n++
	default:
		return 0
	}
	if n < len(b) && b[n] != ' ' {
		return 0
	}
	n = separated(b, n)
	n += len(b[n:]) - len(bytes.TrimPrefix(b[n:], byteOrderMark))
	e.kernel = string(word[3]) == "kernel"
	e.user, e.escapes, e.sealed = !e.kernel, true, true
	return n
}

var byteOrderMark = []byte("\ufeff")

// behindTime goes on behind a time of k bytes: with the names of a machine and
// a program, or with whatever a program that only puts times before lines has
// found.
func (l *Log) behindTime(b []byte, k int, kind timeKind, e *envelope, depth int) (n int, certain bool) {
	if kind == timeDmesg {
		// Nobody but dmesg writes a comma there.
		e.kernel = true
		return k, true
	}
	b = b[k:]
	if h := len(l.head); h > 0 && l.kind == kind && len(b) >= h && string(b[:h]) == string(l.head) {
		e.add(l.headSaid)
		return k + h, true
	}
	said := envelope{level: LevelUnknown}
	if h := l.names(b, kind, &said); h > 0 {
		e.add(said)
		if said.sealed {
			l.head, l.headSaid, l.kind = append(l.head[:0], b[:h]...), said, kind
		}
		return k + h, true
	}
	n, certain = l.peel(b, e, depth+1)
	return k + n, certain
}

// names reads the head of a system log's line behind its time, and returns its
// length, or 0 if this is none:
//
//	host kernel: text                 most
//	host systemd[1]: text
//	kernel: text                      without a host
//	kern.warn kernel: text            OpenWrt's logread
//	err host kernel: text             with the level
//	host [   12.345678] text          without a program
//	host 6,1234,5678,-;text           an extended netconsole's
//
// Anything may have a colon, so that a program is believed only if the host
// before it is known, or a number behind it.
func (l *Log) names(b []byte, kind timeKind, e *envelope) int {
	var host []byte
	hosts := 0
	for i := 0; i < len(b) && i < maxHead; {
		if b[i] == '[' {
			if _, s := stamp(b[i:]); s > 0 && hosts == 1 {
				return i
			}
			return 0
		}
		if hosts == 1 && b[i]-'0' <= 9 && isKmsg(b[i:]) {
			e.escapes = kind == timeSyslog
			return i
		}
		j := bytes.IndexByte(b[i:min(len(b), i+maxWord+1)], ' ')
		if j < 0 {
			if j = len(b) - i; j > maxWord {
				return 0
			}
		}
		if j == 0 {
			return 0
		}
		word := b[i : i+j]
		next := separated(b, i+j)
		if word[j-1] != ':' {
			switch f, v, ok := words(word); {
			case ok && hosts <= 1:
				e.facility, e.level = f, v
			case hosts == 0:
				host = word
				fallthrough
			default:
				hosts++
			}
			i = next
			continue
		}
		name := word[:j-1]
		pid := false
		if k := bytes.LastIndexByte(name, '['); k > 0 && name[len(name)-1] == ']' {
			if _, d := number(name[k+1:]); d > 0 && d == len(name)-k-2 {
				name, pid = name[:k], true
			}
		}
		known := l.hostKnown && bytes.Equal(host, l.host)
		switch {
		case hosts <= 1 && bytes.Equal(name, kernelName):
			e.kernel = true
			l.host, l.hostKnown = append(l.host[:0], host...), true
		case known || pid && hosts > 0 || e.level >= 0 && hosts <= 1:
			e.user = true
			if pid && hosts > 0 {
				l.host, l.hostKnown = append(l.host[:0], host...), true
			}
		default:
			return 0
		}
		e.escapes, e.sealed = true, true
		return next
	}
	return 0
}

// words reads "kern.warn" or "warn".
func words(w []byte) (facility uint8, level int8, ok bool) {
	if i := bytes.IndexByte(w, '.'); i > 0 {
		f, ok1 := facilityOf(w[:i])
		v, ok2 := levelOf(w[i+1:])
		return f, v, ok1 && ok2
	}
	v, ok := levelOf(w)
	return 0, v, ok
}

// isKmsg reports whether b begins as a record of /dev/kmsg, or of an extended
// netconsole with the kernel's release before it.
func isKmsg(b []byte) bool {
	_, n := number(b)
	if n == 0 {
		return false
	}
	if b = b[n:]; len(b) > 0 && b[0] == '.' {
		i := bytes.IndexByte(b[:min(len(b), maxWord)], ',')
		if i < 0 {
			return false
		}
		b = b[i+1:]
		if _, n = number(b); n == 0 {
			return false
		}
		b = b[n:]
	}
	for range 2 {
		if !at(b, 0, ',') {
			return false
		}
		_, n := number(b[1:])
		if n == 0 {
			return false
		}
		b = b[1+n:]
	}
	return at(b, 0, ',') && len(b) > 1 && (b[1] == '-' || b[1] == 'c' || b[1] == '+')
}
