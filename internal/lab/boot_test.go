package lab_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sysrq/sysrq/internal/lab"
	"github.com/sysrq/sysrq/internal/lab/guest"
)

// testInit builds the smallest init for an architecture.
func testInit(t *testing.T, goarch string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "init")
	if err := lab.Build(t.Context(), goarch, "github.com/sysrq/sysrq/internal/lab/testdata/init", path); err != nil {
		t.Fatal(err)
	}
	return path
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestBootAMD64(t *testing.T) {
	for _, series := range []string{"6.1", "6.12", "7.2"} {
		t.Run(series, func(t *testing.T) {
			m := lab.StartT(t, lab.Config{Kernel: lab.FindT(t, "amd64", series), Init: testInit(t, "amd64")})
			ctx := within(t, 60*time.Second)
			boot, err := m.WaitBoot(ctx)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s ready after %.2f s", boot.Release, boot.Uptime)
			if !strings.HasPrefix(boot.Release, series+".") {
				t.Errorf("release %s is not of series %s", boot.Release, series)
			}
			if err := m.Trigger(ctx, "h"); err != nil {
				t.Fatal(err)
			}
			if _, err := m.WaitConsole(ctx, 0, "sysrq: HELP : loglevel(0-9) reboot(b)"); err != nil {
				t.Fatal(err)
			}
			r, err := m.Do(ctx, guest.Op{Mask: &guest.Mask{}})
			if err != nil || r.Value != 438 {
				t.Errorf("mask %d, %v; Debian's default is 438", r.Value, err)
			}
		})
	}
}

func TestBootUML(t *testing.T) {
	m := lab.StartT(t, lab.Config{Kernel: lab.FindT(t, "uml", ""), Init: testInit(t, "amd64")})
	ctx := within(t, 30*time.Second)
	first, err := m.WaitBoot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s ready after %.2f s", first.Release, first.Uptime)
	if err := m.Trigger(ctx, "h"); err != nil {
		t.Fatal(err)
	}
	if _, err := m.WaitConsole(ctx, 0, "sysrq: HELP : loglevel(0-9) reboot(b)"); err != nil {
		t.Fatal(err)
	}
	second, err := m.Reboot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if first.ID == second.ID {
		t.Error("the boot ID has not changed")
	}
}

// TestBootElsewhere boots the other architectures, and has each do a script:
// its replies come back by the console.
func TestBootElsewhere(t *testing.T) {
	for arch, item := range map[string]string{
		"arm64": "reboot(b)", "ppc64le": "xmon(x)", "s390x": "reboot(b)", "mips64le": "show-tlbs(x)",
	} {
		t.Run(arch, func(t *testing.T) {
			config := lab.Config{
				Kernel: lab.FindT(t, arch, "6.1"), Init: testInit(t, arch),
				Script: []guest.Op{
					{ID: 1, WriteFile: &guest.WriteFile{Path: "/proc/sysrq-trigger", Data: []byte("h"), Existing: true}},
					{ID: 2, Kmsg: &guest.Kmsg{}},
					{ID: 3, Unmount: &guest.Unmount{Target: "/nowhere"}},
				},
			}
			if arch == "ppc64le" {
				config.Append = []string{"xmon=on"}
			}
			m := lab.StartT(t, config)
			ctx := within(t, 90*time.Second)
			boot, err := m.WaitBoot(ctx)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s ready after %.2f s", boot.Release, boot.Uptime)
			if _, err := m.WaitConsole(ctx, 0, item); err != nil {
				t.Error(err)
			}
			replies, err := m.Replies(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if len(replies[1].Kmsg) < 100 || !strings.Contains(strings.Join(replies[1].Kmsg, "\n"), "sysrq: HELP : ") {
				t.Errorf("%d records came back, without HELP", len(replies[1].Kmsg))
			}
			if replies[2].Error == "" {
				t.Error("an op that fails does not say so")
			}
		})
	}
}
