package native

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// KillAll signals every process that the caller may signal, except init and
// the caller itself (kernel/signal.c, kill_something_info), unlike the
// kernel's own e and i, which spare init only. Inside a PID namespace it
// reaches that namespace. Nobody to signal is no error.
//
// A program that is stopped hears SIGTERM only when it goes on, so SIGCONT
// follows.
func KillAll(sig syscall.Signal) error {
	return killAll(unix.Kill, sig)
}

func killAll(kill func(pid int, sig syscall.Signal) error, sig syscall.Signal) error {
	if err := kill(-1, sig); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill(-1, %s): %w", unix.SignalName(sig), err)
	}
	if sig == unix.SIGTERM {
		_ = kill(-1, unix.SIGCONT) // those that it does not reach have heard SIGTERM
	}
	return nil
}

// Programs lists the processes of userspace: neither the caller nor init, no
// thread of the kernel, nothing that has ended.
//
// It reads /proc/PID/stat only. cmdline, exe, maps and the like take the
// memory lock of the process they ask about, and hang with it.
func (p Proc) Programs() ([]Process, error) {
	self, err := os.Readlink(filepath.Join(string(p), "self"))
	if err != nil {
		return nil, err
	}
	dir, err := os.Open(string(p))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var left []Process
	buf := make([]byte, 1024)
	for _, name := range names {
		if name[0] < '1' || name[0] > '9' || name == self || name == "1" {
			continue
		}
		ps, err := p.read(name, buf)
		if err != nil || ps.Kernel || ps.dead() {
			continue // an error: it ended between the two calls
		}
		left = append(left, ps)
	}
	return left, nil
}

// Process is process pid as it is now.
func (p Proc) Process(pid int) (Process, error) {
	return p.read(strconv.Itoa(pid), make([]byte, 1024))
}

func (p Proc) read(pid string, buf []byte) (Process, error) {
	f, err := os.Open(string(p) + "/" + pid + "/stat")
	if err != nil {
		return Process{}, err
	}
	n, err := f.Read(buf)
	f.Close()
	if err != nil {
		return Process{}, err
	}
	return ParseStat(buf[:n])
}

// WaitNone waits until no program is left, or for ctx, and returns what is
// left. keep, if not nil, says which programs count.
//
// It looks again and again, ever less often. A pidfd for each process would
// tell at once, but costs a file each in the hour of need, does not exist
// before Linux 5.3, and does not know the children that were born meanwhile,
// so that one would look again all the same.
func (p Proc) WaitNone(ctx context.Context, keep func(Process) bool) ([]Process, error) {
	const first, longest = 2 * time.Millisecond, 50 * time.Millisecond
	timer := time.NewTimer(first)
	defer timer.Stop()
	for wait := first; ; wait = min(2*wait, longest) {
		all, err := p.Programs()
		if err != nil {
			return nil, err
		}
		left := all[:0]
		for _, ps := range all {
			if keep == nil || keep(ps) {
				left = append(left, ps)
			}
		}
		if len(left) == 0 {
			return nil, nil
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return left, ctx.Err()
		case <-timer.C:
		}
	}
}

// FirstNamespace reports whether the caller lives in the PID namespace that
// the kernel started with: elsewhere it sees, and KillAll reaches, a part of
// the machine only.
func (p Proc) FirstNamespace() bool {
	// PROC_PID_INIT_INO of include/linux/proc_ns.h, since 3.8.
	const first = "pid:[4026531836]"
	ns, err := os.Readlink(filepath.Join(string(p), "self/ns/pid"))
	return err != nil || ns == first // no namespaces in this kernel: all is first
}
