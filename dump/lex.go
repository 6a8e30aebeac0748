package dump

import (
	"bytes"

	"github.com/sysrq/sysrq/kmsg"
)

// class is what a line is by itself, before anything is known of its
// surroundings. All knowledge of how lines look that begin something, or belong
// to a stack, is in this file; what stands within one kind of block alone is in
// that block's file.
type class uint8

const (
	cOther class = iota // no line of a dump, or one that only its block knows
	cTorn               // the beginning of a line that goes on somewhere else

	// Parts of a stack and of what stands around it.
	cFrame
	cTrace     // "Call Trace:" and its relatives
	cTag       // <TASK>, </TASK>, <IRQ>, …
	cIP        // where a processor was: RIP, pc, NIP, …
	cRegs      // registers, code bytes, raw stack words
	cCPULine   // "CPU: 1 PID: 2 Comm: x …"
	cHardware  // "Hardware name: …"
	cModules   // "Modules linked in: …"
	cWorkqueue // "Workqueue: …" and "Stopper: …"
	cTail      // "[module]" alone: the end of a wrapped frame
	cCut       // "------------[ cut here ]------------"
	cEnd       // "---[ end trace …" and "---[ end Kernel panic"

	// What begins a block.
	cTask      // a task's header
	cTaskTable // the columns' heading above old headers
	cHeader    // "sysrq: X"
	cHelp
	cHung      // "INFO: task X:1 blocked for more than 120 seconds."
	cHungNote  // the lines between that and the task
	cBlocker   // "INFO: task X:1 is blocked on a mutex likely owned by task Y:2."
	cNMI       // "NMI backtrace for cpu 1"
	cSysrqCPU  // "sysrq: CPU1:"
	cSending   // "Sending NMI from CPU 3 to CPUs 0-2:"
	cSoft      // soft lockup
	cHard      // hard lockup
	cRCU       // RCU stall
	cRCUPart   // more of it
	cWorkStall // "BUG: workqueue lockup - pool …"
	cOops
	cPanic
	cWarning
	cLockdep
	cMemory  // "Mem-Info:"
	cOOM     // "X invoked oom-killer: …"
	cOOMPart // what stands in an OOM report alone
	cAlloc   // "X: page allocation failure: …"
	cTimers
	cLocks // "Showing all locks held in the system:" and "2 locks held by x/1:"
	cWorkqueues
	cSched
	cFtrace
)

// begins reports whether a line of the class can stand at a block's beginning.
func (c class) begins() bool { return c >= cTask }

// ofStack reports whether it is a part of a stack, or stands around one.
func (c class) ofStack() bool { return c >= cFrame && c <= cEnd }

// line is one line of text, with what was found out about it.
type line struct {
	text        []byte // without the prefix
	trim        []byte // without indentation
	rec         *kmsg.Record
	first, last int64
	before      int // columns of the prefix
	class       class
	// bare: the line has no mark of the kernel's, in a log whose lines have.
	bare  bool
	frame rawFrame
	task  rawTask
	tag   tag
	// joined from pieces; doubtful if that could have been done otherwise.
	joined bool
}

// tag is "<TASK>" or "</TASK>".
type tag struct {
	name []byte
	end  bool
}

