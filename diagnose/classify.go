package diagnose

import (
	"hash/maphash"
	"strings"
	"sync"

	"github.com/sysrq/sysrq/dump"
)

// classify finds the row that fits a task's stack. at is the index of the frame
// that decided it. It returns nil where no row fits.
func classify(t *dump.Task) (w *Wait, at int) { return waits().classify(t.Stack) }

// waiter is the index of the first frame that is not the kernel's own plumbing
// of waiting (schedule, mutex_lock, wait_for_completion, …): who waits. It is -1
// where there is none.
func waiter(t *dump.Task) int { return waits().waiter(t.Stack) }

// memory bounds what a table remembers: stacks that it has seen, and names. A
// machine has some hundred different ones; a file made to annoy has more.
const memory = 1 << 14

// verdict is what a stack got: row, or -1, and which of the frames that count.
type verdict struct {
	row int16
	at  int16
}

// memo remembers verdicts by a hash of the stack's names: a thousand tasks of
// a hang have a handful of stacks.
type memo struct {
	sync.RWMutex
	seed  maphash.Seed
	stack map[uint64]verdict
	name  map[string]name
}

// trust says which frames count.
type trust int

const (
	sure  trust = iota // those of which the kernel was sure
	own                // all of the task's own stack
	whole              // all
)

// counts reports whether a frame counts. What an interrupt was doing on the
// task's stack is no reason to wait.
func (tr trust) counts(f *dump.Frame) bool {
	switch tr {
	case sure:
		return f.Context == "" && !f.Guess
	case own:
		return f.Context == ""
	}
	return true
}

// trusted is the best trust that leaves enough frames to judge by. Where nearly
// all are guesses, the sure ones are the bottom of the stack at most, which says
// nothing of the wait.
func (w *table) trusted(stack []dump.Frame) trust {
	guessed := false
	for i := range stack {
		f := &stack[i]
		if f.Context != "" {
			continue
		}
		if !f.Guess {
			if !w.noise(f.Func) {
				return sure
			}
			continue
		}
		guessed = true
	}
	if guessed {
		return own
	}
	for i := range stack {
		if stack[i].Context == "" {
			return sure
		}
	}
	return whole
}

func (w *table) classify(stack []dump.Frame) (*Wait, int) {
	if len(stack) == 0 {
		return nil, -1
	}
	tr := w.trusted(stack)
	v := w.lookup(stack, tr)
	if tr == sure && (v.row < 0 || w.doubtful(stack, &w.rows[v.row])) {
		if o := w.lookup(stack, own); o.row >= 0 {
			tr, v = own, o
		}
	}
	if v.row < 0 {
		return nil, -1
	}
	n := int(v.at)
	for i := range stack {
		if tr.counts(&stack[i]) {
			if n == 0 {
				return &w.rows[v.row].Wait, i
			}
			n--
		}
	}
	return nil, -1 // two stacks with one hash
}

// doubtful reports whether only the bottom of a stack is sure: how the task
// waits stands among the guesses above, and the row says no more than that a
// worker works.
func (w *table) doubtful(stack []dump.Frame, r *row) bool {
	if !stack[0].Guess || !r.Normal && r.priority >= vague {
		return false
	}
	for i := range stack {
		if f := &stack[i]; f.Context == "" && w.name(f.Func).plumbing {
			return f.Guess && !w.sureWait(stack[i:])
		}
	}
	return false
}

// sureWait reports whether one of the frames of which the kernel was sure is
// plumbing.
func (w *table) sureWait(stack []dump.Frame) bool {
	for i := range stack {
		if f := &stack[i]; f.Context == "" && !f.Guess && w.name(f.Func).plumbing {
			return true
		}
	}
	return false
}

// vague is the priority below which a row says how a task waits, not for what.
const vague = 30

// lookup is judge with a memory.
func (w *table) lookup(stack []dump.Frame, tr trust) verdict {
	var h maphash.Hash
	h.SetSeed(w.memo.seed)
	for i := range stack {
		f := &stack[i]
		if !tr.counts(f) {
			continue
		}
		h.WriteString(f.Func)
		h.WriteByte(0)
		h.WriteString(f.Module)
		if f.Inline {
			h.WriteByte(2)
		} else {
			h.WriteByte(1)
		}
	}
	// The frames that count can be equal while the trust is not.
	h.WriteByte(byte(tr))
	key := h.Sum64()
	w.memo.RLock()
	v, ok := w.memo.stack[key]
	w.memo.RUnlock()
	if ok {
		return v
	}
	v = w.judge(stack, tr)
	w.memo.Lock()
	if len(w.memo.stack) >= memory {
		clear(w.memo.stack)
	}
	w.memo.stack[key] = v
	w.memo.Unlock()
	return v
}

// candidate is a row with at least one frame that fits.
type candidate struct {
	row   int16
	at    int16 // of the first frame that fits one of any, among those that count; -1
	depth int   // that frame's
	all   uint16
	veto  bool
}

