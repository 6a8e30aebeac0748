package diagnose

import (
	"slices"
	"strings"

	"github.com/sysrq/sysrq/dump"
)

// alarm is a report of the kernel's, or one processor of l.
type alarm struct {
	kind    dump.Kind
	boot    int
	dump    int
	command string
	lines   dump.Span
	dump.Report
	st   *stack
	n    int // how often the same was said
	most int // of Seconds
	// mixed: lines of another may stand in it.
	mixed bool
}

// maxAlarms bounds how many are kept of each kind.
const maxAlarms = 1 << 10

func (a *Analyzer) addAlarm(b *dump.Block, r *dump.Report) {
	list := a.alarms[b.Kind]
	al := alarm{kind: b.Kind, boot: b.Boot, dump: b.Dump, command: b.Command, lines: dump.Span{First: b.First, Last: b.Last}, n: 1, most: r.Seconds, mixed: mixed(b)}
	al.Report = *r
	al.st = a.stacks.of(r.Stack, r.Workqueue)
	al.Stack = nil
	if r.IP != nil {
		ip := *r.IP
		al.IP = &ip
	}
	al.CPUs, al.Tasks, al.Locks = slices.Clone(r.CPUs), slices.Clone(r.Tasks), slices.Clone(r.Locks)
	a.system(&r.System)
	// The same lockup is said every twenty seconds.
	for i := range list {
		o := &list[i]
		if o.boot == al.boot && o.CPU.CPU == al.CPU.CPU && o.PID == al.PID && o.Comm == al.Comm && b.Kind != dump.KindCPU &&
			same(o.IP, al.IP) && o.st == al.st && slices.Equal(o.CPUs, al.CPUs) && slices.Equal(o.Tasks, al.Tasks) && o.Location == al.Location && sameTitle(o.Title, al.Title) {
			o.n++
			o.most = max(o.most, al.Seconds)
			return
		}
	}
	if len(list) < maxAlarms {
		a.alarms[b.Kind] = append(list, al)
	}
}

// sameTitle compares titles without their numbers.
func sameTitle(a, b string) bool {
	strip := func(s string) string {
		return strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' {
				return -1
			}
			return r
		}, s)
	}
	return a == b || strip(a) == strip(b)
}

func same(a, b *dump.Frame) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Func == b.Func
}

// who names the task of an alarm.
func (al *alarm) who() string {
	t := task{TaskRef: TaskRef{Comm: al.Comm, PID: al.PID}}
	switch {
	case al.Comm != "":
		return t.name()
	case al.PID >= 0:
		return t.name()
	}
	return ""
}

// fns are the functions of an alarm, where it was first.
func (al *alarm) fns() (fn, mod []string) {
	if al.IP != nil && al.IP.Func != "" && !strings.HasPrefix(al.IP.Func, "0x") {
		fn, mod = append(fn, plain(al.IP.Func)), append(mod, al.IP.Module)
	}
	if al.st != nil {
		// An interrupt's work counts as well: it may be what takes so long.
		n := 0
		for i := range al.st.frames {
			f := &al.st.frames[i]
			if f.Guess {
				continue
			}
			n++
			if name := plain(f.Func); !(len(fn) == 1 && n == 1 && fn[0] == name) {
				fn, mod = append(fn, name), append(mod, f.Module)
			}
		}
		if n == 0 {
			for i, f := range al.st.fn {
				fn, mod = append(fn, f), append(mod, al.st.module(i))
			}
		}
	}
	return fn, mod
}