var prefixes = struct {
	sysrq, oldSysrq, info, rcu, callTrace, callTrace2, backtrace, cpu, pid, hardware, modules, workqueue,
	stopper, cutHere, endTrace, nmi, sending, hungDisable, notTainted, tainted, memInfo, memInfo2,
	locksHeld, lockdepOff, busyWQ, sched, ftrace, timers, tasksState, memcgOOM, oom, panic, warn, kernelOffset, tree []byte
}{
	sysrq: []byte("sysrq: "), oldSysrq: []byte("SysRq : "), info: []byte("INFO: "), rcu: []byte("rcu: "),
	callTrace: []byte("Call Trace:"), callTrace2: []byte("Call trace:"), backtrace: []byte("Backtrace:"),
	cpu: []byte("CPU: "), pid: []byte("Pid: "), hardware: []byte("Hardware name:"), modules: []byte("Modules linked in:"),
	workqueue: []byte("Workqueue: "), stopper: []byte("Stopper: "), cutHere: []byte("------------[ cut here"),
	endTrace: []byte("---[ end "), nmi: []byte("NMI backtrace for cpu "), sending: []byte("Sending NMI from CPU "),
	hungDisable: []byte(`"echo 0 > /proc/sys/kernel/hung_task`), notTainted: []byte("Not tainted"), tainted: []byte("Tainted:"),
	memInfo: []byte("Mem-Info:"), memInfo2: []byte("Mem-info:"), locksHeld: []byte("Showing all locks held in the system"),
	lockdepOff: []byte("INFO: lockdep is turned off"), busyWQ: []byte("Showing busy workqueues"),
	sched: []byte("Sched Debug Version"), ftrace: []byte("Dumping ftrace buffer"), timers: []byte("Timer List Version"),
	tasksState: []byte("Tasks state ("), memcgOOM: []byte("Memory cgroup out of memory"), oom: []byte("Out of memory"),
	panic: []byte("Kernel panic - not syncing"), warn: []byte("WARNING: "), kernelOffset: []byte("Kernel Offset:"),
	tree: []byte("rcu_"),
}

// lex finds out what a line is. The order is by how often a line comes.
func (l *line) lex() {
	l.class = cOther
	t := l.text
	i := 0
	for i < len(t) && (t[i] == ' ' || t[i] == '\t') {
		i++
	}
	t = t[i:]
	l.trim = t
	if len(t) < 3 {
		return
	}
	switch c := t[0]; c {
	case '<':
		l.lexTag(t)
	case '[', '?', '(', '_':
		l.lexFrame(t)
	default:
		if i == 1 && lower[c] && l.frame.read(t) { // as x86 prints nearly all
			l.class = cFrame
			return
		}
		if l.lexWord(t, i) {
			return
		}
		if lower[c] || i > 0 && (c == '0' || c >= 'A' && c <= 'Z') {
			l.lexFrame(t)
			return
		}
		l.lexRest(t, i, isRegs)
	}
}

var lower = func() (ok [256]bool) {
	for c := 'a'; c <= 'z'; c++ {
		ok[c] = true
	}
	return ok
}()

func (l *line) lexFrame(t []byte) {
	if l.frame.read(t) {
		l.class = cFrame
		return
	}
	switch {
	case t[0] == '[':
		if end := len(t) - 1; t[end] == ']' && end > 1 && end < 64 && nameOrBuild(t[1:end]) {
			l.class = cTail
			return
		}
		switch {
		case isRegs(t):
			l.class = cRegs
		case oomPart(t):
			l.class = cOOMPart
		default:
			l.lexRest(t, 0, none)
		}
	case t[0] == '(' || t[0] == '?':
	case isRegs(t):
		l.class = cRegs
	default:
		l.lexRest(t, len(l.text)-len(t), none)
	}
}

// nameOrBuild reads "module" or "module 0123abcd".
func nameOrBuild(b []byte) bool {
	name, build, _ := bytes.Cut(b, blank)
	return nameLike(name) && (len(build) == 0 || nameLike(build)) && (name[0] > '9' || name[0] == '_')
}

// lexTag reads <TASK> and the like. Old kernels put a frame behind it, on the
// same line: then the frame is found as well.
func (l *line) lexTag(t []byte) {
	end := bytes.IndexByte(t, '>')
	if end < 2 || end > 24 {
		return
	}
	name := t[1:end]
	tg := tag{name: name}
	if name[0] == '/' {
		tg.name, tg.end = name[1:], true
	}
	for _, c := range tg.name {
		if c != '#' && c != '_' && c != '<' && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' {
			return
		}
	}
	if len(tg.name) < 2 || tg.name[0] >= '0' && tg.name[0] <= '9' {
		return
	}
	rest := bytes.TrimLeft(t[end+1:], " >")
	if len(rest) > 0 {
		f, ok := readFrame(rest)
		if !ok {
			return
		}
		l.frame = f
	} else {
		l.frame = rawFrame{}
	}
	l.tag, l.class = tg, cTag
}