// judge weighs all rows that fit: what names the thing beats what names only
// the kind of lock, and the frame that is nearer to the top is nearer to the
// reason.
func (w *table) judge(stack []dump.Frame, tr trust) verdict {
	var room [32]candidate
	cands := room[:0]
	// depth counts the frames from the first that is no plumbing; -1 above it.
	depth, n := -1, -1
	for i := range stack {
		f := &stack[i]
		if !tr.counts(f) {
			continue
		}
		n++
		nm := w.name(f.Func)
		// What the compiler has inlined stands in no other log: it has no
		// depth of its own. Neither have noise and, above all, plumbing.
		switch {
		case nm.noise:
		case depth < 0 && nm.plumbing:
		case depth >= 0 && (f.Inline || nm.plumbing):
		default:
			depth++
		}
		for _, h := range nm.hits {
			r := &w.rows[h.row]
			c := find(&cands, h.row)
			switch {
			case h.kind == kindNot:
				c.veto = true
			case h.kind == kindAll:
				c.all |= 1 << h.n
			case c.at >= 0, !r.near(depth, tr), !r.inModule(f.Module), !w.calledBy(r, stack[i+1:], tr):
			default:
				c.at, c.depth = int16(min(n, 1<<14)), depth
			}
		}
	}
	best := candidate{row: -1, at: -1}
	for _, c := range cands {
		r := &w.rows[c.row]
		if c.veto || c.at < 0 || c.all != r.need {
			continue
		}
		if best.row < 0 || r.beats(&w.rows[best.row], c, best) {
			best = c
		}
	}
	return verdict{best.row, best.at}
}

// beats reports whether r, found as c, tells more than o, found as d.
func (r *row) beats(o *row, c, d candidate) bool {
	if a, b := r.score(c.depth), o.score(d.depth); a != b {
		return a > b
	}
	if c.depth != d.depth {
		return c.depth < d.depth
	}
	return c.row < d.row
}

// score is the priority of a row whose frame stands so deep.
func (r *row) score(depth int) int { return r.priority - 2*min(max(depth, 0), 4) }

func find(cands *[]candidate, row int16) *candidate {
	for i := range *cands {
		if (*cands)[i].row == row {
			return &(*cands)[i]
		}
	}
	*cands = append(*cands, candidate{row: row, at: -1})
	return &(*cands)[len(*cands)-1]
}

// near reports whether a frame stands near enough to the top. Where guesses are
// taken for frames, old ones stand between the true ones; but at rest is only who
// surely is.
func (r *row) near(depth int, tr trust) bool {
	within := r.within
	if tr != sure && !r.Normal {
		within *= 3
	}
	return within < 0 || depth < within
}

// calledBy reports whether the next frame is one that the row asks for.
func (w *table) calledBy(r *row, below []dump.Frame, tr trust) bool {
	if len(r.callers) == 0 {
		return true
	}
	for i := range below {
		f := &below[i]
		if !tr.counts(f) || w.name(f.Func).noise {
			continue
		}
		fn := plain(f.Func)
		for _, c := range r.callers {
			if c.match(fn) {
				return true
			}
		}
		return false
	}
	return false
}

// builtIn stands in the table for the kernel itself, where a module is asked for.
const builtIn = "-"

func (r *row) inModule(module string) bool {
	if len(r.modules) == 0 {
		return true
	}
	if module == "" {
		module = builtIn
	}
	in := false
	for _, m := range r.modules {
		if m.not {
			if m.match(module) {
				return false
			}
			continue
		}
		in = in || m.match(module) && (module != builtIn || string(m.pattern) == builtIn)
	}
	return in
}

func (w *table) waiter(stack []dump.Frame) int {
	if len(stack) == 0 {
		return -1
	}
	tr := w.trusted(stack)
	for i := range stack {
		if f := &stack[i]; tr.counts(f) {
			if nm := w.name(f.Func); !nm.noise && !nm.plumbing {
				return i
			}
		}
	}
	return -1
}

// plain is a function's name without what compilers add: a clone of
// "foo" is named "foo.isra.0" or "foo.constprop.0.isra.1". Old powerpc has a
// dot before each name.
func plain(fn string) string {
	if i := strings.IndexByte(fn, '.'); i >= 0 {
		if i == 0 {
			return plain(fn[1:])
		}
		return fn[:i]
	}
	return fn
}

func (w *table) noise(fn string) bool { return w.name(fn).noise }

// name is what the table knows of a function.
func (w *table) name(fn string) name {
	w.memo.RLock()
	nm, ok := w.memo.name[fn]
	w.memo.RUnlock()
	if ok {
		return nm
	}
	nm = w.find(plain(fn))
	w.memo.Lock()
	if len(w.memo.name) >= memory {
		clear(w.memo.name)
	}
	// The name may be a piece of a buffer that is far larger than itself.
	w.memo.name[strings.Clone(fn)] = nm
	w.memo.Unlock()
	return nm
}
