package lab_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sysrq/sysrq/internal/lab"
	"github.com/sysrq/sysrq/internal/lab/guest"
)

func TestSystemd(t *testing.T) {
	lab.Need(t)
	image, err := lab.SystemdImage(t.Context(), func(s string) { t.Logf("lab: %s", s) })
	if err != nil {
		t.Fatal(err)
	}
	m := lab.StartT(t, lab.Config{
		Kernel: lab.FindT(t, "amd64", "6.1"), Init: testInit(t, "amd64"),
		OwnRoot: true, Disks: []lab.Disk{{Copy: image}},
	})
	ctx := within(t, 120*time.Second)
	boot, err := m.WaitBoot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("answers after %.2f s", boot.Uptime)
	end, err := m.WaitConsole(ctx, 0, "root@lab:")
	if err != nil {
		t.Fatal(err)
	}
	r, err := m.Do(ctx, guest.Op{ReadFile: &guest.ReadFile{Path: "/proc/1/comm"}})
	if err != nil || strings.TrimSpace(string(r.Data)) != "systemd" {
		t.Errorf("process 1 is %q, %v", r.Data, err)
	}
	// The channel comes back when a SysRq has killed who answers on it.
	_ = m.Trigger(within(t, 2*time.Second), "i")
	if _, err := m.WaitConsole(ctx, end, "root@lab:"); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Status(ctx); err != nil {
		t.Error(err)
	}
}

func TestBusyboxInit(t *testing.T) {
	m := lab.StartT(t, lab.Config{
		Kernel: lab.FindT(t, "amd64", "6.1"), Init: testInit(t, "amd64"), Busybox: true,
		Files: []lab.File{{Path: "/etc/inittab", Data: []byte("::respawn:/bin/sleep 1234\n")}},
	})
	ctx := within(t, 20*time.Second)
	if _, err := m.WaitBoot(ctx); err != nil {
		t.Fatal(err)
	}
	if err := m.Replace(ctx, "/bin/init"); err != nil {
		t.Fatal(err)
	}
	var last string
	for range 50 {
		out, err := m.Run(ctx, "ps")
		if err != nil {
			t.Fatalf("%v; before that:\n%s", err, last)
		}
		last = string(out.Stdout)
		if !strings.Contains(last, "/init\n") && strings.Contains(last, "sleep 1234") {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("init has not done what its inittab says:\n%s", last)
}
