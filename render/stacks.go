package render

import (
	"cmp"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/sysrq/sysrq/diagnose"
	"github.com/sysrq/sysrq/dump"
)

// Sample is a task with its stack: what a profiler calls a sample.
type Sample struct {
	Comm  string
	PID   int // -1 where it is not known
	State string
	Wait  string // what it waits for, by the report; or empty
	// Stack is from the innermost function out, without frames that the kernel
	// was not sure of, unless it has no others.
	Stack []dump.Frame
	// Lines are where it stands.
	Lines dump.Span
}

// Samples yields each task once, with the last stack that the log has of it,
// in the order of these stacks. Tasks whose name and number are lost come each
// time they were printed. It walks the blocks twice; a sample's stack is valid
// until the next.
func Samples(in Input) iter.Seq[Sample] {
	type key struct {
		boot int
		pid  int
		comm string
	}
	return func(yield func(Sample) bool) {
		last := map[key]int64{}
		for b := range in.blocks() {
			if t, ok := stackOf(b); ok && t.PID >= 0 {
				k := key{b.Boot, t.PID, t.Comm}
				if _, ok := last[k]; !ok {
					k.comm = strings.Clone(k.comm)
				}
				last[k] = max(last[k], b.First)
			}
		}
		w := newWaits(in.report())
		var sure []dump.Frame
		for b := range in.blocks() {
			t, ok := stackOf(b)
			if !ok || t.PID >= 0 && last[key{b.Boot, t.PID, t.Comm}] != b.First {
				continue
			}
			sure = sureFrames(sure[:0], t.Stack)
			s := Sample{
				Comm: t.Comm, PID: t.PID, State: t.State, Stack: sure, Lines: dump.Span{First: b.First, Last: b.Last},
				Wait: w[diagnose.TaskRef{Comm: t.Comm, PID: t.PID}],
			}
			if !yield(s) {
				return
			}
		}
	}
}

// stackOf is a block's task, if it is one that has a stack.
func stackOf(b *dump.Block) (*dump.Task, bool) {
	switch b.Kind {
	case dump.KindTask, dump.KindHungTask, dump.KindStack:
		t, ok := b.Body.(*dump.Task)
		return t, ok && len(t.Stack) > 0
	}
	return nil, false
}

// sureFrames appends to dst the frames that count.
func sureFrames(dst, stack []dump.Frame) []dump.Frame {
	n := len(dst)
	for _, f := range stack {
		if !f.Guess && (f.Context == "" || f.Context == "TASK") {
			dst = append(dst, f)
		}
	}
	if len(dst) == n {
		dst = append(dst, stack...)
	}
	return dst
}

// frameName is a frame as people name it: "function [module]".
func frameName(f *dump.Frame) string {
	n := oneLine(f.Func)
	if f.Module != "" {
		n += " [" + oneLine(f.Module) + "]"
	}
	return n
}

// Folded writes the stacks as folded text, a line for each that differs, as
// flame graph programs read it: "outermost;…;innermost COUNT". The count is
// that of tasks.
func Folded(w io.Writer, in Input) error {
	counts := map[string]int{}
	var line []byte
	for s := range Samples(in) {
		line = line[:0]
		for i := len(s.Stack) - 1; i >= 0; i-- {
			if len(line) > 0 {
				line = append(line, ';')
			}
			line = append(line, strings.ReplaceAll(strings.ReplaceAll(frameName(&s.Stack[i]), ";", ":"), " ", "_")...)
		}
		counts[string(line)]++
	}
	o := newOutput(w)
	for _, stack := range slices.Sorted(maps.Keys(counts)) {
		o.str(stack, fmt.Sprintf(" %d\n", counts[stack]))
	}
	return o.end()
}

// flame is a node of the flame graph.
type flame struct {
	name     string
	count    int // tasks in it
	blocked  int // those in state D
	children []*flame
	by       map[string]*flame
}

func (f *flame) child(name string) *flame {
	c := f.by[name]
	if c == nil {
		if f.by == nil {
			f.by = map[string]*flame{}
		}
		c = &flame{name: name}
		f.by[name] = c
		f.children = append(f.children, c)
	}
	return c
}

// sort puts what matters at the left: frames with blocked tasks, then the
// widest.
func (f *flame) sort() {
	slices.SortFunc(f.children, func(a, b *flame) int {
		return cmp.Or(cmp.Compare(b.blocked, a.blocked), cmp.Compare(b.count, a.count), cmp.Compare(a.name, b.name))
	})
	for _, c := range f.children {
		c.sort()
	}
}

// maxDepth is how deep a flame graph goes: a kernel stack has no more frames
// than that, but a damaged log may.
const maxDepth = 96

// add counts n tasks with one stack, innermost first.
func (f *flame) add(stack iter.Seq[string], n int, blocked bool) {
	at := f
	depth := 0
	for name := range stack {
		at.count += n
		if blocked {
			at.blocked += n
		}
		if depth++; depth > maxDepth {
			return
		}
		at = at.child(name)
	}
	at.count += n
	if blocked {
		at.blocked += n
	}
}

func flameOf(in Input) *flame {
	root := &flame{name: "all tasks"}
	names := map[[2]string]string{}
	for s := range Samples(in) {
		root.add(func(yield func(string) bool) {
			for i := len(s.Stack) - 1; i >= 0; i-- {
				f := &s.Stack[i]
				k := [2]string{f.Func, f.Module}
				n, ok := names[k]
				if !ok {
					n = strings.Clone(frameName(f))
					names[[2]string{strings.Clone(f.Func), strings.Clone(f.Module)}] = n
				}
				if !yield(n) {
					return
				}
			}
		}, 1, s.State == "D")
	}
	root.sort()
	return root
}