// lexWord recognises a line by its first word. i is how far it was indented.
func (l *line) lexWord(t []byte, i int) bool {
	switch t[0] {
	case 't':
		if bytes.HasPrefix(t, taskWord) {
			if h, ok := newTask(t); ok {
				l.task, l.class = h, cTask
				if !h.whole {
					l.class = cTorn
				}
				return true
			}
		}
		if i > 0 && bytes.HasPrefix(t, []byte("task ")) && bytes.Contains(t, []byte("PC")) {
			l.class = cTaskTable
		}
	case 's':
		if bytes.HasPrefix(t, prefixes.sysrq) {
			l.lexSysrq(t[len(prefixes.sysrq):])
		}
	case 'S':
		switch {
		case bytes.HasPrefix(t, prefixes.oldSysrq), bytes.HasPrefix(t, []byte("SysRq: ")):
			l.lexSysrq(t)
		case bytes.HasPrefix(t, prefixes.locksHeld):
			l.class = cLocks
		case bytes.HasPrefix(t, prefixes.busyWQ):
			l.class = cWorkqueues
		case bytes.HasPrefix(t, prefixes.sending), bytes.HasPrefix(t, []byte("Sending NMI to ")):
			l.class = cSending
		case bytes.HasPrefix(t, prefixes.sched):
			l.class = cSched
		case bytes.HasPrefix(t, prefixes.stopper):
			l.class = cWorkqueue
		case bytes.HasPrefix(t, []byte("Stack:")), bytes.HasPrefix(t, []byte("Stack :")):
			l.class = cRegs
		}
	case 'C':
		switch {
		case bytes.HasPrefix(t, prefixes.callTrace), bytes.HasPrefix(t, prefixes.callTrace2):
			l.class = cTrace
		case bytes.HasPrefix(t, prefixes.cpu) && bytes.Contains(t, []byte("Comm: ")):
			l.class = cCPULine
		case bytes.HasPrefix(t, prefixes.cpu) && len(t) < 16 && decimal(bytes.TrimSpace(t[5:])) >= 0: // on lines of their own, on mips and arm
			l.class = cRegs
		case bytes.HasPrefix(t, []byte("Code: ")), bytes.HasPrefix(t, []byte("CS:  ")):
			l.class = cRegs
		case bytes.HasPrefix(t, []byte("CPU")):
			l.lexLockup(t)
		}
	case 'B':
		switch {
		case bytes.HasPrefix(t, prefixes.backtrace):
			l.class = cTrace
		case bytes.HasPrefix(t, []byte("BUG: ")):
			l.lexBug(t)
		}
	case 'I':
		switch {
		case bytes.HasPrefix(t, prefixes.info), bytes.HasPrefix(t, []byte("Internal error: ")):
			l.lexInfo(t)
		case bytes.HasPrefix(t, []byte("IP: [")), bytes.HasPrefix(t, []byte("IAOQ[0]: ")):
			l.class = cIP
		}
	case 'N':
		switch {
		case bytes.HasPrefix(t, prefixes.nmi):
			l.class = cNMI
		case bytes.HasPrefix(t, []byte("NMI watchdog: ")):
			l.lexLockup(t)
		case bytes.HasPrefix(t, prefixes.notTainted):
			l.class = cHungNote
		case bytes.HasPrefix(t, []byte("NIP [")) || bytes.HasPrefix(t, []byte("NIP: ")):
			l.class = cIP
		}
	case 'T':
		switch {
		case bytes.HasPrefix(t, prefixes.tainted):
			l.class = cHungNote
		case bytes.HasPrefix(t, prefixes.tasksState):
			l.class = cOOMPart
		case bytes.HasPrefix(t, prefixes.timers):
			l.class = cTimers
		case bytes.HasPrefix(t, []byte("TPC: <")):
			l.class = cIP
		}
	case 'H':
		if bytes.HasPrefix(t, prefixes.hardware) {
			l.class = cHardware
		}
	case 'M':
		switch {
		case bytes.HasPrefix(t, prefixes.memInfo), bytes.HasPrefix(t, prefixes.memInfo2):
			l.class = cMemory
		case bytes.HasPrefix(t, prefixes.modules):
			l.class = cModules
		case bytes.HasPrefix(t, prefixes.memcgOOM):
			l.class = cOOMPart
		}
	case 'O':
		switch {
		case bytes.HasPrefix(t, prefixes.oom) && !bytes.HasPrefix(t, []byte("Out of memory: no")) && bytes.ContainsAny(t, ":."):
			l.class = cOOMPart
		case bytes.HasPrefix(t, []byte("Oops: ")), bytes.HasPrefix(t, []byte("Oops - ")), bytes.HasPrefix(t, []byte("Oops[")):
			l.class = cOops
		}
	case 'F':
		if bytes.HasPrefix(t, []byte("FS:  ")) {
			l.class = cRegs
		}
	case 'R', 'E', 'p', 'e', 'K', 'P':
		l.lexIP(t)
	case 'r':
		if bytes.HasPrefix(t, prefixes.rcu) || bytes.HasPrefix(t, prefixes.tree) {
			l.lexRCU(t)
		}
	case 'W':
		switch {
		case bytes.HasPrefix(t, prefixes.workqueue):
			l.class = cWorkqueue
		case bytes.HasPrefix(t, prefixes.warn):
			l.lexWarning(t)
		}
	case 'w':
		if bytes.HasPrefix(t, []byte("watchdog: ")) {
			l.lexLockup(t)
		}
	case 'D':
		if bytes.HasPrefix(t, prefixes.ftrace) || bytes.HasPrefix(t, []byte("Dumping ftrace instance ")) {
			l.class = cFtrace
		}
	case '"':
		if bytes.HasPrefix(t, prefixes.hungDisable) {
			l.class = cHungNote
		}
	case '-':
		switch {
		case bytes.HasPrefix(t, prefixes.cutHere):
			l.class = cCut
		case bytes.HasPrefix(t, prefixes.endTrace):
			l.class = cEnd
		case bytes.HasPrefix(t, []byte("--- interrupt: ")), bytes.HasPrefix(t, []byte("---- interrupt: ")),
			bytes.HasPrefix(t, []byte("--- Exception: ")):
			l.class = cRegs
		}
	case 'U':
		if bytes.HasPrefix(t, []byte("Unable to handle kernel")) || bytes.HasPrefix(t, []byte("Unhandled fault: ")) || bytes.HasPrefix(t, []byte("UBSAN: ")) {
			l.class = cOops
		}
	case 'g':
		if bytes.HasPrefix(t, []byte("general protection fault")) {
			l.class = cOops
		}
	case 'i':
		if bytes.HasPrefix(t, []byte("invalid opcode: ")) {
			l.class = cOops
		}
	case 'd':
		if bytes.HasPrefix(t, []byte("divide error: ")) || bytes.HasPrefix(t, []byte("double fault: ")) {
			l.class = cOops
		}
	case '1', '2', '3', '4', '5', '6', '7', '8', '9':
		if isHolder(t) {
			l.class = cLocks
		}
	case 'o':
		if bytes.HasPrefix(t, []byte("oom-kill:constraint=")) {
			l.class = cOOMPart
		}
	case 'k':
		if bytes.HasPrefix(t, []byte("kernel BUG at ")) {
			l.class = cOops
		}
	}
	return l.class != cOther
}

