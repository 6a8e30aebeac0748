package corpus

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sysrq/sysrq/internal/golden"
	"github.com/sysrq/sysrq/internal/lab"
	"github.com/sysrq/sysrq/internal/lab/guest"
)

// states are all there are.
func states() []state {
	return []state{
		idle(), frozen(), vfork(),
		fuseServer(), nfsServer(), suspended(), suspendedFrozen(), deadDisk(),
		deadlock(), mutex(), rwsem(), completion(), workqueue(),
		slab(), tmpfs(), cgroup(), oom(), oomByCommand(),
		realtime(), softLockup(), interruptsOff(), spinlock(), rcuStall(),
		crash(), trap("oops", "it writes to address 0", "end trace"),
		trap("bug", "it calls BUG", "end trace"), trap("warn", "it calls WARN", "end trace"),
	}
}

// pcOnly leaves a shot out elsewhere: it would say nothing new.
func pcOnly(k Kernel) bool { return !k.onPC() }

// steps does one after the other, up to the first that fails.
func steps(all ...func(*stage) error) func(*stage) error {
	return func(s *stage) error {
		for _, step := range all {
			if err := step(s); err != nil {
				return err
			}
		}
		return nil
	}
}

// bystanders are ordinary processes, for a dump to show that are not to blame.
func bystanders(s *stage) error {
	return steps(sleeps("sleep 100000"), sleeps("sleep 100000"))(s)
}

// hangs leaves programs stuck, one command line each.
func hangs(lines ...string) func(*stage) error {
	return func(s *stage) error { return s.hangAll(lines...) }
}

// sleeps leaves a program waiting in a way that can be interrupted.
func sleeps(line string) func(*stage) error {
	return func(s *stage) error {
		_, err := s.sleeper(line)
		return err
	}
}

// runs runs programs to their end.
func runs(lines ...string) func(*stage) error {
	return func(s *stage) error {
		for _, l := range lines {
			argv := strings.Fields(l)
			if _, err := s.Run(s.ctx, argv[0], argv[1:]...); err != nil {
				return err
			}
		}
		return nil
	}
}

// does has the guest carry out an op.
func does(op guest.Op) func(*stage) error {
	return func(s *stage) error {
		_, err := s.Do(s.ctx, op)
		return err
	}
}

// waits lets time pass, for what happens by itself.
func waits(d time.Duration) func(*stage) error {
	return func(s *stage) error { return s.pause(d) }
}

// module loads labtrouble.
func module(params string) func(*stage) error {
	return func(s *stage) error { return s.loadModule(params) }
}

// writes writes a file that is a switch.
func writes(path, text string) func(*stage) error {
	return func(s *stage) error { return s.write(path, text) }
}

// smallDisk adds one with a file system.
func smallDisk(c *lab.Config) {
	c.Disks = append(c.Disks, lab.Disk{Ext4: "data", MiB: 64})
	if c.Kernel.Arch != "uml" { // which has a disk driver of its own
		c.Modules = append(c.Modules, "nvme", "ext4")
	}
}

// withModules has the kernel's own modules loaded at boot.
func withModules(names ...string) func(*lab.Config) {
	return func(c *lab.Config) { c.Modules = append(c.Modules, names...) }
}

// mounted mounts the small disk, with one file on it.
var mounted = steps(
	func(s *stage) error { return s.Mount(s.ctx, 0, "/data") },
	runs("dd if=/dev/zero of=/data/old bs=4k count=16", "sync"),
)

// hungReports is what khungtaskd says of the state, which others have to wait
// two minutes for.
var hungReports = shot{
	name: "hung", until: "for more than", not: pcOnly, // 7.2: "blocked in I/O wait for more than"
	before: steps(
		writes("/proc/sys/kernel/hung_task_check_interval_secs", "1"),
		writes("/proc/sys/kernel/hung_task_timeout_secs", "2"),
		waits(5*time.Second),
		writes("/proc/sys/kernel/hung_task_timeout_secs", "0"),
	),
}