// spinning reports functions in which a processor waits for another, or only
// looks at a clock: their caller is who to name.
func spinning(f string) bool {
	switch f {
	case "native_queued_spin_lock_slowpath", "queued_spin_lock_slowpath", "pv_queued_spin_lock_slowpath", "__pv_queued_spin_lock_slowpath", "virt_spin_lock", "do_raw_spin_lock", "spin_dump",
		"ktime_get", "ktime_get_ts64", "ktime_get_raw", "read_tsc", "kvm_clock_get_cycles", "native_read_tsc", "delay_tsc", "__delay", "__const_udelay", "__udelay", "delay_loop", "delay_mwaitx", "cpu_relax", "rep_nop", "native_sched_clock", "sched_clock", "sched_clock_cpu", "local_clock", "acpi_pm_read", "pvclock_clocksource_read", "read_hpet",
		"rcu_is_watching", "lock_acquire", "lock_release", "lock_is_held_type", "__lock_acquire", "check_preemption_disabled", "debug_smp_processor_id", "preempt_count_add", "preempt_count_sub", "__sanitizer_cov_trace_pc", "__sanitizer_cov_trace_const_cmp4", "write_comp_data", "__asan_load8", "kasan_check_range", "__kasan_check_read", "arch_local_irq_restore", "__cond_resched", "_cond_resched", "lock_is_held", "debug_lockdep_rcu_enabled", "mwait_idle", "memset", "memcpy", "clear_page_erms", "trace_hardirqs_on", "trace_hardirqs_off", "__raw_spin_unlock_irqrestore", "arch_cpu_idle", "finish_task_switch":
		return true
	}
	return has(f, "_raw_spin_", "_raw_read_", "_raw_write_", "__raw_spin", "queued_read_lock", "queued_write_lock", "queued_spin", "arch_spin", "do_raw_", "smp_call_function", "smp_call_on", "csd_lock", "on_each_cpu", "generic_exec_single", "kvm_flush_tlb", "native_flush_tlb", "__smp_call_single", "asm_", "sysvec_", "__sysvec", "nmi_", "exc_nmi", "ret_from_intr", "apic_timer", "dump_stack", "show_stack", "__dump_stack", "walk_stackframe", "dump_backtrace", "print_bad_pte", "bad_page", "kasan_", "__kasan", "print_report", "print_address_desc", "check_memory_region", "__asan_", "__warn", "report_bug", "warn_slowpath", "panic", "die", "__die", "ubsan_", "__ubsan", "___ratelimit", "__might_", "___might_", "__schedule_bug", "oops_",
		"rcu_read_", "rcu_dynticks", "rcu_is_", "rcu_lock_", "__rcu_read", "unwind_", "__unwind", "save_stack", "__save_stack", "arch_stack_walk", "stack_trace_", "stack_depot", "is_bpf_text", "kernel_text_address", "__kernel_text", "is_module_text", "bpf_address_lookup", "in_task_stack", "get_stack_info", "__module_address", "__is_insn_slot", "lockdep_", "debug_lockdep", "trace_irq", "__local_bh", "preempt_", "check_preempt", "kcov_", "__sanitizer", "should_fail", "kfence_", "memcmp", "__lock", "mark_lock", "lock_", "ktime_", "timekeeping_", "end_report", "print_trailer", "object_err", "fault_in_kernel", "asan_", "__kmalloc", "kmalloc", "kmem_cache_alloc", "slab_alloc", "___slab", "__slab", "kfree", "kmem_cache_free", "__list_add_valid", "__list_del_entry", "debug_object", "__debug_object", "debug_check", "debug_print", "refcount_", "usercopy_", "__check_object", "__check_heap", "memcpy", "memset", "memmove", "copy_user", "strlen", "strcmp", "strscpy", "strnlen", "copy_from_", "copy_to_", "_copy_", "rep_movs", "fortify_", "__fortify", "arch_atomic", "atomic_", "native_", "__raw_", "apic_", "error_", "page_fault", "general_protection", "invalid_op", "do_error_trap", "exc_", "do_trap", "fixup_bug", "handle_bug", "sched_show_task", "_sched_show_task", "rcu_dump_cpu", "print_cpu_stall", "print_other_cpu", "check_cpu_stall", "dump_cpu_task", "hrtimer_", "local_apic_", "timer_interrupt", "tick_", "arch_timer_", "handle_percpu_devid_irq", "generic_handle_irq", "handle_irq", "__handle_domain_irq", "handle_domain_irq", "gic_handle_irq", "__irq_svc", "el1_irq", "el1h_64", "call_on_irq_stack", "do_interrupt_handler", "is_ftrace_trampoline", "print_context_stack", "dump_trace", "deref_stack", "__this_cpu_preempt", "do_softirq", "__do_softirq", "invoke_softirq", "irq_exit", "__irq_exit", "handle_softirqs", "do_IRQ", "handle_edge_irq", "handle_fasteoi", "rcu_core", "note_gp", "smp_apic", "tick_sched", "update_process_times", "__hrtimer_run", "rcu_check_callbacks", "rcu_sched_clock")
}

