package render

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/sysrq/sysrq/diagnose"
	"github.com/sysrq/sysrq/dump"
)

// A made-up machine that hangs: a frozen file system, a deadlock, an NFS server
// that is gone, and as many sleeping tasks as one likes. Its log, its blocks and
// its report agree with each other.

type made struct {
	lines  []string
	blocks []*dump.Block
	report *diagnose.Report
}

func (m *made) input() Input {
	return Input{
		Title: "made-up.log", Report: m.report, Blocks: slices.Values(m.blocks), Version: "test",
		Lines:  slices.Values(m.lines),
		Counts: dump.Counts{Lines: int64(len(m.lines)), Log: 2, Unread: 1},
	}
}

func frames(text string) []dump.Frame {
	var list []dump.Frame
	for i, w := range strings.Fields(text) {
		f := dump.Frame{Offset: uint32(0x10 + 7*i), Size: 0x200}
		if rest, ok := strings.CutPrefix(w, "?"); ok {
			f.Guess, w = true, rest
		}
		f.Func, f.Module, _ = strings.Cut(w, "@")
		list = append(list, f)
	}
	return list
}

const entry = " do_syscall_64 entry_SYSCALL_64_after_hwframe"

var (
	freezeOpen = frames("__schedule schedule percpu_rwsem_wait ?__pfx_percpu_rwsem_wake_function __percpu_down_read mnt_want_write path_openat do_filp_open do_sys_openat2 __x64_sys_openat" + entry)
	freezeDir  = frames("__schedule schedule percpu_rwsem_wait __percpu_down_read mnt_want_write filename_create do_mkdirat __x64_sys_mkdir" + entry)
	abba       = frames("__schedule schedule schedule_preempt_disabled __mutex_lock.constprop.0 abba_lock_b@abba kthread ret_from_fork ret_from_fork_asm")
	nfsGetattr = frames("__schedule schedule rpc_wait_bit_killable@sunrpc __wait_on_bit out_of_line_wait_on_bit __rpc_execute@sunrpc rpc_execute@sunrpc rpc_run_task@sunrpc nfs4_call_sync@nfsv4 nfs4_proc_getattr@nfsv4 __nfs_revalidate_inode@nfs nfs_getattr@nfs vfs_statx __do_sys_newfstatat" + entry)
	jbd2       = frames("__schedule schedule io_schedule bit_wait_io __wait_on_bit out_of_line_wait_on_bit __wait_on_buffer jbd2_journal_commit_transaction@jbd2 kjournald2@jbd2 kthread ret_from_fork")
)

// sleepers are what idle tasks look like: heads and tails in all combinations.
func sleepers() [][]dump.Frame {
	heads := []string{
		"do_nanosleep hrtimer_nanosleep common_nsleep __x64_sys_clock_nanosleep",
		"schedule_hrtimeout_range_clock ep_poll do_epoll_wait __x64_sys_epoll_wait",
		"futex_wait_queue __futex_wait futex_wait do_futex __x64_sys_futex",
		"schedule_hrtimeout_range_clock poll_schedule_timeout.constprop.0 do_sys_poll __x64_sys_poll",
		"do_wait kernel_wait4 __do_sys_wait4",
		"pipe_read vfs_read ksys_read __x64_sys_read",
		"unix_stream_read_generic unix_stream_recvmsg sock_recvmsg sock_read_iter vfs_read ksys_read __x64_sys_read",
		"do_sigtimedwait.isra.0 __x64_sys_rt_sigtimedwait",
		"inet_csk_accept inet_accept do_accept __sys_accept4 __x64_sys_accept4",
	}
	var list [][]dump.Frame
	for _, h := range heads {
		for i := range 30 {
			extra := ""
			if i > 0 {
				extra = fmt.Sprintf(" seccomp_filter_%d __secure_computing syscall_trace_enter.constprop.0", i)
			}
			list = append(list, frames("__schedule schedule "+h+extra+entry))
		}
	}
	for _, k := range []string{"worker_thread", "rcu_gp_kthread", "smpboot_thread_fn", "kswapd@vmscan", "kcompactd"} {
		list = append(list, frames("__schedule schedule "+k+" kthread ret_from_fork ret_from_fork_asm"))
	}
	return list
}

