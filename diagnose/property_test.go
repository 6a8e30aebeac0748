package diagnose

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/sysrq/sysrq/dump"
)

// words are functions of which random stacks are made: those that the tables
// know, and others.
var randomWords = []string{
	"__schedule", "schedule", "io_schedule", "schedule_timeout", "__mutex_lock", "mutex_lock", "rwsem_down_write_slowpath", "down_write", "__down", "down",
	"jbd2_journal_commit_transaction", "start_this_handle", "wait_transaction_locked", "ext4_map_blocks", "ext4_file_write_iter", "xlog_grant_head_wait", "xfs_log_reserve",
	"xlog_cil_push_work", "btrfs_commit_transaction", "wait_current_trans", "wait_for_commit", "flush_space", "wait_reserve_ticket", "wb_workfn", "wb_wait_for_completion",
	"folio_wait_bit_common", "filemap_read", "rpc_wait_bit_killable", "nfs_readdir_xdr_to_array", "md_super_wait", "raid5_make_request", "rq_qos_wait", "blk_mq_get_tag",
	"__flush_work", "process_one_work", "worker_thread", "kthread", "ret_from_fork", "do_syscall_64", "rtnl_lock", "rtnetlink_rcv_msg", "synchronize_rcu", "wait_for_completion",
	"native_queued_spin_lock_slowpath", "_raw_spin_lock", "do_idle", "vfs_read", "path_openat", "foo", "bar", "0xffff", "", "sysrq_handle_crash", "free_irq", "irq_thread",
}

func randomStack(r *rand.Rand) []dump.Frame {
	var s []dump.Frame
	for range r.IntN(14) {
		f := dump.Frame{Func: randomWords[r.IntN(len(randomWords))], Offset: uint32(r.IntN(64)), Size: uint32(r.IntN(3) * 64), Guess: r.IntN(5) == 0}
		if r.IntN(4) == 0 {
			f.Module = []string{"foo", "xfs", "nfs", "zfs"}[r.IntN(4)]
		}
		if r.IntN(12) == 0 {
			f.Context = "irq"
		}
		s = append(s, f)
	}
	return s
}

var randomComms = []string{"a", "b", "jbd2/sda1-8", "kworker/0:1", "xfsaild/dm-0", "md1_raid5", "irq/9-foo", "swapper/0", "", "we ird\n\xff", "txg_sync"}

func randomCPU(r *rand.Rand) dump.CPU {
	c := dump.CPU{CPU: r.IntN(5) - 1, Comm: randomComms[r.IntN(len(randomComms))], PID: r.IntN(12) - 1, Idle: r.IntN(5) == 0, User: r.IntN(5) == 0, IRQsOff: r.IntN(2) == 0, Stack: randomStack(r)}
	if r.IntN(2) == 0 {
		c.IP = &dump.Frame{Func: randomWords[r.IntN(len(randomWords))]}
	}
	return c
}

func randomMemory(r *rand.Rand) *dump.Memory {
	if r.IntN(3) == 0 {
		return nil
	}
	m := &dump.Memory{RAM: int64(r.IntN(3)) - 1, SwapFree: int64(r.IntN(3)) - 1, SwapTotal: int64(r.IntN(3)) - 1, Reserved: -1}
	for _, k := range []string{"free", "shmem", "slab_unreclaimable", "active_anon", "inactive_anon", "unevictable"} {
		if r.IntN(2) == 0 {
			m.Pages = append(m.Pages, dump.Counter{Name: k, Value: r.Int64N(1<<62) - 100})
		}
	}
	if r.IntN(2) == 0 {
		m.Zones = []dump.Zone{{Counters: []dump.Counter{{Name: "managed", Value: r.Int64N(1 << 40)}}, Orders: []dump.Order{{KB: int64(r.IntN(70)), Count: r.Int64N(1 << 40)}}}}
		m.Slabs = []dump.Slab{{Name: "x", TotalKB: r.Int64N(1 << 40)}}
	}
	return m
}

