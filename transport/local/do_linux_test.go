package local

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sysrq/sysrq"
	"github.com/sysrq/sysrq/native"
)

// fake is a machine to be done things to. Nothing in it is real.
type fake struct {
	mu       sync.Mutex
	killed   []syscall.Signal
	killErr  error
	running  []native.Process
	immortal bool
	mounts   []native.FileSystem
	work     func(context.Context, native.FileSystem) error // sync or remount of one
	finish   func(context.Context, native.FileSystem) error // sync, where it is another
	froze    int
	thawed   int
	hardened int
}

func (f *fake) system() system {
	type work = func(context.Context, native.FileSystem) error
	each := func(do work) func(context.Context, []native.FileSystem, func(native.Result)) []native.Result {
		return func(ctx context.Context, fss []native.FileSystem, tell func(native.Result)) []native.Result {
			var rs []native.Result
			for _, fs := range fss {
				r := native.Result{FileSystem: fs, Took: time.Millisecond, Err: do(ctx, fs)}
				r.Stuck = errors.Is(r.Err, native.ErrStuck)
				rs = append(rs, r)
				if tell != nil {
					tell(r)
				}
			}
			return rs
		}
	}
	finish := f.work
	if f.finish != nil {
		finish = f.finish
	}
	return system{
		killAll: func(sig syscall.Signal) error {
			f.killed = append(f.killed, sig)
			if f.killErr == nil && sig == syscall.SIGKILL && !f.immortal {
				f.running = nil
			}
			return f.killErr
		},
		programs: func() ([]native.Process, error) { return slices.Clone(f.running), nil },
		waitNone: func(ctx context.Context, keep func(native.Process) bool) ([]native.Process, error) {
			var left []native.Process
			for _, p := range f.running {
				if keep == nil || keep(p) {
					left = append(left, p)
				}
			}
			if len(left) > 0 {
				return left, context.DeadlineExceeded
			}
			return nil, nil
		},
		fileSystems: func() ([]native.FileSystem, error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			return slices.Clone(f.mounts), nil
		},
		seesMounts: func() bool { return true },
		sync:       each(finish), remount: each(f.work),
		harden: func(context.Context, func(string)) { f.hardened++ },
		freezeInit: func(context.Context) (string, func() error, error) {
			f.froze++
			return "fake", func() error { f.thawed++; return nil }, nil
		},
	}
}

// readOnly remounts fs.
func (f *fake) readOnly(fs native.FileSystem) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, m := range f.mounts {
		if m.Point == fs.Point {
			f.mounts[i].Super = []string{"ro"}
		}
	}
}

func ext4(point string, minor uint32) native.FileSystem {
	return native.FileSystem{Mount: native.Mount{Point: point, Type: "ext4", Major: 8, Minor: minor, Super: []string{"rw"}}}
}

func nfs(point string) native.FileSystem {
	return native.FileSystem{Mount: native.Mount{Point: point, Type: "nfs4", Source: "server:/x", Minor: 99, Super: []string{"rw"}}}
}

// do runs one key on f and returns all that was said, on lines.
func do(t *testing.T, f *fake, k sysrq.Key, within time.Duration) (sysrq.Outcome, string, *machine, error) {
	t.Helper()
	m := newMachine(t)
	tr := m.open(t)
	tr.native, tr.sys = true, f.system()
	if !tr.Does(k) {
		t.Fatalf("%v is not done", k)
	}
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	var said strings.Builder
	o, err := tr.Do(ctx, k, func(s string) { said.WriteString(s + "\n") })
	return o, said.String(), m, err
}

func wrote(t *testing.T, m *machine) string {
	t.Helper()
	buf := make([]byte, 10)
	m.keys.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	n, _ := m.keys.Read(buf)
	return string(buf[:max(n, 0)])
}

func TestDoesNothingElsewhere(t *testing.T) {
	tr := newMachine(t).open(t)
	for _, k := range []sysrq.Key{'e', 'i', 's', 'u', 'b'} {
		if tr.Does(k) {
			t.Errorf("%v would be done here, though the procfs is another machine's", k)
		}
	}
}

func TestTerminate(t *testing.T) {
	f := &fake{running: []native.Process{{PID: 4, Name: "cron"}}}
	o, said, m, err := do(t, f, 'e', time.Second)
	if o != sysrq.Done || err != nil || len(f.killed) != 1 || f.killed[0] != syscall.SIGTERM {
		t.Errorf("%v, %v, %v", o, err, f.killed)
	}
	if got := wrote(t, m); got != "" {
		t.Errorf("the kernel's own e would end us; it was sent %q", got)
	}
	if !strings.Contains(said, "SIGTERM") {
		t.Error(said)
	}
	f.killErr = syscall.EPERM
	if o, _, _, err := do(t, f, 'e', time.Second); o != sysrq.Failed || !errors.Is(err, syscall.EPERM) {
		t.Errorf("%v, %v", o, err)
	}
}

func TestKill(t *testing.T) {
	f := &fake{running: []native.Process{{PID: 4, Name: "cron"}, {PID: 5, Name: "sh"}}}
	if o, said, _, err := do(t, f, 'i', time.Second); o != sysrq.Done || err != nil || !strings.Contains(said, "2 in all") {
		t.Errorf("%v, %v: %s", o, err, said)
	}
	f = &fake{running: []native.Process{{PID: 5, Name: "dd", State: 'D'}}, immortal: true}
	if o, said, _, err := do(t, f, 'i', time.Second); o != sysrq.Timeout || err != nil || !strings.Contains(said, "dd (5, stuck in the kernel)") {
		t.Errorf("%v, %v: %s", o, err, said)
	}
}

