package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sysrq/sysrq/dump"
)

// byHand reports whether an alarm comes from SysRq c.
func (al *alarm) byHand() bool {
	if strings.Contains(al.Title, "sysrq triggered crash") {
		return true
	}
	return al.hasFn(func(f string) bool { return f == "sysrq_handle_crash" })
}

// sysrqsOwn: the handler of l raises a BUG of its own on kernels that check
// preemption; it is no finding.
func (al *alarm) sysrqsOwn() bool {
	return strings.Contains(al.Title, "using smp_processor_id() in preemptible") && al.hasFn(handler)
}

// crashes are the findings about panics, oopses, warnings and lockdep.
func (a *Analyzer) crashes(fs []*finding) []*finding {
	var out []*finding
	oopsBefore := func(p *alarm, reason string) *finding {
		for _, f := range out {
			if f.ID == "bug" && f.boot == p.boot && firstSpan(f.Lines).First <= p.lines.First && (f.Severity == Critical || strings.Contains(strings.ToLower(f.Title), reason)) {
				return f
			}
		}
		return nil
	}
	byHand := map[int]*finding{}
	hand := func(al *alarm) {
		if f := byHand[al.boot]; f != nil {
			f.Lines = append(f.Lines, al.lines)
			return
		}
		f := &finding{boot: al.boot}
		f.ID, f.Severity, f.Confidence = "crash", Warning, Certain
		f.Title = "Somebody crashed this kernel by hand (SysRq c); it did not fail by itself."
		f.Suspect = "SysRq c by hand"
		if who := al.who(); who != "" {
			f.Suspect += ", by " + who
		}
		f.Lines = []dump.Span{al.lines}
		f.Next = "look at what was captured before: lines above the crash, and the dump of kdump if there is one"
		f.Refute = "the trace does not lead to sysrq_handle_crash"
		byHand[al.boot] = f
		out = append(out, f)
	}
	for i := range a.alarms[dump.KindOops] {
		al := &a.alarms[dump.KindOops][i]
		switch {
		case al.sysrqsOwn():
			continue
		case al.byHand():
			hand(al)
			continue
		}
		out = append(out, a.oops(al))
	}
	for i := range a.alarms[dump.KindLockdep] {
		out = append(out, a.lockdep(&a.alarms[dump.KindLockdep][i]))
	}
	for i := range a.alarms[dump.KindWarning] {
		al := &a.alarms[dump.KindWarning][i]
		f := &finding{boot: al.boot}
		f.ID, f.Severity, f.Confidence = "bug", Info, Certain
		at := al.where()
		if at == "" {
			at = al.Location
		}
		f.Title = "The kernel warned in " + clean(at)
		if who := al.who(); who != "" {
			f.Title += ", when " + who + " was running"
		}
		f.Title += "; it went on."
		f.Detail = clean(al.Title)
		if p := al.path(); p != "" {
			f.Detail += " In " + p + "."
		}
		f.Suspect = clean(at)
		f.Lines = []dump.Span{al.lines}
		f.Next = "report it to the owner of the code if it comes again; search for its first line"
		f.Refute = "it is not the cause of a hang by itself"
		if al.n > 1 {
			f.Detail += fmt.Sprintf(" %d times.", al.n)
		}
		out = append(out, f)
	}
	for i := range a.alarms[dump.KindPanic] {
		al := &a.alarms[dump.KindPanic][i]
		reason := strings.TrimSpace(al.Title)
		if _, r, ok := strings.Cut(reason, "not syncing"); ok {
			reason = strings.TrimLeft(r, ": ")
		}
		reason = strings.TrimRight(reason, ". ")
		low := strings.ToLower(reason)
		switch {
		case strings.Contains(low, "panic_on_warn"):
			// The setting, not the cause: what it panicked over stands before it.
			var best *finding
			for _, f := range out {
				if (f.ID == "bug" || f.ID == "lockdep") && f.boot == al.boot && firstSpan(f.Lines).First < al.lines.First {
					best = f
				}
			}
			if best != nil {
				best.Severity = Critical
				best.Lines = append(best.Lines, al.lines)
				best.weight++
				best.Title = strings.Replace(best.Title, "; it went on.", ", and panicked over it (panic_on_warn is set).", 1)
				if p := al.path(); p != "" && !strings.Contains(best.Detail, " In ") {
					best.Detail = strings.TrimSpace(best.Detail + " In " + p + ".")
					if w := al.where(); w != "" && !strings.Contains(best.Suspect, w) {
						best.Suspect += ", called by " + w
					}
				}
				best.Detail = strings.TrimSpace(best.Detail + " The kernel panicked over it: panic_on_warn is set.")
				continue
			}
		case al.byHand() || byHand[al.boot] != nil && strings.Contains(low, "fatal exception"):
			hand(al)
			continue
		case strings.Contains(low, "hung_task"):
			if f := hungRoot(fs, al.boot); f != nil {
				f.Lines = append(f.Lines, al.lines)
				f.Severity = Critical
				f.Detail = strings.TrimSpace(f.Detail + " The kernel panicked over it (hung_task_panic is set).")
				continue
			}
			f := &finding{boot: al.boot}
			f.ID, f.Severity, f.Confidence = "hung-task-panic", Critical, Certain
			f.Title = "The kernel panicked because a task was blocked too long (hung_task_panic); which one is not in this log."
			f.Next = "get the lines before the panic ('INFO: task … blocked for more than'), or the memory dump; set kernel.hung_task_all_cpu_backtrace=1"
			f.Lines = []dump.Span{al.lines}
			out = append(out, f)
			continue
		case strings.Contains(low, "out of memory") || strings.Contains(low, "deadlocked on memory") || strings.Contains(low, "panic_on_oom"):
			continue // memory's findings tell it
		case strings.Contains(low, "softlockup") || strings.Contains(low, "lockup") || strings.Contains(low, "rcu stall"):
			if len(a.alarms[dump.KindSoftLockup])+len(a.alarms[dump.KindHardLockup])+len(a.alarms[dump.KindRCUStall]) > 0 {
				continue
			}
		}
		if f := oopsBefore(al, low); f != nil && !strings.Contains(low, "attempted to kill init") {
			f.Lines = append(f.Lines, al.lines)
			f.Severity = Critical
			f.Detail = strings.TrimSpace(f.Detail + " The kernel panicked over it.")
			continue
		}
		f := &finding{boot: al.boot, weight: 1}
		f.ID, f.Severity, f.Confidence = "panic", Critical, Certain
		f.Title = "The kernel panicked: " + clean(reason) + "."
		f.Suspect = panicSuspect(low, al)
		f.Detail = "In " + al.path() + "."
		if al.path() == "" {
			f.Detail = ""
		}
		f.Lines = []dump.Span{al.lines}
		f.Next = "look at the lines just before; with kdump: crash vmlinux vmcore, then bt"
		out = append(out, f)
	}
	return out
}

