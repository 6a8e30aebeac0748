package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sysrq/sysrq/dump"
)

// lockups are the findings about processors that do not come back: soft and
// hard lockups, RCU stalls, workqueue lockups, and what l shows.
func (a *Analyzer) lockups() []*finding {
	var out []*finding
	type busy struct{ boot, cpu int }
	told := map[busy]*finding{}
	add := func(al *alarm, kind string) {
		key := busy{al.boot, al.CPU.CPU}
		if f := told[key]; f != nil && al.CPU.CPU >= 0 {
			f.Lines = append(f.Lines, al.lines)
			return
		}
		f := a.stuckCPU(al, kind)
		told[key] = f
		out = append(out, f)
	}
	for i := range a.alarms[dump.KindHardLockup] {
		add(&a.alarms[dump.KindHardLockup][i], "hard")
	}
	for i := range a.alarms[dump.KindSoftLockup] {
		add(&a.alarms[dump.KindSoftLockup][i], "soft")
	}
	for i := range a.alarms[dump.KindRCUStall] {
		al := &a.alarms[dump.KindRCUStall][i]
		cpus := slices.Clone(al.CPUs)
		if len(cpus) == 0 && al.CPU.CPU >= 0 && strings.Contains(al.Title, "self-detected") {
			cpus = append(cpus, al.CPU.CPU)
		}
		merged := false
		for _, c := range cpus {
			if f := told[busy{al.boot, c}]; f != nil {
				f.Lines = append(f.Lines, al.lines)
				if !strings.Contains(f.Detail, "RCU") {
					f.Detail = strings.TrimSpace(f.Detail + " It holds up RCU as well.")
				}
				merged = true
			}
		}
		if merged {
			continue
		}
		f := a.stall(al, cpus)
		// The same stall is said again and again.
		for _, g := range out {
			if g.ID == "rcu" && g.boot == f.boot && (g.Suspect == f.Suspect || f.vague) {
				g.Lines = append(g.Lines, al.lines)
				merged = true
				break
			}
		}
		if merged {
			continue
		}
		for _, c := range cpus {
			told[busy{al.boot, c}] = f
		}
		out = append(out, f)
	}
	// What names a processor is worth more than what names none.
	if slices.ContainsFunc(out, func(f *finding) bool { return f.ID == "rcu" && !f.vague }) {
		out = slices.DeleteFunc(out, func(f *finding) bool { return f.ID == "rcu" && f.vague })
	}
	out = append(out, a.workLockups()...)
	if len(out) == 0 {
		out = append(out, a.spinners()...)
	}
	return out
}

