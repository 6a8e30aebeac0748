package diagnose

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sysrq/sysrq/dump"
)

// A row that does not win its own samples is no row.
func TestSamples(t *testing.T) {
	w := waits()
	if len(w.rows) < 100 {
		t.Errorf("%d rows, want 100", len(w.rows))
	}
	for i := range w.rows {
		r := &w.rows[i]
		for _, s := range r.samples {
			got, at := classify(&dump.Task{Stack: s.stack})
			switch {
			case got == nil:
				t.Errorf("waits.txt:%d: no row fits the sample of %s", s.line, r.ID)
			case got.ID != r.ID:
				t.Errorf("waits.txt:%d: the sample of %s is taken by %s, for %s", s.line, r.ID, got.ID, s.stack[at].Func)
			}
		}
	}
}

func TestClassify(t *testing.T) {
	for _, test := range []struct {
		name, stack, row, at, waiter string
	}{
		{"nothing", "", "", "", ""},
		{"the specific wins", "__schedule schedule __mutex_lock rtnl_lock foo_ioctl", "rtnl", "rtnl_lock", "rtnl_lock"},
		{"page of a server", "schedule io_schedule folio_wait_bit_common folio_wait_writeback nfs_wb_all[nfs]", "nfs-server", "nfs_wb_all", "nfs_wb_all"},
		{"page of a disk", "schedule io_schedule folio_wait_bit_common folio_wait_writeback foo_wb_all[foo]", "page-writeback", "folio_wait_writeback", "foo_wb_all"},
		{"what is far down does not count", "schedule schedule_preempt_disabled __mutex_lock a_lock b c d e f g rtnl_lock h", "mutex", "__mutex_lock", "a_lock"},
		{"clones of the compiler", "schedule __mutex_lock.constprop.0 rtnl_lock.isra.0.part.1", "rtnl", "rtnl_lock.isra.0.part.1", "rtnl_lock.isra.0.part.1"},
		{"old powerpc", ".schedule .rtnl_lock .__mutex_lock foo", "rtnl", ".rtnl_lock", ".rtnl_lock"},
		{"a guess is passed over", "schedule ?rtnl_lock __mutex_lock foo_open", "mutex", "__mutex_lock", "foo_open"},
		{"guesses alone", "?schedule ?foo ?__mutex_lock ?rtnl_lock ?bar", "rtnl", "rtnl_lock", "foo"},
		{"the bottom alone is sure", "?__schedule ?schedule ?io_schedule ?blk_mq_get_tag process_one_work worker_thread kthread", "blk-mq-tags", "blk_mq_get_tag", "process_one_work"},
		{"at rest, with a guess above", "?__schedule schedule worker_thread kthread", "idle-worker", "worker_thread", "worker_thread"},
		{"an interrupt is no wait", "<irq>rtnl_lock <irq>__mutex_lock schedule __down_read foo_lookup", "rwsem-read", "__down_read", "foo_lookup"},
		{"an interrupt alone", "<nmi>csd_lock_wait <nmi>smp_call_function_many_cond", "ipi", "csd_lock_wait", "csd_lock_wait"},
		{"md below the page cache", "schedule md_super_wait md_update_sb md_check_recovery", "md-superblock", "md_super_wait", "md_super_wait"},
		{"the driver", "schedule schedule_timeout wait_for_completion acme_wait[acme] acme_ioctl[acme] do_vfs_ioctl", "driver", "acme_wait", "acme_wait"},
		{"the driver, far down", "schedule schedule_timeout wait_for_completion core_a core_b core_c core_d core_e core_f acme_x[acme]", "driver", "acme_x", "core_a"},
		{"no driver, but a file system", "schedule schedule_timeout wait_for_completion x_wait[squashfs]", "filesystem", "x_wait", "x_wait"},
		{"no reason to be seen", "schedule foo bar", "wait-event", "schedule", "foo"},
		{"running", "foo bar", "", "", "foo"},
	} {
		task := &dump.Task{Stack: readStack(test.stack)}
		for range 2 { // the second time from memory
			w, at := classify(task)
			row, fn, who := "", "", ""
			if w != nil {
				row, fn = w.ID, task.Stack[at].Func
			} else if at != -1 {
				t.Errorf("%s: no row, and at %d", test.name, at)
			}
			if i := waiter(task); i >= 0 {
				who = task.Stack[i].Func
			}
			if row != test.row || fn != test.at || who != test.waiter {
				t.Errorf("%s: %q at %q, waiter %q; want %q at %q, %q", test.name, row, fn, who, test.row, test.at, test.waiter)
			}
		}
	}
}

