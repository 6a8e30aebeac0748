package dump

import "bytes"

// reportKind is the kind of block that a class of line begins, of those that
// are about a processor.
func reportKind(c class) Kind {
	switch c {
	case cNMI, cSysrqCPU:
		return KindCPU
	case cSoft:
		return KindSoftLockup
	case cHard:
		return KindHardLockup
	case cRCU:
		return KindRCUStall
	case cWorkStall:
		return KindWorkLockup
	case cOops:
		return KindOops
	case cPanic:
		return KindPanic
	case cWarning:
		return KindWarning
	case cLockdep:
		return KindLockdep
	}
	return ""
}

// reportBuilder reads what is about a processor: its backtrace, and the alarms
// that bring one along.
type reportBuilder struct {
	head
	report Report
	ip     Frame
	stack
	// about: "CPU: …" was read. end: the report's own last line was.
	about, ended bool
	// backtrace: of lockdep's, the stack behind the chains has begun.
	backtrace bool
	loose     int // lines taken for standing in its midst
}

func (b *reportBuilder) start(k Kind) {
	b.stack.reset()
	r := &b.report
	cpus, tasks, locks := r.CPUs[:0], r.Tasks[:0], r.Locks[:0]
	*r = Report{CPUs: cpus, Tasks: tasks, Locks: locks, CPU: CPU{CPU: -1, PID: -1}}
	b.Kind, b.Body = k, r
	if k == KindCPU {
		b.Body = &r.CPU
	}
	b.about, b.ended, b.backtrace, b.loose = false, false, false, 0
}

func (b *reportBuilder) end() { b.report.Stack = b.frames }

func (b *reportBuilder) whole() bool {
	r := &b.report
	switch b.Kind {
	case KindRCUStall, KindWorkLockup:
		return true
	case KindCPU:
		return r.Idle || r.User && b.about || b.stack.whole()
	case KindPanic:
		return b.ended || b.stack.whole() || b.heading && len(b.frames) == 0
	}
	return r.User || b.stack.whole() || b.ended
}

func (b *reportBuilder) take(p *Parser, l *line) bool {
	if b.First == 0 {
		return b.takeFirst(p, l)
	}
	if b.Kind == KindLockdep && !b.backtrace {
		return b.takeLockdep(p, l)
	}
	switch l.class {
	case cCPULine:
		if b.about || len(b.frames) > 0 && b.Kind != KindLockdep {
			return false
		}
		b.about = true
		readCPULine(&p.names, l.trim, &b.report.CPU)
		return true
	case cHardware:
		_, hw, _ := bytes.Cut(l.trim, []byte(":"))
		if b.report.Hardware == "" {
			b.report.Hardware = p.names.of(bytes.TrimSpace(hw))
		}
		return b.near(p)
	case cWorkqueue:
		if b.heading {
			return false
		}
		b.report.Workqueue = p.names.of(workqueueOf(l.trim))
		return true
	case cModules:
		return b.near(p)
	case cCut:
		return b.near(p) && !b.about && !b.heading
	case cEnd:
		b.ended = true
		return b.near(p)
	case cHungNote: // "Tainted: [W]=WARN"
		return b.near(p)
	case cIP:
		if b.closed && !b.near(p) {
			return false
		}
		if !b.heading || b.report.IP == nil && len(b.frames) == 0 {
			b.takeIP(p, l.trim)
			return true
		}
		return b.closed || b.stack.take(&p.names, l)
	case cRegs:
		if b.closed && !b.near(p) {
			return false
		}
		b.flags(l.trim)
		return true
	case cOops, cWarning:
		// An oops says what it is in several lines.
		if b.Kind != KindOops || b.heading || len(b.frames) > 0 || !b.near(p) {
			return false
		}
		if at, ok := bytes.CutPrefix(l.trim, []byte("kernel BUG at ")); ok {
			b.report.Location = p.names.of(bytes.TrimRight(at, "!"))
		}
		return true
	case cSending:
		return b.near(p)
	case cRCUPart:
		if b.Kind == KindRCUStall {
			b.stall(p, l.trim)
			return true
		}
		return false
	case cFrame, cTrace, cTag, cTail:
		return b.stack.take(&p.names, l)
	case cLocks: // 'BUG: sleeping function …' says in its midst who holds what
		return b.Kind == KindOops && b.takeLoose(p, l)
	case cOther:
		return b.takeLoose(p, l)
	}
	return false
}

// near reports whether the last line was the block's as well.
func (b *reportBuilder) near(p *Parser) bool { return p.owner == builder(b) }

// maxLoose is how many lines of no class a report may have: an oops on arm64 or
// sparc has some forty.
const maxLoose = 80