// idle has no trouble at all.
func idle() state {
	st := state{
		name: "idle", root: "none", everywhere: true,
		note:  "nothing is wrong: two programs sleep",
		enter: bystanders,
	}
	for _, k := range "hwtlmpqzd" {
		sh := shot{keys: string(k)}
		if k == 't' {
			// print_worker_info trips over user-mode Linux's own fault.
			sh.not = func(k Kernel) bool { return k.Arch == "uml" }
		}
		st.shots = append(st.shots, sh)
	}
	st.shots = append(st.shots, shot{keys: "hwlmq", name: "console", source: golden.Console})
	return st
}

// frozen has tasks that want to write to a frozen file system.
func frozen() state {
	return state{
		name: "frozen", root: "superblock-freeze", everywhere: true, config: smallDisk,
		// Elsewhere no NVMe disk appears, or the emulator has none.
		not:  func(k Kernel) bool { return !k.onPC() && k.Arch != "arm64" && k.Arch != "uml" },
		note: "an ext4 is frozen (FIFREEZE), and tasks create, write and remove files on it",
		enter: steps(bystanders, mounted, does(guest.Op{Freeze: &guest.Freeze{Target: "/data"}}), hangs(
			"touch /data/new",
			"mkdir /data/dir",
			"dd if=/dev/zero of=/data/old bs=4k count=1 conv=notrunc",
			"rm /data/old",
		)),
		shots: []shot{
			{keys: "w"},
			{keys: "t", not: pcOnly},
			{keys: "w", name: "w-console", source: golden.Console},
			hungReports,
		},
	}
}

// vfork has parents whose children never call exec.
func vfork() state {
	return state{
		name: "vfork", root: "vfork", everywhere: true,
		note: "parents wait for vforked children that never call exec",
		enter: func(s *stage) error {
			_, err := s.Do(s.ctx, guest.Op{Hang: &guest.Hang{Tasks: 3}})
			return err
		},
		shots: []shot{{keys: "w"}},
	}
}

// server starts one of trouble's and waits until it serves.
func server(line string) func(*stage) error {
	return func(s *stage) error {
		argv := strings.Fields(line)
		pid, err := s.run(argv[0], argv[1:]...)
		if err != nil {
			return err
		}
		if err := s.awaitFile("/run/" + argv[0] + "-ready"); err != nil {
			return err
		}
		s.blame(pid)
		return nil
	}
}

// fuseServer has a FUSE daemon that is stopped while it is asked for a page.
func fuseServer() state {
	return state{
		name: "fuse", root: "fuse-server", programs: []string{"lab-fuse"}, config: withModules("fuse"),
		note: "the FUSE daemon is stopped (SIGSTOP); cat waits for a page, head sleeps interruptibly in open, the first touch (killed in vain) for a look-up with the directory locked, and touch and mkdir wait for that lock",
		enter: steps(bystanders, server("lab-fuse /fuse"), runs("ls /fuse/file"),
			func(s *stage) error {
				pid, err := s.sleeper("touch /fuse/never")
				if err != nil {
					return err
				}
				if err := s.hangAll("cat /fuse/file"); err != nil {
					return err
				}
				// Who is killed while the daemon has the question waits in D.
				if _, err := s.Do(s.ctx, guest.Op{Signal: &guest.Signal{Sig: 9, PIDs: []int{pid}}}); err != nil {
					return err
				}
				s.stuck = append(s.stuck, pid)
				return s.await(pid, "D")
			},
			sleeps("head /fuse/file"), hangs("touch /fuse/new", "mkdir /fuse/dir")),
		shots: []shot{{keys: "w"}, {keys: "t"}, hungReports},
	}
}

