package native

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestKillAllSparesNobodyElse(t *testing.T) {
	type call struct {
		pid int
		sig syscall.Signal
	}
	for _, tc := range []struct {
		sig  syscall.Signal
		err  error
		want []call
		bad  bool
	}{
		{unix.SIGTERM, nil, []call{{-1, unix.SIGTERM}, {-1, unix.SIGCONT}}, false},
		{unix.SIGKILL, nil, []call{{-1, unix.SIGKILL}}, false},
		{unix.SIGKILL, unix.ESRCH, []call{{-1, unix.SIGKILL}}, false}, // nobody there
		{unix.SIGTERM, unix.EPERM, []call{{-1, unix.SIGTERM}}, true},
	} {
		var calls []call
		err := killAll(func(pid int, sig syscall.Signal) error {
			calls = append(calls, call{pid, sig})
			return tc.err
		}, tc.sig)
		if (err != nil) != tc.bad || tc.bad && !errors.Is(err, tc.err) {
			t.Errorf("%v: %v", tc.sig, err)
		}
		if !reflect.DeepEqual(calls, tc.want) {
			t.Errorf("%v: called %v", tc.sig, calls)
		}
	}
}

// fakeProc makes a procfs that has the given processes. 77 is the reader.
func fakeProc(t *testing.T, stats map[int]string) Proc {
	t.Helper()
	dir := t.TempDir()
	for pid, rest := range stats {
		d := filepath.Join(dir, strconv.Itoa(pid))
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf("%d %s 1 1 20 0 1 0 9 0 0\n", pid, rest)
		if err := os.WriteFile(filepath.Join(d, "stat"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{
		os.Symlink("77", filepath.Join(dir, "self")),
		os.Mkdir(filepath.Join(dir, "123"), 0o755), // ended between the two calls
		os.Mkdir(filepath.Join(dir, "sys"), 0o755),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return Proc(dir)
}

const user, kthread = "0 -1 4194560 0 0 0 0 0 0", "0 -1 2129984 0 0 0 0 0 0"

func TestPrograms(t *testing.T) {
	p := fakeProc(t, map[int]string{
		1:   "(systemd) S 0 1 1 " + user,
		2:   "(kthreadd) S 0 0 0 " + kthread,
		77:  "(sysrq) R 1 77 77 " + user,
		80:  "(sh) Z 1 80 80 " + user,
		412: "(cron) S 1 412 412 " + user,
		413: "(dd) D 1 413 413 " + user,
	})
	ps, err := p.Programs()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, ps := range ps {
		names[ps.Name] = true
	}
	if want := map[string]bool{"cron": true, "dd": true}; !reflect.DeepEqual(names, want) {
		t.Errorf("got %v", names)
	}
}

func TestWaitNone(t *testing.T) {
	p := fakeProc(t, map[int]string{
		412: "(cron) S 1 412 412 " + user,
		413: "(dd) D 1 413 413 " + user,
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	left, err := p.WaitNone(ctx, nil)
	if len(left) != 2 || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, %v", left, err)
	}
	time.AfterFunc(10*time.Millisecond, func() { os.RemoveAll(filepath.Join(string(p), "412")) })
	left, err = p.WaitNone(t.Context(), func(ps Process) bool { return ps.Name != "dd" })
	if len(left) != 0 || err != nil {
		t.Errorf("got %v, %v", left, err)
	}
}

func TestProgramsOfThisMachine(t *testing.T) {
	ps, err := Proc("/proc").Programs()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range ps {
		if p.PID == 1 || p.PID == os.Getpid() || p.Kernel {
			t.Errorf("%+v", p)
		}
	}
}

func BenchmarkPrograms(b *testing.B) {
	for b.Loop() {
		if _, err := Proc("/proc").Programs(); err != nil {
			b.Fatal(err)
		}
	}
}

func TestSeesMountsOfInit(t *testing.T) {
	const root, home = "28 1 259:2 / / rw - ext4 /dev/a rw\n", "29 28 8:1 / /home rw - ext4 /dev/b rw\n"
	const pseudo = "30 28 0:9 / /tmp rw - tmpfs tmpfs rw\n"
	for _, tc := range []struct {
		ours, inits string
		want        bool
	}{
		{root + home, root + home + pseudo, true},
		{root, root + home, false},
		{root + home, "", true},
	} {
		dir := t.TempDir()
		for name, text := range map[string]string{"self": tc.ours, "1": tc.inits} {
			os.Mkdir(filepath.Join(dir, name), 0o755)
			os.WriteFile(filepath.Join(dir, name, "mountinfo"), []byte(text), 0o644)
		}
		if got := Proc(dir).SeesMountsOfInit(); got != tc.want {
			t.Errorf("ours %q, init's %q: %v", tc.ours, tc.inits, got)
		}
	}
	if Proc(t.TempDir()).SeesMountsOfInit() {
		t.Error("nothing can be seen")
	}
}