// hungRoot is the finding about blocked tasks that a panic over a hung task is
// a consequence of.
func hungRoot(fs []*finding, boot int) *finding {
	var best *finding
	for _, f := range fs {
		if f.boot == boot && len(f.Tasks) > 0 && (best == nil || f.weight > best.weight) {
			best = f
		}
	}
	return best
}

func panicSuspect(low string, al *alarm) string {
	switch {
	case strings.Contains(low, "unable to mount root") || strings.Contains(low, "no working init") || strings.Contains(low, "no init found") || strings.Contains(low, "requested init"):
		return "the root file system or init: root= on the kernel's command line, a driver missing in the initramfs"
	case strings.Contains(low, "attempted to kill init"):
		return "process 1 ended"
	case strings.Contains(low, "machine check") || strings.Contains(low, "hardware error") || strings.Contains(low, "nmi"):
		return "the hardware: memory, processor or board"
	case strings.Contains(low, "stack") && strings.Contains(low, "corrupt"):
		return "a stack overflow or overwrite in " + al.where()
	}
	return al.where()
}

// oops is the finding about a bug of the kernel's.
func (a *Analyzer) oops(al *alarm) *finding {
	f := &finding{boot: al.boot, weight: 2}
	f.ID, f.Severity, f.Confidence = "bug", Critical, Certain
	title := clean(al.Title)
	at := al.where()
	if at == "" || strings.Contains(title, "KASAN") || strings.Contains(title, "UBSAN") || strings.Contains(title, "KCSAN") {
		if l := clean(al.Location); l != "" {
			at = l
		}
	}
	if fns, mods := al.fns(); len(fns) > 0 {
		for i, fn := range fns {
			if d := domainOf(fn, mods[i]).name; d != "" && !slices.Contains(f.doms, d) {
				f.doms = append(f.doms, d)
			}
		}
	}
	switch {
	case strings.Contains(title, "Bad page") || strings.Contains(title, "Bad rss-counter") || strings.Contains(title, "UBSAN") ||
		strings.Contains(title, "sleeping function called") || strings.Contains(title, "scheduling while atomic") || strings.Contains(title, "KCSAN") ||
		strings.Contains(title, "using smp_processor_id") || strings.Contains(title, "using __this_cpu"):
		f.Severity = Warning
	}
	f.Title = "The kernel hit a bug"
	if at != "" {
		f.Title += " in " + at
	}
	if who := al.who(); who != "" {
		f.Title += ", when " + who + " was running"
	}
	f.Title += ": " + strings.TrimRight(title, "!. ") + "."
	f.Suspect = at
	if who := al.who(); who != "" {
		f.Suspect = strings.TrimPrefix(at+", called by "+who, ", ")
	}
	if p := al.path(); p != "" {
		f.Detail = "In " + p + "."
	}
	if al.Workqueue != "" {
		f.Detail = strings.TrimSpace(f.Detail + " Work: " + clean(al.Workqueue) + ".")
	}
	if strings.HasPrefix(a.machine.Taint, "G") || a.machine.Taint == "" {
	} else if strings.Contains(a.machine.Taint, "P") {
		f.Detail = strings.TrimSpace(f.Detail + " A proprietary module is loaded.")
	}
	if al.mixed {
		f.Confidence = Likely
		f.Detail = strings.TrimSpace(f.Detail + " Another report stands in its midst: names and stack may be mixed up.")
	}
	f.Lines = []dump.Span{al.lines}
	f.Next = "scripts/decode_stacktrace.sh vmlinux < LOG; reboot soon: the task died with whatever locks it had"
	f.Refute = "an earlier report in the same boot: later ones are often its consequence"
	if al.PID >= 0 && al.Comm != "" {
		f.Tasks = []TaskRef{{Comm: al.Comm, PID: al.PID}}
	}
	return f
}