func randomBlock(r *rand.Rand) *dump.Block {
	b := &dump.Block{First: r.Int64N(1000), Boot: r.IntN(3) + 1, Dump: r.IntN(4), Command: "x"}
	b.Last = b.First + r.Int64N(50)
	if r.IntN(6) == 0 {
		b.Unsure = []dump.Doubt{dump.DoubtTorn}
	}
	kinds := []dump.Kind{dump.KindOops, dump.KindPanic, dump.KindWarning, dump.KindLockdep, dump.KindSoftLockup, dump.KindHardLockup, dump.KindRCUStall, dump.KindWorkLockup}
	lock := func() dump.HeldLock {
		return dump.HeldLock{Addr: []string{"a", "b", "c", ""}[r.IntN(4)], Name: []string{"rtnl_mutex", "&x", "<RELEASED>", ""}[r.IntN(4)], At: dump.Frame{Func: randomWords[r.IntN(len(randomWords))]}}
	}
	comm := func() string { return randomComms[r.IntN(len(randomComms))] }
	switch r.IntN(16) {
	case 0:
		b.Kind, b.Body = dump.KindHeader, &dump.Header{Key: []string{"w", "t", "l", "m", "c", ""}[r.IntN(6)], Refused: r.IntN(5) == 0}
	case 1, 2:
		b.Kind = kinds[r.IntN(len(kinds))]
		rep := &dump.Report{Title: []string{"Kernel panic - not syncing: hung_task: blocked tasks", "Kernel panic - not syncing: Out of memory", "BUG: x", ""}[r.IntN(4)], CPU: randomCPU(r), Starved: r.IntN(2) == 0}
		for range r.IntN(3) {
			rep.CPUs, rep.Tasks, rep.Locks = append(rep.CPUs, r.IntN(4)), append(rep.Tasks, r.IntN(12)), append(rep.Locks, "&l")
		}
		b.Body = rep
	case 3:
		c := randomCPU(r)
		b.Kind, b.Body = dump.KindCPU, &c
	case 4:
		l := &dump.Locks{Off: r.IntN(9) == 0}
		for range r.IntN(6) {
			h := dump.Holder{Comm: comm(), PID: r.IntN(12), Count: r.IntN(4)}
			for range r.IntN(4) {
				h.Held = append(h.Held, lock())
			}
			l.Holders = append(l.Holders, h)
		}
		b.Kind, b.Body = dump.KindLocks, l
	case 5:
		w := &dump.Workqueues{Pools: []dump.Pool{{Hung: r.IntN(40)}}}
		w.Queues = []dump.Queue{{Name: "q", Pools: []dump.PoolWork{{InFlight: []dump.Work{{PID: r.IntN(12), Func: "f"}, {PID: -1, Func: "BAR(3)"}}, Pending: []string{fmt.Sprintf("BAR(%d)", r.IntN(12)), "BAR(x"}}}}}
		b.Kind, b.Body = dump.KindWorkqueues, w
	case 6:
		s := &dump.Sched{CPUs: []dump.SchedCPU{{CPU: 0, Current: 3, Tasks: []dump.SchedTask{{State: "R", Comm: comm(), PID: r.IntN(12), Prio: r.IntN(140) - 1}}}}}
		b.Kind, b.Body = dump.KindSched, s
	case 7:
		o := &dump.OOM{Order: r.IntN(40) - 2, Constraint: []string{"", "CONSTRAINT_MEMCG", "CONSTRAINT_NONE"}[r.IntN(3)], UsageKB: -1, LimitKB: int64(r.IntN(3)) - 1, NoneKillable: r.IntN(3) == 0, Memory: randomMemory(r), CPU: randomCPU(r)}
		for range r.IntN(3) {
			o.Tasks = append(o.Tasks, dump.OOMTask{PID: r.IntN(9), Name: comm(), RSS: r.Int64N(1 << 40)})
		}
		if r.IntN(2) == 0 {
			o.Victim = &dump.Victim{Comm: comm(), PID: r.IntN(9), AnonRSS: -1, Shmem: -1}
		}
		b.Kind, b.Body = dump.KindOOM, o
		if r.IntN(3) == 0 {
			b.Kind = dump.KindAllocation
		}
	case 8:
		m := randomMemory(r)
		if m == nil {
			m = &dump.Memory{}
		}
		b.Kind, b.Body = dump.KindMemory, m
	default:
		t := &dump.Task{Comm: comm(), PID: r.IntN(12) - 1, PPID: r.IntN(3), TGID: -1, State: []string{"D", "D", "D", "S", "R", "T", ""}[r.IntN(7)], Stack: randomStack(r), Running: r.IntN(9) == 0, Syscall: -1}
		b.Kind, b.Body = dump.KindTask, t
		switch r.IntN(5) {
		case 0:
			b.Kind = dump.KindHungTask
			t.HungSeconds = r.IntN(500)
			if r.IntN(2) == 0 {
				t.Blocker = &dump.Blocker{Lock: []string{"mutex", "semaphore"}[r.IntN(2)], Comm: comm(), PID: r.IntN(12), Known: r.IntN(4) > 0}
			}
		case 1:
			t.Workqueue = []string{"writeback wb_workfn (flush-8:0)", "events foo", "x", "xfs-cil/dm-5 xlog_cil_push_work [xfs]"}[r.IntN(4)]
		case 2:
			if r.IntN(4) == 0 {
				b.Kind = dump.KindStack
			}
		}
	}
	return b
}

