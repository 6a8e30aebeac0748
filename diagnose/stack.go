package diagnose

import (
	"hash/maphash"
	"slices"

	"github.com/sysrq/sysrq/dump"
)

// stack is one distinct stack: the same functions in the same order, whatever
// the offsets. All tasks that have it share it.
type stack struct {
	id     int
	frames []dump.Frame // as printed the first time
	// fn are the names that count, from the top, without what compilers add;
	// idx are their indices in frames.
	fn  []string
	idx []int
	// guessed: the kernel was sure of none of fn.
	guessed bool

	workqueue string
	like      string // see likeness
	judged    bool
	wait      *Wait
	at        int // into frames
	site      site
}

// maxStacks bounds the memory. A machine has some hundred distinct stacks, a
// large one some ten thousand; beyond the bound a task is kept without one.
const maxStacks = 1 << 16

// stacks interns stacks.
type stacks struct {
	all   []*stack
	known map[uint64][]*stack
	seed  maphash.Seed
	full  bool
}

// of is the stack of these frames, or nil for none. It copies them when it has
// not seen them before.
func (s *stacks) of(frames []dump.Frame, workqueue string) *stack {
	if len(frames) == 0 {
		return nil
	}
	if s.known == nil {
		s.known = map[uint64][]*stack{}
		s.seed = maphash.MakeSeed()
	}
	// The description behind a work's function names a device: part of what
	// tells two workers apart.
	h := uint64(0)
	if workqueue != "" {
		h = maphash.String(s.seed, workqueue)
	}
	// Every third name, and the lengths of the others, tell stacks apart well
	// enough: those that look equal are compared.
	n := 0
	for i := range frames {
		f := &frames[i]
		if f.Guess {
			continue
		}
		v := uint64(len(f.Func))
		if n%3 == 1 {
			v = maphash.String(s.seed, f.Func)
		}
		h = h*0x9e3779b97f4a7c15 ^ v
		n++
	}
	for _, k := range s.known[h] {
		if k.workqueue == workqueue && sameStack(k.frames, frames) {
			return k
		}
	}
	if len(s.all) >= maxStacks {
		s.full = true
		return nil
	}
	k := &stack{id: len(s.all), frames: slices.Clone(frames), workqueue: workqueue, at: -1}
	k.names()
	s.all = append(s.all, k)
	s.known[h] = append(s.known[h], k)
	return k
}

// sameStack compares the functions of which the kernel was sure; where it was
// sure of none, all.
func sameStack(a, b []dump.Frame) bool {
	i, j, sure := 0, 0, 0
	for {
		for i < len(a) && a[i].Guess {
			i++
		}
		for j < len(b) && b[j].Guess {
			j++
		}
		if i == len(a) || j == len(b) {
			break
		}
		if a[i].Func != b[j].Func || a[i].Context != b[j].Context {
			return false
		}
		sure++
		i, j = i+1, j+1
	}
	if i != len(a) || j != len(b) {
		return false
	}
	if sure > 0 {
		return true
	}
	return slices.EqualFunc(a, b, func(x, y dump.Frame) bool { return x.Func == y.Func })
}

// names fills fn and idx: the task's own frames that the kernel was sure of,
// else those that it was not.
func (s *stack) names() {
	pick := func(ok func(f *dump.Frame) bool) {
		s.fn, s.idx = s.fn[:0], s.idx[:0]
		for i := range s.frames {
			if f := &s.frames[i]; ok(f) {
				s.fn = append(s.fn, plain(f.Func))
				s.idx = append(s.idx, i)
			}
		}
	}
	pick(func(f *dump.Frame) bool { return !f.Guess && f.Context == "" })
	if said(s.fn) {
		return
	}
	pick(func(f *dump.Frame) bool { return f.Context == "" })
	if s.guessed = len(s.fn) > 0; s.guessed {
		return
	}
	pick(func(f *dump.Frame) bool { return !f.Guess })
}

// said reports whether at least one name says more than how a stack begins or
// ends.
func said(fn []string) bool {
	for _, f := range fn {
		if !plumbing(f) && !bottom(f) {
			return true
		}
	}
	return false
}

// module is the module of the i-th name.
func (s *stack) module(i int) string { return s.frames[s.idx[i]].Module }

// offset is that of the i-th name in its function.
func (s *stack) offset(i int) (uint32, uint32) {
	f := &s.frames[s.idx[i]]
	return f.Offset, f.Size
}
