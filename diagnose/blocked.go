package diagnose

import (
	"cmp"
	"slices"

	"github.com/sysrq/sysrq/dump"
)

// blockedList is the tasks in D, in the order of their first lines.
func (a *Analyzer) blockedList() []Blocked {
	out := []Blocked{}
	for _, t := range a.tasks.all {
		if !t.blocked {
			continue
		}
		b := Blocked{
			Comm: t.Comm, PID: t.PID, Wait: t.waitID(), Seconds: t.seconds, Seen: t.seen, Moved: t.moved,
			Lines: slices.Clone(t.lines),
		}
		if k := t.stack; k != nil {
			b.For = k.telling()
		}
		out = append(out, b)
	}
	return out
}

// telling is the function that says most about what a stack is at, with its
// module: where it waits, but where a lock is only taken for the caller, the
// caller.
func (s *stack) telling() string {
	s.about()
	i := s.site.past
	for i < len(s.fn) && bottom(s.fn[i]) && i+1 < len(s.fn) && !bottom(s.fn[i+1]) {
		i++
	}
	if i >= len(s.fn) {
		if s.site.at < len(s.fn) {
			i = s.site.at
		} else {
			return ""
		}
	}
	if n := s.below(i); n >= 0 {
		i = n
	}
	f := s.fn[i]
	if m := s.module(i); m != "" {
		f += " [" + m + "]"
	}
	return f
}

// below is the first name at or below i that is no part of the block layer,
// which is on the way of all I/O: who has asked for it. -1 where that says
// nothing more.
func (s *stack) below(i int) int {
	if domainOf(s.fn[i], s.module(i)).name != "block" {
		return -1
	}
	for ; i < len(s.fn) && !bottom(s.fn[i]); i++ {
		if d := domainOf(s.fn[i], s.module(i)).name; d != "block" && d != "" && !plumbing(s.fn[i]) {
			return i
		}
	}
	return -1
}

func bySpan(a, b dump.Span) int {
	return cmp.Or(cmp.Compare(a.First, b.First), cmp.Compare(a.Last, b.Last))
}
