package native

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Process is what /proc/PID/stat tells of a process.
type Process struct {
	PID   int
	PPID  int
	Name  string // comm: at most 15 bytes, chosen by the program
	State byte   // 'R', 'S', 'D', 'Z', …
	// Threads that are still there. A zombie with more than one is alive: only
	// its first thread has ended.
	Threads int
	// Start tells processes with the same number apart: clock ticks since boot.
	Start  uint64
	Kernel bool // a thread of the kernel
}

// String is "cron (412)", with the state where it says why it is still there.
func (p Process) String() string {
	switch p.State {
	case 'D':
		return fmt.Sprintf("%s (%d, stuck in the kernel)", p.Name, p.PID)
	case 'T', 't':
		return fmt.Sprintf("%s (%d, stopped)", p.Name, p.PID)
	case 'Z':
		return fmt.Sprintf("%s (%d, %d threads left)", p.Name, p.PID, p.Threads-1)
	}
	return fmt.Sprintf("%s (%d)", p.Name, p.PID)
}

// dead reports whether only the exit status is left of p.
func (p Process) dead() bool {
	return p.State == 'X' || p.State == 'x' || p.State == 'Z' && p.Threads <= 1
}

// Names lists processes for a sentence: at most max of them, and how many more
// there are.
func Names(ps []Process, max int) string {
	var b strings.Builder
	for i, p := range ps {
		if i == max {
			fmt.Fprintf(&b, " and %d more", len(ps)-i)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(p.String())
	}
	return b.String()
}

var errStat = errors.New("not a line of /proc/PID/stat")

// pfKthread is PF_KTHREAD of include/linux/sched.h, unchanged since 2.6.27.
const pfKthread = 0x00200000

// ParseStat reads /proc/PID/stat (fs/proc/array.c, do_task_stat). The name may
// hold anything, parentheses and newlines too; it ends with the last one.
func ParseStat(b []byte) (Process, error) {
	open, shut := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 1 || shut < open {
		return Process{}, errStat
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(b[:open])))
	if err != nil || pid <= 0 {
		return Process{}, errStat
	}
	// f[0] is field 3 of proc(5), the state.
	f := bytes.Fields(b[shut+1:])
	if len(f) < 20 || len(f[0]) != 1 {
		return Process{}, errStat
	}
	var bad error
	num := func(field int) uint64 {
		n, err := strconv.ParseUint(string(f[field-3]), 10, 64)
		if err != nil {
			bad = errStat
		}
		return n
	}
	p := Process{
		PID: pid, Name: string(b[open+1 : shut]), State: f[0][0],
		PPID: int(num(4)), Kernel: num(9)&pfKthread != 0, Threads: int(num(20)), Start: num(22),
	}
	return p, bad
}