func (b *reportBuilder) takeLoose(p *Parser, l *line) bool {
	if !b.near(p) || b.loose >= maxLoose || l.rec.User {
		return false
	}
	t := l.trim
	switch b.Kind {
	case KindRCUStall:
		if !b.stall(p, t) {
			return false
		}
	case KindPanic:
		if !bytes.HasPrefix(t, []byte("Rebooting in ")) && !bytes.HasPrefix(t, []byte("SMP: ")) && (b.heading || !b.about) {
			return false
		}
	case KindOops:
		if b.heading || len(b.frames) > 0 {
			return false
		}
		if i := bytes.Index(t, []byte("pstate: ")); i >= 0 {
			b.flags(t)
		}
	case KindSoftLockup, KindHardLockup:
		if b.heading || !(bytes.HasPrefix(t, []byte("CPU#")) || len(t) < len(l.text) || bytes.Contains(t, []byte("sp : ")) || bytes.HasPrefix(t, []byte("pstate: "))) {
			return false
		}
		b.flags(t)
	case KindCPU:
		if b.heading || !b.about {
			return false
		}
		b.flags(t)
		if !l.bare && l.indented() == 0 && bytes.IndexByte(t, ':') < 0 {
			return false
		}
	default:
		return false
	}
	b.loose++
	return true
}

func (l *line) indented() int { return len(l.text) - len(l.trim) }

func (b *reportBuilder) takeFirst(p *Parser, l *line) bool {
	r := &b.report
	t := l.trim
	if b.Kind != KindCPU {
		r.Title = p.names.of(bytes.TrimSpace(t))
	}
	switch l.class {
	case cNMI:
		rest := t[len(prefixes.nmi):]
		n := digits(rest)
		r.CPU.CPU = decimal(rest[:n])
		if i := bytes.Index(rest, []byte("skipped: idling at ")); i >= 0 {
			r.Idle = true
			b.setIP(p, rest[i+len("skipped: idling at "):])
		}
	case cSysrqCPU:
		_, rest, _ := bytes.Cut(t, []byte("CPU"))
		n := digits(rest)
		r.CPU.CPU = decimal(rest[:n])
		r.Idle = bytes.Contains(rest, []byte("skipped as idling"))
	case cCPULine:
		b.about = true
		readCPULine(&p.names, t, &r.CPU)
	case cSoft:
		_, rest, _ := bytes.Cut(t, []byte("CPU#"))
		r.CPU.CPU = decimal(rest[:digits(rest)])
		if _, s, ok := bytes.Cut(rest, []byte("stuck for ")); ok {
			r.Seconds = max(decimal(s[:digits(s)]), 0)
		}
		if i := bytes.LastIndexByte(rest, '['); i >= 0 {
			who := bytes.TrimRight(rest[i+1:], "] ")
			if c := bytes.LastIndexByte(who, ':'); c > 0 {
				r.Comm, r.PID = p.names.of(who[:c]), decimal(who[c+1:])
			}
		}
	case cHard:
		low := bytes.ToLower(t)
		if i := bytes.LastIndex(low, []byte("cpu")); i >= 0 {
			rest := bytes.TrimLeft(t[i+3:], "s #:")
			if n := digits(rest); n > 0 {
				r.CPU.CPU = decimal(rest[:n])
			}
		}
	case cRCU:
		b.stall(p, t)
	case cWorkStall:
		if _, s, ok := bytes.Cut(t, []byte("stuck for ")); ok {
			r.Seconds = max(decimal(s[:digits(s)]), 0)
		}
	case cWarning:
		if i := bytes.Index(t, []byte("CPU: ")); i >= 0 {
			rest := t[i+5:]
			r.CPU.CPU = decimal(rest[:digits(rest)])
		}
		where, at, ok := bytes.Cut(bytes.TrimPrefix(t, prefixes.warn), []byte(" at "))
		if at, who, new := bytes.Cut(at, []byte(", CPU#")); ok && new {
			n := digits(who)
			r.CPU.CPU = decimal(who[:n])
			if who = bytes.TrimPrefix(who[n:], []byte(": ")); bytes.IndexByte(who, '/') > 0 {
				i := bytes.LastIndexByte(who, '/')
				r.Comm, r.PID = p.names.of(who[:i]), decimal(who[i+1:])
			}
			if string(at) == "0x0" { // the line is all that is known
				at = where
			}
			r.Location = p.names.of(at)
		} else if ok {
			r.Location = p.names.of(at)
		}
	case cOops:
		if at, ok := bytes.CutPrefix(t, []byte("kernel BUG at ")); ok {
			r.Location = p.names.of(bytes.TrimRight(at, "!"))
		}
		if bytes.HasPrefix(t, []byte("BUG: KASAN: ")) || bytes.HasPrefix(t, []byte("UBSAN: ")) {
			_, at, _ := bytes.Cut(t, []byte(" in "))
			r.Location = p.names.of(at)
		}
	}
	return true
}

