package guest

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// helper is the program again, as an ordinary process that makes trouble. It
// returns an exit status.
func helper(name string, args []string) int {
	// The first thread is the one that carries the process's number and name.
	runtime.LockOSThread()
	number := func(i int) int {
		if i >= len(args) {
			return 0
		}
		n, _ := strconv.Atoi(args[i])
		return n
	}
	var err error
	switch name {
	case "lab-serve":
		err = serveAlone()
	case "lab-hang":
		err = hangWriting(args[0])
	case "lab-vfork":
		err = hangVfork()
	case "lab-squeeze":
		err = holdMemory(number(0), number(1))
	case "lab-spin":
		err = useCPU(number(0))
	default:
		err = errors.New("unknown helper")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, name+":", err)
		return 1
	}
	return 0
}

// startHelper runs this program under a name that dumps will show.
func (g *guest) startHelper(name string, args []string, quiet bool) (pid int, err error) {
	return g.startHelperIn(nil, name, args, quiet)
}

// startHelperIn starts it in a control group.
func (g *guest) startHelperIn(cgroup *os.File, name string, args []string, quiet bool) (pid int, err error) {
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	read, write, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer read.Close()
	sys := &syscall.SysProcAttr{Setsid: true}
	if cgroup != nil {
		sys.UseCgroupFD, sys.CgroupFD = true, int(cgroup.Fd())
	}
	_, pid, err = g.procs.start(filepath.Join(BinDir, "lab-"+name),
		append([]string{"/init", "lab-" + name}, args...), &os.ProcAttr{
			Env:   environment(),
			Files: []*os.File{null, write, write},
			Sys:   sys,
		})
	write.Close()
	if err != nil || quiet {
		return pid, err
	}
	// It says ok when it is where it should be, or what is wrong.
	word := make([]byte, 200)
	n, err := read.Read(word)
	if n > 0 && string(word[:n]) == "ok" {
		return pid, nil
	}
	if err == nil || err == io.EOF {
		err = fmt.Errorf("lab-%s: %s", name, strings.TrimSpace(string(word[:n])))
	}
	return pid, err
}

