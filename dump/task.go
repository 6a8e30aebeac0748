package dump

import "bytes"

// taskBuilder reads one task: a header and a stack, or khungtaskd's report with
// both, or a stack whose header is lost.
type taskBuilder struct {
	head
	task Task
	stack
	// header: the task's header was read; header of a hung-task report comes
	// behind its sentence. cut: it was not whole.
	header, cut bool
	// counter: the header has a program counter; see rawTask.
	counter bool
}

func (b *taskBuilder) start(k Kind) {
	b.stack.reset()
	b.Kind, b.Body = k, &b.task
	b.task = Task{PID: -1, TGID: -1, PPID: -1, Syscall: -1}
	b.header, b.cut, b.counter = false, false, false
	b.sleeper = true // until it is known to run
}

func (b *taskBuilder) end() {
	b.task.Stack = b.frames
	if b.task.TGID < 0 {
		b.task.TGID = 0
	}
	if b.task.PPID < 0 {
		b.task.PPID = 0
	}
}

func (b *taskBuilder) whole() bool {
	switch {
	case b.Kind == KindStack:
		return false // its head is lost
	case b.cut, !b.header:
		return false
	case b.task.State == "R" && len(b.frames) == 0, b.task.SameAs > 0:
		return true // it runs elsewhere: no stack is printed; or it is another's
	case b.sleeper && !b.counter && !b.sched:
		return false
	}
	return b.stack.whole()
}

func (b *taskBuilder) take(p *Parser, l *line) bool {
	switch l.class {
	case cTask, cTorn:
		return b.takeHeader(p, l)
	case cHung:
		if b.Kind != KindHungTask || b.task.Comm != "" {
			return false
		}
		b.hung(p, l.trim)
		p.hung = b
		return true
	case cHungNote:
		if b.Kind != KindHungTask || len(b.frames) > 0 {
			return false
		}
		readTaint(&p.names, l.trim, &b.task.System)
		return true
	case cWorkqueue:
		if b.Kind == KindStack || b.heading || len(b.frames) > 0 {
			return false
		}
		b.task.Workqueue = p.names.of(workqueueOf(l.trim))
		return true
	case cTaskTable:
		return b.Kind == KindHungTask && !b.header
	case cOther:
		pid, ok := bytes.CutPrefix(l.trim, []byte("<Same stack as pid "))
		if n := digits(pid); ok && n > 0 && b.header && len(b.frames) == 0 {
			b.task.SameAs = max(decimal(pid[:n]), 0)
			return true
		}
		return false
	case cBlocker:
		return b.Kind == KindHungTask && b.blocker(p, l)
	case cRegs:
		// Before the heading old kernels print stack words.
		if !b.closed && (b.header || b.heading || len(b.frames) > 0) && (b.Kind != KindStack || len(b.frames) > 0) {
			if (!b.rooted || !rawStack(l.trim)) && (b.Kind != KindStack || p.owner == builder(b)) {
				b.syscall(l.trim)
				return true
			}
		}
		return false
	case cCPULine, cHardware, cModules, cCut, cEnd:
		return false
	}
	if b.Kind != KindStack && !b.header && !(b.Kind == KindHungTask && b.task.Comm != "") {
		return false
	}
	if b.Kind == KindHungTask && !b.header && l.class == cFrame && !b.heading {
		return false
	}
	if b.Kind == KindStack && len(b.frames) == 0 && l.class == cTag && l.tag.end {
		b.closed = true // the end of a stack that is lost
		return true
	}
	return b.stack.take(&p.names, l)
}

// rawStack tells a row of a task's own stack from registers: no names in it.
func rawStack(t []byte) bool {
	word, _, _ := bytes.Cut(t, blank)
	return isAddress(word)
}

// takeHeader reads the task's header, which a hung-task report has once.
func (b *taskBuilder) takeHeader(p *Parser, l *line) bool {
	h := &l.task
	if h.state == 0 && h.comm == nil { // the torn beginning of something else
		return false
	}
	if b.header {
		// The same line twice: printed on two consoles into one file.
		return len(b.frames) == 0 && !b.heading && h.pid == b.task.PID && h.pid >= 0 && b.task.Comm == p.names.of(h.comm)
	}
	if b.Kind == KindStack || b.Kind == KindHungTask && (b.heading || len(b.frames) > 0 || h.pid >= 0 && b.task.PID >= 0 && h.pid != b.task.PID) {
		return false
	}
	t := &b.task
	t.Comm = p.names.of(h.comm)
	t.Running, t.Flags, t.TaskFlags = h.running, h.flags, h.taskFlag
	t.HasFlags = h.hasFlags
	if h.state != 0 {
		t.State = letters[h.state]
	}
	if h.pid >= 0 {
		t.PID = h.pid
	}
	t.TGID, t.PPID = h.tgid, h.ppid
	b.header, b.cut = true, !h.whole
	b.sleeper, b.counter = h.state != 'R', h.counter
	return true
}

