package diagnose

import (
	"github.com/sysrq/sysrq/dump"
)

// unit is tasks that wait alike, for one thing: a node of the graph. A task
// that the kernel itself names as waiting or holding is a unit of its own.
type unit struct {
	id      int
	tasks   []*task
	st      *stack // nil where it was not printed
	blocked bool   // in D
	waits   bool   // in D, or known to wait by the kernel's own word
	running bool
	boot    int

	want   int // index of what it waits for, or -1
	wantAt int // into st.fn: the name that says so
	doms   []string
	layer  layer
	dev    string // the device that its name or its work tells, or ""

	// best is the unit that most likely holds what it waits for, -1 for none.
	best int
	conf Confidence
	why  string
	// root is where the chain from here ends.
	root  int
	cycle bool
}

// offset is that of the i-th name.
func (u *unit) offset(i int) (uint32, uint32) {
	off, size := u.st.offset(i)
	if i == u.st.site.at && u.first().off > 0 {
		off = u.first().off
	}
	return off, size
}

// first is the unit's first task.
func (u *unit) first() *task { return u.tasks[0] }

// wait is the row of the table of waits, or nil.
func (u *unit) wait() *Wait {
	if u.st == nil {
		return nil
	}
	return u.st.wait
}

func (u *unit) waitID() string {
	if w := u.wait(); w != nil {
		return w.ID
	}
	return "unknown"
}

func (u *unit) category() string {
	if w := u.wait(); w != nil {
		return w.Category
	}
	if u.st != nil && u.st.site.kind != noLock {
		return "lock"
	}
	return ""
}

// shared reports whether two units are at the same part of the kernel.
func (u *unit) shared(v *unit) bool {
	for _, d := range u.doms {
		if d == "block" || d == "mm" || d == "process" {
			continue
		}
		for _, e := range v.doms {
			if d == e {
				return true
			}
		}
	}
	return false
}

// thing is what tasks wait for.
type thing struct {
	key, label string
	lock       bool // of the kernel's lock code
	proven     bool
	row        int // of the table of holders, or -1
	kind       lockKind
	waiters    []int
	holders    []hold
}

// hold says that a unit likely has a thing.
type hold struct {
	unit int
	conf Confidence
	why  string
}

// kernelThread reports whether a task is one of the kernel's own.
func (t *task) kernelThread() bool {
	if t.ppid == 2 || t.PID == 2 {
		return true
	}
	if t.stack == nil {
		return false
	}
	fn := t.stack.fn
	for i := max(0, len(fn)-4); i < len(fn); i++ {
		switch fn[i] {
		case "kthread", "worker_thread", "kernel_thread_helper", "kthreadd":
			return true
		}
	}
	return false
}

// unitKey tells units apart. Kernel threads bear their device in their names;
// where a lock is taken twice in one function, the offset tells which.
type unitKey struct {
	task        int // of a task that is a unit of its own, from 1
	like, state string
	boot        int
	off         uint32
	work        string // a worker's work, or a kernel thread's name
	running     bool
}

func (t *task) unitKey(named bool) unitKey {
	if named || t.stack == nil && t.blocked {
		return unitKey{task: t.n + 1}
	}
	k := unitKey{like: t.stack.likeness(), state: t.state, boot: t.boot, off: t.off, running: t.running && !t.blocked}
	if t.blocked {
		k.state = "D"
	}
	if t.workqueue != "" {
		k.work = t.workqueue
	} else if t.kernelThread() {
		k.work = t.Comm
	}
	return k
}

// units makes the units of a log: all blocked tasks, and others that may hold
// what they wait for.
func (a *Analyzer) units(named map[*task]bool) []*unit {
	var us []*unit
	at := map[unitKey]int{}
	anyBlocked := len(named) > 0
	for _, t := range a.tasks.all {
		anyBlocked = anyBlocked || t.blocked
	}
	if !anyBlocked {
		return nil
	}
	for _, t := range a.tasks.all {
		if t.stack == nil && !t.blocked && !named[t] {
			continue
		}
		key := t.unitKey(named[t])
		if i, ok := at[key]; ok {
			us[i].tasks = append(us[i].tasks, t)
			if us[i].dev == "" {
				us[i].dev = deviceOf(t)
			}
			continue
		}
		u := &unit{id: len(us), tasks: []*task{t}, st: t.stack, blocked: t.blocked, waits: t.blocked || t.proven, running: t.running || t.state == "R", boot: t.boot, want: -1, wantAt: -1, best: -1, root: -1}
		if u.st != nil {
			u.doms, u.layer = u.st.where()
		}
		u.dev = deviceOf(t)
		at[key] = u.id
		us = append(us, u)
	}
	return us
}

// lines are where the unit's tasks stand.
func (u *unit) lines(most int) []dump.Span {
	var out []dump.Span
	for _, t := range u.tasks {
		if len(out) >= most {
			break
		}
		if n := len(t.lines); n > 0 {
			out = append(out, t.lines[n-1])
		}
	}
	return out
}

// seconds is the longest that one of the unit's tasks is said to hang.
func (u *unit) seconds() int {
	n := 0
	for _, t := range u.tasks {
		n = max(n, t.seconds)
	}
	return n
}

// stuck reports whether there is evidence that the wait lasts.
func (u *unit) stuck() bool {
	for _, t := range u.tasks {
		if t.hung || t.seen > 1 && !t.moved {
			return true
		}
	}
	return false
}

// movedAll reports whether all of the unit's tasks had moved on later.
func (u *unit) movedAll() bool {
	for _, t := range u.tasks {
		if !t.moved {
			return false
		}
	}
	return true
}