func (g *guest) hang(h Hang) (pids []int, err error) {
	name, args := "vfork", []string(nil)
	for i := range h.Tasks {
		if h.Path != "" {
			name, args = "hang", []string{filepath.Join(h.Path, fmt.Sprintf("stuck%d", i))}
		}
		pid, err := g.startHelper(name, args, true)
		if err != nil {
			return pids, err
		}
		pids = append(pids, pid)
	}
	for range 3000 { // half a minute: the machine may be one of several on this host
		stuck := 0
		for _, pid := range pids {
			if letter(pid) == "D" {
				stuck++
			}
		}
		if stuck == len(pids) {
			return pids, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return pids, errors.New("not all tasks are stuck")
}

// hangWriting blocks for as long as the file system is frozen.
func hangWriting(path string) error {
	return os.WriteFile(path, []byte("stuck"), 0o644)
}

// hangVfork waits for a child that shares nothing but never lets go.
func hangVfork() error {
	signal.Ignore()
	flags := uintptr(unix.CLONE_VFORK) | uintptr(unix.SIGCHLD)
	first, second := flags, uintptr(0)
	if runtime.GOARCH == "s390x" { // takes the stack first
		first, second = 0, flags
	}
	pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, first, second, 0, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	for pid == 0 { // the child: one thread, no runtime
		syscall.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
	}
	return nil
}

func (g *guest) squeeze(s Squeeze) ([]int, error) {
	if s.MiB == 0 {
		s.MiB = int(meminfo("MemFree")>>20) - s.LeaveMiB
	}
	if s.MiB <= 0 {
		return nil, errors.New("no memory left to take")
	}
	var cgroup *os.File
	if s.CgroupMiB > 0 {
		var err error
		if cgroup, err = limited(s.CgroupMiB); err != nil {
			return nil, err
		}
		defer cgroup.Close()
	}
	score := "-1000"
	if s.Killable { // init's own, which its children have from it, is not
		score = "0"
	}
	pid, err := g.startHelperIn(cgroup, "squeeze", []string{strconv.Itoa(s.MiB), score}, s.NoWait)
	return []int{pid}, err
}

// limited makes a control group that may have so much memory.
func limited(mib int) (*os.File, error) {
	const root, dir = "/sys/fs/cgroup", "/sys/fs/cgroup/lab"
	err := os.WriteFile(root+"/cgroup.subtree_control", []byte("+memory"), 0)
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err == nil {
		err = os.WriteFile(dir+"/memory.max", []byte(strconv.Itoa(mib<<20)), 0)
	}
	if err != nil {
		return nil, err
	}
	return os.Open(dir)
}

// holdMemory takes and locks memory until it is killed, for which score is what
// the kernel goes by.
func holdMemory(mib, score int) error {
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte(strconv.Itoa(score)), 0); err != nil {
		return err
	}
	_, err := unix.Mmap(-1, 0, mib<<20, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_LOCKED|unix.MAP_POPULATE)
	if err != nil {
		return fmt.Errorf("take %d MiB: %w", mib, err)
	}
	return ready()
}

func (g *guest) spin(s Spin) (pids []int, err error) {
	for range s.Tasks {
		pid, err := g.startHelper("spin", []string{strconv.Itoa(s.FIFO)}, false)
		if err != nil {
			return pids, err
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// useCPU takes a CPU, once it has said that it is ready to. The policy is that
// of the process's first thread, by which it is known, and of the thread that
// works: a Go program may have moved to another meanwhile.
func useCPU(fifo int) error {
	for _, thread := range []int{os.Getpid(), 0} {
		if fifo == 0 {
			break
		}
		err := unix.SchedSetAttr(thread, &unix.SchedAttr{
			Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: uint32(fifo),
		}, 0)
		if err != nil {
			return err
		}
	}
	_, _ = os.Stdout.WriteString("ok")
	var turns uint64
	for turns < math.MaxUint64 { // for ever, as far as anybody will see
		turns++
	}
	return nil
}

func ready() error {
	_, err := os.Stdout.WriteString("ok")
	for err == nil {
		_ = unix.Pause()
	}
	return err
}

// serveAlone answers on the control channel while another program is init.
func serveAlone() error {
	g := &guest{boot: thisBoot()}
	// Two readers of one line would each get some of it: wait until init is
	// another.
	for {
		if first, _ := os.ReadFile("/proc/1/cmdline"); !strings.HasPrefix(string(first), "/init\x00") {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	go g.procs.reap()
	if err := g.readPlan(); err != nil {
		return err
	}
	g.announce()
	return g.serve()
}

func waitForChild() {
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, unix.SIGCHLD)
	defer signal.Stop(ch)
	select {
	case <-ch:
	case <-time.After(100 * time.Millisecond): // it came before we listened
	}
}

// letter is the state of a process: D when any of its threads is stuck. A Go
// program's work need not stay on its first thread, and on a busy machine it
// does not.
func letter(pid int) string {
	first := threadLetter(fmt.Sprintf("/proc/%d/stat", pid))
	threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, t := range threads {
		if threadLetter(fmt.Sprintf("/proc/%d/task/%s/stat", pid, t.Name())) == "D" {
			return "D"
		}
	}
	return first
}

func threadLetter(file string) string {
	stat, _ := os.ReadFile(file)
	_, after, ok := strings.Cut(string(stat), ") ")
	if !ok || after == "" {
		return ""
	}
	return after[:1]
}

// tasks lists all threads. Those that end meanwhile are left out.
func tasks() (all []Task) {
	files, _ := filepath.Glob("/proc/[0-9]*/task/[0-9]*/stat")
	for _, file := range files {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		// 12 (comm, with anything in it) S 1 …
		from, to := strings.IndexByte(string(stat), '('), strings.LastIndexByte(string(stat), ')')
		parts := strings.Split(file, "/")
		if from < 0 || to < from {
			continue
		}
		t := Task{Comm: string(stat[from+1 : to])}
		t.Group, _ = strconv.Atoi(parts[2])
		t.PID, _ = strconv.Atoi(parts[4])
		_, _ = fmt.Sscan(string(stat[to+1:]), &t.State, &t.Parent)
		all = append(all, t)
	}
	return all
}

func state() *State {
	s := &State{Uptime: uptime(), Unsaved: unsaved(), Free: meminfo("MemFree"), Tasks: map[string]int{}}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == 1 {
			continue
		}
		// Kernel threads have no command line.
		if line, _ := os.ReadFile("/proc/" + e.Name() + "/cmdline"); len(line) > 0 {
			s.Tasks[letter(pid)]++
		}
	}
	return s
}
