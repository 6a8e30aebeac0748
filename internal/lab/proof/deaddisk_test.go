package proof

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sysrq/sysrq"
	"github.com/sysrq/sysrq/internal/lab"
	"github.com/sysrq/sysrq/internal/lab/guest"
	"github.com/sysrq/sysrq/rescue"
	"github.com/sysrq/sysrq/transport/all"
)

// deadDisk is a machine with three mounts: the disk of the second one has
// died, and the others, mounted before and after it, have data to save.
//
// The order is what decides when the kernel works alone. Its worker goes from
// one superblock to the next, and never comes past the dead one: s in the order
// of mounting; u likewise in 6.1, the other way round in 6.12 (fs/super.c,
// __iterate_supers, SUPER_ITER_REVERSE).
type deadDisk struct {
	*lab.Machine
	ctx context.Context
}

// The mounts, as disks are numbered.
const (
	before = iota
	dead
	after
)

var deadDiskMounts = [...]string{before: "/before", dead: "/dead", after: "/after"}

const (
	healthyData = 60 << 20
	healthyDisk = 20_000_000 // bytes a second
	// deadDiskWait is each step's deadline. A journal is committed every five
	// seconds, and healthyData takes three.
	deadDiskWait = 8 * time.Second
)

func startDeadDisk(t *testing.T, series string) deadDisk {
	t.Helper()
	m := deadDisk{Machine: lab.StartT(t, lab.Config{
		Kernel: lab.FindT(t, "amd64", series), Init: program(t), Busybox: true,
		Disks: []lab.Disk{
			before: {Ext4: "before", MiB: 256, BPSWrite: healthyDisk},
			dead:   {Ext4: "dead", MiB: 256},
			after:  {Ext4: "after", MiB: 256, BPSWrite: healthyDisk},
		},
	})}
	ctx, cancel := lab.Within(t.Context(), 2*time.Minute, t.Name())
	t.Cleanup(cancel)
	m.ctx = ctx
	m.boot(t)
	for i, point := range deadDiskMounts {
		must(t, m.Mount(ctx, i, point))
	}
	for i, point := range deadDiskMounts {
		size := int64(healthyData)
		if i == dead {
			size = 4 << 20
		}
		_, err := m.Dirty(ctx, point+"/data", size, uint64(i))
		must(t, err)
	}
	must(t, m.Throttle(ctx, dead, 1)) // one byte a second
	must(t, m.Mask(ctx, 1))
	return m
}

func (m deadDisk) boot(t *testing.T) guest.Boot {
	t.Helper()
	b, err := m.WaitBoot(m.ctx)
	must(t, err)
	return b
}

// survived is what the reset left of one mount.
type survived struct {
	super guest.Superblock
	right int64
}

// whole reports whether every byte is there.
func (s survived) whole() bool { return s.right == healthyData }

// clean reports whether not even the journal has to be replayed.
func (s survived) clean() bool { return s.super.Clean && !s.super.Recovery && s.super.Errors == 0 }

func (s survived) String() string {
	state := "not clean"
	switch {
	case s.clean():
		state = "clean"
	case s.super.Clean:
		state = "clean once its journal is replayed"
	}
	return fmt.Sprintf("%d of %d MiB, %s", s.right>>20, healthyData>>20, state)
}

// count waits for the next boot and looks at what is left on the healthy disks.
func (m deadDisk) count(t *testing.T) (left [3]survived) {
	t.Helper()
	for i := range left {
		must(t, m.Throttle(m.ctx, i, 0))
	}
	m.boot(t)
	for _, i := range []int{before, after} {
		super, err := m.Superblock(m.ctx, i)
		must(t, err)
		left[i].super = *super
		must(t, m.Mount(m.ctx, i, deadDiskMounts[i])) // replays the journal
		got, err := m.Verify(m.ctx, deadDiskMounts[i]+"/data", healthyData, uint64(i))
		must(t, err)
		left[i].right = got.Right
		t.Logf("%s: %s", deadDiskMounts[i], left[i])
	}
	_, err := m.Do(m.ctx, guest.Op{Reboot: &guest.RebootPlan{Off: true}})
	must(t, err)
	must(t, m.Wait(m.ctx))
	for _, i := range []int{before, after} {
		if err := lab.Check(m.ctx, m.Disk(i)); err != nil {
			t.Errorf("%s: %v", deadDiskMounts[i], err)
		}
	}
	return left
}