// digits is how many there are at the beginning of b.
func digits(b []byte) int {
	n := 0
	for n < len(b) && b[n]-'0' <= 9 {
		n++
	}
	return n
}

// stall reads the lines of an RCU stall (kernel/rcu/tree_stall.h):
//
//	rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:
//	rcu: 	2-...!: (137 ticks this GP) idle=ecec/1/0x4000000000000000 …
//	rcu: 	Tasks blocked on level-0 rcu_node (CPUs 0-3): P1234/1:b..l
//	rcu: 	(detected by 4, t=21002 jiffies, g=…, q=… ncpus=16)
//	rcu: rcu_preempt kthread starved for 2 jiffies! …
func (b *reportBuilder) stall(p *Parser, t []byte) bool {
	r := &b.report
	t = bytes.TrimLeft(bytes.TrimPrefix(t, prefixes.rcu), " \t")
	switch {
	case bytes.Contains(t, []byte(" kthread starved for ")), bytes.Contains(t, []byte("kthread timer wakeup didn't happen")):
		r.Starved = true
	case bytes.HasPrefix(t, []byte("Tasks blocked on level-")), bytes.HasPrefix(t, []byte("tasks blocked")):
		_, rest, _ := bytes.Cut(t, []byte("):"))
		for word := range bytes.FieldsSeq(rest) {
			if word[0] == 'P' {
				if pid := decimal(word[1 : 1+digits(word[1:])]); pid >= 0 {
					r.Tasks = append(r.Tasks, pid)
				}
			}
		}
	case bytes.HasPrefix(t, []byte("(")), bytes.HasPrefix(t, []byte("blocking rcu_node")), bytes.HasPrefix(t, []byte("INFO: ")),
		bytes.HasPrefix(t, []byte("Unless ")), bytes.HasPrefix(t, []byte("RCU grace-period kthread")), bytes.HasPrefix(t, []byte("Stack dump where")),
		bytes.HasPrefix(t, []byte("Possible timer handling")), bytes.HasPrefix(t, []byte("All QSes seen")), bytes.HasPrefix(t, []byte("Blocking rcu")):
		b.inBraces(t)
	default:
		n := digits(t)
		if n == 0 || n > 5 || !at(t, n, '-') && !at(t, n, ':') {
			return b.near(p) && (bytes.HasPrefix(t, prefixes.tree) || bytes.HasPrefix(t, []byte("idle=")))
		}
		r.CPUs = append(r.CPUs, decimal(t[:n]))
	}
	return true
}

// inBraces reads the list of an expedited stall: "{ 1-... 3-... P45 }", which
// kernels before 4.x also used for others.
func (b *reportBuilder) inBraces(t []byte) {
	_, rest, ok := bytes.Cut(t, []byte("{"))
	if !ok {
		return
	}
	rest, _, _ = bytes.Cut(rest, []byte("}"))
	for word := range bytes.FieldsSeq(rest) {
		if n := digits(word); n > 0 {
			b.report.CPUs = append(b.report.CPUs, decimal(word[:n]))
		} else if word[0] == 'P' && digits(word[1:]) > 0 {
			b.report.Tasks = append(b.report.Tasks, decimal(word[1:1+digits(word[1:])]))
		}
	}
}

// maxChain bounds a lockdep report.
const maxChain = 600

// takeLockdep takes everything up to the stack that ends a lockdep report:
// chains of stacks, a table, and the locks that are held.
func (b *reportBuilder) takeLockdep(p *Parser, l *line) bool {
	switch l.class {
	case cTask, cHeader, cHelp, cHung, cNMI, cSoft, cHard, cRCU, cOops, cPanic, cOOM, cMemory, cTimers, cWorkqueues, cSched, cFtrace, cWarning:
		return false
	case cCPULine:
		b.backtrace, b.about = true, true
		readCPULine(&p.names, l.trim, &b.report.CPU)
		return true
	case cTrace:
		b.backtrace = true
		return b.stack.take(&p.names, l)
	}
	if b.loose++; b.loose > maxChain || l.rec.User {
		return false
	}
	if r := &b.report; len(r.Locks) < 4 && (l.trim[0] == '(' || l.class == cOther && bytes.Contains(l.trim, []byte("at: "))) && bytes.IndexByte(l.trim, '{') > 0 {
		name := l.trim
		if i := bytes.IndexByte(name, '('); i >= 0 {
			name = name[i+1:]
		}
		if i := bytes.IndexByte(name, ')'); i >= 0 {
			name = name[:i]
		}
		r.Locks = append(r.Locks, p.names.of(name))
	}
	return true
}

