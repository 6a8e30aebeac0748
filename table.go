package sysrq

import "time"

// Deadlines. They bound a wait that ends as soon as the evidence is there, so
// they may be generous: only a sick machine ever uses them up.
const (
	defaultDeadline = 5 * time.Second  // a line that the handler itself prints
	dumpDeadline    = 60 * time.Second // 'show-task-states' of a big host over 115200 baud
	syncDeadline    = 60 * time.Second // a sync ends when the disk does
	remountDeadline = 30 * time.Second
	// Those two are worth their time even behind a disk that is dead, when the
	// kernel's own worker is stuck there: what is older than 35 seconds the
	// kernel writes to the other disks by itself (vm.dirty_expire_centisecs,
	// vm.dirty_writeback_centisecs), and their journals are committed every
	// five. Seen on 6.1: internal/lab/proof, TestDeadDiskFromOutside.
	rebootDeadline = 180 * time.Second // firmware of real servers is slow
)

const srcSysrq = "drivers/tty/sysrq.c, 6.1, 6.12, 7.2"

// table is ordered by slot. Every line was compared with the trees and with the
// HELP line of booted kernels; sources_test.go and the lab hold it to that.
var table = append(loglevels(), []Command{
	{
		Key: 'b', Name: "reboot", Action: "Resetting", Mask: MaskBoot, Danger: Reboot,
		Effect:     "resets the machine at once, without syncing or unmounting",
		Loses:      "everything that is not on the disk yet",
		Completion: Completion{Kind: CompletesReboot, Deadline: rebootDeadline},
		Source:     srcSysrq + "; arch/alpha/kernel/setup.c, 6.1, 6.12, 7.2: with an SRM console it halts instead",
	},
	{
		Key: 'c', Name: "crash", Action: "Trigger a crash", Mask: MaskDump, Danger: Crash,
		Effect: "makes the kernel panic, and kdump save its memory where that is set up",
		Loses:  "the running system and everything that is not on the disk yet",
		Completion: Completion{
			Kind: CompletesLine, Lines: []string{"Kernel panic - not syncing: sysrq triggered crash"},
			Level: 0, Deadline: 10 * time.Second,
		},
		Source: srcSysrq,
	},
	{
		Key: 'd', Name: "show-all-locks", Action: "Show Locks Held", Danger: Observe,
		Effect: "prints the locks that tasks hold",
		Config: "LOCKDEP",
		Completion: Completion{
			Kind: CompletesDump, Lines: []string{"Showing all locks held in the system:", "INFO: lockdep is turned off."},
			Level: 4, Deadline: dumpDeadline,
		},
		Source: srcSysrq,
	},
	{
		Key: 'e', Name: "terminate-all-tasks", Action: "Terminate All Tasks", Mask: MaskSignal, Danger: Stop,
		Effect:     "sends SIGTERM to every process but init, and raises the console log level to 10",
		Loses:      "what running programs have not saved",
		Completion: Completion{Kind: CompletesUnseen, Deadline: defaultDeadline},
		Source:     srcSysrq,
	},
	{
		Key: 'f', Name: "memory-full-oom-kill", Action: "Manual OOM execution", Mask: MaskSignal, Danger: Stop,
		Effect:   "kills the process that the OOM killer picks",
		Loses:    "what the killed program has not saved",
		Deferred: true,
		Completion: Completion{
			Kind: CompletesLine, Lines: []string{
				"Out of memory: Killed process", "Out of memory: Kill process",
				"sysrq: OOM request ignored", "SysRq : OOM request ignored", "OOM request ignored",
			},
			Level: 3, Deadline: 30 * time.Second,
		},
		Source: srcSysrq + "; mm/oom_kill.c",
	},
	{
		Key: 'g', Name: "debug", Action: "DEBUG", Danger: Crash,
		Effect: "stops the machine in the kernel debugger",
		Loses:  "the machine's service until somebody continues it in the debugger",
		Config: "KGDB and a registered KGDB I/O module",
		Completion: Completion{
			Kind: CompletesLine, Lines: []string{"KGDB: Entering KGDB", "KGDB: KGDB or $3#33 for KDB"},
			Level: 2, Deadline: defaultDeadline,
		},
		Source: "kernel/debug/debug_core.c, 6.1, 6.12, 7.2",
	},
	{
		Key: 'h', Name: "help", Danger: Observe,
		Effect:     "prints which commands this kernel has; changes nothing",
		Completion: Completion{Kind: CompletesHelp, Deadline: defaultDeadline},
		Source:     srcSysrq + ": the slot is empty, so HELP answers",
	},
	{
		Key: 'i', Name: "kill-all-tasks", Action: "Kill All Tasks", Mask: MaskSignal, Danger: Stop,
		Effect:     "sends SIGKILL to every process but init, and raises the console log level to 10",
		Loses:      "what running programs have not saved",
		Completion: Completion{Kind: CompletesUnseen, Deadline: defaultDeadline},
		Source:     srcSysrq,
	},
	{
		// Under the signal bit, though it signals nobody.
		Key: 'j', Name: "thaw-filesystems", Action: "Emergency Thaw of all frozen filesystems", Mask: MaskSignal, Danger: Tune,
		Effect:   "thaws every file system that was frozen (FIFREEZE)",
		Config:   "BLOCK",
		Deferred: true,
		Completion: Completion{
			Kind: CompletesLine, Lines: []string{"Emergency Thaw complete"}, Level: 4, Deadline: remountDeadline,
		},
		Source: srcSysrq + "; fs/buffer.c or fs/super.c",
	},
	{
		Key: 'k', Name: "sak", Action: "SAK", Mask: MaskKeyboard, Danger: Stop,
		Effect:     "kills every program on the current virtual terminal",
		Loses:      "what those programs have not saved, a whole desktop among them",
		Config:     "VT",
		Deferred:   true,
		Completion: Completion{Kind: CompletesUnseen, Level: 5, Deadline: defaultDeadline},
		Source:     srcSysrq + "; drivers/tty/tty_io.c",
	},
	{
		Key: 'l', Name: "show-backtrace-all-active-cpus", Action: "Show backtrace of all active CPUs", Mask: MaskDump, Danger: Observe,
		Effect: "prints what each processor is doing",
		Config: "SMP",
		Completion: Completion{
			Kind: CompletesDump, Lines: []string{"NMI backtrace for cpu", "sysrq: CPU", "CPU"},
			Level: 4, Deadline: dumpDeadline,
		},
		Source: srcSysrq + "; lib/nmi_backtrace.c",
	},
	{
		Key: 'm', Name: "show-memory-usage", Action: "Show Memory", Mask: MaskDump, Danger: Observe,
		Effect: "prints memory, zones and free blocks",
		Completion: Completion{
			Kind: CompletesDump, Lines: []string{"Mem-Info:", "Mem-info:"}, Level: 4, Deadline: dumpDeadline,
		},
		Source: srcSysrq + "; mm/show_mem.c",
	},
	{
		Key: 'n', Name: "nice-all-RT-tasks", Action: "Nice All RT Tasks", Mask: MaskRTNice, Danger: Tune,
		Effect:     "makes every real-time task an ordinary one, and takes away negative nice values",
		Completion: Completion{Kind: CompletesUnseen, Deadline: defaultDeadline},
		Source:     srcSysrq + "; kernel/sched/core.c or syscalls.c (normalize_rt_tasks)",
	},
	{
		Key: 'o', Name: "poweroff", Action: "Power Off", Mask: MaskBoot, Danger: Reboot,
		Effect:   "switches the machine off, without syncing",
		Loses:    "everything that is not on the disk yet",
		Deferred: true,
		Completion: Completion{
			Kind: CompletesLine, Lines: []string{"reboot: Power down", "Power down."},
			Level: 0, Deadline: 60 * time.Second,
		},
		Source: "kernel/power/poweroff.c, 6.1, 6.12, 7.2",
	},
	{
		// Without a body wherever the key does not come in a hard interrupt:
		// the trigger file, and USB keyboards.
		Key: 'p', Name: "show-registers", Action: "Show Regs", Mask: MaskDump, Danger: Observe,
		Effect:     "prints this processor's registers, when the key came in a hard interrupt",
		Completion: Completion{Kind: CompletesDump, Level: 4, Deadline: dumpDeadline},
		Source:     srcSysrq,
	},
	{
		Key: 'q', Name: "show-all-timers", Action: "Show clockevent devices & pending hrtimers (no others)", Danger: Observe,
		Effect: "prints high-resolution timers and clock devices",
		Completion: Completion{
			Kind: CompletesDump, Lines: []string{"Timer List Version:"}, Level: 4, Deadline: dumpDeadline,
		},
		Source: srcSysrq + "; kernel/time/timer_list.c",
	},
	{
		Key: 'r', Name: "unraw", Action: "Keyboard mode set to system default", Mask: MaskKeyboard, Danger: Tune,
		Effect:     "takes the keyboard of the current virtual terminal back from the program that put it in raw mode",
		Config:     "VT",
		Completion: Completion{Kind: CompletesUnseen, Deadline: defaultDeadline},
		Source:     srcSysrq + "; drivers/tty/vt/keyboard.c (vt_reset_unicode or vt_reset_keyboard)",
	},
	{
		Key: 's', Name: "sync", Action: "Emergency Sync", Mask: MaskSync, Danger: Tune,
		Effect:   "writes every file system's dirty data to its disk",
		Deferred: true,
		Completion: Completion{
			Kind: CompletesLine, Lines: []string{"Emergency Sync complete"}, Level: 4, Deadline: syncDeadline,
		},
		Source: srcSysrq + "; fs/sync.c (do_sync_work)",
	},
	{
		Key: 't', Name: "show-task-states", Action: "Show State", Mask: MaskDump, Danger: Observe,
		Effect: "prints every task with its stack",
		Completion: Completion{
			Kind: CompletesDump, Lines: []string{"task:", "  task "}, Level: 6, Deadline: dumpDeadline,
		},
		Source: srcSysrq + "; kernel/sched/core.c (show_state_filter)",
	},
	{
		Key: 'u', Name: "unmount", Action: "Emergency Remount R/O", Mask: MaskRemount, Danger: Stop,
		Effect:   "makes every file system on a disk read-only",
		Loses:    "every later write: programs fail until the machine is rebooted or remounted",
		Deferred: true,
		Completion: Completion{
			Kind: CompletesLine, Lines: []string{"Emergency Remount complete"}, Level: 4, Deadline: remountDeadline,
		},
		Source: srcSysrq + "; fs/super.c (do_emergency_remount)",
	},
	{
		Key: 'v', Name: "force-fb", Action: "Restore framebuffer console", Danger: Tune,
		Effect:     "takes the screen back from a graphics program",
		Config:     "a DRM device with fbdev emulation",
		Deferred:   true,
		Completion: Completion{Kind: CompletesUnseen, Deadline: defaultDeadline},
		Source:     "drivers/gpu/drm/drm_fb_helper.c, 6.1, 6.12; drivers/gpu/drm/drm_client_sysrq.c, 7.2",
	},
	{
		// Documentation still lists it; no tree that was read has it. The release
		// that dropped it was not looked up: it was gone by 6.1.
		Key: 'v', Name: "etm-buffer-dump", Action: "etm", Danger: Observe,
		Effect: "prints the embedded trace macrocell's buffer",
		Arch:   []string{"arm"}, Until: "6.1", Config: "the old ETM driver",
		Completion: Completion{Kind: CompletesDump, Level: 6, Deadline: dumpDeadline},
		Source:     "arch/arm/kernel/etm.c of 3.x and 4.x; gone from 6.1, 6.12 and 7.2",
	},
	{
		Key: 'w', Name: "show-blocked-tasks", Action: "Show Blocked State", Mask: MaskDump, Danger: Observe,
		Effect:     "prints every task that is stuck in uninterruptible sleep",
		Completion: Completion{Kind: CompletesDump, Level: 6, Deadline: dumpDeadline},
		Source:     srcSysrq + "; kernel/sched/core.c (show_state_filter)",
	},
	{
		Key: 'x', Name: "xmon", Action: "Entering xmon", Danger: Crash,
		Effect: "stops the machine in the xmon debugger",
		Loses:  "the machine's service until somebody continues it in the debugger",
		Arch:   []string{"ppc64", "ppc64le", "ppc"}, Config: "XMON",
		Completion: Completion{Kind: CompletesUnseen, Deadline: defaultDeadline},
		Source:     "arch/powerpc/xmon/xmon.c, 6.1, 6.12, 7.2",
	},
	{
		Key: 'x', Name: "show-tlbs", Action: "Show TLB entries", Mask: MaskDump, Danger: Observe,
		Effect:     "prints the TLB of each processor",
		Arch:       []string{"mips", "mipsle", "mips64", "mips64le", "loong64"},
		Since:      "4.2", // on LoongArch 6.1 (dea2df3cc725); on MIPS d1e9a4f54735
		Completion: Completion{Kind: CompletesDump, Level: 4, Deadline: dumpDeadline},
		Source:     "arch/mips/kernel/sysrq.c, arch/loongarch/kernel/sysrq.c, 6.1, 6.12, 7.2",
	},
	{
		Key: 'x', Name: "global-pmu", Action: "Show Global PMU Regs", Danger: Observe,
		Effect:     "prints the performance counters of each processor",
		Arch:       []string{"sparc64"},
		Since:      "3.7", // 916ca14aaf12
		Completion: Completion{Kind: CompletesDump, Level: 4, Deadline: dumpDeadline},
		Source:     "arch/sparc/kernel/process_64.c, 6.1, 6.12, 7.2",
	},
	{
		Key: 'y', Name: "show-rcu", Action: "Show RCU tree", Mask: MaskDump, Danger: Observe,
		Effect: "prints the state of RCU",
		Since:  "5.1", // 2ccaff10f713
		Config: "boot parameter rcutree.sysrq_rcu=1",
		Completion: Completion{
			Kind: CompletesDump, Lines: []string{"rcu: "}, Level: 6, Deadline: dumpDeadline,
		},
		Source: "kernel/rcu/tree_stall.h, 6.1, 6.12, 7.2",
	},
	{
		Key: 'y', Name: "global-regs", Action: "Show Global CPU Regs", Danger: Observe,
		Effect:     "prints the registers of each processor",
		Arch:       []string{"sparc64"},
		Completion: Completion{Kind: CompletesDump, Level: 4, Deadline: dumpDeadline},
		Source:     "arch/sparc/kernel/process_64.c, 6.1, 6.12, 7.2",
	},
	{
		// The body is at level 0, so every console has it; and tracing stops.
		Key: 'z', Name: "dump-ftrace-buffer", Action: "Dump ftrace buffer", Mask: MaskDump, Danger: Observe,
		Effect: "prints the ftrace buffer on every console, and stops tracing",
		Config: "TRACING",
		Completion: Completion{
			Kind: CompletesDump, Lines: []string{"Dumping ftrace buffer:"}, Level: 0, Deadline: dumpDeadline,
		},
		Source: srcSysrq + "; kernel/trace/trace.c",
	},
	{
		Key: 'D', Name: "dump-sched-ext", Action: "Trigger sched_ext debug dump", Mask: MaskRTNice, Danger: Observe,
		Effect: "writes sched_ext's state to the tracepoint sched_ext_dump, not to the log",
		Since:  "6.12", Config: "SCHED_CLASS_EXT",
		Completion: Completion{Kind: CompletesUnseen, Deadline: defaultDeadline},
		Source:     "kernel/sched/ext.c, 6.12; kernel/sched/ext/ext.c, 7.2",
	},
	{
		// It prints old headers again: see rescue for why none of them counts.
		Key: 'R', Name: "replay-kernel-logs", Action: "Replay kernel logs on consoles", Mask: MaskDump, Danger: Observe,
		Effect: "prints the whole kernel log on every console once more",
		Since:  "6.10",
		Completion: Completion{
			Kind: CompletesUnseen, Deadline: defaultDeadline,
		},
		Source: "drivers/tty/sysrq.c, 6.12, 7.2",
	},
	{
		Key: 'S', Name: "reset-sched-ext", Action: "Disable sched_ext and revert all tasks to CFS", Mask: MaskRTNice, Danger: Tune,
		Effect: "ends the loaded BPF scheduler and gives its tasks back to the kernel's own",
		Since:  "6.12", Config: "SCHED_CLASS_EXT", Deferred: true,
		Completion: Completion{
			Kind: CompletesLine, Lines: []string{
				"sched_ext: BPF scheduler not yet used", "sched_ext: BPF schedulers not loaded",
				"sched_ext: BPF scheduler \"", "sched_ext: \"",
			},
			Level: 6, Deadline: defaultDeadline,
		},
		Source: "kernel/sched/ext.c, 6.12; kernel/sched/ext/ext.c, 7.2",
	},
}...)

func loglevels() []Command {
	all := make([]Command, 0, 64)
	for k := Key('0'); k <= '9'; k++ {
		all = append(all, Command{
			Key: k, Name: "loglevel", Action: "Changing Loglevel", Mask: MaskLog, Danger: Tune,
			Effect: "lets messages more urgent than level " + k.String() + " reach the console",
			Completion: Completion{
				Kind: CompletesLine, Lines: []string{"Loglevel set to " + k.String()},
				Level: 6, Deadline: defaultDeadline,
			},
			Source: srcSysrq,
		})
	}
	return all
}