// TestDeadDisk: with a dead disk under one mount, REISUB still ends in a reboot
// within its deadlines, names the mount and who is stuck there, and everything
// on the healthy mounts survives. Their file systems are clean: s syncs each
// file system by itself, and u helps where the kernel's own worker never comes
// to.
func TestDeadDisk(t *testing.T) {
	for _, series := range []string{"6.1", "6.12"} {
		t.Run(series, func(t *testing.T) {
			m := startDeadDisk(t, series)
			// Somebody who can not be killed, as there is on every dead disk.
			r, err := m.Do(m.ctx, guest.Op{Run: &guest.Run{Path: "dd", Detach: true, Args: []string{
				"if=/dev/zero", "of=/dead/more", "bs=1M", "count=1", "conv=fsync",
			}}})
			must(t, err)
			m.waitStuck(t, r.Run.PID)
			began := time.Now()
			_, err = m.Do(m.ctx, guest.Op{Run: &guest.Run{Path: "sh", Detach: true, Args: []string{
				"-c", "exec /bin/sysrq --yes --timeout " + deadDiskWait.String() + " reisub >/dev/console 2>&1",
			}}})
			must(t, err)
			// e's grace is two seconds. i waits for who can not be killed, s and
			// u for the dead disk, each until its deadline; nothing else has
			// anything to wait for.
			slow, cancel := lab.Within(m.ctx, 3*deadDiskWait+7*time.Second, "REISUB")
			defer cancel()
			_, err = m.WaitConsole(slow, 0, "sysrq: Resetting")
			must(t, err)
			t.Logf("reset after %s", time.Since(began).Round(time.Millisecond))
			console := string(m.Console())
			for _, want := range []string{
				`sysrq\[local\]: kill-all-tasks: still there: .*\bdd \(\d+, stuck in the kernel\)`,
				`sysrq\[local\]: sync: stuck at /dead\r?\n`,
				`sysrq\[local\]: remount: stuck at /dead\r?\n`,
				// The last words, after which nothing but the reset follows.
				`sysrq\[rescue\]: reboot now; before: .*, kill-all-tasks timeout in 8\S*, sync timeout in 8\S*, unmount timeout in 8(?s:.*)sysrq: Resetting`,
			} {
				if !regexp.MustCompile(want).MatchString(console) {
					t.Errorf("the console does not say %s", want)
				}
			}
			left := m.count(t)
			for _, i := range []int{before, after} {
				if !left[i].whole() || !left[i].clean() {
					t.Errorf("%s: %s", deadDiskMounts[i], left[i])
				}
			}
		})
	}
}

// waitStuck waits until a process is.
func (m deadDisk) waitStuck(t *testing.T, pid int) {
	t.Helper()
	_, err := m.Run(m.ctx, "sh", "-c", fmt.Sprintf(
		"until grep -q '^State:.D' /proc/%d/status; do sleep 0.1; done", pid))
	must(t, err)
}

// TestDeadDiskFromOutside is the same by keyboard, where nobody but the kernel
// works, and what it never comes to is lost.
//
// Nothing that can be typed helps: a second s or u has a worker of its own,
// which waits at the same superblock for the first. What does help is time.
// What s has written but not committed, the journal commits by itself within
// five seconds (jbd2, commit=5); what s has never come to, the kernel writes by
// itself once it is older than thirty (vm.dirty_expire_centisecs, and five for
// vm.dirty_writeback_centisecs), each disk in a thread of its own, which this
// test forbids. The default deadlines of s and u are longer than both; with
// them, and the kernel left to itself, /after of 6.1 was seen to survive whole,
// too, with a journal to be replayed.
func TestDeadDiskFromOutside(t *testing.T) {
	for _, tc := range []struct {
		series                  string
		beforeClean, afterWhole bool
	}{
		// s writes /before and is stuck; u makes /before read-only in order,
		// and is stuck. Nobody comes to /after.
		{series: "6.1", beforeClean: true},
		// s writes /before and is stuck; u begins at the other end, makes
		// /after read-only in order, and is stuck.
		{series: "6.12", afterWhole: true},
	} {
		t.Run(tc.series, func(t *testing.T) {
			m := startDeadDisk(t, tc.series)
			tr, err := all.Registry().Open(m.ctx, m.Target("qmp"))
			must(t, err)
			defer tr.Close()
			steps, err := sysrq.ParseSteps([]string{"reisub"}, nil, "amd64")
			must(t, err)
			outcomes := make(map[string]sysrq.Outcome)
			began := time.Now()
			for ev := range rescue.Run(m.ctx, tr, steps, rescue.Options{Timeout: deadDiskWait}) {
				if ev.Type == sysrq.EventOutcome {
					outcomes[ev.Name] = ev.Outcome
					t.Logf("%6.2f s: %s %s %s", time.Since(began).Seconds(), ev.Name, ev.Outcome, ev.Text)
				}
			}
			if took := time.Since(began); took > 3*deadDiskWait+7*time.Second {
				t.Errorf("it took %s", took)
			}
			for name, want := range map[string]sysrq.Outcome{"sync": sysrq.Timeout, "unmount": sysrq.Timeout, "reboot": sysrq.Done} {
				if outcomes[name] != want {
					t.Errorf("%s: %s, want %s", name, outcomes[name], want)
				}
			}
			left := m.count(t)
			if !left[before].whole() || tc.beforeClean && !left[before].clean() {
				t.Errorf("/before: %s", left[before])
			}
			if tc.afterWhole && !(left[after].whole() && left[after].clean()) {
				t.Errorf("/after: %s", left[after])
			}
			if !tc.afterWhole && left[after].whole() {
				t.Errorf("/after survived, though nobody came to it: this test proves nothing")
			}
		})
	}
}

// must stops the test unless err is nil.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(strings.TrimSpace(err.Error()))
	}
}

// program is the sysrq program, which is every guest's init as well.
func program(t *testing.T) string {
	t.Helper()
	lab.Need(t)
	path := t.TempDir() + "/sysrq"
	must(t, lab.Build(t.Context(), "amd64", lab.Program, path))
	return path
}