// takeIP reads where the processor was.
func (b *reportBuilder) takeIP(p *Parser, t []byte) {
	r := &b.report
	switch {
	case bytes.HasPrefix(t, []byte("RIP: ")):
		t = t[5:]
		if i := bytes.IndexByte(t, ':'); i == 4 { // the code segment: 0010 is the kernel's
			r.User = string(t[:4]) == "0033" || string(t[:4]) == "0023"
			t = t[5:]
		}
	case bytes.HasPrefix(t, []byte("EIP: ")):
		t = t[5:]
		if i := bytes.IndexByte(t, ':'); i == 4 {
			r.User = string(t[:4]) == "0073" || string(t[:4]) == "0033"
			t = t[5:]
		}
	case bytes.HasPrefix(t, []byte("NIP [")), bytes.HasPrefix(t, []byte("NIP: ")):
		t = t[4:]
		if bytes.HasPrefix(t, blank) {
			return
		}
	case bytes.HasPrefix(t, []byte("Krnl PSW : ")):
		_, t, _ = bytes.Cut(t, []byte("("))
	case bytes.HasPrefix(t, []byte("TPC: <")):
		t = t[6:]
	default:
		for _, w := range ipWords {
			if rest, ok := bytes.CutPrefix(t, w); ok {
				t = rest
				break
			}
		}
	}
	b.setIP(p, t)
}

var ipWords = [][]byte{
	[]byte("EIP is at "), []byte("PC is at "), []byte("pc : "), []byte("epc : "), []byte("epc   : "),
	[]byte("IP: "), []byte("IAOQ[0]: "),
}

func (b *reportBuilder) setIP(p *Parser, t []byte) {
	t = bytes.TrimSpace(t)
	for len(t) > 0 && (t[0] == '[' || t[0] == ' ') {
		if t[0] == ' ' {
			t = t[1:]
			continue
		}
		n := address(t)
		if n == 0 {
			break
		}
		t = t[n:]
	}
	if i := bytes.IndexByte(t, ' '); i == 8 || i == 16 { // "epc   : 8066c218 func+0x…"
		if isAddress(t[:i]) {
			t = bytes.TrimLeft(t[i:], " ")
		}
	}
	f, ok := readFrame(t)
	if !ok || b.report.IP != nil {
		return
	}
	b.ip = Frame{Func: p.names.of(f.name), Offset: f.offset, Size: f.size, Module: p.names.of(f.module)}
	b.report.IP = &b.ip
}

// flags finds whether interrupts were off.
func (b *reportBuilder) flags(t []byte) {
	r := &b.report
	if r.User || b.heading {
		return
	}
	if _, f, ok := bytes.Cut(t, []byte("EFLAGS: ")); ok && len(f) >= 8 {
		v, n := hexAt(append([]byte("0x"), f[:8]...))
		r.IRQsOff = n == 10 && v&0x200 == 0 // arch/x86/include/asm/processor-flags.h: IF
		return
	}
	if i := bytes.Index(t, []byte("pstate: ")); i >= 0 { // "604000c5 (nZCv daIF +PAN …)": upper-case I is masked
		if _, f, ok := bytes.Cut(t[i:], []byte("(")); ok && len(f) > 8 {
			if _, daif, ok := bytes.Cut(f, blank); ok && len(daif) >= 4 {
				r.IRQsOff = daif[2] == 'I'
			}
		}
	}
}

// readCPULine reads dump_stack_print_info's line (lib/dump_stack.c, and before
// 3.10 arch/*/kernel):
//
//	CPU: 1 UID: 0 PID: 2 Comm: x Kdump: loaded Not tainted 6.12.1 #1 …
//	Pid: 2, comm: x Not tainted 2.6.32 #1
func readCPULine(n *names, t []byte, c *CPU) {
	if rest, ok := bytes.CutPrefix(t, prefixes.cpu); ok {
		c.CPU = decimal(rest[:digits(rest)])
	}
	low := false
	i := bytes.Index(t, []byte("PID: "))
	if i < 0 {
		i, low = bytes.Index(t, []byte("Pid: ")), true
	}
	if i >= 0 {
		rest := t[i+5:]
		c.PID = decimal(rest[:digits(rest)])
	}
	word := []byte("Comm: ")
	if low {
		word = []byte("comm: ")
	}
	_, rest, ok := bytes.Cut(t, word)
	if !ok {
		return
	}
	end := len(rest)
	for _, stop := range [][]byte{[]byte(" Not tainted"), []byte(" Tainted:"), []byte(" Kdump:")} {
		if i := bytes.Index(rest, stop); i >= 0 && i < end {
			end = i
		}
	}
	if c.Comm == "" {
		c.Comm = n.of(bytes.TrimRight(rest[:end], " "))
	}
	rest = bytes.TrimPrefix(bytes.TrimLeft(rest[end:], " "), []byte("Kdump: loaded "))
	readTaint(n, rest, &c.System)
}
