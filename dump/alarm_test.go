package dump_test

import (
	"strings"
	"testing"

	"github.com/sysrq/sysrq/dump"
)

// TestAlarms: the sentence that opens each kind of alarm, as kernels have
// worded it over time.
func TestAlarms(t *testing.T) {
	for _, tc := range []struct {
		line string
		kind dump.Kind
		cpu  int // of the report; -1: not told
		comm string
		at   string
	}{
		{"watchdog: BUG: soft lockup - CPU#9 stuck for 64s! [a b:12]", dump.KindSoftLockup, 9, "a b", ""},
		{"NMI watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [x:1]", dump.KindSoftLockup, 1, "x", ""},
		{"BUG: soft lockup - CPU#0 stuck for 61s! [events/0:9]", dump.KindSoftLockup, 0, "events/0", ""},
		{"watchdog: Watchdog detected hard LOCKUP on cpu 3", dump.KindHardLockup, 3, "", ""},
		{"watchdog: CPU 5 self-detected hard LOCKUP @ foo+0x1/0x2", dump.KindHardLockup, 5, "", ""},
		{"rcu: INFO: rcu_preempt self-detected stall on CPU", dump.KindRCUStall, -1, "", ""},
		{"INFO: rcu_sched detected stalls on CPUs/tasks:", dump.KindRCUStall, -1, "", ""},
		{"BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 31s!", dump.KindWorkLockup, -1, "", ""},
		{"general protection fault: 0000 [#1] PREEMPT SMP", dump.KindOops, -1, "", ""},
		{"divide_error: 0000 [#1] PREEMPT SMP KASAN", dump.KindOops, -1, "", ""},
		{"segment-related general protection fault: beec [#2] SMP", dump.KindOops, -1, "", ""},
		{"a line of another's, glued: stack segment: 0000 [#1] SMP", dump.KindOops, -1, "", ""},
		{"PANIC: double fault, error_code: 0x0", dump.KindOops, -1, "", ""},
		{"kernel BUG at mm/slub.c:12!", dump.KindOops, -1, "", "mm/slub.c:12"},
		{"Internal error: Oops: 96000004 [#1] SMP", dump.KindOops, -1, "", ""},
		{"Unable to handle kernel NULL pointer dereference at virtual address 0", dump.KindOops, -1, "", ""},
		{"kworker/u512:3(394): Oops [#1]", dump.KindOops, -1, "", ""},
		{"WARNING: CPU: 2 PID: 7 at fs/inode.c:9 drop_nlink+0x1/0x2", dump.KindWarning, 2, "", "fs/inode.c:9 drop_nlink+0x1/0x2"},
		{"WARNING: fs/inode.c:9 at drop_nlink+0x1/0x2, CPU#1: rm/7", dump.KindWarning, 1, "rm", "drop_nlink+0x1/0x2"},
		{"WARNING: lib/refcount.c:19 at 0x0, CPU#0: a/b/7", dump.KindWarning, 0, "a/b", "lib/refcount.c:19"},
		{"WARNING: possible circular locking dependency detected", dump.KindLockdep, -1, "", ""},
		{"WARNING: HARDIRQ-safe -> HARDIRQ-unsafe lock order detected", dump.KindLockdep, -1, "", ""},
		{"WARNING: fuzzer/4398 still has locks held!", dump.KindLockdep, -1, "", ""},
		{"[ INFO: possible circular locking dependency detected ]", dump.KindLockdep, -1, "", ""},
		{"Kernel panic - not syncing: hung_task: blocked tasks", dump.KindPanic, -1, "", ""},
	} {
		p := dump.NewParser(strings.NewReader("[  100.000001] " + tc.line + "\n"))
		if !p.Scan() {
			t.Errorf("%q is no block", tc.line)
			continue
		}
		b := p.Block()
		r, ok := b.Body.(*dump.Report)
		if !ok || b.Kind != tc.kind {
			t.Errorf("%q is %s", tc.line, b.Kind)
			continue
		}
		if r.CPU.CPU != tc.cpu || r.Comm != tc.comm || r.Location != tc.at || r.Title != tc.line {
			t.Errorf("%q: cpu %d, comm %q, at %q, title %q", tc.line, r.CPU.CPU, r.Comm, r.Location, r.Title)
		}
	}
	for _, line := range []string{
		"watchdog: Delayed init of the lockup detector failed: -19", "WARNING: CPU frequency out of sync", "rcu: Hierarchical RCU implementation.",
		"INFO: fast TSC calibration", "BUG: MAX_LOCKDEP_ENTRIES too low!",
	} {
		p := dump.NewParser(strings.NewReader("[  100.000001] " + line + "\n"))
		if p.Scan() {
			t.Errorf("%q is %s", line, p.Block().Kind)
		}
	}
}

// TestSameStack: Android's 4.4 prints a stack once and refers to it.
func TestSameStack(t *testing.T) {
	p := dump.NewParser(strings.NewReader(`[  962.378958] init            D ffff88008addf688     0  2295      1 0x00000000
[  962.378982]  ffff88008addf688 ffff88008add0000 dffffc0000000000 0000000000000007
[  962.378998] Call Trace:
[  962.379003] <Same stack as pid 2294>
`))
	if !p.Scan() {
		t.Fatal("no block")
	}
	task, ok := p.Block().Body.(*dump.Task)
	if !ok || task.SameAs != 2294 || task.PID != 2295 || !p.Block().Sure() {
		t.Errorf("%+v %v", task, p.Block().Unsure)
	}
}