// nfsServer has an NFS server that is stopped. It runs on the same machine,
// since that is where a network is to be had.
func nfsServer() state {
	const options = "vers=3,nolock,hard,proto=tcp,port=2049,mountproto=tcp,mountvers=3,mountport=2049,timeo=30,retrans=1,addr=127.0.0.1,mountaddr=127.0.0.1"
	return state{
		name: "nfs", root: "nfs-server", programs: []string{"lab-nfs"}, config: withModules("nfsv3"),
		note: "a hard NFS mount whose server (a process that is stopped) no longer answers",
		enter: steps(bystanders, runs("ip link set lo up"), server("lab-nfs 2049"),
			does(guest.Op{Mount: &guest.Mount{Source: "127.0.0.1:/export", Target: "/nfs", Type: "nfs", Options: options}}),
			hangs("cat /nfs/file", "ls /nfs", "touch /nfs/new", "mkdir /nfs/dir"),
			func(s *stage) error { return s.awaitRecord("not responding") }),
		shots: []shot{
			{keys: "w", name: "whole-w", whole: true},
			{keys: "t"},
			hungReports,
		},
	}
}

// mappedDisk is the small disk below a device of the device mapper.
var mappedDisk = steps(
	runs("lab-dm create lab /dev/lab/disk0"),
	does(guest.Op{Mount: &guest.Mount{Source: "/dev/dm-0", Target: "/data", Type: "ext4"}}),
	runs("dd if=/dev/zero of=/data/old bs=4k count=16", "sync"),
	func(s *stage) error { s.culprit = "dm-0"; return nil },
)

// suspended has a device of the device mapper suspended below a file system
// that was not told.
func suspended() state {
	return state{
		name: "suspended-dm", root: "device-mapper-suspend", seen: "block-device",
		programs: []string{"lab-dm"}, config: both(smallDisk, withModules("dm-mod")),
		note: "dm-0 below an ext4 is suspended without freezing it (dmsetup suspend --nolockfs --noflush): I/O is queued and never done",
		enter: steps(bystanders, mappedDisk, runs("lab-dm suspend lab nolockfs,noflush"),
			hangs("dd if=/dev/zero of=/data/new bs=4k count=4 conv=fsync"),
			func(s *stage) error { _, err := s.awaitComm("jbd2/dm-0", "D"); return err },
			hangs("touch /data/other", "sync")),
		shots: []shot{{keys: "w"}, {keys: "t"}, hungReports},
	}
}

// suspendedFrozen is how dmsetup and LVM suspend: the file system is frozen.
func suspendedFrozen() state {
	return state{
		name: "suspended-dm-frozen", root: "device-mapper-suspend", seen: "superblock-freeze",
		programs: []string{"lab-dm"}, config: both(smallDisk, withModules("dm-mod")),
		note: "dm-0 below an ext4 is suspended as dmsetup and LVM do by default, which freezes the file system",
		enter: steps(bystanders, mappedDisk, runs("lab-dm suspend lab default"),
			hangs("touch /data/new", "dd if=/dev/zero of=/data/old bs=4k count=1 conv=notrunc")),
		shots: []shot{{keys: "w"}},
	}
}

func both(a, b func(*lab.Config)) func(*lab.Config) {
	return func(c *lab.Config) { a(c); b(c) }
}

// deadDisk has a disk that writes one byte a second.
func deadDisk() state {
	return state{
		name: "dead-disk", root: "block-device", config: smallDisk,
		note: "the disk below an ext4 completes no writes any more",
		enter: steps(bystanders, mounted,
			func(s *stage) error { s.culprit = "nvme0n1"; return s.Throttle(s.ctx, 0, 1) },
			hangs("dd if=/dev/zero of=/data/new bs=64k count=16 conv=fsync"),
			func(s *stage) error { _, err := s.awaitComm("jbd2/nvme0n1", "D"); return err },
			hangs("sync"), waits(5*time.Second)),
		shots: []shot{{keys: "w"}, {keys: "t"}, hungReports},
	}
}