// lexIP finds where a processor was, and kernel panics on the way.
func (l *line) lexIP(t []byte) {
	switch t[0] {
	case 'R':
		switch {
		case bytes.HasPrefix(t, []byte("RIP: ")):
			l.class = cIP
		case bytes.HasPrefix(t, []byte("RSP: ")), bytes.HasPrefix(t, []byte("RAX: ")), bytes.HasPrefix(t, []byte("RDX: ")),
			bytes.HasPrefix(t, []byte("RBP: ")), bytes.HasPrefix(t, []byte("R10: ")), bytes.HasPrefix(t, []byte("R13: ")):
			l.class = cRegs
		}
	case 'E':
		switch {
		case bytes.HasPrefix(t, []byte("EIP: ")), bytes.HasPrefix(t, []byte("EIP is at ")):
			l.class = cIP
		case bytes.HasPrefix(t, []byte("EAX: ")), bytes.HasPrefix(t, []byte("ESI: ")):
			l.class = cRegs
		case bytes.HasPrefix(t, []byte("Exception stack(")):
			l.class = cRegs
		}
	case 'p':
		if bytes.HasPrefix(t, []byte("pc : ")) {
			l.class = cIP
		}
	case 'e':
		if bytes.HasPrefix(t, []byte("epc : ")) || bytes.HasPrefix(t, []byte("epc   : ")) {
			l.class = cIP
		}
	case 'P':
		if bytes.HasPrefix(t, []byte("PC is at ")) {
			l.class = cIP
		} else if bytes.HasPrefix(t, []byte("PANIC: double fault")) {
			l.class = cOops
		} else if bytes.HasPrefix(t, []byte("PKRU: ")) {
			l.class = cRegs
		} else if bytes.HasPrefix(t, prefixes.pid) && bytes.Contains(t, []byte("comm: ")) {
			l.class = cCPULine
		}
	case 'K':
		switch {
		case bytes.HasPrefix(t, prefixes.panic):
			l.class = cPanic
		case bytes.HasPrefix(t, []byte("Krnl PSW : ")):
			l.class = cIP
		case bytes.HasPrefix(t, []byte("Krnl GPRS: ")), bytes.HasPrefix(t, []byte("Krnl Code: ")), bytes.HasPrefix(t, prefixes.kernelOffset):
			l.class = cRegs
		case bytes.HasPrefix(t, []byte("Kernel BUG at ")):
			l.class = cOops
		}
	}
}