func TestPattern(t *testing.T) {
	for _, test := range []struct {
		pattern, s string
		want       bool
	}{
		{"a", "a", true},
		{"a", "ab", false},
		{"a*", "ab", true},
		{"a*", "b", false},
		{"*b", "ab", true},
		{"a*c", "abc", true},
		{"a*c", "abcd", false},
		{"a*b*c", "a_b_c", true},
		{"a*b*c", "ac", false},
		{"*", "", true},
		{"a*a", "a", false},
		{"*ab", "aab", true},
	} {
		if got := pattern(test.pattern).match(test.s); got != test.want {
			t.Errorf("%q matches %q: %v", test.pattern, test.s, got)
		}
	}
}

func TestWaitTableErrors(t *testing.T) {
	const good = "id: a\nwhat: w\ncategory: io\nany: f\nholder: h\nnext: n\nrefute: r\nsample: f\n"
	if _, err := readWaits("w", good); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ change, to, want string }{
		{"id: a", "id: a_b", `w:1: id "a_b"`},
		{"category: io", "category: nix", `w:3: no category "nix"`},
		{"any: f\n", "", `w:1: row "a" has no pattern in any`},
		{"any: f", "any: f\npriority: x", "w:5: strconv.Atoi"},
		{"any: f", "any: f\nwithin: -2", "w:5: within is a number"},
		{"any: f", "any: f\nnormal: no", "w:5: normal is"},
		{"any: f", "any: f\nfoo: x", `w:5: no key "foo"`},
		{"holder: h\n", "", `w:1: row "a" has no holder`},
		{"sample: f\n", "", `w:1: row "a" has no sample`},
		{"what: w", "what", "w:2: no colon"},
		{"id: a\n", "", `w:1: a row begins with id, not with "what"`},
		{"id: a", "noise: b\nid: a", `w:2: "id" does not belong to noise`},
		{"sample: f\n", "sample: f\n\n" + good, `w:10: "a" stands in line 1 already`},
	} {
		_, err := readWaits("w", strings.Replace(good, test.change, test.to, 1))
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%q: %v, want %s", test.to, err, test.want)
		}
	}
}

// What must never be taken for a hang: rows of rest are normal, others not.
func TestNormal(t *testing.T) {
	for _, id := range []string{"idle-worker", "idle-kthread", "kthread-new", "poll", "sleep", "child-wait", "futex", "fuse-daemon"} {
		if !waits().row(id).Normal {
			t.Errorf("%s is not normal", id)
		}
	}
	for _, id := range []string{"mutex", "nfs-server", "jbd2-commit", "driver", "wait-event"} {
		if waits().row(id).Normal {
			t.Errorf("%s is normal", id)
		}
	}
}

// A hostile log must not make the memory grow.
func TestMemoryIsBounded(t *testing.T) {
	w, err := readWaits("waits.txt", waitsText)
	if err != nil {
		t.Fatal(err)
	}
	for i := range memory + memory/2 {
		w.classify([]dump.Frame{{Func: fmt.Sprint("schedule", i)}, {Func: "rtnl_lock"}})
	}
	if n, m := len(w.memo.stack), len(w.memo.name); n > memory || m > memory {
		t.Errorf("%d stacks and %d names are remembered, want %d at most", n, m, memory)
	}
}

func FuzzClassify(f *testing.F) {
	for _, r := range waits().rows {
		f.Add(strings.Join(strings.Fields(stackText(r.samples[0].stack)), " "))
	}
	f.Fuzz(func(t *testing.T, s string) {
		task := &dump.Task{Stack: readStack(s)}
		w, at := classify(task)
		if (w == nil) != (at < 0) || at >= len(task.Stack) {
			t.Errorf("row %v at %d of %d", w, at, len(task.Stack))
		}
		if i := waiter(task); i >= len(task.Stack) {
			t.Errorf("waiter %d of %d", i, len(task.Stack))
		}
	})
}

// Seen is what a dump of a big machine is: few stacks, many tasks. New is the
// worst case. Reading is how long it takes to go over the names once.
func BenchmarkClassify(b *testing.B) {
	var tasks []*dump.Task
	for _, r := range waits().rows {
		stack := readStack("__schedule schedule schedule_timeout wait_for_completion " +
			"a_function b_function c_function do_vfs_ioctl __x64_sys_ioctl do_syscall_64 entry_SYSCALL_64_after_hwframe")
		tasks = append(tasks, &dump.Task{Stack: append(r.samples[0].stack, stack[4:]...)})
	}
	n := 0
	b.Run("reading", func(b *testing.B) {
		for b.Loop() {
			for _, f := range tasks[n%len(tasks)].Stack {
				for i := range len(f.Func) {
					n += int(f.Func[i] & 1)
				}
			}
			n++
		}
	})
	b.Run("seen", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			classify(tasks[n%len(tasks)])
			n++
		}
	})
	b.Run("new", func(b *testing.B) {
		w := waits()
		for b.Loop() {
			w.judge(tasks[n%len(tasks)].Stack, sure)
			n++
		}
	})
}
