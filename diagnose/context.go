package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sysrq/sysrq/dump"
)

// context joins findings of one boot that are one story: what came first is the
// cause, and the rest is counted in it.
func (a *Analyzer) context(fs []*finding) []*finding {
	fs = bugThenLocks(fs)
	fs = bugThenLockups(fs)
	fs = rcuBehind(fs)
	a.rcuMeanwhile(fs)
	return a.around(fs)
}

// bugThenLocks: a task that died of a bug has kept its locks. Whoever waits for
// a lock that nobody is seen to hold waits for it.
func bugThenLocks(fs []*finding) []*finding {
	for _, b := range slices.Clone(fs) {
		if b.ID != "bug" || b.Severity != Critical || len(b.Tasks) == 0 || !slices.Contains(fs, b) {
			continue
		}
		fs = slices.DeleteFunc(fs, func(f *finding) bool {
			if f == b || f.boot != b.boot || !f.unheld || firstSpan(f.Lines).First < firstSpan(b.Lines).First {
				return false
			}
			near := false
			for _, t := range f.Tasks {
				near = near || t.Comm == b.Tasks[0].Comm
			}
			for _, d := range f.doms {
				near = near || d != "" && slices.Contains(b.doms, d)
			}
			if !near {
				f.Detail = strings.TrimSpace(f.Detail + fmt.Sprintf(" The kernel had hit a bug before (line %d): the task that died of it may have kept the lock.", firstSpan(b.Lines).First))
				return false
			}
			b.Title = strings.TrimSuffix(b.Title, ".") + fmt.Sprintf("; it kept what it held, and %s %s for it.", count(len(f.Tasks), "task"), verb(len(f.Tasks)))
			b.Detail = strings.TrimSpace(b.Detail + " " + f.Title + " " + f.Detail)
			b.Lines = append(b.Lines, f.Lines...)
			b.Tasks = append(b.Tasks, f.Tasks...)
			b.weight += f.weight
			return true
		})
	}
	return fs
}

// bugThenLockups: after a bug in the kernel processors that spin for a lock are
// no wonder.
func bugThenLockups(fs []*finding) []*finding {
	for _, b := range slices.Clone(fs) {
		if b.ID != "bug" || b.Severity != Critical {
			continue
		}
		n := 0
		fs = slices.DeleteFunc(fs, func(f *finding) bool {
			if f == b || f.boot != b.boot || firstSpan(f.Lines).First < firstSpan(b.Lines).First {
				return false
			}
			switch {
			case f.ID == "soft-lockup" || f.ID == "rcu" || f.ID == "spinlock" || f.ID == "workqueue" && len(f.Tasks) == 0:
			case f.ID == "bug" && f.Severity == Critical:
			default:
				return false
			}
			n++
			b.Lines = append(b.Lines, f.Lines...)
			b.weight++
			if f.vague {
				return true
			}
			f.Severity = Warning
			f.Confidence = Possible
			f.Detail = strings.TrimSpace(f.Detail + fmt.Sprintf(" It came after the bug in line %d, and may be its consequence.", firstSpan(b.Lines).First))
			return false
		})
		if n > 0 {
			b.Detail = strings.TrimSpace(b.Detail + fmt.Sprintf(" After it came %s: likely its consequences.", count(n, "other alarm")))
		}
		break // the first one is the cause
	}
	return fs
}

// rcuBehind: tasks that wait for RCU wait for the processor that holds it up.
func rcuBehind(fs []*finding) []*finding {
	for _, c := range slices.Clone(fs) {
		if !slices.Contains(fs, c) {
			continue
		}
		switch c.ID {
		case "soft-lockup", "rcu", "realtime-task", "spinlock":
		default:
			continue
		}
		if c.dev != "" || c.site != "" || c.Severity == Info || c.vague {
			continue // a chain itself
		}
		fs = slices.DeleteFunc(fs, func(f *finding) bool {
			if f == c || f.ID != "rcu" || f.boot != c.boot || f.site == "" {
				return false
			}
			c.Title = strings.TrimSuffix(c.Title, ".") + fmt.Sprintf("; %s %s for RCU behind it.", count(f.weight, "task"), verb(f.weight))
			c.Lines = append(c.Lines, f.Lines...)
			c.Tasks = append(c.Tasks, f.Tasks...)
			c.weight += f.weight
			return true
		})
	}
	return fs
}

// harmless reports signs that machines in good health have: drives without a
// medium, and errors that were corrected.
func harmless(s *sign) bool {
	for _, d := range []string{"disk fd", "disk sr"} {
		if has(s.Suspect, d) {
			return true
		}
	}
	return strings.Contains(s.Text, "Machine check events logged")
}