// deadlock has two tasks that each have what the other wants.
func deadlock() state {
	return state{
		name: "deadlock", root: "deadlock", module: true,
		note: "head has mutex A and wants B, tail has B and wants A; cat waits for A",
		enter: steps(bystanders, module(""), func(s *stage) error {
			// Both must have their first before either wants its second.
			a, err := s.run("head", "/proc/lab/ab")
			if err != nil {
				return err
			}
			b, err := s.run("tail", "/proc/lab/ba")
			if err != nil {
				return err
			}
			for _, pid := range []int{a, b} {
				if err := s.await(pid, "D"); err != nil {
					return err
				}
				s.stuck = append(s.stuck, pid)
			}
			s.culprit = fmt.Sprintf("head %d, tail %d", a, b)
			return s.pause(2 * time.Second) // the first sleep is one in D, too
		}, hangs("cat /proc/lab/ab")),
		shots: []shot{{keys: "w"}, {keys: "t"}, {keys: "w", name: "w-console", source: golden.Console}, hungReports},
	}
}

// holder starts who has what others want, asleep.
func holder(line string) func(*stage) error {
	return func(s *stage) error {
		pid, err := s.sleeper(line)
		if err == nil {
			s.blame(pid)
		}
		return err
	}
}

func mutex() state {
	return state{
		name: "mutex", root: "mutex", module: true,
		note: "tail took a mutex and sleeps with it; the others wait",
		enter: steps(bystanders, module(""), holder("tail /proc/lab/mutex-hold"),
			hangs("cat /proc/lab/mutex-take", "cat /proc/lab/mutex-take", "head /proc/lab/mutex-take")),
		shots: []shot{{keys: "w"}, {keys: "t"}, hungReports},
	}
}

func rwsem() state {
	return state{
		name: "rwsem", root: "rwsem", module: true,
		note: "tail reads under a read-write semaphore and sleeps with it; head wants to write, and the readers behind it wait, too",
		enter: steps(bystanders, module(""), holder("tail /proc/lab/rwsem-hold"),
			hangs("head /proc/lab/rwsem-write", "cat /proc/lab/rwsem-read", "cat /proc/lab/rwsem-read")),
		shots: []shot{{keys: "w"}, {keys: "t"}, hungReports},
	}
}

func completion() state {
	return state{
		name: "completion", root: "completion", module: true,
		note:  "a module waits for a completion that nobody will complete",
		enter: steps(bystanders, module(""), hangs("cat /proc/lab/completion")),
		shots: []shot{{keys: "w"}, hungReports},
	}
}

func workqueue() state {
	return state{
		name: "workqueue", root: "workqueue", module: true,
		note: "the work item lab_work_never_ends on the ordered workqueue lab_wq never returns; tasks flush the item behind it",
		enter: steps(bystanders, module(""), runs("cat /proc/lab/work"),
			func(s *stage) error {
				pid, err := s.awaitComm("kworker/", "D")
				s.culprit = fmt.Sprintf("lab_wq lab_work_never_ends %d", pid)
				s.stuck = append(s.stuck, pid)
				return err
			},
			hangs("cat /proc/lab/flush", "cat /proc/lab/flush")),
		shots: []shot{{keys: "w"}, {keys: "t"}, hungReports},
	}
}

// victim is somebody whom the OOM killer may have.
func victim(mib int) func(*stage) error {
	return does(guest.Op{Squeeze: &guest.Squeeze{MiB: mib, Killable: true}})
}

const killed = "Killed process"

func slab() state {
	return state{
		name: "slab", root: "slab", module: true,
		note: "a module has leaked 250 MiB of a 512 MiB machine into its slab cache lab_leak",
		enter: steps(bystanders, module("mib=250"), runs("cat /proc/lab/leak"), victim(24),
			func(s *stage) error { s.culprit = "lab_leak"; return nil }),
		shots: []shot{{keys: "m"}, {keys: "f", until: killed}},
	}
}

