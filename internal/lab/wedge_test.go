package lab_test

import (
	"testing"
	"time"

	"github.com/sysrq/sysrq/internal/lab"
)

// TestWedge is the scenario that rescues are tried on, with the crudest of
// rescues: sync and remount by the trigger file, each awaited, then a reset.
func TestWedge(t *testing.T) {
	const (
		size   = 150 << 20
		unsure = 2 << 20 // the kernel counts by processor, and adds up now and then
		seed   = 42
	)
	m := lab.StartT(t, lab.Config{
		Kernel: lab.FindT(t, "amd64", "6.1"), Init: testInit(t, "amd64"), Shell: true,
		Disks: []lab.Disk{{Ext4: "slow", BPSWrite: 20 << 20}, {Ext4: "stuck", MiB: 64}},
	})
	ctx := within(t, 60*time.Second)
	check := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	began := time.Now()
	mark := func(what string) { t.Logf("%5.2f s: %s", time.Since(began).Seconds(), what) }
	first, err := m.WaitBoot(ctx)
	check("boot", err)
	mark("booted")
	check("mount slow", m.Mount(ctx, 0, "/slow"))
	check("mount stuck", m.Mount(ctx, 1, "/stuck"))
	d, err := m.Dirty(ctx, "/slow/data", size, seed)
	check("dirty", err)
	mark("dirty")
	if d.Unsaved < size-unsure {
		t.Errorf("only %d MiB are unsaved", d.Unsaved>>20)
	}
	pids, err := m.Hang(ctx, "/stuck", 4)
	check("hang", err)
	check("squeeze", m.Squeeze(ctx, 48))
	check("kill the shell", m.KillShell(ctx))
	state, err := m.Status(ctx)
	check("status", err)
	mark("wedged")
	t.Logf("stuck: %v, status: %+v", pids, *state)
	if state.Unsaved < size-unsure {
		t.Errorf("only %d MiB are unsaved when the rescue begins", state.Unsaved>>20)
	}
	end := len(m.Console())
	check("w", m.Trigger(ctx, "w"))
	for _, s := range []struct{ key, says string }{
		{"s", "Emergency Sync complete"}, {"u", "Emergency Remount complete"},
	} {
		check(s.key, m.Trigger(ctx, s.key))
		end, err = m.WaitConsole(ctx, end, s.says)
		check(s.key, err)
		mark(s.says)
	}
	_ = m.Trigger(ctx, "b")
	second, err := m.WaitBoot(ctx)
	check("second boot", err)
	mark("booted again")
	if first.ID == second.ID {
		t.Error("the boot ID has not changed")
	}
	super, err := m.Superblock(ctx, 0)
	check("superblock", err)
	if !super.Clean || super.Recovery {
		t.Errorf("not clean: %+v", *super)
	}
	check("mount", m.Mount(ctx, 0, "/slow"))
	got, err := m.Verify(ctx, "/slow/data", size, seed)
	check("verify", err)
	mark("verified")
	if got.Right != size || got.Wrong != -1 || got.Size != size {
		t.Errorf("%d of %d bytes survived, size %d, first wrong one %d", got.Right, size, got.Size, got.Wrong)
	}
	_, err = m.Reboot(ctx)
	check("clean reboot", err)
	mark("rebooted in order")
	check("quit", m.Quit(ctx))
	check("e2fsck", lab.Check(ctx, m.Disk(0)))
	mark("checked")
}