// handler reports functions of the command itself, or of the alarm: the
// processor that was asked.
func handler(f string) bool {
	return has(f, "sysrq_", "__handle_sysrq", "write_sysrq_trigger", "nmi_cpu_backtrace", "nmi_trigger", "arch_trigger", "trigger_all_cpu", "showacpu", "dump_backtrace", "show_regs", "check_hung", "watchdog", "kgdb")
}

// idling reports functions in which a processor has nothing to do.
func idling(f string) bool {
	switch f {
	case "do_idle", "cpu_idle", "cpuidle_enter", "cpuidle_enter_state", "default_idle", "default_idle_call", "native_safe_halt", "arch_cpu_idle", "cpu_startup_entry", "intel_idle", "acpi_idle_do_entry", "mwait_idle", "pv_native_safe_halt", "poll_idle", "cpu_idle_poll", "acpi_safe_halt", "cpu_do_idle", "wait_for_interrupt", "__cpu_die", "play_dead", "snooze_loop", "shared_cede_loop", "psw_idle", "enabled_wait", "rest_init", "amd_e400_idle", "r4k_wait", "r4k_wait_irqoff", "__r4k_wait", "pnv_cpu_idle", "arch_local_irq_enable":
		return true
	}
	return has(f, "intel_idle", "acpi_idle", "power7_idle", "power9_idle", "power_pmu_idle")
}

// at is the function that an alarm is about, with its module; spin is the
// function by which it spins there, if it does.
func (al *alarm) at() (fn, module, spin string) {
	fns, mods := al.fns()
	for i, f := range fns {
		if spinning(f) || plumbing(f) && !said(fns[i:i+1]) {
			if spin == "" && has(f, "_raw_spin", "_raw_read", "_raw_write", "native_queued", "queued_spin", "pv_queued", "__pv_queued", "do_raw_spin", "queued_write", "queued_read", "smp_call_function", "csd_lock", "arch_spin") {
				spin = f
			}
			continue
		}
		return f, mods[i], spin
	}
	// All of it is machinery: what is first says a little, unless it only prints.
	for i, f := range fns {
		if !has(f, "dump_", "show_", "__dump", "panic", "__warn", "warn_", "die", "oops_", "sched_show", "walk_stack", "nmi_", "__schedule", "schedule", "preempt_") && !bottom(f) {
			return f, mods[i], spin
		}
	}
	return "", "", spin
}

// where is "lab_spin [labtrouble]".
func (al *alarm) where() string {
	f, m, _ := al.at()
	if m != "" {
		f += " [" + m + "]"
	}
	return f
}

// path is the way to there: the few functions that tell, and by which one the
// kernel was entered.
func (al *alarm) path() string {
	fns, mods := al.fns()
	return way(fns, mods, func(f string) bool { return spinning(f) || plumbing(f) })
}

// way writes a stack as the few functions that tell: the first ones, and the
// outermost of those that are not in many stacks.
func way(fns, mods []string, skip func(string) bool) string {
	const most = 6
	var out []string
	last := ""
	for i, f := range fns {
		if skip(f) || bottom(f) && len(out) == 0 {
			continue
		}
		if bottom(f) && !has(f, "vfs_", "do_sys_") {
			continue
		}
		if mods[i] != "" {
			f += " [" + mods[i] + "]"
		}
		if len(out) < most {
			out = append(out, f)
		} else {
			last = f
		}
	}
	s := strings.Join(out, " < ")
	if last != "" {
		s += " < … < " + last
	}
	return s
}

// hasFn reports whether a function stands in the alarm.
func (al *alarm) hasFn(match func(string) bool) bool {
	fns, _ := al.fns()
	return slices.ContainsFunc(fns, match)
}