func tmpfs() state {
	return state{
		name: "tmpfs", root: "tmpfs",
		note: "a file of 200 MiB in a tmpfs, on a 512 MiB machine",
		enter: steps(bystanders, runs("dd if=/dev/zero of=/tmp/big bs=1M count=200"), victim(24),
			func(s *stage) error { s.culprit = "/tmp"; return nil }),
		shots: []shot{{keys: "m"}, {keys: "f", until: killed}},
	}
}

func cgroup() state {
	return state{
		name: "cgroup", root: "cgroup-limit",
		note: "lab-squeeze wants 120 MiB in the control group /lab, which may have 40; the machine has enough",
		enter: steps(bystanders, func(s *stage) error {
			r, err := s.Do(s.ctx, guest.Op{Squeeze: &guest.Squeeze{MiB: 120, Killable: true, NoWait: true, CgroupMiB: 40}})
			if err == nil {
				s.culprit = fmt.Sprintf("lab-squeeze %d", r.PIDs[0])
			}
			return err
		}),
		shots: []shot{{name: "oom", whole: true, until: killed}},
	}
}

func oom() state {
	return state{
		name: "oom", root: "memory",
		note: "lab-squeeze wants more memory than the machine has, and there is no swap",
		enter: steps(bystanders, writes("/proc/sys/vm/overcommit_memory", "1"), func(s *stage) error {
			r, err := s.Do(s.ctx, guest.Op{Squeeze: &guest.Squeeze{MiB: 700, Killable: true, NoWait: true}})
			if err == nil {
				s.culprit = fmt.Sprintf("lab-squeeze %d", r.PIDs[0])
			}
			return err
		}),
		shots: []shot{{name: "oom", whole: true, until: killed}},
	}
}

func oomByCommand() state {
	return state{
		name: "hog", root: "memory",
		note: "lab-squeeze has locked 320 MiB of a 512 MiB machine",
		enter: steps(bystanders, func(s *stage) error {
			r, err := s.Do(s.ctx, guest.Op{Squeeze: &guest.Squeeze{MiB: 320, Killable: true}})
			if err == nil {
				s.culprit = fmt.Sprintf("lab-squeeze %d", r.PIDs[0])
			}
			return err
		}),
		shots: []shot{{keys: "m"}, {keys: "f", until: killed}, {keys: "m", name: "m-after"}},
	}
}

func realtime() state {
	return state{
		name: "realtime", root: "realtime-task",
		note: "lab-spin runs for ever with SCHED_FIFO priority 50",
		enter: steps(bystanders, func(s *stage) error {
			r, err := s.Do(s.ctx, guest.Op{Spin: &guest.Spin{Tasks: 1, FIFO: 50}})
			if err == nil {
				s.blame(r.PIDs[0])
			}
			return err
		}, waits(2*time.Second)),
		shots: []shot{{keys: "l"}, {keys: "t"}, {keys: "w"}},
	}
}

// spins starts who uses up one processor inside the kernel for some seconds.
// Processor 0 is left to who answers us.
func spins(cpu, seconds int, file string) func(*stage) error {
	return func(s *stage) error {
		if err := s.write("/sys/module/labtrouble/parameters/seconds", fmt.Sprint(seconds)); err != nil {
			return err
		}
		pid, err := s.run("busybox", "taskset", fmt.Sprintf("%x", 1<<cpu), "cat", "/proc/lab/"+file)
		if err == nil {
			err = s.await(pid, "R")
		}
		s.spinning = append(s.spinning, pid)
		s.blame(s.spinning[0])
		return err
	}
}

// spinning sees that who was started still spins: on a busy host, a shot can
// come too late.
func spinning(s *stage) error {
	all, err := s.tasks()
	if err != nil {
		return err
	}
	for _, pid := range s.spinning {
		if !slices.ContainsFunc(all, func(t guest.Task) bool { return t.PID == pid && t.State == "R" }) {
			return fmt.Errorf("task %d spins no longer: the shot came too late", pid)
		}
	}
	return nil
}

