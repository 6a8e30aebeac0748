package diagnose

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sysrq/sysrq/dump"
)

// lines gives each block of a made-up log its place.
type made struct {
	a    Analyzer
	line int64
	dump int
}

func (m *made) add(b *dump.Block) {
	if b.Kind == dump.KindHeader {
		m.dump++
	}
	b.First, b.Last = m.line+1, m.line+10
	m.line += 10
	b.Boot, b.Dump = max(b.Boot, 1), m.dump
	m.a.Add(b)
}

func asked(key string) *dump.Block {
	return &dump.Block{Kind: dump.KindHeader, Body: &dump.Header{Key: key, Action: "Show " + key}}
}

// stackOf reads "func+0x10 func[module]".
func stackOf(s string) []dump.Frame {
	var out []dump.Frame
	for _, f := range readStack(s) {
		name, off, ok := strings.Cut(f.Func, "+0x")
		f.Func = name
		if ok {
			fmt.Sscanf(off, "%x", &f.Offset)
			f.Size = 0x1000
		}
		out = append(out, f)
	}
	return out
}

func taskBlock(state string, pid int, comm, stack string) *dump.Block {
	return &dump.Block{Kind: dump.KindTask, Body: &dump.Task{
		Comm: comm, PID: pid, TGID: pid, PPID: 1, State: state, Syscall: -1, Running: state == "R", Stack: stackOf(stack),
	}}
}

func hungBlock(pid int, comm string, seconds int, blocker *dump.Blocker, stack string) *dump.Block {
	b := taskBlock("D", pid, comm, stack)
	b.Kind = dump.KindHungTask
	t := b.Body.(*dump.Task)
	t.HungSeconds, t.Blocker = seconds, blocker
	return b
}

const (
	mutexAt = "__schedule schedule schedule_preempt_disabled __mutex_lock "
	entry   = " do_syscall_64 entry_SYSCALL_64_after_hwframe"
)

func held(comm string, pid int, locks ...string) dump.Holder {
	h := dump.Holder{Comm: comm, PID: pid, Count: len(locks)}
	for _, l := range locks {
		addr, name, _ := strings.Cut(l, " ")
		h.Held = append(h.Held, dump.HeldLock{Addr: addr, Name: name, Usage: "{+.+.}-{3:3}", At: dump.Frame{Func: "take"}})
	}
	return h
}

