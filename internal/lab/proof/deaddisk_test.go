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
	deadDiskData = 60 << 20
	deadDiskWait = 10 * time.Second // for each step
)

func startDeadDisk(t *testing.T, series string) deadDisk {
	t.Helper()
	m := deadDisk{Machine: lab.StartT(t, lab.Config{
		Kernel: lab.FindT(t, "amd64", series), Init: program(t), Busybox: true,
		Disks: []lab.Disk{
			before: {Ext4: "before", MiB: 256, BPSWrite: 20_000_000},
			dead:   {Ext4: "dead", MiB: 256},
			after:  {Ext4: "after", MiB: 256, BPSWrite: 20_000_000},
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
		_, err := m.Dirty(ctx, point+"/data", deadDiskData, uint64(i))
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
func (s survived) whole() bool { return s.right == deadDiskData }

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
	return fmt.Sprintf("%d of %d MiB, %s", s.right>>20, deadDiskData>>20, state)
}

// count waits for the next boot and looks at what is left on each disk.
func (m deadDisk) count(t *testing.T) (left [3]survived) {
	t.Helper()
	for i := range left {
		must(t, m.Throttle(m.ctx, i, 0))
	}
	m.boot(t)
	for i, point := range deadDiskMounts {
		super, err := m.Superblock(m.ctx, i)
		must(t, err)
		left[i].super = *super
		must(t, m.Mount(m.ctx, i, point)) // replays the journal
		got, err := m.Verify(m.ctx, point+"/data", deadDiskData, uint64(i))
		must(t, err)
		left[i].right = got.Right
		t.Logf("%s: %s", point, left[i])
	}
	// What a replay makes of it must satisfy e2fsck, too.
	_, err := m.Reboot(m.ctx)
	must(t, err)
	must(t, m.Quit(m.ctx))
	for _, i := range []int{before, after} {
		if err := lab.Check(m.ctx, m.Disk(i)); err != nil {
			t.Errorf("%s: %v", deadDiskMounts[i], err)
		}
	}
	return left
}

// TestDeadDisk: with a dead disk under one mount, REISUB still ends in a reboot
// within its deadlines, names the mount, and everything on the healthy mounts
// survives.
func TestDeadDisk(t *testing.T) {
	for _, series := range []string{"6.1", "6.12"} {
		t.Run(series, func(t *testing.T) {
			m := startDeadDisk(t, series)
			began := time.Now()
			_, err := m.Do(m.ctx, guest.Op{Run: &guest.Run{Path: "sh", Detach: true, Args: []string{
				"-c", "exec /bin/sysrq --yes --timeout " + deadDiskWait.String() + " reisub >/dev/console 2>&1",
			}}})
			must(t, err)
			// s and u wait for the dead disk, each until its deadline. Nothing
			// else has anything to wait for.
			slow, cancel := lab.Within(m.ctx, 2*deadDiskWait+5*time.Second, "REISUB")
			defer cancel()
			_, err = m.WaitConsole(slow, 0, "sysrq: Resetting")
			must(t, err)
			t.Logf("reset after %s", time.Since(began).Round(time.Millisecond))

			console := string(m.Console())
			for _, want := range []string{
				`sysrq\[local\]: sync: stuck at /dead\b`,
				`sysrq\[local\]: remount: still read-write: /dead\b`,
				// The last words, after which nothing but the reset follows.
				`sysrq\[rescue\]: reboot now; before: .*sync timeout in 10\S*, .*unmount timeout in 10`,
			} {
				if !regexp.MustCompile(want).MatchString(console) {
					t.Errorf("the console does not say %s", want)
				}
			}
			if regexp.MustCompile(`(stuck at|still read-write:).*/(before|after)`).MatchString(console) {
				t.Error("a healthy mount is called stuck")
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

// TestDeadDiskFromOutside is the same by keyboard, where nobody but the kernel
// works.
func TestDeadDiskFromOutside(t *testing.T) {
	for _, series := range []string{"6.1", "6.12"} {
		t.Run(series, func(t *testing.T) {
			m := startDeadDisk(t, series)
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
			want := map[string]sysrq.Outcome{"sync": sysrq.Timeout, "unmount": sysrq.Timeout, "reboot": sysrq.Done}
			for name, o := range want {
				if outcomes[name] != o {
					t.Errorf("%s: %s, want %s", name, outcomes[name], o)
				}
			}
			m.count(t)
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
