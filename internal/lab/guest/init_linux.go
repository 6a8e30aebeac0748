package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

var able bool

// IsInit reports whether this process is a disposable machine's init, or one
// of its helpers, rather than the program that it looks like. A program that
// asks must call [Main] when the answer is yes.
func IsInit() bool {
	able = true
	return os.Args[0] == "/init" &&
		(os.Getpid() == 1 || len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "lab-"))
}

// Able reports whether this program has asked IsInit, and so can be a guest's
// init itself.
func Able() bool { return able }

// Main is the guest's init. It does not return.
func Main() {
	if os.Getpid() != 1 {
		os.Exit(helper(os.Args[1], os.Args[2:]))
	}
	// The kernel gives init only the signals that it handles, and the Go
	// runtime handles them all: ignore what would end other programs.
	signal.Ignore(unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT,
		unix.SIGUSR1, unix.SIGUSR2, unix.SIGPWR, unix.SIGPIPE, unix.SIGTTOU, unix.SIGTTIN)
	g, err := start()
	if err != nil {
		g.say("cannot start: " + err.Error())
	}
	if g.plan.Shell {
		go g.keepShell()
	}
	for _, op := range g.plan.Script {
		g.sayReply(g.do(op))
	}
	if g.plan.Control != "" {
		g.say("control channel: " + g.serve().Error())
	}
	select {}
}

// guest is the state of process 1, or of a helper that serves in its place.
type guest struct {
	plan   Plan
	boot   Boot
	procs  processes
	shell  shell
	mounts []string // what Mount mounted, for an orderly end
}

// start mounts what programs expect, does what the plan wants ready, and says
// that it is.
func start() (*guest, error) {
	g := &guest{}
	err := errors.Join(mountBasics(), g.readPlan())
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("-1000"), 0)
	_ = unix.Sethostname([]byte("lab"))
	for _, m := range g.plan.Modules {
		err = errors.Join(err, insmod(m, ""))
	}
	err = errors.Join(err, linkDisks(g.plan.Disks))
	go g.procs.reap()
	g.boot = thisBoot()
	g.announce()
	return g, err
}

// announce says once in each boot that the guest is ready.
func (g *guest) announce() {
	const told = "/run/sysrq-lab-ready"
	if _, err := os.Stat(told); err == nil {
		return
	}
	_ = os.WriteFile(told, nil, 0o644)
	for range 2 { // one may be spoilt on its way: see lab's transcript
		g.say(fmt.Sprintf("boot %s %s %.2f", g.boot.ID, g.boot.Release, g.boot.Uptime))
	}
}

func (g *guest) readPlan() error {
	data, err := os.ReadFile(PlanPath)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(data, &g.plan)
}

func mountBasics() error {
	var errs []error
	for _, m := range []struct{ kind, at, options string }{
		{"proc", "/proc", ""},
		{"sysfs", "/sys", ""},
		{"devtmpfs", "/dev", ""},
		{"devpts", "/dev/pts", "ptmxmode=666"},
		{"tmpfs", "/tmp", ""},
		{"tmpfs", "/run", ""},
		{"cgroup2", "/sys/fs/cgroup", ""},
	} {
		_ = os.MkdirAll(m.at, 0o755)
		err := unix.Mount(m.kind, m.at, m.kind, 0, m.options)
		optional := m.kind == "cgroup2" || m.kind == "devpts"
		if err != nil && err != unix.EBUSY && !optional {
			errs = append(errs, fmt.Errorf("mount %s: %w", m.at, err))
		}
	}
	return errors.Join(errs...)
}

// linkDisks names disks by their serial numbers: the kernel numbers them in
// whatever order it finds them. It waits for each.
func linkDisks(serials []string) error {
	_ = os.MkdirAll("/dev/lab", 0o755)
	for i, serial := range serials {
		var dev string
		for range 500 {
			if dev = diskBySerial(serial); dev != "" {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if dev == "" {
			return fmt.Errorf("disk %d has not appeared", i)
		}
		if err := os.Symlink(dev, fmt.Sprintf("/dev/lab/disk%d", i)); err != nil {
			return err
		}
	}
	return nil
}

func diskBySerial(serial string) string {
	if strings.HasPrefix(serial, "/dev/") { // where the name cannot move
		if _, err := os.Stat(serial); err == nil {
			return serial
		}
		return ""
	}
	found, _ := filepath.Glob("/sys/block/*/device/serial")
	for _, f := range found {
		got, _ := os.ReadFile(f)
		if strings.TrimSpace(string(got)) == serial {
			dev := "/dev/" + strings.Split(f, "/")[3]
			if _, err := os.Stat(dev); err == nil {
				return dev
			}
		}
	}
	return ""
}

func thisBoot() Boot {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return Boot{
		ID:      strings.TrimSpace(string(id)),
		Release: strings.TrimSpace(string(release)),
		Uptime:  uptime(),
	}
}

func uptime() float64 {
	var up float64
	data, _ := os.ReadFile("/proc/uptime")
	_, _ = fmt.Sscan(string(data), &up)
	return up
}

// shell is the console's.
type shell struct {
	pid  int
	gone bool // killed on purpose: not started again
}

// keepShell runs a shell on the console, and another when it ends.
func (g *guest) keepShell() {
	for {
		tty, err := os.OpenFile("/dev/console", os.O_RDWR|unix.O_NOCTTY, 0)
		if err != nil {
			g.say("shell: " + err.Error())
			return
		}
		end, pid, err := g.procs.start("/bin/sh", []string{"sh", "-l"}, &os.ProcAttr{
			Dir:   "/",
			Env:   environment(),
			Files: []*os.File{tty, tty, tty},
			Sys:   &syscall.SysProcAttr{Setsid: true, Setctty: true},
		})
		tty.Close()
		if err != nil {
			g.say("shell: " + err.Error())
			return
		}
		g.procs.Lock()
		g.shell.pid = pid
		g.procs.Unlock()
		<-end
		g.procs.Lock()
		gone := g.shell.gone
		g.procs.Unlock()
		if gone {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func environment() []string {
	return []string{"PATH=/bin:/sbin:/usr/bin:/usr/sbin:" + BinDir, "HOME=/", "TERM=linux"}
}
