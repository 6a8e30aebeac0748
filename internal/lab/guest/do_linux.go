package guest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// do carries one op out.
func (g *guest) do(op Op) Reply {
	r := Reply{ID: op.ID}
	if err := g.carryOut(op, &r); err != nil {
		r.Error = err.Error()
	}
	return r
}

func (g *guest) carryOut(op Op, r *Reply) (err error) {
	switch {
	case op.Run != nil:
		r.Run, err = g.run(*op.Run)
	case op.Signal != nil:
		err = g.signal(*op.Signal)
	case op.WriteFile != nil:
		err = writeFile(*op.WriteFile)
	case op.ReadFile != nil:
		r.Data, err = readFile(*op.ReadFile)
	case op.Mount != nil:
		err = g.mount(*op.Mount)
	case op.Unmount != nil:
		err = unmount(*op.Unmount)
	case op.Freeze != nil:
		err = freeze(*op.Freeze)
	case op.Dirty != nil:
		r.Dirty, err = dirty(*op.Dirty)
	case op.Verify != nil:
		r.Verify, err = verify(*op.Verify)
	case op.Superblock != nil:
		r.Super, err = readSuper(*op.Superblock)
	case op.Hang != nil:
		r.PIDs, err = g.hang(*op.Hang)
	case op.Squeeze != nil:
		r.PIDs, err = g.squeeze(*op.Squeeze)
	case op.Spin != nil:
		r.PIDs, err = g.spin(*op.Spin)
	case op.Mask != nil:
		r.Value, err = sysctl("kernel/sysrq", op.Mask.Set)
	case op.Level != nil:
		r.Value, err = level(*op.Level)
	case op.Kmsg != nil:
		r.Kmsg, err = kmsg(*op.Kmsg)
	case op.Insmod != nil:
		err = insmod(op.Insmod.Name, op.Insmod.Params)
	case op.Status != nil:
		r.Boot, r.Status = &g.boot, state()
	case op.Tasks != nil:
		r.Tasks = tasks()
	case op.Replace != nil:
		err = g.replace(*op.Replace)
	case op.Reboot != nil:
		err = g.reboot(*op.Reboot)
	default:
		err = errors.New("no such op")
	}
	return err
}

func (g *guest) run(run Run) (*Ran, error) {
	path := run.Path
	if !strings.Contains(path, "/") {
		for _, dir := range []string{"/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/", BinDir + "/"} {
			if _, err := os.Stat(dir + path); err == nil {
				path = dir + path
				break
			}
		}
	}
	ran := &Ran{}
	for range max(1, run.Repeat) {
		if err := g.runOnce(path, run, ran); err != nil || run.Detach {
			return ran, err
		}
	}
	return ran, nil
}

// runOnce collects output in files, which nobody who inherits them can hold
// open against us.
func (g *guest) runOnce(path string, run Run, ran *Ran) error {
	var files [3]*os.File
	for i := range files {
		f, err := os.CreateTemp("/tmp", "run")
		if err != nil {
			return err
		}
		defer f.Close()
		_ = os.Remove(f.Name())
		files[i] = f
	}
	if _, err := files[0].Write(run.Stdin); err != nil {
		return err
	}
	_, _ = files[0].Seek(0, io.SeekStart)
	began := time.Now()
	end, pid, err := g.procs.start(path, append([]string{run.Path}, run.Args...), &os.ProcAttr{
		Dir:   run.Dir,
		Env:   append(environment(), run.Env...),
		Files: files[:],
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return err
	}
	ran.PID = pid
	if run.Detach {
		return nil
	}
	var late <-chan time.Time
	if run.TimeoutMS > 0 {
		late = time.After(time.Duration(run.TimeoutMS) * time.Millisecond)
	}
	var status unix.WaitStatus
	timedOut := false
	for waiting := true; waiting; {
		select {
		case status = <-end:
			waiting = false
		case <-late:
			timedOut, late = true, nil
			_ = unix.Kill(-pid, unix.SIGKILL)
		}
	}
	ran.TookNS = append(ran.TookNS, time.Since(began).Nanoseconds())
	ran.Exit = status.ExitStatus()
	if status.Signaled() {
		ran.Signal = int(status.Signal())
	}
	ran.Stdout, ran.Stderr = whole(files[1]), whole(files[2])
	if timedOut {
		return fmt.Errorf("%s: killed after %d ms", run.Path, run.TimeoutMS)
	}
	return nil
}

func whole(f *os.File) []byte {
	_, _ = f.Seek(0, io.SeekStart)
	data, _ := io.ReadAll(f)
	return data
}

func (g *guest) signal(s Signal) error {
	var errs []error
	for _, pid := range s.PIDs {
		errs = append(errs, unix.Kill(pid, unix.Signal(s.Sig)))
	}
	if s.Shell {
		g.procs.Lock()
		defer g.procs.Unlock()
		if g.shell.pid == 0 {
			return errors.Join(append(errs, errors.New("no shell on the console"))...)
		}
		g.shell.gone = true
		errs = append(errs, unix.Kill(-g.shell.pid, unix.Signal(s.Sig)))
	}
	return errors.Join(errs...)
}

func writeFile(w WriteFile) error {
	if w.Mode == 0 {
		w.Mode = 0o644
	}
	flags := os.O_WRONLY
	switch {
	case w.Append:
		flags |= os.O_CREATE | os.O_APPEND
	case !w.Existing:
		flags |= os.O_CREATE | os.O_TRUNC
		_ = os.MkdirAll(filepath.Dir(w.Path), 0o755)
	}
	f, err := os.OpenFile(w.Path, flags, os.FileMode(w.Mode))
	if err != nil {
		return err
	}
	_, err = f.Write(w.Data)
	return errors.Join(err, f.Close())
}

func readFile(r ReadFile) ([]byte, error) {
	if r.Max == 0 {
		r.Max = 1 << 20
	}
	f, err := os.Open(r.Path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, int64(r.Max)))
}

