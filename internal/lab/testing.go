package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// TB is what the lab uses of a *testing.T. The package testing itself must not
// be linked into programs.
type TB interface {
	Helper()
	Name() string
	Context() context.Context
	Cleanup(func())
	Failed() bool
	Logf(format string, args ...any)
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Wanted reports whether tests on real kernels shall run: SYSRQ_LAB=1 says so.
func Wanted() bool { return os.Getenv("SYSRQ_LAB") == "1" }

// Need skips a test unless the lab is wanted. Where it is, a test that cannot
// run must fail instead.
func Need(t TB) {
	t.Helper()
	if !Wanted() {
		t.Skipf("boots a real kernel: run it with SYSRQ_LAB=1")
	}
}

// FindT is Find for a test.
func FindT(t TB, arch, series string) Kernel {
	t.Helper()
	Need(t)
	k, err := Find(t.Context(), arch, series, func(s string) { t.Logf("lab: %s", s) })
	if err != nil {
		t.Fatalf("%v", err)
	}
	return k
}

// StartT starts a machine that ends with the test. When the test fails, the
// console's last lines are shown, and the whole of it is kept as a file.
func StartT(t TB, c Config) *Machine {
	t.Helper()
	Need(t)
	// The test's context ends before its cleanups: the machine is ended by
	// ours, after the console has been looked at.
	m, err := Start(context.WithoutCancel(t.Context()), c)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("console of %s:\n%s", c.Kernel.Release, m.console.tail(60))
			if kept, err := m.keepConsole(t.Name()); err == nil {
				t.Logf("all of it: %s", kept)
			}
		}
		if err := m.Close(); err != nil {
			t.Logf("close the machine: %v", err)
		}
	})
	return m
}

func (m *Machine) keepConsole(name string) (string, error) {
	dir := filepath.Join(CacheDir(), "failed")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	file := filepath.Join(dir, fmt.Sprintf("%s.console", sanitise(name)))
	return file, os.WriteFile(file, m.Console(), 0o644)
}

func sanitise(name string) string {
	out := []byte(name)
	for i, c := range out {
		if c == '/' || c == ' ' {
			out[i] = '-'
		}
	}
	return string(out)
}
