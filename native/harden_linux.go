package native

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// hardenPart bounds each part of Harden: what takes longer hangs.
const hardenPart = 3 * time.Second

// Harden gets the calling process ready to outlive the others: it leaves its
// control groups, is passed over by the OOM killer, keeps its memory, goes
// first on the processors and at the disks, and does not end with its
// terminal. Each part is tried; what fails is told in one sentence, and the
// rest goes on. The process keeps all this until it ends.
//
// SIGINT and SIGQUIT stay as they were: a person at the keyboard can always
// call the whole thing off. For the same reason the process stays in its
// session, from where a Ctrl-C reaches it; once the hang-up is ignored, the
// end of the session's leader does nothing to it.
func Harden(ctx context.Context, say func(text string)) {
	ignoreHangup()
	for _, part := range []struct {
		fails string
		do    func() error
	}{
		{"it may be ended with the session that it was started from", leaveCgroups},
		{"it may be chosen when memory runs out", oomExempt},
		{"its memory may be paged out", lockMemory},
		{"it has to wait for a processor like any other program", goFirst},
		{"its disk accesses have to queue", diskFirst},
	} {
		c, cancel := context.WithTimeout(ctx, hardenPart)
		err := within(c, part.do)
		cancel()
		if err != nil && say != nil {
			say(part.fails + ": " + strings.ReplaceAll(err.Error(), "\n", "; "))
		}
	}
}

// ignoreHangup ignores what an ending session sends, and what job control
// sends: stopped, and with init frozen, nobody would go on. An ignored SIGPIPE
// makes writing to a reader that is gone an error.
func ignoreHangup() {
	signal.Ignore(unix.SIGHUP, unix.SIGTERM, unix.SIGPIPE, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU)
}

// leaveCgroups moves the process to the root of every hierarchy: out of what
// systemd would end as a whole, what is throttled, and what may be frozen. It
// comes before goFirst, since a group may have no real-time share at all
// (CONFIG_RT_GROUP_SCHED).
func leaveCgroups() error {
	var errs []error
	roots, err := cgroupsV1("")
	errs = append(errs, err)
	v2, err := cgroupV2()
	if err == nil {
		roots = append(roots, v2)
	} else if len(roots) == 0 {
		errs = append(errs, err)
	}
	for _, root := range roots {
		errs = append(errs, root.write("cgroup.procs", "0")) // 0 is the writer
		root.close()
	}
	return errors.Join(errs...)
}

func oomExempt() error {
	return os.WriteFile("/proc/self/oom_score_adj", []byte("-1000"), 0)
}

// lockMemory keeps what is in memory there, and what will be.
//
// MCL_ONFAULT (since 4.4), because Go reserves far more address space than it
// uses, and filling all of it could be what exhausts the memory. The program
// itself is read in whole: its disk may be the one that is about to fail.
func lockMemory() error {
	flags := unix.MCL_CURRENT | unix.MCL_FUTURE
	if !mayLockAll() {
		// With MCL_FUTURE the first allocation beyond the limit would end us.
		flags = unix.MCL_CURRENT
	}
	err := unix.Mlockall(flags | unix.MCL_ONFAULT)
	if errors.Is(err, unix.EINVAL) {
		err = unix.Mlockall(flags)
	}
	if err != nil {
		return fmt.Errorf("mlockall: %w", err)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return err
	}
	for line := range bytes.Lines(maps) {
		start, end, ok := fileBacked(string(line))
		if !ok {
			continue
		}
		// Not unix.Mlock: this memory is no Go slice.
		if _, _, e := unix.Syscall(unix.SYS_MLOCK, start, end-start, 0); e != 0 {
			return fmt.Errorf("mlock: %w", e)
		}
	}
	return nil
}

// fileBacked reads a line of /proc/PID/maps: the range, and whether it can be
// read in from a file.
func fileBacked(line string) (start, end uintptr, ok bool) {
	f := strings.Fields(line)
	if len(f) < 6 || !strings.HasPrefix(f[5], "/") || !strings.HasPrefix(f[1], "r") {
		return 0, 0, false
	}
	a, b, _ := strings.Cut(f[0], "-")
	s, err1 := strconv.ParseUint(a, 16, 64)
	e, err2 := strconv.ParseUint(b, 16, 64)
	return uintptr(s), uintptr(e), err1 == nil && err2 == nil && s < e
}

func mayLockAll() bool {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit) == nil && limit.Cur == unix.RLIM_INFINITY {
		return true
	}
	var data [2]unix.CapUserData
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	return unix.Capget(&header, &data[0]) == nil && data[0].Effective&(1<<unix.CAP_IPC_LOCK) != 0
}

// goFirst makes all threads real-time ones of the lowest priority. Niceness is
// not enough: -19 is but a bigger share, and among ten thousand runnable
// programs a bigger share is next to nothing. The lowest, because the threads
// of the kernel that we wait for must come before us.
func goFirst() error {
	rr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1}
	err := eachThread(func(tid int) error { return unix.SchedSetAttr(tid, &rr, 0) })
	if err == nil {
		return nil
	}
	if e := eachThread(func(tid int) error { return unix.Setpriority(unix.PRIO_PROCESS, tid, -19) }); e != nil {
		return fmt.Errorf("sched_setattr: %w; setpriority: %w", err, e)
	}
	return nil
}

// diskFirst puts all threads into the real-time class of the schedulers of
// block devices that have classes (BFQ, mq-deadline).
func diskFirst() error {
	// include/uapi/linux/ioprio.h
	const whoProcess, classRT, classShift = 1, 1, 13
	err := eachThread(func(tid int) error {
		_, _, e := unix.Syscall(unix.SYS_IOPRIO_SET, whoProcess, uintptr(tid), classRT<<classShift|4)
		if e != 0 {
			return e
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("ioprio_set: %w", err)
	}
	return nil
}

// eachThread calls f for every thread of the process. Priorities belong to
// threads, and a new one has those of the one that started it; so threads that
// started meanwhile have to be looked for until there are none.
func eachThread(f func(tid int) error) error {
	done := make(map[string]bool)
	for {
		dir, err := os.Open("/proc/self/task")
		if err != nil {
			return err
		}
		tids, err := dir.Readdirnames(-1)
		dir.Close()
		if err != nil {
			return err
		}
		before := len(done)
		for _, name := range tids {
			tid, err := strconv.Atoi(name)
			if err != nil || done[name] {
				continue
			}
			done[name] = true
			if err := f(tid); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
		if len(done) == before {
			return nil
		}
	}
}