// lexSysrq reads SysRq's own lines, behind their prefix.
func (l *line) lexSysrq(t []byte) {
	t = bytes.TrimPrefix(bytes.TrimPrefix(t, prefixes.oldSysrq), []byte("SysRq: "))
	switch {
	case bytes.HasPrefix(t, []byte("HELP")):
		l.class = cHelp
	case bytes.HasPrefix(t, []byte("CPU")) && len(t) > 3 && t[3] >= '0' && t[3] <= '9':
		l.class = cSysrqCPU
	case bytes.HasPrefix(t, []byte("Loglevel set to")), bytes.HasPrefix(t, []byte("sysrq always")), bytes.HasPrefix(t, []byte("OOM request ignored")):
	default:
		l.class = cHeader
	}
}

// hungWords is where the words begin that follow a hung task's name
// (kernel/hung_task.c; "in I/O wait" in 7.2, "can't die" in syzbot's kernels),
// or -1.
func hungWords(t []byte) int {
	more := bytes.Index(t, []byte(" for more than "))
	if more < 0 {
		return -1
	}
	for _, words := range [][]byte{[]byte(" blocked"), []byte(" can't die")} {
		if i := bytes.LastIndex(t[:more], words); i >= 0 && more-i <= len(" blocked in I/O wait") {
			return i
		}
	}
	return -1
}

