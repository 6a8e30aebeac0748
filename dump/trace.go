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
}

func (b *traceBuilder) end()        {}
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
		if bytes.HasPrefix(t, []byte("=> ")) && len(b.trace.Events) > 0 {
			return b.more(t)
		}
	}
	if e, ok := readEvent(&p.names, t); ok && len(b.trace.Events) < maxEvents {
		b.trace.Events = append(b.trace.Events, e)
		return true
	}
	return p.owner == builder(b) && l.bare && l.class == cOther && len(b.trace.Events) > 0 && b.more(t)
}

// maxText bounds an event's text.
const maxText = 16 << 10

// more is the rest of an event: of a wrapped line, or a stack.
func (b *traceBuilder) more(t []byte) bool {
	e := &b.trace.Events[len(b.trace.Events)-1]
	if len(e.Text)+len(t) > maxText {
		return false
	}
	e.Text += " " + strings.ToValidUTF8(string(t), "\ufffd")
	return true
}

// readEvent reads one line. A name can hold blanks and dashes, so it is read
// from its end; its text can hold anything, so the time is the first that fits.
func readEvent(n *names, t []byte) (e Event, ok bool) {
	for from := 0; ; {
		i := bytes.Index(t[from:], []byte("us"))
		if i < 0 {
			return e, false
		}
		i += from
		from = i + 2
		// "123us : ", "123us+: ": the mark says how long the last took.
		if i == 0 || t[i-1]-'0' > 9 || !at(t, i+3, ':') || bytes.IndexByte([]byte(" +!#$@*"), t[i+2]) < 0 {
			continue
		}
		k := i
		for k > 0 && t[k-1]-'0' <= 9 {
			k--
		}
		e.Time, _ = number(t[k:i])
		if !e.who(n, bytes.TrimRight(t[:k], " ")) {
			return e, false
		}
		rest := bytes.TrimLeft(t[i+4:], " ")
		if name, text, ok := bytes.Cut(rest, []byte(": ")); ok && nameLike(name) {
			e.Name = n.of(name)
			rest = text
		}
		e.Text = strings.ToValidUTF8(string(rest), "\ufffd")
		return e, true
	}
}

// who reads "COMM-PID  CPUFLAGS".
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
	e.Comm = n.of(bytes.TrimSpace(t[:i]))
	return e.PID >= 0
}