func (g *guest) mount(m Mount) error {
	if err := os.MkdirAll(m.Target, 0o755); err != nil {
		return err
	}
	var flags uintptr
	if m.ReadOnly {
		flags |= unix.MS_RDONLY
	}
	if err := unix.Mount(m.Source, m.Target, m.Type, flags, m.Options); err != nil {
		return fmt.Errorf("mount %s at %s: %w", m.Source, m.Target, err)
	}
	g.procs.Lock()
	g.mounts = append(g.mounts, m.Target)
	g.procs.Unlock()
	return nil
}

func unmount(u Unmount) error {
	flags := 0
	if u.Lazy {
		flags = unix.MNT_DETACH
	}
	if err := unix.Unmount(u.Target, flags); err != nil {
		return fmt.Errorf("unmount %s: %w", u.Target, err)
	}
	return nil
}

func freeze(f Freeze) error {
	dir, err := os.Open(f.Target)
	if err != nil {
		return err
	}
	defer dir.Close()
	// _IOWR('X', 119 or 120, int), which these architectures encode otherwise.
	request := uint(0xc0045877)
	if strings.HasPrefix(runtime.GOARCH, "mips") || strings.HasPrefix(runtime.GOARCH, "ppc") {
		request = 0xc0045877&^0xe0000000 | 6<<29
	}
	if f.Thaw {
		request++
	}
	if err := unix.IoctlSetInt(int(dir.Fd()), request, 0); err != nil {
		return fmt.Errorf("freeze or thaw %s: %w", f.Target, err)
	}
	return nil
}

func readSuper(r ReadSuper) (*Superblock, error) {
	f, err := os.Open(r.Device)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s, err := ParseSuperblock(f)
	return &s, err
}

func sysctl(name string, set *int) (int, error) {
	path := "/proc/sys/" + name
	if set != nil {
		if err := os.WriteFile(path, []byte(strconv.Itoa(*set)), 0); err != nil {
			return 0, err
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(data)))
}

func level(l Level) (int, error) {
	if l.Set != nil {
		if err := setConsoleLevel(*l.Set); err != nil {
			return 0, err
		}
	}
	return consoleLevel()
}

func kmsg(k Kmsg) ([]string, error) {
	if k.Text != "" {
		return nil, os.WriteFile("/dev/kmsg", []byte(k.Text+"\n"), 0)
	}
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var records []string
	var buf [8192]byte
	for {
		n, err := unix.Read(fd, buf[:])
		switch {
		case err == unix.EAGAIN:
			return records, nil
		case err == unix.EPIPE || err == unix.EINTR:
			continue
		case err != nil:
			return records, err
		}
		fields := strings.SplitN(string(buf[:n]), ",", 3)
		if len(fields) == 3 {
			if seq, err := strconv.ParseUint(fields[1], 10, 64); err == nil && seq >= k.Since {
				records = append(records, strings.TrimSuffix(string(buf[:n]), "\n"))
			}
		}
	}
}

func insmod(name, params string) error {
	f, err := os.Open(filepath.Join(ModulesDir, name+".ko"))
	if err != nil {
		return err
	}
	defer f.Close()
	err = unix.FinitModule(int(f.Fd()), params, 0)
	if err != nil && err != unix.EEXIST {
		return fmt.Errorf("load module %s: %w", name, err)
	}
	return nil
}

// replace makes another program process 1.
func (g *guest) replace(r Replace) error {
	if len(r.Argv) == 0 {
		return errors.New("no program")
	}
	if _, err := os.Stat(r.Argv[0]); err != nil {
		return err
	}
	if r.Serve {
		if _, err := g.startHelper("serve", nil, true); err != nil {
			return err
		}
	}
	go func() {
		time.Sleep(100 * time.Millisecond) // for the reply to leave
		err := unix.Exec(r.Argv[0], r.Argv, environment())
		g.say("cannot become " + r.Argv[0] + ": " + err.Error())
	}()
	return nil
}

func (g *guest) reboot(p RebootPlan) error {
	how := unix.LINUX_REBOOT_CMD_RESTART
	if p.Off {
		how = unix.LINUX_REBOOT_CMD_POWER_OFF
	}
	go func() {
		time.Sleep(100 * time.Millisecond) // for the reply to leave
		if !p.Hard {
			_ = unix.Kill(-1, unix.SIGKILL)
			g.procs.Lock()
			for i := len(g.mounts) - 1; i >= 0; i-- {
				if unix.Unmount(g.mounts[i], 0) != nil {
					_ = unix.Mount("", g.mounts[i], "", unix.MS_REMOUNT|unix.MS_RDONLY, "")
				}
			}
			g.procs.Unlock()
			unix.Sync()
		}
		_ = unix.Reboot(how)
	}()
	return nil
}
