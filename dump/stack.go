package dump

import "bytes"

// stack is the state of a stack that is being read.
type stack struct {
	frames []Frame
	// heading: "Call Trace:" was seen. task: "<TASK>" was. closed: "</TASK>" was.
	heading, task, closed bool
	// rooted: the task's own bottom was seen. arm: frames in arm's form, which
	// have no heading in newer kernels.
	rooted, arm bool
	// sleeper: it is a task's that does not run, and begins in the scheduler.
	sleeper bool
	// sched: a frame of the scheduler stands near the top.
	sched bool
	// context is the stack that the frames stand on; empty for the task's own.
	context string
}

func (s *stack) reset() { *s = stack{frames: s.frames[:0]} }

// whole reports whether all marks of the stack were seen that belong together:
// the heading, both tags or none of them, the bottom where there are no tags.
func (s *stack) whole() bool {
	if !s.heading && !s.arm {
		return false
	}
	return s.closed == s.task && (s.closed || s.rooted)
}

// take takes a line of a stack, unless it can not belong to this one: a second
// heading, a frame below the bottom.
func (s *stack) take(n *names, l *line) bool {
	switch l.class {
	case cTrace:
		if len(s.frames) > 0 || s.closed {
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

// nearTop is how many frames may stand above the scheduler's, most of them
// guesses.
const nearTop = 8

var taskTag = "TASK"

func (s *stack) takeTag(n *names, l *line) bool {
	if s.closed {
		return false
	}
	name := n.of(l.tag.name)
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

// sleeps reports whether the stack has begun as a sleeping task's does: then
// another beginning is another's.
func (s *stack) sleeps() bool {
	for i := range s.frames {
		if f := &s.frames[i]; !f.Guess && f.Context == "" && !f.Inline {
			return f.Func != "__switch_to" && f.Func != "context_switch"
		}
	}
	return false
}

// another reports whether who may stand below a bottom: some have two, such as
// ret_from_fork and ret_from_fork_asm.
func (s *stack) another(who name) bool {
	if !who.root {
		return false
	}
	for i := len(s.frames) - 1; i >= 0; i-- {
		if f := &s.frames[i]; !f.Guess {
			return f.Func != who.s && isRoot(f.Func)
		}
	}
	return false
}

func (s *stack) takeFrame(n *names, f *rawFrame) bool {
	who := n.info(f.name)
	if s.closed || !f.guess && s.context == "" && (s.rooted && !s.another(who) || who.top && s.sleeper && s.sleeps()) {
		return false
	}
	fr := Frame{
		Func: who.s, Offset: f.offset, Size: f.size, Module: n.of(f.module), Guess: f.guess,
		Inline: f.inline, Context: s.context, Source: n.of(f.source),
	}
	if s.arm = s.arm || f.from != nil; f.from != nil { // arm tells the callee, and where its caller is
		if k := len(s.frames); k == 0 || s.frames[k-1].Func != who.s {
			fr.Offset, fr.Size = 0, 0
			s.frames = append(s.frames, fr)
		}
		who = n.info(f.from)
		fr.Func, fr.Offset, fr.Size = who.s, f.offset, f.size
	}
	s.frames = append(s.frames, fr)
	s.sched = s.sched || who.sched && len(s.frames) <= nearTop
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