// lockdep is the finding about a report of the lock checker's.
func (a *Analyzer) lockdep(al *alarm) *finding {
	f := &finding{boot: al.boot}
	f.ID, f.Severity, f.Confidence = "lockdep", Warning, Certain
	var locks []string
	for _, l := range al.Locks {
		if !common(l) && len(locks) < 2 {
			if strings.Count(l, "(") > strings.Count(l, ")") {
				l += ")"
			}
			locks = append(locks, clean(l))
		}
	}
	pair := strings.Join(locks, " and ")
	low := strings.ToLower(al.Title)
	kind := "a circular locking dependency"
	switch {
	case strings.Contains(low, "recursive"):
		kind = "a recursive lock"
	case strings.Contains(low, "inconsistent"):
		kind = "an inconsistent lock state (taken with interrupts on, and in an interrupt)"
		if len(locks) > 1 {
			pair = locks[0]
		}
	case strings.Contains(low, "irq") || strings.Contains(low, "safe"):
		kind = "a lock order that an interrupt can turn into a deadlock"
	case strings.Contains(low, "suspicious rcu"):
		kind = "an RCU access without protection"
	case strings.Contains(low, "held when returning") || strings.Contains(low, "lock held when"):
		kind = "a lock that is held on return to userspace"
	case strings.Contains(low, "bad unlock"):
		kind = "an unlock of a lock that is not held"
	case strings.Contains(low, "invalid wait context"):
		kind = "a sleeping lock taken where nothing may sleep"
	}
	f.Title = "The lock checker found " + kind
	if pair != "" {
		f.Title += ": " + pair
	}
	f.Title += "."
	f.Suspect = pair
	if f.Suspect == "" {
		f.Suspect = al.where()
	}
	at := ""
	fns, mods := al.fns()
	for i, fn := range fns {
		if plumbing(fn) || spinning(fn) || bottom(fn) || has(fn, "print_", "check_", "__lock_acquire", "validate_chain", "mark_lock", "lock_acquire", "lockdep_", "valid_state", "save_trace", "show_stack", "dump_") || takes(fn) {
			continue
		}
		at = fn
		if mods[i] != "" {
			at += " [" + mods[i] + "]"
		}
		break
	}
	if at != "" {
		f.Detail = "It was in " + at
		if who := al.who(); who != "" {
			f.Detail += " by " + who
		}
		f.Detail += ". "
		f.Suspect += ", in " + at
	}
	if p := al.path(); p != "" {
		f.Detail += "The way there: " + p + ". "
	}
	f.Detail += "It is a warning of what can happen, not that it has."
	f.Lines = []dump.Span{al.lines}
	f.Next = "report it with the whole text to the owner of the code"
	f.Refute = "a class of locks with several real locks that are never taken so (a missing nesting annotation)"
	return f
}
