package dump

import "bytes"

// stack is the state of a stack that is being read.
type stack struct {
	frames []Frame
	// heading: "Call Trace:" was seen. task: "<TASK>" was. closed: "</TASK>" was.
	heading, task, closed bool
	// rooted: the task's own bottom was seen.
	rooted bool
	// context is the stack that the frames stand on; empty for the task's own.
	context string
}

func (s *stack) reset() { *s = stack{frames: s.frames[:0]} }

// whole reports whether the stack's end was seen, as far as it has one.
func (s *stack) whole() bool { return s.closed || s.rooted && !s.task }

// take takes a line of a stack, unless it can not belong to this one: a second
// heading, a frame below the bottom.
func (s *stack) take(n *names, l *line) bool {
	switch l.class {
	case cTrace:
		if s.heading && len(s.frames) > 0 || s.closed || s.rooted {
			return false
		}
		s.heading = true
	case cTag:
		return s.takeTag(n, l)
	case cFrame:
		return s.takeFrame(n, &l.frame)
	case cTail:
		if len(s.frames) == 0 || s.closed {
			return false
		}
		if f := &s.frames[len(s.frames)-1]; f.Module == "" {
			m := l.trim[1 : len(l.trim)-1]
			for i, c := range m {
				if c == ' ' {
					m = m[:i]
					break
				}
			}
			f.Module = n.of(m)
		}
	case cIP, cRegs:
		// Registers of userspace, or of what was interrupted.
		if s.closed || !s.heading && len(s.frames) == 0 {
			return false
		}
		if l.class == cIP && len(s.frames) > 0 && userIP(l.trim) {
			s.rooted = true // whence it came into the kernel
		}
	default:
		return false
	}
	return true
}

var taskTag = "TASK"

func (s *stack) takeTag(n *names, l *line) bool {
	if s.closed {
		return false
	}
	name := string(l.tag.name)
	switch {
	case name == taskTag && l.tag.end:
		if !s.task && len(s.frames) == 0 {
			return false
		}
		s.closed, s.context = true, ""
	case name == taskTag:
		if s.task {
			return false
		}
		s.task, s.context = true, ""
	case name == "EOI", name == "EOE", name == "<EOE": // before 5.x: the rest is the task's own
		s.context = ""
	case l.tag.end:
		s.context = ""
	case s.rooted:
		return false
	default:
		s.context = contextName(name)
	}
	if len(l.frame.name) > 0 {
		return s.takeFrame(n, &l.frame)
	}
	return true
}

// contextName is JSON's word for a tag.
func contextName(tag string) string {
	switch tag {
	case "IRQ":
		return "irq"
	case "SOFTIRQ":
		return "softirq"
	case "NMI":
		return "nmi"
	}
	return tag
}

func (s *stack) takeFrame(n *names, f *rawFrame) bool {
	who := n.info(f.name)
	if s.closed || s.rooted && !f.guess && s.context == "" && !who.root {
		return false
	}
	fr := Frame{
		Func: who.s, Offset: f.offset, Size: f.size, Module: n.of(f.module), Guess: f.guess,
		Inline: f.inline, Context: s.context, Source: n.of(f.source),
	}
	if f.from != nil { // arm tells the callee, and where its caller is
		if k := len(s.frames); k == 0 || s.frames[k-1].Func != who.s {
			fr.Offset, fr.Size = 0, 0
			s.frames = append(s.frames, fr)
		}
		who = n.info(f.from)
		fr.Func, fr.Offset, fr.Size = who.s, f.offset, f.size
	}
	s.frames = append(s.frames, fr)
	if who.root && !f.guess && s.context == "" {
		s.rooted = true
	}
	return true
}

// userIP reports whether a line's code segment is one of userspace's
// (arch/x86/include/asm/segment.h).
func userIP(t []byte) bool {
	_, seg, ok := bytes.Cut(t, []byte("IP: "))
	if !ok || len(seg) < 5 || seg[4] != ':' {
		return false
	}
	switch string(seg[:4]) {
	case "0033", "0023", "0073", "001b", "e033":
		return true
	}
	return false
}