// stuckCPU is the finding about one processor.
func (a *Analyzer) stuckCPU(al *alarm, kind string) *finding {
	f := &finding{boot: al.boot, weight: al.n}
	f.ID, f.Severity, f.Confidence = "soft-lockup", Critical, Certain
	where := al.where()
	_, _, spin := al.at()
	who := al.who()
	if who == "" {
		who = "the kernel"
	}
	cpu := ""
	if al.CPU.CPU >= 0 {
		cpu = fmt.Sprintf("Processor %d", al.CPU.CPU)
	} else {
		cpu = "A processor"
	}
	f.Title = cpu + " is stuck"
	if where != "" {
		f.Title += " in " + where
	}
	f.Title += ": " + who
	if al.most > 0 {
		f.Title += fmt.Sprintf(" does not let go of it for %d s", al.most)
	} else {
		f.Title += " does not let go of it"
	}
	if kind == "hard" || al.IRQsOff {
		f.Title += ", with interrupts off"
	}
	f.Title += "."
	f.Suspect = who
	if where != "" {
		f.Suspect += " in " + where
	}
	if p := al.path(); p != "" {
		f.Detail = "In " + p + "."
	}
	switch {
	case kind == "hard" && where == "":
		f.ID = "hard-lockup"
	}
	switch {
	case has(spin, "smp_call_function", "csd_lock"):
		f.Confidence = Likely
		other := a.silentCPUs(al)
		if other == "" {
			if o := a.otherCPU(al); o != nil {
				other = fmt.Sprintf("Processor %d ran %s in %s.", o.CPU.CPU, orKernel(o.who()), o.where())
				f.Lines = append(f.Lines, o.lines)
			}
		}
		f.Detail += " It waits for another processor to answer: that one has interrupts off, or is dead."
		if other != "" {
			f.Detail += " " + other
		}
		f.Suspect = "a processor that does not answer interrupts" + strings.TrimSuffix(" ("+other, " (")
		if other != "" {
			f.Suspect = strings.TrimSuffix(f.Suspect, ".") + ")"
		}
	case spin != "":
		f.Detail += " It spins for a lock that another one has."
		if h := a.spinHolder(al); h != nil {
			f.ID = "spinlock"
			f.Confidence = Likely
			f.Suspect = fmt.Sprintf("%s in %s on processor %d", h.who(), h.where(), h.CPU.CPU)
			f.Detail += fmt.Sprintf(" Likely %s has it, which runs in %s on processor %d.", h.who(), h.where(), h.CPU.CPU)
			f.Lines = append(f.Lines, h.lines)
		}
	case al.hasFn(printing):
		f.Detail += " It prints to a console: a slow serial line can hold a processor for that long."
		f.Suspect += " (printing to a slow console)"
	}
	if al.mixed {
		f.Confidence = lesser(f.Confidence, Likely)
		f.Detail = strings.TrimSpace(f.Detail + " Another report stands in its midst: names and stack may be mixed up.")
	}
	f.Lines = append(f.Lines, al.lines)
	f.Next = "sysrq show-backtrace-all-active-cpus, twice: does it stay in the same function? Then report the function, or unload the module"
	f.Refute = "the processor is elsewhere in a second l; or a hypervisor did not run the virtual processor (steal time)"
	if al.PID >= 0 && al.Comm != "" {
		f.Tasks = []TaskRef{{Comm: al.Comm, PID: al.PID}}
	}
	return f
}

// lesser is the lesser of two confidences.
func lesser(a, b Confidence) Confidence {
	if rank(a) < rank(b) {
		return a
	}
	return b
}

func printing(f string) bool {
	return has(f, "console_unlock", "serial8250_console", "uart_console_write", "vprintk_emit", "console_flush", "univ8250_console", "pl011_console", "hvc_console_print", "wait_for_xmitr")
}

// silentCPUs are the processors that an RCU stall of the same boot is about,
// and the waiting one is not.
func (a *Analyzer) silentCPUs(al *alarm) string {
	var cpus []int
	for i := range a.alarms[dump.KindRCUStall] {
		r := &a.alarms[dump.KindRCUStall][i]
		if r.boot != al.boot {
			continue
		}
		for _, c := range r.CPUs {
			if c != al.CPU.CPU && !slices.Contains(cpus, c) && len(cpus) < 8 {
				cpus = append(cpus, c)
			}
		}
	}
	if len(cpus) == 0 {
		return ""
	}
	s := fmt.Sprint(cpus)
	return "RCU waits for processor " + strings.Trim(s, "[]") + "."
}

// otherCPU is another processor of the same boot that was at work in the kernel,
// one with interrupts off before others.
func (a *Analyzer) otherCPU(al *alarm) *alarm {
	var best *alarm
	for i := range a.alarms[dump.KindCPU] {
		o := &a.alarms[dump.KindCPU][i]
		if o.boot != al.boot || o.CPU.CPU == al.CPU.CPU || o.Idle || o.User || o.PID == 0 || o.where() == "" || o.hasFn(handler) || o.hasFn(idling) {
			continue
		}
		if best == nil || o.IRQsOff && !best.IRQsOff {
			best = o
		}
	}
	return best
}