// patient keeps the kernel from complaining of who spins, whose time is long
// enough for the busiest host.
var patient = steps(
	writes("/proc/sys/kernel/watchdog_thresh", "60"),
	writes("/sys/module/rcupdate/parameters/rcu_cpu_stall_timeout", "300"),
)

const longSpin = 90

// spun waits until nobody spins any more.
func spun(s *stage) error {
	for range 100 {
		if spinning(s) != nil {
			s.spinning = nil
			return nil
		}
		if err := s.pause(200 * time.Millisecond); err != nil {
			return err
		}
	}
	return errors.New("somebody still spins")
}

func softLockup() state {
	return state{
		name: "soft-lockup", root: "soft-lockup", module: true,
		note:  "cat runs a loop in a module, preemption switched off, on processor 1",
		enter: steps(bystanders, module(""), writes("/proc/sys/kernel/watchdog_thresh", "1")),
		shots: []shot{
			{name: "lockup", until: "soft lockup", before: spins(1, 8, "spin"), after: spun},
			{keys: "l", before: steps(patient, spins(1, longSpin, "spin"), waits(time.Second), afresh), after: spinning},
		},
	}
}

// afresh begins the shot only here.
func afresh(s *stage) error {
	_, err := s.records(s.next)
	s.from = s.next
	return err
}

func interruptsOff() state {
	return state{
		name: "irqs-off", root: "soft-lockup", module: true,
		// Who answers us must not wait there to be fetched.
		config: func(c *lab.Config) { c.Append = append(c.Append, "isolcpus=1") },
		note:   "cat runs a loop in a module, interrupts switched off, on processor 1; only l is there to tell",
		enter:  steps(bystanders, module(""), patient, spins(1, longSpin, "spin-irq"), waits(time.Second)),
		shots:  []shot{{keys: "l", after: spinning}},
	}
}

func spinlock() state {
	return state{
		name: "spinlock", root: "spinlock", module: true, config: func(c *lab.Config) { c.CPUs = 3 },
		note: "the first cat loops on processor 1 with a spinlock, and another spins for it on processor 2",
		enter: steps(bystanders, module(""), patient, spins(1, longSpin, "spinlock-hold"), waits(300*time.Millisecond),
			spins(2, longSpin, "spinlock-take"), waits(time.Second)),
		shots: []shot{{keys: "l", after: spinning}},
	}
}

func rcuStall() state {
	return state{
		name: "rcu-stall", root: "rcu", module: true,
		note: "cat loops inside an RCU read-side critical section, preemption switched off, on processor 1",
		enter: steps(bystanders, module(""),
			writes("/sys/module/rcupdate/parameters/rcu_cpu_stall_timeout", "3"),
			writes("/proc/sys/kernel/watchdog_thresh", "30")),
		shots: []shot{{name: "stall", until: "stall", before: steps(spins(1, 40, "spin-rcu"), func(s *stage) error {
			// Somebody has to want a grace period.
			_, err := s.run("sh", "-c", "ip link set lo up; ip link set lo down; umount /tmp")
			return err
		})}},
	}
}

// crash is c, whose last words only the console has.
func crash() state {
	return state{
		name: "crash", root: "crash", note: "somebody triggered a crash",
		config: func(c *lab.Config) { c.Panics, c.Append = true, append(c.Append, "panic=0") },
		enter:  bystanders,
		shots:  []shot{{keys: "c", source: golden.Console, until: "end Kernel panic", last: true}},
	}
}

// trap is a fault in a module, which kills or warns.
func trap(name, what, until string) state {
	return state{
		name: name, root: "bug", module: true, note: "cat calls into the module labtrouble: " + what,
		enter: steps(bystanders, module(""), func(s *stage) error {
			pid, err := s.run("cat", "/proc/lab/"+name)
			s.culprit = fmt.Sprintf("cat %d", pid)
			return err
		}),
		shots: []shot{{name: "report", whole: true, until: until}},
	}
}