func TestDeadlockInTheListOfLocks(t *testing.T) {
	var m made
	m.add(asked("w"))
	m.add(taskBlock("D", 10, "alpha", mutexAt+"take_b[foo] foo_write[foo]"+entry))
	m.add(taskBlock("D", 11, "beta", mutexAt+"take_a[foo] foo_read[foo]"+entry))
	m.add(taskBlock("D", 12, "gamma", mutexAt+"take_a[foo] foo_read[foo]"+entry))
	m.add(asked("d"))
	m.add(&dump.Block{Kind: dump.KindLocks, Body: &dump.Locks{Holders: []dump.Holder{
		held("alpha", 10, "ff01 &a", "ff02 &b"), held("beta", 11, "ff02 &b", "ff01 &a"), held("gamma", 12, "ff01 &a"),
	}}})
	r := m.a.Report()
	sound(t, t.Name(), r)
	f := r.Findings[0]
	if f.ID != "deadlock" || f.Confidence != Certain || f.Severity != Critical || !strings.Contains(f.Suspect, "alpha (pid 10) and beta (pid 11)") && !strings.Contains(f.Suspect, "beta (pid 11) and alpha (pid 10)") {
		t.Errorf("said %+v", f)
	}
	if !strings.Contains(f.Title, "1 other waits behind them") || len(r.Findings) != 1 {
		t.Errorf("of the third task: %q, %d findings", f.Title, len(r.Findings))
	}
	n := 0
	for _, g := range r.Graph.Nodes {
		if g.Cycle && g.Kind == NodeTasks {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d nodes are in the circle", n)
	}
}

// Three readers and writers in a ring, none of them in one function.
func TestDeadlockOfThree(t *testing.T) {
	var m made
	m.add(asked("t"))
	for i := range 3 {
		m.add(taskBlock("D", 20+i, fmt.Sprint("t", i), mutexAt+fmt.Sprintf("f%d[foo] g%d[foo]", i, i)+entry))
	}
	m.add(&dump.Block{Kind: dump.KindLocks, Body: &dump.Locks{Holders: []dump.Holder{
		held("t0", 20, "a &a", "b &b"), held("t1", 21, "b &b", "c &c"), held("t2", 22, "c &c", "a &a"),
	}}})
	f := m.a.Report().Findings[0]
	if f.ID != "deadlock" || f.Confidence != Certain || len(f.Tasks) != 3 {
		t.Errorf("said %+v", f)
	}
}

func TestDeadlockByBlockerLines(t *testing.T) {
	var m made
	m.add(hungBlock(10, "alpha", 120, &dump.Blocker{Lock: "mutex", Comm: "beta", PID: 11, Known: true}, mutexAt+"take_b foo_write"+entry))
	m.add(hungBlock(11, "beta", 120, &dump.Blocker{Lock: "mutex", Comm: "alpha", PID: 10, Known: true}, mutexAt+"take_a foo_read"+entry))
	f := m.a.Report().Findings[0]
	if f.ID != "deadlock" || f.Confidence != Certain || !strings.Contains(f.Suspect, "alpha (pid 10)") {
		t.Errorf("said %+v", f)
	}
}

// A chain: two wait for a mutex, its holder for the journal, the journal's
// thread for the disk.
func TestChain(t *testing.T) {
	var m made
	m.add(asked("w"))
	m.add(taskBlock("D", 30, "one", mutexAt+"foo_fsync_all vfs_foo"+entry))
	m.add(taskBlock("D", 31, "two", mutexAt+"foo_fsync_all vfs_foo"+entry))
	m.add(taskBlock("D", 32, "three", "__schedule schedule jbd2_log_wait_commit jbd2_complete_transaction ext4_sync_file foo_fsync_all vfs_foo"+entry))
	m.add(taskBlock("D", 33, "jbd2/sdb1-8", "__schedule schedule io_schedule bit_wait_io __wait_on_bit out_of_line_wait_on_bit __wait_on_buffer jbd2_journal_commit_transaction kjournald2 kthread ret_from_fork"))
	r := m.a.Report()
	sound(t, t.Name(), r)
	if len(r.Findings) != 1 {
		t.Fatalf("%d findings: %+v", len(r.Findings), r.Findings)
	}
	f := r.Findings[0]
	if f.ID != "block-device" || !strings.Contains(f.Suspect, "sdb1") || !strings.Contains(f.Title, "3 others wait behind it") || f.Tasks[0].Comm != "jbd2/sdb1-8" {
		t.Errorf("said %+v", f)
	}
	root := ""
	for _, n := range r.Graph.Nodes {
		if n.Root {
			root += n.Label
		}
	}
	if root != "jbd2/sdb1-8 (pid 33)" {
		t.Errorf("the root is %q", root)
	}
}

// The holder runs, sleeps or waits: it is inside the function that the others
// want to enter.
func TestHolderInTheSameFunction(t *testing.T) {
	for _, c := range []struct{ state, stack, want string }{
		{"S", "__schedule schedule schedule_timeout foo_sleep[foo] foo_open+0x80[foo] vfs_foo" + entry, "sleeps in"},
		{"R", "foo_loop[foo] foo_open+0x80[foo] vfs_foo" + entry, "is running, in foo_loop"},
	} {
		var m made
		m.add(asked("t"))
		m.add(taskBlock("D", 40, "one", mutexAt+"foo_open+0x20[foo] vfs_foo"+entry))
		m.add(taskBlock("D", 41, "two", mutexAt+"foo_open+0x20[foo] vfs_foo"+entry))
		m.add(taskBlock(c.state, 42, "holder", c.stack))
		f := m.a.Report().Findings[0]
		if f.ID != "mutex" || !strings.HasPrefix(f.Suspect, "holder (pid 42)") || !strings.Contains(f.Title, c.want) {
			t.Errorf("%s: said %+v", c.state, f)
		}
	}
	// Who has not come to the lock yet does not have it.
	var m made
	m.add(asked("t"))
	m.add(taskBlock("D", 40, "one", mutexAt+"foo_open+0x90[foo] vfs_foo"+entry))
	m.add(taskBlock("S", 42, "early", "__schedule schedule schedule_timeout bar_sleep foo_open+0x20[foo] vfs_foo"+entry))
	if f := m.a.Report().Findings[0]; strings.Contains(f.Suspect, "early") {
		t.Errorf("accused who waits before the lock: %+v", f)
	}
}

// Two locks in one function: who waits at the second has the first.
func TestTwoLocksOfOneFunction(t *testing.T) {
	var m made
	m.add(asked("w"))
	m.add(taskBlock("D", 50, "a", mutexAt+"ab+0x27[foo] foo_open[foo]"+entry))
	m.add(taskBlock("D", 51, "b", mutexAt+"ba+0x27[foo] foo_open[foo]"+entry))
	m.add(taskBlock("D", 52, "c", mutexAt+"ab+0x11[foo] foo_open[foo]"+entry))
	f := m.a.Report().Findings[0]
	if f.ID != "deadlock" || f.Confidence == Certain || strings.Contains(f.Suspect, "c (pid") {
		t.Errorf("said %+v", f)
	}
}

// A driver that takes rtnl again when rtnl's holder has it resumed.
func TestLockTakenTwice(t *testing.T) {
	var m made
	m.add(hungBlock(60, "ip", 120, nil, mutexAt+"mutex_lock rtnl_lock foo_resume[foo] pm_runtime_resume __pm_runtime_resume __dev_open __dev_change_flags do_setlink rtnetlink_rcv_msg"+entry))
	m.add(hungBlock(61, "other", 120, nil, mutexAt+"mutex_lock rtnl_lock bar_ioctl"+entry))
	f := m.a.Report().Findings[0]
	if f.ID != "deadlock" || !strings.Contains(f.Suspect, "ip (pid 60)") || !strings.Contains(f.Title, "taken itself") {
		t.Errorf("said %+v", f)
	}
}

// A page of a file system that has a server.
func TestPageOfAServer(t *testing.T) {
	var m made
	m.add(hungBlock(60, "cat", 120, nil, "__schedule schedule io_schedule folio_wait_bit_common filemap_update_page filemap_read fuse_file_read_iter[fuse]"+entry))
	if f := m.a.Report().Findings[0]; f.ID != "fuse-server" {
		t.Errorf("said %+v", f)
	}
}

func TestFlusherBehindAWorker(t *testing.T) {
	var m made
	m.add(asked("t"))
	w := taskBlock("D", 60, "kworker/u4:0", "__schedule schedule foo_never[foo] process_one_work worker_thread kthread ret_from_fork")
	w.Body.(*dump.Task).Workqueue = "foo_wq foo_never [foo]"
	m.add(w)
	m.add(taskBlock("D", 61, "one", "__schedule schedule schedule_timeout wait_for_completion __flush_work bar_close vfs_bar"+entry))
	m.add(&dump.Block{Kind: dump.KindWorkqueues, Body: &dump.Workqueues{Queues: []dump.Queue{{Name: "foo_wq", Pools: []dump.PoolWork{{
		InFlight: []dump.Work{{PID: 60, Func: "foo_never"}}, Inactive: []string{"foo_behind BAR(61)"},
	}}}}}})
	r := m.a.Report()
	f := r.Findings[0]
	if f.ID != "workqueue" || f.Tasks[0].PID != 60 || !strings.Contains(f.Title, "another waits behind it") || f.Confidence != Certain {
		t.Errorf("said %+v", f)
	}
}

func TestBlockedOnce(t *testing.T) {
	var m made
	wait := "__schedule schedule io_schedule folio_wait_bit_common folio_wait_writeback ext4_sync_file" + entry
	m.add(hungBlock(70, "dd", 120, nil, wait))
	m.add(hungBlock(70, "dd", 241, nil, wait))
	m.add(asked("w"))
	m.add(taskBlock("D", 70, "dd", wait))
	m.add(taskBlock("D", 71, "cp", wait))
	m.add(asked("w"))
	m.add(taskBlock("D", 71, "cp", "__schedule schedule io_schedule bit_wait_io __wait_on_buffer ext4_bread"+entry))
	h := hungBlock(72, "headless", 120, nil, "")
	h.Body.(*dump.Task).State = ""
	m.add(h)
	r := m.a.Report()
	if len(r.Blocked) != 3 {
		t.Fatalf("%d blocked: %+v", len(r.Blocked), r.Blocked)
	}
	dd, cp := r.Blocked[0], r.Blocked[1]
	if dd.Seconds != 241 || dd.Seen != 3 || dd.Moved || dd.Wait != "page-writeback" {
		t.Errorf("dd: %+v", dd)
	}
	if cp.Seen != 2 || !cp.Moved {
		t.Errorf("cp: %+v", cp)
	}
	if r.Blocked[2].Wait != "unknown" {
		t.Errorf("without a stack: %+v", r.Blocked[2])
	}
}

// What the parser hands out is used again.
func TestBlocksAreReused(t *testing.T) {
	var a Analyzer
	b := taskBlock("D", 80, "one", mutexAt+"foo_open"+entry)
	a.Add(b)
	d := b.Body.(*dump.Task)
	d.PID, d.Comm = 81, "two"
	for i := range d.Stack {
		d.Stack[i].Func = "gone"
	}
	l := &dump.Block{Kind: dump.KindLocks, Boot: 1, Body: &dump.Locks{Holders: []dump.Holder{held("one", 80, "a &a")}}}
	a.Add(l)
	l.Body.(*dump.Locks).Holders[0].Held[0].Name = "gone"
	r := a.Report()
	if s, _ := json.Marshal(r); strings.Contains(string(s), "gone") || len(r.Blocked) != 1 || r.Blocked[0].Comm != "one" {
		t.Errorf("%s", s)
	}
}

func TestGroups(t *testing.T) {
	var m made
	m.add(asked("t"))
	for i := range 5 {
		m.add(taskBlock("D", 90+i, "a", mutexAt+"foo_one foo_two foo_three foo_four vfs_foo"+entry))
	}
	m.add(taskBlock("D", 95, "b", mutexAt+"foo_one foo_two foo_three foo_four elsewhere"+entry))
	m.add(taskBlock("S", 96, "c", "__schedule schedule do_nanosleep"+entry))
	g := m.a.Report().Groups
	if len(g) != 2 || g[0].Count != 6 || g[0].State != "D" || g[0].Wait != "mutex" || g[1].State != "S" {
		t.Errorf("groups: %+v", g)
	}
}

// A bug of the kernel's in a task that then holds a lock is the cause.
func TestBugBeforeALock(t *testing.T) {
	var m made
	m.add(&dump.Block{Kind: dump.KindOops, Body: &dump.Report{Title: "BUG: kernel NULL pointer dereference", CPU: dump.CPU{
		CPU: 1, Comm: "xfs_io", PID: 5, IP: &dump.Frame{Func: "foo_insert"}, Stack: stackOf("foo_insert dax_fault handle_mm_fault" + entry),
	}}})
	m.add(asked("w"))
	m.add(taskBlock("D", 6, "xfs_io", "__schedule schedule rwsem_down_write_slowpath down_write exit_mmap mmput do_exit"+entry))
	r := m.a.Report()
	if f := r.Findings[0]; len(r.Findings) != 1 || f.ID != "bug" || !strings.Contains(f.Suspect, "foo_insert") || !strings.Contains(f.Title, "1 task waits for it") {
		t.Errorf("said %+v", r.Findings)
	}
}

func TestSignBeforeAStack(t *testing.T) {
	var m made
	m.a.Log(1, []byte("blk_update_request: I/O error, dev sdb, sector 2048 op 0x0:(READ) flags 0x0 phys_seg 1 prio class 0"))
	m.line = 5
	m.add(asked("w"))
	m.add(taskBlock("D", 7, "cat", "__schedule schedule io_schedule folio_wait_bit_common filemap_update_page filemap_read ext4_file_read_iter"+entry))
	r := m.a.Report()
	if f := r.Findings[0]; len(r.Findings) != 1 || f.ID != "block-device" || !strings.HasPrefix(f.Suspect, "disk sdb") {
		t.Errorf("said %+v", r.Findings)
	}
}

func TestVerdicts(t *testing.T) {
	var idle made
	idle.add(asked("t"))
	for i := range 30 {
		idle.add(taskBlock("S", 100+i, "sleeper", "__schedule schedule do_nanosleep hrtimer_nanosleep"+entry))
	}
	idle.add(asked("l"))
	idle.add(&dump.Block{Kind: dump.KindCPU, Body: &dump.CPU{CPU: 0, PID: 0, Comm: "swapper/0", Idle: true}})
	if f := idle.a.Report().Findings[0]; f.ID != "nothing-wrong" || f.Severity != Info {
		t.Errorf("idle: %+v", f)
	}
	var none Analyzer
	if f := none.Report().Findings[0]; f.ID != "nothing-wrong" {
		t.Errorf("an ordinary log: %+v", f)
	}
	var part made
	part.add(asked("t"))
	part.add(taskBlock("S", 1, "init", "__schedule schedule"))
	if f := part.a.Report().Findings[0]; f.ID != "not-enough" || !strings.Contains(f.Next, "sysrq observe") {
		t.Errorf("a piece of a dump: %+v", f)
	}
}

func TestRealtime(t *testing.T) {
	var m made
	m.add(asked("t"))
	m.add(&dump.Block{Kind: dump.KindSched, Body: &dump.Sched{CPUs: []dump.SchedCPU{{CPU: 1, Running: 3, Current: 9, Tasks: []dump.SchedTask{
		{State: "R", Current: true, Comm: "hog", PID: 9, Prio: 49}, {State: "R", Comm: "sh", PID: 10, Prio: 120}, {State: "R", Comm: "migration/1", PID: 11, Prio: 0},
	}}}}})
	r := m.a.Report()
	if f := r.Findings[0]; f.ID != "realtime-task" || f.Suspect != "hog (pid 9)" || f.Confidence != Likely || len(r.Findings) != 1 {
		t.Errorf("said %+v", r.Findings)
	}
}

func oomBlock(o *dump.OOM) *dump.Block {
	if o.Memory != nil && o.Memory.SwapTotal == 0 {
		o.Memory.SwapFree = 0
	}
	return &dump.Block{Kind: dump.KindOOM, Body: o}
}

// memory of 1 GiB, as counters.
func memoryOf(counters map[string]int64, slabs ...dump.Slab) *dump.Memory {
	m := &dump.Memory{RAM: 262144, SwapTotal: 0, Slabs: slabs}
	for _, k := range []string{"active_anon", "inactive_anon", "slab_unreclaimable", "shmem", "free", "unevictable"} {
		m.Pages = append(m.Pages, dump.Counter{Name: k, Value: counters[k]})
	}
	return m
}

func TestMemory(t *testing.T) {
	small := []dump.OOMTask{{PID: 5, Name: "small", RSS: 1000}}
	big := append(small, dump.OOMTask{PID: 6, Name: "big", RSS: 200000})
	for name, c := range map[string]struct {
		o       dump.OOM
		id      string
		suspect string
	}{
		"slab": {dump.OOM{
			Tasks: small, Victim: &dump.Victim{Comm: "small", PID: 5},
			Memory: memoryOf(map[string]int64{"slab_unreclaimable": 150000}, dump.Slab{Name: "leak", TotalKB: 590000}),
		}, "slab", "leak"},
		"tmpfs":           {dump.OOM{Tasks: small, Victim: &dump.Victim{Comm: "small", PID: 5}, Memory: memoryOf(map[string]int64{"shmem": 150000})}, "tmpfs", "tmpfs"},
		"task":            {dump.OOM{Tasks: big, Victim: &dump.Victim{Comm: "big", PID: 6}, Memory: memoryOf(nil)}, "memory", "big (pid 6)"},
		"innocent victim": {dump.OOM{Tasks: big, Victim: &dump.Victim{Comm: "small", PID: 5}, Memory: memoryOf(nil)}, "memory", "big (pid 6)"},
		"group": {dump.OOM{
			Constraint: "CONSTRAINT_MEMCG", Memcg: "/lab", LimitKB: 4096, UsageKB: 4096, Tasks: big, Victim: &dump.Victim{Comm: "big", PID: 6},
		}, "cgroup-limit", "/lab"},
		"by hand": {dump.OOM{Order: -1, Tasks: small, Victim: &dump.Victim{Comm: "small", PID: 5}, Memory: memoryOf(map[string]int64{"free": 200000})}, "oom-by-hand", "SysRq f"},
	} {
		var m made
		m.add(oomBlock(&c.o))
		r := m.a.Report()
		sound(t, name, r)
		if f := r.Findings[0]; f.ID != c.id || !strings.Contains(f.Suspect, c.suspect) {
			t.Errorf("%s: said %+v", name, f)
		}
	}
}

func TestFragmentation(t *testing.T) {
	mem := memoryOf(map[string]int64{"free": 40000})
	mem.Zones = []dump.Zone{{Name: "Normal", Orders: []dump.Order{{KB: 4, Count: 30000}, {KB: 8, Count: 5000}, {KB: 16, Count: 0}, {KB: 32, Count: 0}, {KB: 64, Count: 0}}}}
	var m made
	m.add(&dump.Block{Kind: dump.KindAllocation, Body: &dump.OOM{Invoker: "modprobe", Order: 4, GFP: "0xcc0(GFP_KERNEL)", Memory: mem}})
	if f := m.a.Report().Findings[0]; f.ID != "fragmentation" {
		t.Errorf("said %+v", f)
	}
}

func TestCrashByHand(t *testing.T) {
	var m made
	m.add(asked("c"))
	m.add(&dump.Block{Kind: dump.KindPanic, Body: &dump.Report{Title: "Kernel panic - not syncing: sysrq triggered crash", CPU: dump.CPU{Comm: "sh", PID: 9}}})
	if f := m.a.Report().Findings[0]; f.ID != "crash" || !strings.Contains(f.Suspect, "by hand") {
		t.Errorf("said %+v", f)
	}
}

func TestHoldsTable(t *testing.T) {
	h := holds()
	if len(h.rows) < 40 {
		t.Errorf("%d rows", len(h.rows))
	}
	for _, bad := range []string{"id: a\nlabel: b", "id: a\nlabel: b\nwants: c\ninside: d\nfoo: e", "id: a\nlabel: b\nwants: c\ninside: d\nwithin: x"} {
		if _, err := readHolds("x", bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

// What may be another's is not certain.
func TestMixedIsNotCertain(t *testing.T) {
	var m made
	m.add(asked("w"))
	m.add(taskBlock("D", 10, "alpha", mutexAt+"take_b[foo] foo_write[foo]"+entry))
	m.add(taskBlock("D", 11, "beta", mutexAt+"take_a[foo] foo_read[foo]"+entry))
	m.add(&dump.Block{Kind: dump.KindLocks, Unsure: []dump.Doubt{dump.DoubtInterleaved}, Body: &dump.Locks{Holders: []dump.Holder{
		held("alpha", 10, "ff01 &a", "ff02 &b"), held("beta", 11, "ff02 &b", "ff01 &a"),
	}}})
	if f := m.a.Report().Findings[0]; f.ID != "deadlock" || f.Confidence == Certain {
		t.Errorf("said %+v", f)
	}
}
