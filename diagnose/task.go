package diagnose

import (
	"slices"

	"github.com/sysrq/sysrq/dump"
)

// task is one task of a log, however often it was printed: by pid and name.
// Two boots of one machine give the same numbers to the same programs, so the
// boot is no part of the key.
type task struct {
	TaskRef
	n    int // in the order of their first lines
	boot int // of the last time that it was printed
	dump int // and the dump
	ppid int
	tgid int

	// blocked: it was in state D once, or khungtaskd said that it hangs.
	blocked bool
	hung    bool
	running bool
	state   string // the last one printed; "D" once it was blocked
	stack   *stack // of the last time that it was blocked, else of the last time
	seconds int
	seen    int
	moved   bool
	// last is the dump in which it was last blocked, and its clock.
	blockedBoot, blockedDump int

	workqueue string
	blocker   *dump.Blocker
	blockerAt dump.Span
	lines     []dump.Span
	unsure    bool
	mixed     bool // its stack may be another's: see mixed
	// off is where in its function the stack takes a lock: the offset of the
	// site's frame, which the shared stack does not tell.
	off uint32
	// proven: the kernel's own list of locks has it wait.
	proven bool
}

// maxLines bounds the lines kept of one task.
const maxLines = 8

// maxTasks bounds how many tasks are kept; beyond it only those in D are.
const maxTasks = 1 << 18

type taskKey struct {
	pid  int
	comm string
}

// tasks are the tasks of a log.
type tasks struct {
	all   []*task
	known map[taskKey]*task
	// byPID is the last task of a pid: a lock's holder is named by both, and by
	// the pid alone in a list of workers.
	byPID   map[int]*task
	room    []task // allocated ahead
	spans   []dump.Span
	dropped int
}

func (ts *tasks) of(pid int, comm string, blocked bool) *task {
	k := taskKey{pid, comm}
	if t := ts.known[k]; t != nil {
		return t
	}
	if ts.known == nil {
		ts.known, ts.byPID = map[taskKey]*task{}, map[int]*task{}
	}
	if len(ts.all) >= maxTasks && !blocked || len(ts.all) >= 4*maxTasks {
		ts.dropped++
		return nil
	}
	if len(ts.room) == 0 {
		ts.room = make([]task, 64)
	}
	t := &ts.room[0]
	ts.room = ts.room[1:]
	t.TaskRef, t.n, t.ppid, t.tgid = TaskRef{Comm: comm, PID: pid}, len(ts.all), -1, -1
	ts.all = append(ts.all, t)
	ts.known[k] = t
	if pid >= 0 {
		ts.byPID[pid] = t
	}
	return t
}

// add notes one appearance of a task.
func (a *Analyzer) addTask(b *dump.Block, d *dump.Task) {
	hung := b.Kind == dump.KindHungTask
	blocked := d.State == "D" || hung && d.State == ""
	if d.Comm == "" && d.PID < 0 {
		return
	}
	t := a.tasks.of(d.PID, d.Comm, blocked)
	if t == nil {
		return
	}
	if len(t.lines) < maxLines {
		if t.lines == nil {
			// Most tasks are printed once: one array serves many.
			if len(a.tasks.spans) == 0 {
				a.tasks.spans = make([]dump.Span, 256)
			}
			t.lines, a.tasks.spans = a.tasks.spans[:0:1], a.tasks.spans[1:]
		}
		t.lines = append(t.lines, dump.Span{First: b.First, Last: b.Last})
	}
	if d.PPID >= 0 {
		t.ppid = d.PPID
	}
	if d.TGID >= 0 {
		t.tgid = d.TGID
	}
	if d.Workqueue != "" {
		t.workqueue = d.Workqueue
	}
	k := a.stacks.of(d.Stack, d.Workqueue)
	if like := a.tasks.byPID[d.SameAs]; k == nil && like != nil && d.SameAs > 0 {
		k = like.stack
	}
	switch {
	case blocked:
		again := t.blocked && t.blockedBoot == b.Boot
		if t.seen == 0 || t.blockedBoot != b.Boot || t.blockedDump != b.Dump || hung {
			t.seen++
		}
		// A head without a stack, or a torn one, says nothing of moving.
		if again && k != nil && t.stack != nil && len(b.Unsure) == 0 && !t.unsure && k != t.stack && moved(t.stack, k) {
			t.moved = true
		}
		if k != nil && (t.stack == nil || !t.blocked || len(b.Unsure) == 0 || t.unsure) {
			t.stack, t.unsure, t.off = k, len(b.Unsure) > 0, k.siteOffset(d.Stack)
			t.mixed = mixed(b)
		}
		t.blocked, t.state = true, "D"
		t.blockedBoot, t.blockedDump = b.Boot, b.Dump
	case t.blocked:
		// In a later dump of the same boot it is awake.
		if t.blockedBoot == b.Boot && t.blockedDump != b.Dump && d.State != "" {
			t.moved = true
		}
	default:
		if k != nil {
			t.stack = k
		}
		if d.State != "" {
			t.state = d.State
		}
	}
	t.boot, t.dump = b.Boot, b.Dump
	if hung {
		t.hung = true
		t.seconds = max(t.seconds, d.HungSeconds)
	}
	t.running = d.Running || t.running && !t.blocked
	if d.Blocker != nil {
		c := *d.Blocker
		t.blocker, t.blockerAt = &c, dump.Span{First: b.First, Last: b.Last}
	}
	a.system(&d.System)
}

// mixed reports whether lines of a block may belong to another: nothing that
// rests on it is certain.
func mixed(b *dump.Block) bool {
	return slices.Contains(b.Unsure, dump.DoubtInterleaved) || slices.Contains(b.Unsure, dump.DoubtLost)
}

// siteOffset is the offset at which a task with this stack takes a mutex; 0
// where it takes none.
func (s *stack) siteOffset(frames []dump.Frame) uint32 {
	s.about()
	if s.site.kind != mutexLock || s.guessed {
		return 0
	}
	n := s.site.at
	for i := range frames {
		if f := &frames[i]; !f.Guess && f.Context == "" {
			if n == 0 {
				return f.Offset
			}
			n--
		}
	}
	return 0
}

// moved reports whether two stacks of one task are different waits: a shorter
// print of the same is none.
func moved(a, b *stack) bool {
	n := min(len(a.fn), len(b.fn))
	if n == 0 {
		return false
	}
	for i := range n {
		if a.fn[i] != b.fn[i] {
			return true
		}
	}
	return false
}

func (a *Analyzer) system(s *dump.System) {
	m := &a.machine
	if s.Release != "" {
		m.Release = s.Release
	}
	if s.Hardware != "" {
		m.Hardware = s.Hardware
	}
	if s.Taint != "" {
		m.Taint = s.Taint
	}
}

// about judges a stack once: the row of the table of waits, and where it waits.
func (s *stack) about() {
	if s == nil || s.judged {
		return
	}
	s.judged = true
	s.site = findSite(s.fn)
	t := dump.Task{Stack: s.frames, Workqueue: s.workqueue, PID: -1}
	s.wait, s.at = classify(&t)
}

// waitID is the row's name for a task's wait.
func (t *task) waitID() string {
	if t.stack != nil {
		if t.stack.about(); t.stack.wait != nil {
			return t.stack.wait.ID
		}
	}
	return "unknown"
}
