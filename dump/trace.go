package dump

import (
	"bytes"
	"strings"
)

// traceBuilder reads what z prints (kernel/trace/trace.c, ftrace_dump; the
// lines by lat_print_generic in trace_output.c):
//
//	Dumping ftrace buffer:
//	---------------------------------
//	  <idle>-0         2d..2. 13519238us : sched_switch: prev_comm=swapper/2 …
//	    sh-1           0d..1. 13519253us+: __schedule <-schedule
//	---------------------------------
//
// or "   (ftrace buffer empty)".
type traceBuilder struct {
	head
	trace Trace
	// rules is how many of the two rules were seen.
	rules int
	names *names
	// g has an event that may go on below, if event is set.
	g     gather
	event bool
}

func (b *traceBuilder) end()        { b.flush() }
func (b *traceBuilder) whole() bool { return b.trace.Empty || b.rules == 2 }

// maxEvents bounds a trace: the kernel's buffers hold some ten thousand events
// per processor.
const maxEvents = 1 << 20

func (b *traceBuilder) take(p *Parser, l *line) bool {
	t := bytes.TrimRight(l.trim, " \t\r")
	if b.First == 0 {
		if l.class != cFtrace {
			return false
		}
		b.Kind, b.Body = KindTrace, &b.trace
		b.trace, b.rules = Trace{Events: b.trace.Events[:0]}, 0
		b.names, b.event = &p.names, false
		return true
	}
	if l.class.begins() || l.rec.User || b.whole() || len(t) == 0 {
		return false
	}
	switch t[0] {
	case '(':
		if string(t) == "(ftrace buffer empty)" && b.rules == 0 {
			b.trace.Empty = true
			return true
		}
	case '-':
		if len(t) >= 30 && len(bytes.Trim(t, "-")) == 0 {
			b.rules++
			return true
		}
	case '#': // "# WARNING: FUNCTION TRACING IS CORRUPTED"
		if bytes.Contains(t, []byte("TRACING IS CORRUPTED")) || bytes.Contains(t, []byte("MAY BE MISSING FUNCTION EVENTS")) {
			return true
		}
	case 'C':
		if bytes.HasPrefix(t, []byte("CPU:")) && bytes.HasSuffix(t, []byte("EVENTS]")) { // "CPU:1 [LOST 12 EVENTS]"
			return true
		}
	case '=':
		if bytes.HasPrefix(t, []byte("=> ")) && b.event { // of a stack
			b.g.more(l, nil)
			return true
		}
	}
	if i, _ := eventTime(t); i >= 0 {
		if b.flush(); len(b.trace.Events) >= maxEvents {
			return false
		}
		b.g.begin(l)
		b.event = true
		return true
	}
	if p.owner != builder(b) || !l.bare || l.class != cOther || !b.event || !b.g.broken() {
		return false
	}
	b.g.more(l, nil)
	return true
}

// flush reads the event that was gathered.
func (b *traceBuilder) flush() {
	if !b.event {
		return
	}
	b.event = false
	if e, ok := readEvent(b.names, b.g.text); ok {
		b.trace.Events = append(b.trace.Events, e)
	}
}

// eventTime finds the time, from where to where its digits stand: "123us : ",
// "123us+: ". The mark says how long the last took. The line may be broken
// behind it. An event's text can hold anything, so it is the first that fits.
func eventTime(t []byte) (from, to int) {
	for at := 0; ; {
		i := bytes.Index(t[at:], []byte("us"))
		if i < 0 {
			return -1, 0
		}
		i += at
		at = i + 2
		if i == 0 || t[i-1]-'0' > 9 {
			continue
		}
		if rest := t[i+2:]; len(rest) > 0 && (len(rest) < 2 || rest[1] != ':' || bytes.IndexByte([]byte(" +!#$@*"), rest[0]) < 0) && rest[0] != ':' {
			continue
		}
		k := i
		for k > 0 && t[k-1]-'0' <= 9 {
			k--
		}
		var e Event
		if !e.who(nil, bytes.TrimRight(t[:k], " ")) {
			return -1, 0
		}
		return k, i
	}
}

// readEvent reads one line. A name can hold blanks and dashes, so it is read
// from its end.
func readEvent(n *names, t []byte) (e Event, ok bool) {
	from, to := eventTime(t)
	if from < 0 {
		return e, false
	}
	e.Time, _ = number(t[from:to])
	e.who(n, bytes.TrimRight(t[:from], " "))
	_, rest, _ := bytes.Cut(t[to:], []byte(":"))
	rest = bytes.TrimLeft(rest, " ")
	if name, text, ok := bytes.Cut(rest, []byte(": ")); ok && nameLike(name) {
		e.Name = n.of(name)
		rest = text
	}
	e.Text = strings.ToValidUTF8(string(rest), "\ufffd")
	return e, true
}

// who reads "COMM-PID  CPUFLAGS"; without names it only looks.
func (e *Event) who(n *names, t []byte) bool {
	i := bytes.LastIndexByte(t, ' ')
	if i < 0 {
		return false
	}
	cpu := digits(t[i+1:])
	if cpu == 0 || cpu > 5 {
		return false
	}
	e.CPU = decimal(t[i+1 : i+1+cpu])
	t = bytes.TrimRight(t[:i], " ")
	i = bytes.LastIndexByte(t, '-')
	if i < 0 {
		return false
	}
	e.PID = decimal(t[i+1:])
	if n != nil {
		e.Comm = n.of(bytes.TrimSpace(t[:i]))
	}
	return e.PID >= 0
}