// makeMachine makes one with n tasks.
func makeMachine(n int) *made {
	rnd := rand.New(rand.NewPCG(1, uint64(n)))
	m := &made{report: &diagnose.Report{
		Machine: diagnose.Machine{Release: "6.12.95+deb13-amd64", Hardware: "Example Corp Model 7/0ABC12, BIOS 1.2.3 04/01/2024", Taint: "GOE", Boots: 1},
		Kinds:   map[dump.Kind]int{},
	}}
	now := 5748.0
	say := func(format string, args ...any) int64 {
		now += 0.000031
		m.lines = append(m.lines, fmt.Sprintf("[%12.6f] ", now)+fmt.Sprintf(format, args...))
		return int64(len(m.lines))
	}
	add := func(kind dump.Kind, first int64, command string, body dump.Body) *dump.Block {
		b := &dump.Block{
			Kind: kind, First: first, Last: int64(len(m.lines)), Boot: 1, Body: body,
			HasTime: true, Time: time.Duration(now * float64(time.Second)), Dump: m.report.Dumps, Command: command,
		}
		m.blocks = append(m.blocks, b)
		m.report.Kinds[kind]++
		return b
	}
	header := func(action, key, command string) {
		m.report.Dumps++
		add(dump.KindHeader, say("sysrq: %s", action), command, &dump.Header{Action: action, Key: key})
	}
	stackLines := func(stack []dump.Frame) {
		say("Call Trace:")
		say(" <TASK>")
		for _, f := range stack {
			lead, tail := " ", ""
			if f.Guess {
				lead = " ? "
			}
			if f.Module != "" {
				tail = " [" + f.Module + "]"
			}
			say("%s%s+%#x/%#x%s", lead, f.Func, f.Offset, f.Size, tail)
		}
		say(" </TASK>")
	}
	groups := map[string]*diagnose.Group{}
	var order []string
	task := func(comm, state string, pid, ppid int, stack []dump.Frame, wait, workqueue string) dump.Span {
		first := say("task:%-15.15s state:%s stack:0     pid:%-5d tgid:%-5d ppid:%-6d flags:0x00004002", comm, state, pid, pid, ppid)
		if workqueue != "" {
			say("Workqueue: %s", workqueue)
		}
		stackLines(stack)
		b := add(dump.KindTask, first, "show-task-states", &dump.Task{
			Comm: comm, State: state, PID: pid, TGID: pid, PPID: ppid, Flags: 0x4002, HasFlags: true,
			Workqueue: workqueue, Stack: stack, Syscall: -1,
		})
		at := dump.Span{First: b.First, Last: b.Last}
		ref := diagnose.TaskRef{Comm: comm, PID: pid}
		if state == "D" {
			m.report.Blocked = append(m.report.Blocked, diagnose.Blocked{
				Comm: comm, PID: pid, Wait: wait, For: "the file system on sdb1", Seen: 1, Lines: []dump.Span{at},
			})
		}
		var k strings.Builder
		k.WriteString(state)
		for i := range stack {
			k.WriteString(stack[i].Func)
			k.WriteByte(' ')
		}
		g := groups[k.String()]
		if g == nil {
			g = &diagnose.Group{Wait: wait, State: state, Stack: stack, Workqueue: workqueue}
			groups[k.String()] = g
			order = append(order, k.String())
		}
		g.Count++
		g.Tasks = append(g.Tasks, ref)
		g.Lines = append(g.Lines, at)
		return at
	}

	say("Linux version 6.12.95+deb13-amd64 (debian-kernel@lists.example.org) (gcc-14) #1 SMP")
	say("systemd[1]: Started Session 3 of user alice.")
	first := say("INFO: task jbd2/sdb1-8:412 blocked for more than 120 seconds.")
	say("      Tainted: G           OE      6.12.95+deb13-amd64 #1")
	say(`"echo 0 > /proc/sys/kernel/hung_task_timeout_secs" disables this message.`)
	say("task:jbd2/sdb1-8     state:D stack:0     pid:412   tgid:412   ppid:2      flags:0x00004000")
	stackLines(jbd2)
	say("INFO: task jbd2/sdb1-8:412 is blocked on a mutex likely owned by task fsfreeze:179.")
	hung := dump.Span{First: first, Last: int64(len(m.lines))}
	add(dump.KindHungTask, first, "", &dump.Task{
		Comm: "jbd2/sdb1-8", State: "D", PID: 412, TGID: 412, PPID: 2, Stack: jbd2, HungSeconds: 120, Syscall: -1,
		Blocker: &dump.Blocker{Lock: "mutex", Comm: "fsfreeze", PID: 179, Known: true},
		System:  dump.System{Release: "6.12.95+deb13-amd64", Taint: "GOE"},
	})

	header("Show State", "t", "show-task-states")
	g := &m.report.Graph
	node := func(n diagnose.GraphNode) int {
		g.Nodes = append(g.Nodes, n)
		return len(g.Nodes) - 1
	}
	edge := func(from, to int, why string, c diagnose.Confidence) {
		g.Edges = append(g.Edges, diagnose.Edge{From: from, To: to, Why: why, Confidence: c})
	}
	refs := func(comm string, pid int) []diagnose.TaskRef { return []diagnose.TaskRef{{Comm: comm, PID: pid}} }
	frozen := node(diagnose.GraphNode{Kind: diagnose.NodeDevice, Label: "file system on sdb1, frozen", Root: true})
	var freezeLines []dump.Span
	var freezeTasks []diagnose.TaskRef
	pid := 170
	blocked := min(max(n/50, 6), 60)
	for i := range blocked {
		pid++
		comm, stack := "postgres", freezeOpen
		if i%3 == 0 {
			comm, stack = "mkdir", freezeDir
		}
		at := task(comm, "D", pid, 1, stack, "superblock freeze", "")
		freezeLines = append(freezeLines, at)
		freezeTasks = append(freezeTasks, diagnose.TaskRef{Comm: comm, PID: pid})
		edge(node(diagnose.GraphNode{Kind: diagnose.NodeTasks, Label: fmt.Sprintf("%s %d", comm, pid), Tasks: refs(comm, pid), Wait: "superblock freeze", Lines: []dump.Span{at}}), frozen, "waits for the thaw", diagnose.Certain)
	}
	jt := task("jbd2/sdb1-8", "D", 412, 2, jbd2, "buffer", "")
	j := node(diagnose.GraphNode{Kind: diagnose.NodeTasks, Label: "jbd2/sdb1-8 412", Tasks: refs("jbd2/sdb1-8", 412), Wait: "buffer", Lines: []dump.Span{jt}})
	lock := node(diagnose.GraphNode{Kind: diagnose.NodeLock, Label: "mutex of fsfreeze 179"})
	edge(j, lock, "the kernel says so", diagnose.Certain)
	edge(lock, frozen, "its holder waits", diagnose.Likely)
	a := task("abba-one", "D", 501, 2, abba, "mutex", "")
	b := task("abba-two", "D", 502, 2, abba, "mutex", "")
	one := node(diagnose.GraphNode{Kind: diagnose.NodeTasks, Label: "abba-one 501", Tasks: refs("abba-one", 501), Wait: "mutex", Cycle: true, Lines: []dump.Span{a}})
	two := node(diagnose.GraphNode{Kind: diagnose.NodeTasks, Label: "abba-two 502", Tasks: refs("abba-two", 502), Wait: "mutex", Cycle: true, Lines: []dump.Span{b}})
	edge(one, two, "mutex B, held since abba_lock_a", diagnose.Certain)
	edge(two, one, "mutex A", diagnose.Certain)
	victim := task("cat", "D", 510, 400, abba, "mutex", "")
	edge(node(diagnose.GraphNode{Kind: diagnose.NodeTasks, Label: "cat 510", Tasks: refs("cat", 510), Wait: "mutex", Lines: []dump.Span{victim}}), one, "mutex A", diagnose.Possible)
	server := node(diagnose.GraphNode{Kind: diagnose.NodeDevice, Label: "NFS server 192.0.2.17", Root: true})
	var nfs []dump.Span
	for i := range 4 {
		at := task([]string{"df", "ls", "python3", "updatedb"}[i], "D", 600+i, 1, nfsGetattr, "NFS server", "")
		nfs = append(nfs, at)
		edge(node(diagnose.GraphNode{Kind: diagnose.NodeTasks, Label: fmt.Sprintf("task %d", 600+i), Tasks: refs([]string{"df", "ls", "python3", "updatedb"}[i], 600+i), Wait: "NFS server", Lines: []dump.Span{at}}), server, "RPC without an answer", diagnose.Likely)
	}
	flush := task("kworker/u8:2", "D", 77, 2, frames("__schedule schedule io_schedule wbt_wait rq_qos_wait blk_mq_submit_bio submit_bio_noacct ext4_writepages@ext4 do_writepages __writeback_single_inode writeback_sb_inodes wb_writeback wb_workfn process_one_work worker_thread kthread ret_from_fork"), "writeback throttle", "writeback wb_workfn (flush-8:16)")
	edge(node(diagnose.GraphNode{Kind: diagnose.NodeTasks, Label: "kworker/u8:2 77", Tasks: refs("kworker/u8:2", 77), Wait: "writeback throttle", Lines: []dump.Span{flush}}), lock, "page under writeback", diagnose.Possible)

	sleep := sleepers()
	comms := []string{"nginx", "systemd", "sshd", "bash", "java", "postgres", "redis-server", "containerd-shim", "kworker/3:1-events", "dockerd", "python3", "cron", "Web Content", "node"}
	for len(m.blocks) < n {
		pid = 1000 + len(m.blocks)
		task(comms[rnd.IntN(len(comms))], "S", pid, 1+rnd.IntN(900), sleep[min(rnd.IntN(len(sleep)), rnd.IntN(len(sleep)))], "", "")
	}

	header("Show backtrace of all active CPUs", "l", "show-backtrace-all-active-cpus")
	for cpu := range 4 {
		first := say("NMI backtrace for cpu %d", cpu)
		if cpu == 3 {
			m.lines[first-1] = strings.TrimSuffix(m.lines[first-1], " for cpu 3") + " for cpu 3 skipped: idling at default_idle+0x13/0x20"
			add(dump.KindCPU, first, "", &dump.CPU{CPU: 3, PID: -1, Idle: true, IP: &dump.Frame{Func: "default_idle", Offset: 0x13, Size: 0x20}})
			continue
		}
		say("CPU: %d UID: 0 PID: %d Comm: spin Tainted: G           OE      6.12.95+deb13-amd64 #1", cpu, 900+cpu)
		say("RIP: 0010:native_queued_spin_lock_slowpath+0x21f/0x2d0")
		st := frames("native_queued_spin_lock_slowpath _raw_spin_lock_irqsave abba_spin@abba kthread ret_from_fork")
		stackLines(st)
		add(dump.KindCPU, first, "", &dump.CPU{
			CPU: cpu, Comm: "spin", PID: 900 + cpu, IP: &st[0], IRQsOff: cpu == 1, Stack: st,
			System: dump.System{Release: "6.12.95+deb13-amd64", Taint: "GOE"},
		})
	}
	header("Show Memory", "m", "show-memory-usage")
	first = say("Mem-Info:")
	say("active_anon:12 inactive_anon:9831 isolated_anon:0")
	memory := &dump.Memory{
		Pages: []dump.Counter{{Name: "active_anon", Value: 12}, {Name: "inactive_anon", Value: 9831}, {Name: "free", Value: 2210}, {Name: "slab_unreclaimable", Value: 91200}},
		Nodes: []dump.Node{{Node: 0, Counters: []dump.Counter{{Name: "active_anon", Value: 48}}, Unreclaimable: true}},
		Zones: []dump.Zone{{
			Node: 0, Name: "DMA32", Counters: []dump.Counter{{Name: "free", Value: 8840}, {Name: "min", Value: 5632}, {Name: "low", Value: 7040}, {Name: "high", Value: 8448}, {Name: "managed", Value: 466000}},
			Lowmem: []int64{0, 0, 0}, FreeKB: 8840, Orders: []dump.Order{{KB: 4, Count: 1210, Types: "UME"}, {KB: 8, Count: 500, Types: "UM"}, {KB: 16, Count: 0}, {KB: 32, Count: 0}, {KB: 64, Count: 0}},
		}},
		SwapFree: 0, SwapTotal: 0, RAM: 131000, Reserved: 14500, PageCache: 8921,
		Slabs: []dump.Slab{{Name: "dentry", UsedKB: 320000, TotalKB: 330120}, {Name: "kmalloc-64", UsedKB: 21000, TotalKB: 22000}},
		Huge:  []dump.HugePages{{Node: 0, KB: 2048}},
	}
	add(dump.KindMemory, first, "", memory)

	first = say("java invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0")
	say("[    612]  1000   612   210332    90211   811008        0             0 java")
	kill := say("Out of memory: Killed process 612 (java) total-vm:841328kB, anon-rss:360844kB, file-rss:0kB, shmem-rss:0kB, UID:1000")
	add(dump.KindOOM, first, "", &dump.OOM{
		Invoker: "java", GFP: "0xcc0(GFP_KERNEL)", Constraint: "CONSTRAINT_NONE", TaskMemcg: "/system.slice/app.service", UsageKB: -1, LimitKB: -1,
		Tasks: []dump.OOMTask{
			{PID: 612, UID: 1000, TGID: 612, TotalVM: 210332, RSS: 90211, PageTables: 811008, Name: "java"},
			{PID: 1, TGID: 1, TotalVM: 42000, RSS: 1200, PageTables: 90000, Name: "systemd"},
		},
		Victim: &dump.Victim{Comm: "java", PID: 612, UID: 1000, TotalVM: 841328, AnonRSS: 360844},
		Memory: memory, CPU: dump.CPU{CPU: 1, PID: 612, Comm: "java"},
	})
	first = say("Showing all locks held in the system:")
	say("2 locks held by abba-one/501:")
	say(" #0: ffffffffc0a52018 (lock_a){+.+.}-{3:3}, at: abba_lock_a+0x10/0x200 [abba]")
	add(dump.KindLocks, first, "", &dump.Locks{Holders: []dump.Holder{
		{Comm: "abba-one", PID: 501, Count: 2, Held: []dump.HeldLock{{Addr: "ffffffffc0a52018", Name: "lock_a", Usage: "+.+.", At: dump.Frame{Func: "abba_lock_a", Module: "abba"}}}},
	}})
	first = say("Showing busy workqueues and worker pools:")
	say("workqueue writeback: flags=0x4a")
	add(dump.KindWorkqueues, first, "", &dump.Workqueues{
		Queues: []dump.Queue{{Name: "writeback", Flags: 0x4a, Pools: []dump.PoolWork{{Pool: 8, CPUs: "0-3", Active: 1, Max: 256, InFlight: []dump.Work{{PID: 77, Func: "wb_workfn"}}, Pending: []string{"wb_workfn"}}}}},
		Pools:  []dump.Pool{{ID: 8, CPUs: "0-3", Hung: 64, Workers: 6, Manager: 90, Idle: []int{91, 92}}},
	})
	first = say("watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [spin:901]")
	lockup := dump.Span{First: first, Last: first}
	add(dump.KindSoftLockup, first, "", &dump.Report{
		Title: "watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [spin:901]", Seconds: 22,
		CPU: dump.CPU{CPU: 1, Comm: "spin", PID: 901, Stack: frames("native_queued_spin_lock_slowpath _raw_spin_lock")},
	})
	first = say("task:\x1b[31mgarbage</script><!-- state:")
	add(dump.KindUnread, first, "", &dump.Unread{Lines: 1, Text: "task:\x1b[31mgarbage</script><!-- state:"})

	for _, k := range order {
		m.report.Groups = append(m.report.Groups, *groups[k])
	}
	m.report.Findings = []diagnose.Finding{
		{
			ID: "slab", Title: "A slab cache, dentry, holds 63 % of the memory", Severity: diagnose.Warning, Confidence: diagnose.Possible,
			Suspect: "slab dentry", Detail: "330120 kB of 524000 kB are in one cache that is not reclaimed.",
			Lines: []dump.Span{{First: kill - 4, Last: kill - 3}}, Next: "Look at /proc/slabinfo twice, a minute apart.", Refute: "the cache shrinks after echo 2 > /proc/sys/vm/drop_caches",
		},
		{
			ID: "superblock-freeze", Title: fmt.Sprintf("The file system on sdb1 is frozen, and %d tasks that want to write wait for its thaw", blocked),
			Severity: diagnose.Critical, Confidence: diagnose.Certain, Suspect: "fsfreeze 179",
			Detail: "All of them sleep in mnt_want_write. The kernel says that fsfreeze 179 likely owns the mutex that jbd2/sdb1-8 waits for, and nobody else holds the superblock.",
			Lines:  append([]dump.Span{hung}, freezeLines...), Next: "Thaw it: fsfreeze --unfreeze MOUNTPOINT, or press SysRq j, which thaws all file systems.",
			Refute: "the tasks have moved in a second dump", Tasks: append(refs("fsfreeze", 179), freezeTasks...),
		},
		{
			ID: "deadlock", Title: "Two kernel threads of the module abba wait for each other: a deadlock", Severity: diagnose.Critical, Confidence: diagnose.Likely,
			Suspect: "module abba", Detail: "abba-one 501 holds lock_a and wants lock_b; abba-two 502 the other way round.", Lines: []dump.Span{a, b},
			Next: "Only a reboot ends it: sysrq reisub. Report it to the module's author with this page.", Refute: "one of them runs again", Tasks: append(refs("abba-one", 501), refs("abba-two", 502)...),
		},
		{
			ID: "nfs", Title: "Four tasks wait for an NFS server that does not answer", Severity: diagnose.Warning, Confidence: diagnose.Likely,
			Suspect: "NFS server 192.0.2.17", Lines: nfs, Next: "Ping it, and look for 'not responding' in the log.", Refute: "",
		},
		{
			ID: "soft-lockup", Title: "Processor 1 was busy in the kernel for 22 s without a break", Severity: diagnose.Warning, Confidence: diagnose.Certain,
			Suspect: "spin 901", Lines: []dump.Span{lockup}, Next: "See what holds the spinlock that it waits for.",
		},
		{
			ID: "taint", Title: "Modules from outside the kernel's tree are loaded", Severity: diagnose.Info, Confidence: diagnose.Certain,
			Lines: []dump.Span{{First: 1, Last: 1}}, Next: "Nothing, unless a finding names one.",
		},
	}
	return m
}

// nothing is a log of which nothing is to be said.
func nothing() *made {
	return &made{report: &diagnose.Report{Findings: []diagnose.Finding{{
		ID: "nothing-wrong", Title: "Nothing is wrong here", Severity: diagnose.Info, Confidence: diagnose.Likely, Next: "Nothing.", Lines: []dump.Span{},
	}}}}
}