// trouble reports whether the kernel has told of any, in a block: without it a
// line that warns is no more than that.
func (a *Analyzer) trouble() bool {
	for k := range a.kinds {
		switch k {
		case dump.KindHeader, dump.KindHelp, dump.KindCPU, dump.KindMemory, dump.KindTimers, dump.KindTrace, dump.KindUnread, dump.KindWorkqueues, dump.KindWarning, dump.KindStack:
		case dump.KindTask, dump.KindLocks, dump.KindSched:
			for _, t := range a.tasks.all {
				if t.blocked || t.proven {
					return true
				}
			}
			if len(a.sched) > 0 {
				return true
			}
		default:
			return true
		}
	}
	return false
}

// rcuMeanwhile names what the processors were at while tasks waited for RCU: one
// of them has not passed through a quiet state.
func (a *Analyzer) rcuMeanwhile(fs []*finding) {
	for _, f := range fs {
		if f.ID != "rcu" || f.site == "" {
			continue
		}
		var ran []string
		for i := range a.alarms[dump.KindCPU] {
			c := &a.alarms[dump.KindCPU][i]
			if c.boot != f.boot || c.Idle || c.User || c.PID == 0 || c.who() == "" || c.where() == "" || c.hasFn(handler) || c.hasFn(idling) || c.Comm == "khungtaskd" || len(ran) == 2 {
				continue
			}
			s := c.who() + " in " + c.where()
			if !slices.Contains(ran, s) {
				ran = append(ran, s)
				f.Lines = append(f.Lines, c.lines)
			}
		}
		if len(ran) > 0 {
			f.Detail = strings.TrimSpace(f.Detail + " Meanwhile a processor ran " + strings.Join(ran, ", another ") + ".")
			f.Suspect += "; a processor ran " + ran[0]
		}
	}
}

// bootOf is the boot in which a line stands, as far as blocks tell.
func (a *Analyzer) bootOf(line int64) int {
	n := 1
	for i, l := range a.boots {
		if line >= l {
			n = i + 1
		}
	}
	return n
}

// class is what a sign is about, by its row: what it can be the cause of.
func class(id string) string {
	switch {
	case has(id, "medium-error", "space-error", "io-error", "target-error", "beyond-end", "scsi-", "raid-", "nvme-", "ata-", "mmc-", "ufs-", "fc-", "iscsi-", "multipath-", "thin-pool", "dm-", "md-", "bcache-error", "drbd-", "nbd-", "loop-", "rbd-", "dasd-", "jbd2-", "ext4-", "xfs-", "btrfs-", "f2fs-", "zfs-", "bcachefs-", "other-fs", "bad-superblock", "enospc"):
		return "disk"
	case has(id, "nfs-", "nfsd-"):
		return "nfs"
	case has(id, "cifs-"):
		return "cifs"
	case has(id, "ceph-"):
		return "ceph"
	case has(id, "lustre-"):
		return "lustre"
	case has(id, "9p-"):
		return "9p"
	case has(id, "afs-"):
		return "afs"
	case has(id, "eeh", "pcie-", "pci-", "irq-nobody", "iommu-", "hardware-"):
		return "bus"
	case has(id, "gpu-"):
		return "gpu"
	case has(id, "usb-"):
		return "usb"
	case has(id, "netdev-", "network-", "link-down"):
		return "net"
	}
	return ""
}

// told reports signs that are blocks as well: the block says more.
func (a *Analyzer) told(id string) bool {
	k := func(kinds ...dump.Kind) bool {
		for _, kind := range kinds {
			if a.kinds[kind] > 0 {
				return true
			}
		}
		return false
	}
	switch id {
	case "oom-kill", "oom-unreapable":
		return k(dump.KindOOM)
	case "allocation-failure", "allocation-stall":
		return k(dump.KindAllocation)
	case "exited-with-locks", "recursive-fault", "kernel-bug", "oops", "scheduling-atomic", "bad-page":
		return k(dump.KindOops, dump.KindPanic)
	case "lock-left", "lockdep":
		return k(dump.KindLockdep)
	case "rcu-starved", "rcu-stall", "lockup", "csd-lock":
		return k(dump.KindRCUStall, dump.KindSoftLockup, dump.KindHardLockup)
	case "hung-suppressed", "hung-task":
		return k(dump.KindHungTask)
	}
	return false
}