// spinHolder is who likely has the spinlock that al spins for: another
// processor in the same module or function, that does not spin itself.
func (a *Analyzer) spinHolder(al *alarm) *alarm {
	fn, mod, _ := al.at()
	var best *alarm
	for _, k := range []dump.Kind{dump.KindCPU, dump.KindSoftLockup, dump.KindHardLockup, dump.KindRCUStall} {
		for i := range a.alarms[k] {
			o := &a.alarms[k][i]
			if o.boot != al.boot || o.CPU.CPU == al.CPU.CPU || o.Idle || o.User || o.hasFn(handler) {
				continue
			}
			of, om, spin := o.at()
			if of == "" || spin != "" || o.hasFn(idling) {
				continue
			}
			d, e := domainOf(fn, mod), domainOf(of, om)
			if o.hasFn(func(s string) bool { return s == fn && !bottom(s) }) || mod != "" && mod == om || d.name != "" && d.name == e.name {
				if best == nil {
					best = o
				}
			}
		}
	}
	return best
}

// stall is the finding about an RCU stall.
func (a *Analyzer) stall(al *alarm, cpus []int) *finding {
	f := &finding{boot: al.boot, weight: al.n}
	f.ID, f.Severity, f.Confidence = "rcu", Critical, Likely
	f.Lines = []dump.Span{al.lines}
	f.Next = "sysrq show-backtrace-all-active-cpus, twice: which processor stays in one place?"
	f.Refute = "a hypervisor did not run the virtual processors (steal time), or the console was slow"
	// The processor's own backtrace, or that which stands behind the report.
	at := al
	if al.IP == nil && al.st == nil {
		at = nil
	}
	if at == nil || len(cpus) > 0 && at.CPU.CPU >= 0 && !slices.Contains(cpus, at.CPU.CPU) {
		var found *alarm
		for i := range a.alarms[dump.KindCPU] {
			c := &a.alarms[dump.KindCPU][i]
			if c.boot == al.boot && !c.Idle && c.lines.First >= al.lines.First && (slices.Contains(cpus, c.CPU.CPU) || len(cpus) == 0) && !(c.hasFn(handler) && len(cpus) == 0) {
				found = c
				break
			}
		}
		if found != nil {
			at = found
			f.Lines = append(f.Lines, c0(found))
		}
	}
	if at == nil || at.where() == "" {
		// Older kernels print the task that runs there in t's form.
		if t := a.printedAt(al); t != nil {
			at = &alarm{kind: dump.KindTask, st: t.stack}
			at.CPU.CPU, at.PID, at.Comm, at.Workqueue = -1, t.PID, t.Comm, t.workqueue
			if len(cpus) == 1 {
				at.CPU.CPU = cpus[0]
			}
		}
	}
	list := strings.Trim(fmt.Sprint(cpus), "[]")
	switch {
	case at != nil && at.where() != "":
		where := at.where()
		f.Title = fmt.Sprintf("RCU is held up by %s in %s", orKernel(at.who()), where)
		if at.CPU.CPU >= 0 {
			f.Title += fmt.Sprintf(" on processor %d", at.CPU.CPU)
		}
		f.Title += "."
		f.Suspect = orKernel(at.who()) + " in " + where
		if p := at.path(); p != "" {
			f.Detail = "In " + p + "."
		}
		if at.Workqueue != "" {
			f.Detail += " Work: " + clean(at.Workqueue) + "."
			f.Suspect += ", work " + clean(at.Workqueue)
		}
		if at.hasFn(printing) {
			f.Detail += " It prints to a console: a slow serial line can hold a processor for that long."
			f.Suspect += " (printing to a slow console)"
		}
		if at.PID >= 0 && at.Comm != "" {
			f.Tasks = []TaskRef{{Comm: at.Comm, PID: at.PID}}
		}
	case len(al.Tasks) > 0:
		var names []string
		for _, p := range al.Tasks[:min(3, len(al.Tasks))] {
			if t := a.tasks.byPID[p]; t != nil {
				s := t.name()
				if t.stack != nil {
					s += " in " + t.stack.telling()
				}
				names = append(names, s)
			} else {
				names = append(names, fmt.Sprintf("pid %d", p))
			}
		}
		f.Suspect = strings.Join(names, ", ")
		f.Title = "RCU is held up by a task that was preempted while it was reading: " + f.Suspect + "."
	case len(cpus) > 0:
		f.Title = fmt.Sprintf("RCU waits for processor %s, and what that one does is not in this log.", list)
		f.Suspect = "processor " + list
		f.Confidence = Possible
		f.vague = true
	default:
		f.Title = "RCU is stalled; which processor holds it up is not in this log."
		f.Confidence = Possible
		f.vague = true
	}
	if al.Starved {
		f.Detail = strings.TrimSpace(f.Detail + " RCU's own thread got no processor: something with a higher priority, or a hypervisor, took it.")
		if f.vague {
			f.Suspect = "whatever takes the processor from RCU's thread: a real-time task or the hypervisor"
		}
	}
	return f
}