// letters are the states as strings, so that none is made per task.
var letters = func() (s [256]string) {
	for c := range s {
		if c > ' ' && c < 0x7f {
			s[c] = string(rune(c))
		}
	}
	return s
}()

// hung reads "INFO: task COMM:PID blocked for more than N seconds."
// (kernel/hung_task.c, check_hung_task; 2.6.30 to 7.2).
func (b *taskBuilder) hung(p *Parser, t []byte) {
	t = bytes.TrimPrefix(t, prefixes.info)
	t = bytes.TrimPrefix(t, []byte("task"))
	t = bytes.TrimPrefix(t, blank)
	i := hungWords(t)
	if i < 0 {
		return
	}
	name, rest := t[:i], t[i:]
	if c := bytes.LastIndexByte(name, ':'); c >= 0 {
		b.task.PID = decimal(name[c+1:])
		name = name[:c]
	}
	b.task.Comm = p.names.of(name)
	_, rest, _ = bytes.Cut(rest, []byte(" more than "))
	word, _, _ := bytes.Cut(rest, blank)
	b.task.HungSeconds = max(decimal(word), 0)
}

// blocker reads what 6.16 and later say of a hung task (kernel/hung_task.c,
// debug_show_blocker):
//
//	INFO: task a:1 is blocked on a mutex likely owned by task b:2.
//	INFO: task a:1 is blocked on a mutex, but the owner is not found.
func (b *taskBuilder) blocker(p *Parser, l *line) bool {
	t := bytes.TrimPrefix(bytes.TrimPrefix(l.trim, prefixes.info), []byte("task "))
	who, rest, ok := bytes.Cut(t, []byte(" is blocked on a"))
	if !ok {
		who, rest, ok = bytes.Cut(t, []byte(" blocked on a"))
	}
	who, _, _ = bytes.Cut(who, []byte(" <")) // a semaphore's <reader> or <writer>
	c := bytes.LastIndexByte(who, ':')
	if !ok || c < 0 || b.task.PID >= 0 && decimal(who[c+1:]) != b.task.PID {
		return false
	}
	rest = bytes.TrimPrefix(bytes.TrimPrefix(rest, []byte("n")), blank)
	end := bytes.IndexAny(rest, " ,")
	if end < 0 {
		end = len(rest)
	}
	k := &Blocker{Lock: p.names.of(rest[:end]), PID: -1}
	if _, owner, ok := bytes.Cut(rest, []byte(" owned by task ")); ok {
		owner = bytes.TrimRight(owner, ". ")
		owner, _, _ = bytes.Cut(owner, []byte(" <"))
		if c := bytes.LastIndexByte(owner, ':'); c >= 0 {
			k.Comm, k.PID, k.Known = p.names.of(owner[:c]), decimal(owner[c+1:]), true
		}
	}
	b.task.Blocker = k
	return true
}

// workqueueOf is what stands behind "Workqueue:" or "Stopper:".
func workqueueOf(t []byte) []byte {
	_, rest, _ := bytes.Cut(t, []byte(":"))
	return bytes.TrimSpace(rest)
}

// syscall finds the number of the system call among the registers.
func (b *taskBuilder) syscall(t []byte) {
	_, n, ok := bytes.Cut(t, []byte("ORIG_RAX: "))
	if !ok || len(n) < 16 {
		return
	}
	v := 0
	for _, c := range n[:16] {
		switch {
		case c >= '0' && c <= '9':
			v = v<<4 | int(c-'0')
		case c >= 'a' && c <= 'f':
			v = v<<4 | int(c-'a'+10)
		default:
			return
		}
	}
	if v >= 0 && v < 1<<12 {
		b.task.Syscall = v
	}
}

// readTaint reads "Not tainted RELEASE #N" and "Tainted: G  W  RELEASE #N", as
// they stand in hung-task reports and behind "CPU:".
func readTaint(n *names, t []byte, s *System) {
	if rest, ok := bytes.CutPrefix(t, prefixes.notTainted); ok {
		rel, _, _ := bytes.Cut(bytes.TrimLeft(rest, " "), blank)
		s.Release = n.of(rel)
		return
	}
	rest, ok := bytes.CutPrefix(t, prefixes.tainted)
	if !ok || bytes.IndexByte(rest, '=') >= 0 { // "Tainted: [W]=WARN"
		return
	}
	var letters [32]byte
	k := 0
	for len(rest) > 0 {
		rest = bytes.TrimLeft(rest, " ")
		word, more, _ := bytes.Cut(rest, blank)
		if len(word) > 0 && (word[0] >= '0' && word[0] <= '9' || len(word) > 8) {
			s.Release = n.of(word)
			break
		}
		for _, c := range word {
			if k < len(letters) && (c >= 'A' && c <= 'Z') {
				letters[k] = c
				k++
			}
		}
		rest = more
	}
	s.Taint = n.of(letters[:k])
}
