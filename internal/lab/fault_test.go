package lab_test

import (
	"errors"
	"testing"
	"time"

	"github.com/sysrq/sysrq/internal/lab"
	"github.com/sysrq/sysrq/internal/lab/guest"
)

// TestDeadDisk shows what a disk that takes nothing any more does: a sync of
// all never ends, and a reset still resets.
func TestDeadDisk(t *testing.T) {
	m := lab.StartT(t, lab.Config{
		Kernel: lab.FindT(t, "amd64", "6.1"), Init: testInit(t, "amd64"),
		Disks: []lab.Disk{{Ext4: "dead", MiB: 256}},
	})
	ctx := within(t, 60*time.Second)
	check := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	_, err := m.WaitBoot(ctx)
	check("boot", err)
	check("mount", m.Mount(ctx, 0, "/dead"))
	_, err = m.Dirty(ctx, "/dead/data", 16<<20, 1)
	check("dirty", err)
	check("throttle", m.Throttle(ctx, 0, 1))
	check("s", m.Trigger(ctx, "s"))
	short, cancel := lab.Within(ctx, 3*time.Second, "sync")
	defer cancel()
	if _, err := m.WaitConsole(short, 0, "Emergency Sync complete"); err == nil {
		t.Error("a dead disk was synced")
	}
	began := time.Now()
	_ = m.Trigger(ctx, "b")
	_, err = m.WaitBoot(ctx)
	check("second boot", err)
	t.Logf("booted again after %s", time.Since(began))
}

// TestRebootDuringOp tells an op that will never be answered so.
func TestRebootDuringOp(t *testing.T) {
	m := lab.StartT(t, lab.Config{
		Kernel: lab.FindT(t, "amd64", "6.1"), Init: testInit(t, "amd64"), Busybox: true,
	})
	ctx := within(t, 60*time.Second)
	if _, err := m.WaitBoot(ctx); err != nil {
		t.Fatal(err)
	}
	answer := make(chan error, 1)
	go func() {
		_, err := m.Run(ctx, "sleep", "1000")
		answer <- err
	}()
	if _, err := m.Reboot(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-answer; !errors.Is(err, lab.ErrRebooted) && (err == nil || err.Error() != "sleep: exit status -1, signal 9: ") {
		t.Errorf("got %v", err)
	}
}

// TestPanic ends the wait for something else, and says why.
func TestPanic(t *testing.T) {
	m := lab.StartT(t, lab.Config{Kernel: lab.FindT(t, "amd64", "6.1"), Init: testInit(t, "amd64")})
	ctx := within(t, 60*time.Second)
	if _, err := m.WaitBoot(ctx); err != nil {
		t.Fatal(err)
	}
	if err := m.Trigger(ctx, "c"); !errors.Is(err, lab.ErrPanic) {
		t.Errorf("after c: %v", err)
	}
	if _, err := m.WaitBoot(ctx); !errors.Is(err, lab.ErrPanic) {
		t.Errorf("waiting for a boot that will not come: %v", err)
	}
}

// TestTroublemakers starts each, and sees that i takes those that can be taken.
func TestTroublemakers(t *testing.T) {
	m := lab.StartT(t, lab.Config{Kernel: lab.FindT(t, "amd64", "6.12"), Init: testInit(t, "amd64"), Busybox: true})
	ctx := within(t, 60*time.Second)
	if _, err := m.WaitBoot(ctx); err != nil {
		t.Fatal(err)
	}
	for name, op := range map[string]guest.Op{
		"vfork":   {Hang: &guest.Hang{Tasks: 2}},
		"squeeze": {Squeeze: &guest.Squeeze{MiB: 100}},
		"spin":    {Spin: &guest.Spin{Tasks: 2}},
		"hogs":    {Spin: &guest.Spin{Tasks: 1, FIFO: 50}},
		"sleep":   {Run: &guest.Run{Path: "sleep", Args: []string{"1000"}, Detach: true}},
	} {
		if _, err := m.Do(ctx, op); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	before, err := m.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("before: %+v", *before)
	if before.Tasks["D"] != 2 || before.Tasks["R"] < 2 || before.Tasks["R"]+before.Tasks["S"] < 5 {
		t.Errorf("tasks by state: %v", before.Tasks)
	}
	if err := m.Trigger(ctx, "i"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	after, err := m.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(after.Tasks) != 0 {
		t.Errorf("left after i: %v", after.Tasks)
	}
	if after.Free < before.Free+64<<20 {
		t.Errorf("memory was not given back: %d MiB, then %d MiB", before.Free>>20, after.Free>>20)
	}
}