// printedAt is the running task that stands right behind an alarm.
func (a *Analyzer) printedAt(al *alarm) *task {
	const near = 200 // lines
	var best *task
	for _, t := range a.tasks.all {
		if t.stack == nil || !t.running || t.boot != al.boot || has(t.Comm, "rcu_") || has(t.Comm, "rcuo") {
			continue
		}
		for _, l := range t.lines {
			if l.First > al.lines.First && l.First < al.lines.Last+near && (best == nil || l.First < best.lines[0].First) {
				best = t
			}
		}
	}
	return best
}

func c0(al *alarm) dump.Span { return al.lines }

func orKernel(s string) string {
	if s == "" {
		return "the kernel"
	}
	return s
}

// workLockups are the findings about workqueues in which nothing moves.
func (a *Analyzer) workLockups() []*finding {
	var out []*finding
	for i := range a.alarms[dump.KindWorkLockup] {
		al := &a.alarms[dump.KindWorkLockup][i]
		if slices.ContainsFunc(out, func(f *finding) bool { return f.boot == al.boot }) {
			continue
		}
		f := &finding{boot: al.boot, weight: 1}
		f.ID, f.Severity, f.Confidence = "workqueue", Critical, Likely
		f.Lines = []dump.Span{al.lines}
		f.Title = "A pool of kernel workers does not get on"
		if al.most > 0 {
			f.Title += fmt.Sprintf(" for %d s", al.most)
		}
		var work []string
		for _, l := range a.works {
			if l.boot != al.boot {
				continue
			}
			f.Lines = append(f.Lines, l.lines)
			for _, w := range l.workers {
				if len(work) < 3 {
					s := fmt.Sprintf("%s (worker %d, queue %s)", w.fn, w.pid, w.queue)
					if !slices.Contains(work, s) {
						work = append(work, s)
					}
				}
			}
		}
		if len(work) > 0 {
			f.Title += ": busy with " + strings.Join(work, ", ")
			f.Suspect = work[0]
		} else {
			f.Suspect = "the processor of that pool: " + clean(strings.TrimPrefix(al.Title, "BUG: workqueue lockup - "))
			f.Confidence = Possible
		}
		f.Title += "."
		f.Next = "sysrq show-backtrace-all-active-cpus, and t for the workers"
		f.Refute = "the processor of that pool was stuck: a lockup or RCU stall names it"
		out = append(out, f)
	}
	for _, l := range a.works {
		for _, p := range l.hung {
			// The kernel's own watchdog takes thirty seconds for too long.
			if p.Hung < 30 || slices.ContainsFunc(out, func(f *finding) bool { return f.boot == l.boot }) {
				continue
			}
			f := &finding{boot: l.boot}
			f.ID, f.Severity, f.Confidence = "workqueue", Warning, Likely
			f.Title = fmt.Sprintf("The pool of kernel workers on processor %s has work, and has not got on for %d s.", orWord(p.CPUs, "?"), p.Hung)
			f.Suspect = "processor " + orWord(p.CPUs, "?")
			var busy []string
			for _, w := range l.workers {
				if len(busy) < 3 {
					busy = append(busy, fmt.Sprintf("%s (worker %d)", w.fn, w.pid))
				}
			}
			if len(busy) > 0 {
				f.Detail = "In flight: " + strings.Join(busy, ", ") + "."
			}
			f.Lines = []dump.Span{l.lines}
			f.Next = "sysrq show-backtrace-all-active-cpus: what does that processor do?"
			f.Refute = "the pool moves in a second t"
			out = append(out, f)
		}
	}
	return out
}