func (l *line) lexInfo(t []byte) {
	l.task = rawTask{}
	switch t = bytes.TrimPrefix(t, prefixes.info); {
	case bytes.HasPrefix(t, []byte("task")):
		switch {
		case hungWords(t) >= 0:
			l.class = cHung
			if !bytes.Contains(t, []byte(" seconds")) {
				l.class = cTorn
			}
		case bytes.Contains(t, []byte(" is blocked on ")), bytes.Contains(t, []byte(" blocked on ")):
			l.class = cBlocker
		default:
			l.class = cTorn
		}
	case bytes.HasPrefix(t, prefixes.tree), bytes.HasPrefix(t, prefixes.rcu):
		l.lexRCU(t)
	case bytes.HasPrefix(t, []byte("lockdep is turned off")):
		l.class = cLocks
	case bytes.HasPrefix(t, []byte("possible ")), bytes.HasPrefix(t, []byte("inconsistent lock state")),
		bytes.HasPrefix(t, []byte("suspicious RCU usage")), bytes.HasPrefix(t, []byte("trying to register non-static key")):
		l.class = cLockdep
	case bytes.HasPrefix(t, []byte("Oops")):
		l.class = cOops
	}
	if bytes.HasPrefix(t, []byte("Internal error: ")) {
		l.class = cOops
	}
}

func (l *line) lexRCU(t []byte) {
	info := bytes.HasPrefix(t, []byte("rcu: INFO: "))
	switch {
	case bytes.Contains(t, []byte("self-detected stall")), bytes.Contains(t, []byte("detected stall")),
		bytes.Contains(t, []byte("detected expedited stall")), bytes.Contains(t, []byte("detected stalls")):
		l.class = cRCU
	case info, bytes.HasPrefix(t, prefixes.rcu), bytes.Contains(t, []byte("kthread starved for ")),
		bytes.Contains(t, []byte("kthread timer wakeup didn't happen")):
		l.class = cRCUPart
	}
}

func (l *line) lexLockup(t []byte) {
	l.task = rawTask{}
	switch {
	case bytes.Contains(t, []byte("soft lockup - CPU#")):
		l.class = cSoft
		if t[len(t)-1] != ']' {
			l.class = cTorn
		}
	case bytes.Contains(t, []byte("detected hard LOCKUP")), bytes.Contains(t, []byte(" Hard LOCKUP")), bytes.Contains(t, []byte("self-detected hard LOCKUP")):
		l.class = cHard
	}
}

func (l *line) lexBug(t []byte) {
	switch {
	case bytes.HasPrefix(t, []byte("BUG: soft lockup")):
		l.lexLockup(t)
	case bytes.HasPrefix(t, []byte("BUG: workqueue lockup")):
		l.class = cWorkStall
	case bytes.HasPrefix(t, []byte("BUG: MAX_")):
	default:
		l.class = cOops
	}
}

func (l *line) lexWarning(t []byte) {
	switch t = t[len(prefixes.warn):]; {
	case bytes.HasPrefix(t, []byte("CPU: ")), bytes.HasPrefix(t, []byte("at ")):
		l.class = cWarning
	case bytes.HasPrefix(t, []byte("possible ")), bytes.HasPrefix(t, []byte("inconsistent lock state")),
		bytes.HasPrefix(t, []byte("suspicious RCU usage")), bytes.HasPrefix(t, []byte("bad unlock balance")),
		bytes.HasPrefix(t, []byte("held lock freed")), bytes.HasPrefix(t, []byte("lock held when returning")),
		bytes.HasPrefix(t, []byte("Nested lock was not taken")), bytes.HasPrefix(t, []byte("nested lock was not taken")),
		bytes.Contains(t, []byte("-safe -> ")), bytes.Contains(t, []byte(" still has locks held")):
		l.class = cLockdep
	case bytes.Contains(t, []byte(" at ")) && (bytes.Contains(t, []byte("+0x")) || bytes.Contains(t, []byte(", CPU#"))):
		l.class = cWarning // 6.19: "WARNING: file.c:1 at func+0x1/0x2, CPU#1: comm/12"
	}
}