func TestSync(t *testing.T) {
	mounts := []native.FileSystem{ext4("/", 1), nfs("/srv"), ext4("/home", 2)}
	for name, tc := range map[string]struct {
		bad  error
		want sysrq.Outcome
		says string
	}{
		"all well":  {nil, sysrq.Done, "/srv (nfs4, server:/x) synced in 1ms"},
		"stuck":     {native.ErrStuck, sysrq.Timeout, "/srv (nfs4, server:/x) is stuck"},
		"disk full": {syscall.ENOSPC, sysrq.Accepted, "/srv (nfs4, server:/x) could not save everything"},
	} {
		f := &fake{mounts: mounts, work: func(_ context.Context, fs native.FileSystem) error {
			if fs.Type == "nfs4" {
				return tc.bad
			}
			return nil
		}}
		o, said, m, err := do(t, f, 's', time.Second)
		if o != tc.want || err != nil || !strings.Contains(said, tc.says) || !strings.Contains(said, "/home (ext4) synced") {
			t.Errorf("%s: %v, %v: %s", name, o, err, said)
		}
		if got := wrote(t, m); got != "s" {
			t.Errorf("%s: the kernel got %q", name, got)
		}
	}
}

func TestRemountByTheKernel(t *testing.T) {
	f := &fake{mounts: []native.FileSystem{ext4("/", 1), nfs("/srv")}}
	f.work = func(_ context.Context, fs native.FileSystem) error {
		t.Errorf("%s needed no help", fs)
		return nil
	}
	finished := false
	f.finish = func(context.Context, native.FileSystem) error { finished = true; return nil }
	time.AfterFunc(50*time.Millisecond, func() { f.readOnly(ext4("/", 1)) })
	o, said, m, err := do(t, f, 'u', 10*time.Second)
	if !finished {
		t.Error("its last write was not waited for")
	}
	if o != sysrq.Done || err != nil || said != "/ (ext4) is read-only\n" || wrote(t, m) != "u" {
		t.Errorf("%v, %v: %s", o, err, said)
	}
}

func TestRemountByUs(t *testing.T) {
	btrfs := native.FileSystem{Mount: native.Mount{Point: "/home", Type: "btrfs", Minor: 40, Super: []string{"rw"}}}
	f := &fake{mounts: []native.FileSystem{ext4("/", 1), btrfs, ext4("/busy", 3), ext4("/dead", 4)}}
	f.work = func(ctx context.Context, fs native.FileSystem) error {
		switch fs.Point {
		case "/busy":
			return syscall.EBUSY
		case "/dead":
			<-ctx.Done()
			return native.ErrStuck
		}
		f.readOnly(fs)
		return nil
	}
	f.finish = func(context.Context, native.FileSystem) error { return nil }
	o, said, _, err := do(t, f, 'u', 300*time.Millisecond)
	if o != sysrq.Timeout || err != nil {
		t.Errorf("%v, %v", o, err)
	}
	if !strings.HasPrefix(said, "/home (btrfs) is read-only\n") {
		t.Errorf("what the kernel passes over needs help at once: %s", said)
	}
	for _, want := range []string{
		"/ (ext4) is read-only\n",
		"/busy (ext4) is still read-write: device or resource busy\n",
		"/dead (ext4) is still read-write: it does not answer\n",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not in %s", want, said)
		}
	}
}

// TestRemountUnfinished: what shows as read-only may still be at its last write.
func TestRemountUnfinished(t *testing.T) {
	f := &fake{mounts: []native.FileSystem{ext4("/dying", 1)}}
	f.work = func(context.Context, native.FileSystem) error { return native.ErrStuck }
	f.finish = func(ctx context.Context, _ native.FileSystem) error {
		<-ctx.Done()
		return native.ErrStuck
	}
	time.AfterFunc(20*time.Millisecond, func() { f.readOnly(ext4("/dying", 1)) })
	o, said, _, err := do(t, f, 'u', 200*time.Millisecond)
	if o != sysrq.Timeout || err != nil || said != "/dying (ext4) is read-only, but its last write has not ended\n" {
		t.Errorf("%v, %v: %s", o, err, said)
	}
}

func prepare(t *testing.T, f *fake, words ...string) *Transport {
	t.Helper()
	tr := newMachine(t).open(t)
	tr.native, tr.sys = true, f.system()
	steps, err := sysrq.ParseSteps(words, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.Prepare(t.Context(), steps, nil); err != nil {
		t.Fatal(err)
	}
	return tr
}

func TestPrepareOnlyWhatIsNeeded(t *testing.T) {
	for _, tc := range []struct {
		words            []string
		hardened, frozen int
	}{
		{[]string{"4"}, 0, 0},
		{[]string{"observe"}, 0, 0},
		{[]string{"s"}, 0, 0},
		{[]string{"sub"}, 1, 0},
		{[]string{"reisub"}, 1, 1},
		{[]string{"i"}, 1, 1},
	} {
		f := &fake{}
		tr := prepare(t, f, tc.words...)
		if f.hardened != tc.hardened || f.froze != tc.frozen {
			t.Errorf("%v: hardened %d, frozen %d", tc.words, f.hardened, f.froze)
		}
		tr.Close()
		tr.Close()
		if f.thawed != f.froze {
			t.Errorf("%v: frozen %d, thawed %d", tc.words, f.froze, f.thawed)
		}
	}
}

func TestSettle(t *testing.T) {
	f := &fake{running: []native.Process{{PID: 4, Name: "cron", State: 'S'}}}
	tr := prepare(t, f, "s")
	if got := tr.Settle(t.Context()); got != "cron (4)" {
		t.Error(got)
	}
	f.running = nil
	if got := tr.Settle(t.Context()); got != "" {
		t.Error(got)
	}
}