// spinners are processors that l shows inside the kernel, in no good place.
func (a *Analyzer) spinners() []*finding {
	type place struct {
		boot, cpu, pid int
		where          string
	}
	seen := map[place]int{}
	cpus := a.alarms[dump.KindCPU]
	dumps := map[place]map[int]bool{}
	for i := range cpus {
		al := &cpus[i]
		p := place{al.boot, al.CPU.CPU, al.PID, al.where()}
		if dumps[p] == nil {
			dumps[p] = map[int]bool{}
		}
		dumps[p][al.dump] = true
		seen[p] = len(dumps[p])
	}
	var out []*finding
	told := map[place]bool{}
	for i := range cpus {
		al := &cpus[i]
		where := al.where()
		p := place{al.boot, al.CPU.CPU, al.PID, where}
		if al.Idle || al.User || where == "" || told[p] || al.PID == 0 || al.hasFn(handler) || al.hasFn(idling) || strings.HasPrefix(al.Comm, "swapper") {
			continue
		}
		fn, mod, spin := al.at()
		if bottom(fn) && spin == "" {
			continue
		}
		often := seen[p]
		odd := mod != "" && domainOf(fn, mod).name == mod
		var f *finding
		switch {
		case spin != "":
			h := a.spinHolder(al)
			if h == nil && often < 2 {
				continue
			}
			f = a.stuckCPU(al, "")
			if h == nil {
				f.ID = "spinlock"
			}
		case often >= 2, al.IRQsOff && al.kind == dump.KindCPU && al.command != "" && odd, odd:
			f = a.stuckCPU(al, "")
		default:
			if where != "" && al.st != nil && a.onlyL() && al.Comm != "" {
				f = a.stuckCPU(al, "")
				f.Severity, f.Confidence = Info, Possible
				f.Title = fmt.Sprintf("Processor %d was running %s in %s at that moment.", al.CPU.CPU, orKernel(al.who()), where)
				f.ID = "busy-cpu"
				told[p] = true
				out = append(out, f)
			}
			continue
		}
		told[p] = true
		f.Confidence, f.Severity = Possible, Warning
		if often >= 2 {
			f.Confidence = Likely
			f.Detail = strings.TrimSpace(f.Detail + fmt.Sprintf(" It was there in %d dumps.", often))
		} else {
			f.Title = strings.Replace(f.Title, " is stuck in ", " may be stuck in ", 1)
			f.Title = strings.Replace(f.Title, " does not let go of it", " ran there when it was asked", 1)
		}
		out = append(out, f)
	}
	// A spinner's holder is its cause: said once.
	for _, f := range out {
		if f.ID != "spinlock" {
			continue
		}
		for _, g := range out {
			if g != f && g.ID == "soft-lockup" && strings.Contains(f.Suspect, strings.SplitN(g.Suspect, " in ", 2)[0]) {
				g.Severity, g.ID = Info, "busy-cpu"
			}
		}
	}
	return out
}

// onlyL reports whether the log has nothing but processors.
func (a *Analyzer) onlyL() bool {
	for k := range a.kinds {
		switch k {
		case dump.KindCPU, dump.KindHeader, dump.KindHelp, dump.KindUnread:
		default:
			return false
		}
	}
	return true
}