// lexRest recognises what has to be looked for within a line, the rarest last.
// i is how far the line was indented; regs looks for registers, if nobody has.
func (l *line) lexRest(t []byte, i int, regs func([]byte) bool) {
	if i == 0 {
		if l.task.readOld(t) {
			l.class = cTask
			return
		}
	}
	c := within(t)
	switch {
	case c == cOOM || c == cAlloc || c == cOops:
		l.class = c
	case regs(t):
		l.class = cRegs
	case i == 0 && c == cHeader:
		l.class = cHeader // glued to what stood on the console
	case t[len(t)-1] == ']' && bytes.Contains(t, []byte("): Oops [#")):
		l.class = cOops
	case t[0] == '[' && (bytes.HasPrefix(t, []byte("[ INFO: ")) || bytes.HasPrefix(t, []byte("[ BUG: "))):
		l.class = cLockdep
	}
}

func none([]byte) bool { return false }

// within finds what can stand behind other words: all of it has a colon, of
// which a line has few.
func within(t []byte) class {
	c := cOther
	for k := 0; ; k++ {
		i := bytes.IndexByte(t[k:], ':')
		if i < 0 {
			return c
		}
		k += i
		// Most colons are not followed by a blank and one of these letters.
		switch {
		case k == 0:
		case t[k-1] == 'r' && bytes.HasSuffix(t[:k], invoked):
			return cOOM
		case t[k-1] == ' ' && bytes.HasSuffix(t[:k], oldHeader) && at(t, k+1, ' '):
			c = cHeader
		case at(t, k+2, 'p') && bytes.HasPrefix(t[k:], allocFailure) && bytes.Contains(t, []byte("order:")):
			return cAlloc
		case at(t, k+8, '#') && t[k+7] == '[' && t[k+6] == ' ' && t[k+1] == ' ':
			return cOops // die(): "divide error: 0000 [#1] PREEMPT SMP"
		}
	}
}

var (
	invoked      = []byte(" invoked oom-killer")
	allocFailure = []byte(": page allocation ")
	oldHeader    = []byte("SysRq ")
)

// isRegs recognises a row of registers, of stack words or of code: nothing but
// hexadecimal words of 8 or 16 digits, and short names for them.
func isRegs(t []byte) bool {
	if !endsAsRegs(t) {
		return false
	}
	long, names := 0, 0
	// "CR2: 0000000000000000", and nothing else
	register := len(t) > 4 && t[0] >= 'A' && t[0] <= 'Z' && bytes.IndexByte(t[:min(len(t), 7)], ':') >= 2
	for len(t) > 0 {
		for len(t) > 0 && (t[0] == ' ' || t[0] == '\t') {
			t = t[1:]
		}
		n, hex, colon := 0, 0, false
		for n < len(t) && t[n] != ' ' {
			if hexByte[t[n]] {
				hex++
			}
			colon = t[n] == ':'
			n++
		}
		switch {
		case n == 0:
		case hex == n && (n == 8 || n == 16):
			long++
		case n == 3 && string(t[:n]) == "...", n == 2 && string(t[:n]) == "0x":
		case n <= 8 && (colon || names < 2 || n <= 3):
			names++
		default:
			return false
		}
		t = t[n:]
	}
	return long >= 2 && names <= long+1 || long == 1 && names == 1 && register
}

// endsAsRegs looks at the end only, which tells most other lines: a row ends in
// a value, or in a name whose value was wrapped off.
func endsAsRegs(t []byte) bool {
	n := len(t)
	for n > 0 && (t[n-1] == ' ' || t[n-1] == '\t') {
		n--
	}
	if n == 0 {
		return false
	}
	if c := t[n-1]; c == ':' || c == '.' || c == ')' || c == '>' || c == 'x' {
		return true
	}
	word := 0
	for word < n && word <= 16 && t[n-1-word] != ' ' && t[n-1-word] != '\t' {
		if !hexByte[t[n-1-word]] {
			return t[n-1-word] == 'x' || t[n-1-word] == '(' || t[n-1-word] == ':'
		}
		word++
	}
	return word == 8 || word == 16 || word <= 4
}