// fits reports whether a sign can be the cause of a finding about blocked tasks.
func fits(s *sign, f *finding) bool {
	dom := func(names ...string) bool {
		for _, n := range names {
			if slices.Contains(f.doms, n) {
				return true
			}
		}
		return false
	}
	unknown := f.ID == "stuck-task" || len(f.doms) == 0
	switch c := class(s.ID); c {
	case "disk":
		return f.storage || f.ID == "block-device" || dom("scsi", "ata", "nvme", "md", "dm", "zfs", "ext4", "xfs", "btrfs", "block")
	case "bus":
		return f.storage || f.ID == "block-device" || dom("scsi", "ata", "nvme", "zfs", "drm", "nvidia", "pci", "usb") || unknown
	case "gpu":
		return dom("drm", "nvidia") || unknown
	case "usb":
		return dom("usb")
	case "net":
		return dom("net", "wifi", "nfs", "cifs", "ceph") || s.ID == "netdev-refs" && dom("net")
	case "":
		return false
	default:
		// A server, or a lock that somebody may hold who waits for it.
		return dom(c) || f.unheld && (f.storage || unknown)
	}
}

// around joins the lines of the log that name a cause with the tasks that wait,
// and makes the others findings of their own.
func (a *Analyzer) around(fs []*finding) []*finding {
	used := map[int]bool{}
	signs := a.signs.found()
	trouble := len(signs) > 0 && a.trouble()
	for _, f := range fs {
		if len(f.Tasks) == 0 || f.ID == "crash" || f.ID == "bug" || f.ID == "deadlock" && f.Confidence == Certain || f.site == "" && f.ID != "stuck-task" {
			continue
		}
		best, score := -1, 0
		for i := range signs {
			s := &signs[i]
			if s.Severity == Info || harmless(s) || !fits(s, f) || a.bootOf(s.First) != f.boot {
				continue
			}
			n := 1
			if f.dev != "" && s.Suspect != "" && strings.Contains(s.Suspect, disk(f.dev)) {
				n += 8
			}
			if s.Severity == Critical {
				n += 2
			}
			if s.First < firstSpan(f.Lines).First {
				n += 2
			}
			if s.Suspect != "" {
				n++
			}
			if n > score {
				best, score = i, n
			}
		}
		if best < 0 {
			continue
		}
		s := &signs[best]
		used[best] = true
		when := "the kernel says as well"
		if s.First < firstSpan(f.Lines).First {
			when = "before that the kernel said"
		}
		f.Title = strings.TrimSuffix(f.Title, ".") + "; " + when + ": " + s.What
		if s.Suspect != "" {
			f.Suspect = s.Suspect + "; " + f.Suspect
		}
		f.Detail = strings.TrimSpace(f.Detail + fmt.Sprintf(" Line %d: %s", s.First, clean(s.Text)))
		if s.Count > 1 {
			f.Detail += fmt.Sprintf(" (and %d more like it)", s.Count-1)
		}
		if f.Confidence == Possible {
			f.Confidence = Likely
		}
		f.Lines = append(f.Lines, dump.Span{First: s.First, Last: s.First})
		if s.Next != "" {
			f.Next = s.Next
		}
		f.unheld = false
	}
	for i := range signs {
		s := &signs[i]
		if used[i] || a.told(s.ID) || strings.Contains(s.Text, "nmi_cpu_backtrace") {
			continue
		}
		// What only repeats a sign that is told already.
		again := false
		for j := range used {
			again = again || signs[j].ID == s.ID || class(signs[j].ID) != "" && class(signs[j].ID) == class(s.ID)
		}
		if again {
			continue
		}
		f := &finding{boot: a.bootOf(s.First)}
		f.ID, f.Severity, f.Confidence = s.ID, s.Severity, Likely
		f.Title, f.Suspect, f.Next = s.What, s.Suspect, s.Next
		switch {
		case harmless(s):
			f.Severity = Info
		case trouble || s.ID == "rt-throttling":
		case f.Severity == Warning:
			f.Severity = Info // an ordinary log has some of these
		case f.Severity == Critical:
			f.Severity = Warning // nothing has come of it
		}
		f.Detail = fmt.Sprintf("Line %d: %s", s.First, clean(s.Text))
		if s.Count > 1 {
			f.Detail += fmt.Sprintf(" (and %d more like it)", s.Count-1)
		}
		f.Lines = []dump.Span{{First: s.First, Last: s.First}}
		if f.Severity == Info {
			f.Confidence = Possible // the verdict comes first
		}
		if s.ID == "rt-throttling" {
			// The scheduler says it without a name; l may have it.
			f.ID = "realtime-task"
			if slices.ContainsFunc(fs, func(g *finding) bool { return g.ID == f.ID && g.boot == f.boot }) {
				continue
			}
			for j := range a.alarms[dump.KindCPU] {
				if c := &a.alarms[dump.KindCPU][j]; c.User && c.boot == f.boot && c.who() != "" {
					f.Suspect = c.who() + ", which ran in userspace"
					f.Title = fmt.Sprintf("Real-time tasks use up a processor; %s ran on processor %d.", c.who(), c.CPU.CPU)
					f.Tasks = []TaskRef{{Comm: c.Comm, PID: c.PID}}
					break
				}
			}
		}
		fs = append(fs, f)
	}
	return fs
}