// TestAnything holds what every report promises over random blocks: no panic,
// nothing contradicts itself, and the same log gives the same report.
func TestAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		blocks := rapid.IntRange(0, 60).Draw(t, "blocks")
		run := func() string {
			r := rand.New(rand.NewPCG(seed, 7))
			var a Analyzer
			blocked := map[taskKey]bool{}
			for range blocks {
				b := randomBlock(r)
				if d, ok := b.Body.(*dump.Task); ok && b.Kind != dump.KindStack && (d.State == "D" || b.Kind == dump.KindHungTask && d.State == "") && !(d.Comm == "" && d.PID < 0) {
					blocked[taskKey{d.PID, d.Comm}] = true
				}
				a.Add(b)
			}
			rep := a.Report()
			sound(t, "random", rep)
			if len(rep.Blocked) != len(blocked) {
				t.Errorf("%d blocked, %d were told", len(rep.Blocked), len(blocked))
			}
			seen := map[string]bool{}
			for _, f := range rep.Findings {
				if seen[f.Title+f.Suspect] {
					t.Errorf("said twice: %s", f.Title)
				}
				seen[f.Title+f.Suspect] = true
				if f.ID == "deadlock" && f.Confidence == Certain && len(f.Tasks) < 2 {
					t.Errorf("a circle of %d", len(f.Tasks))
				}
			}
			js, err := json.Marshal(rep)
			if err != nil {
				t.Fatal(err)
			}
			again, _ := json.Marshal(a.Report())
			if string(again) != string(js) {
				t.Errorf("the second report differs from the first")
			}
			return string(js)
		}
		first, second := run(), run()
		if first != second {
			t.Error("two runs differ")
		}
	})
}

// manyTasks is a log of n tasks on some hundred stacks.
func manyTasks(n int) []*dump.Block {
	r := rand.New(rand.NewPCG(1, 1))
	var stacks [][]dump.Frame
	for range 200 {
		var s []dump.Frame
		for range 18 {
			s = append(s, dump.Frame{Func: randomWords[r.IntN(len(randomWords))], Offset: 16, Size: 64})
		}
		stacks = append(stacks, s)
	}
	var out []*dump.Block
	for i := range n {
		state := "S"
		if i%20 == 0 {
			state = "D"
		}
		out = append(out, &dump.Block{
			Kind: dump.KindTask, First: int64(i * 20), Last: int64(i*20 + 19), Boot: 1, Dump: 1,
			Body: &dump.Task{Comm: "task", PID: i + 2, PPID: 1, TGID: i + 2, State: state, Stack: stacks[i%len(stacks)]},
		})
	}
	return out
}

func BenchmarkAdd(b *testing.B) {
	blocks := manyTasks(100000)
	b.ReportAllocs()
	for b.Loop() {
		var a Analyzer
		for _, k := range blocks {
			a.Add(k)
		}
	}
	b.ReportMetric(float64(len(blocks))*float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
}

func BenchmarkReport(b *testing.B) {
	var a Analyzer
	for _, k := range manyTasks(100000) {
		a.Add(k)
	}
	b.ReportAllocs()
	for b.Loop() {
		a.Report()
	}
}

// TestDamaged breaks recorded dumps at random: whatever is left, a report holds
// what it promises, and an idle machine is not accused.
func TestDamaged(t *testing.T) {
	all := recorded(t)
	rapid.Check(t, func(t *rapid.T) {
		g := all[rapid.IntRange(0, len(all)-1).Draw(t, "file")]
		seed := rapid.Uint64().Draw(t, "seed")
		r := rand.New(rand.NewPCG(seed, 3))
		var text bytes.Buffer
		from, to := 0, 1<<30
		if r.IntN(2) == 0 {
			from, to = r.IntN(60), 60+r.IntN(600)
		}
		n := 0
		for line := range bytes.Lines(g.Body) {
			n++
			if n < from || n > to {
				continue
			}
			switch r.IntN(25) {
			case 0:
			case 1:
				text.Write(line)
				text.Write(line)
			case 2:
				text.Write(line[:r.IntN(len(line))])
			default:
				text.Write(line)
			}
		}
		p := dump.NewParser(&text)
		var a Analyzer
		p.Log = a.Log
		for p.Scan() {
			a.Add(p.Block())
		}
		rep := a.Report()
		sound(t, g.Name, rep)
		if g.Root == "none" && rep.Findings[0].Severity == Critical {
			t.Errorf("%s, broken, is accused: %s", g.Name, rep.Findings[0].Title)
		}
	})
}
