package native

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// child is a process to be frozen. Init is frozen in a virtual machine only.
func child(t *testing.T) int {
	t.Helper()
	c := exec.Command("sleep", "60")
	if err := c.Start(); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	return c.Process.Pid
}

func TestFreezePtrace(t *testing.T) {
	pid := child(t)
	h, err := freezePtrace(t.Context(), pid)
	if errors.Is(err, unix.EPERM) {
		t.Skip(err) // no ptrace here
	}
	if err != nil {
		t.Fatal(err)
	}
	if p, err := Proc("/proc").Process(pid); err != nil || p.State != 't' {
		t.Errorf("frozen: %+v, %v", p, err)
	}
	if err := h.thaw(); err != nil {
		t.Fatal(err)
	}
	awaitState(t, pid, "SR")
}

func awaitState(t *testing.T, pid int, want string) {
	t.Helper()
	for range 200 {
		if p, err := Proc("/proc").Process(pid); err == nil && strings.IndexByte(want, p.State) >= 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d did not get to a state of %s", pid, want)
}

// TestFreezeCgroups makes a control group on this machine and freezes a child
// in it, which needs root.
func TestFreezeCgroups(t *testing.T) {
	if os.Getenv("SYSRQ_TEST_CGROUP") == "" {
		t.Skip("SYSRQ_TEST_CGROUP is not set")
	}
	for name, way := range map[string]freezer{"v2": freezeV2, "v1": freezeV1} {
		t.Run(name, func(t *testing.T) {
			if root, err := cgroupV2(); err == nil {
				root.close() // from here on /proc/PID/cgroup shows it
			}
			pid := child(t)
			where, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cgroup"))
			for round := range 2 {
				h, err := way(t.Context(), pid)
				if err != nil {
					t.Fatal(err)
				}
				now, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cgroup"))
				t.Logf("%s\n%s", h.how, now)
				if err := unix.Kill(pid, unix.SIGWINCH); err != nil {
					t.Error(err)
				}
				if round == 1 { // as a run that found the group of one that died
					again, err := way(t.Context(), pid)
					if err != nil {
						t.Error(err)
					} else if err := again.thaw(); err != nil {
						t.Error(err)
					}
					break
				}
				if err := h.thaw(); err != nil {
					t.Fatal(err)
				}
				if back, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cgroup")); string(back) != string(where) {
					t.Errorf("it was in\n%s and is now in\n%s", where, back)
				}
			}
		})
	}
}

// cgroupTree is a directory that looks like a control group.
func cgroupTree(t *testing.T, files map[string]string) cgroupDir {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	c := cgroupDir{fd: fd, name: "cgroup v2 /"}
	t.Cleanup(c.close)
	return c
}

func TestCgroupOnly(t *testing.T) {
	alone := cgroupTree(t, map[string]string{"cgroup.procs": "1\n"})
	shared := cgroupTree(t, map[string]string{"cgroup.procs": "1\n77\n"})
	parent := cgroupTree(t, map[string]string{"cgroup.procs": "1\n", "below/cgroup.procs": "77\n"})
	if !alone.only(1) || alone.only(77) || shared.only(1) || parent.only(1) {
		t.Error("only one group has nothing but process 1 in it")
	}
}

func TestFreezeGroupReadsBack(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	g := cgroupTree(t, map[string]string{"cgroup.freeze": "0", "cgroup.events": "populated 1\nfrozen 0\n"})
	h, err := freezeGroup(ctx, g, func() {}, nothing)
	if !errors.Is(err, ErrUnconfirmed) || h.thaw == nil {
		t.Errorf("not frozen yet: %v", err)
	}
	g = cgroupTree(t, map[string]string{"cgroup.freeze": "0", "cgroup.events": "populated 1\nfrozen 1\n"})
	h, err = freezeGroup(t.Context(), g, func() {}, nothing)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.thaw(); err != nil {
		t.Error(err)
	}
	if s, err := g.read("cgroup.freeze"); s != "0" || err != nil {
		t.Errorf("after the thaw: %q, %v", s, err)
	}
}

func TestFreezeTriesInOrder(t *testing.T) {
	no := errors.New("no")
	fails := func(context.Context, int) (hold, error) { return hold{}, no }
	thawed := 0
	works := func(context.Context, int) (hold, error) {
		return hold{how: "works", thaw: func() error { thawed++; return nil }}, nil
	}
	h, err := freeze(t.Context(), 1, []freezer{fails, works})
	if err != nil || h.how != "works" {
		t.Fatalf("%q, %v", h.how, err)
	}
	h.thaw()
	h.thaw()
	if thawed != 1 {
		t.Errorf("thawed %d times", thawed)
	}
	h, err = freeze(t.Context(), 1, []freezer{fails, fails})
	if !errors.Is(err, no) || h.thaw() != nil {
		t.Errorf("nothing works: %v", err)
	}
}

func TestParseCgroup(t *testing.T) {
	const text = "12:freezer:/f\n5:cpu,cpuacct:/c\n1:name=systemd:/init.scope\n0::/init.scope\n"
	for controller, want := range map[string]string{"": "/init.scope", "freezer": "/f", "cpuacct": "/c"} {
		if got, err := parseCgroup(text, controller); got != want || err != nil {
			t.Errorf("%q: %q, %v", controller, got, err)
		}
	}
	if _, err := parseCgroup("1:cpu:/\n", ""); !errors.Is(err, errNoCgroup) {
		t.Error(err)
	}
}

// TestFreezeInit stops the init of the machine that it runs on, and is for
// virtual machines only.
func TestFreezeInit(t *testing.T) {
	if os.Getenv("SYSRQ_TEST_FREEZE_INIT_OF_THIS_VM") == "" {
		t.Skip("SYSRQ_TEST_FREEZE_INIT_OF_THIS_VM is not set")
	}
	for _, tc := range []struct {
		name string
		way  freezer
	}{{"v2", freezeV2}, {"v1", freezeV1}, {"ptrace", freezePtrace}} {
		t.Run(tc.name, func(t *testing.T) {
			h, err := tc.way(t.Context(), 1)
			if err != nil {
				t.Skip(err) // not every machine has every way
			}
			// An orphan stays a zombie while nobody reaps it.
			orphan := func() int {
				out, err := exec.Command("sh", "-c", "sleep 0.1 >/dev/null 2>&1 & echo $!").Output()
				if err != nil {
					t.Fatal(err)
				}
				pid, _ := strconv.Atoi(strings.TrimSpace(string(out)))
				time.Sleep(time.Second)
				return pid
			}
			pid := orphan()
			if p, err := Proc("/proc").Process(pid); err != nil || p.State != 'Z' {
				t.Errorf("%s: init still reaps: %+v, %v", h.how, p, err)
			}
			if err := h.thaw(); err != nil {
				t.Error(err)
			}
			time.Sleep(100 * time.Millisecond)
			if p, err := Proc("/proc").Process(pid); err == nil {
				t.Errorf("%s: init does not reap after the thaw: %+v", h.how, p)
			}
		})
	}
}
