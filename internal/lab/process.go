package lab

import (
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
)

// process is an emulator that cannot outlive its lab.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how, once done is closed
}

// launch starts cmd in a process group of its own, deaf to the terminal's
// Ctrl-C: the lab decides. The kernel kills it when the thread that started it
// ends, so that thread is kept until then.
func launch(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, done: make(chan struct{})}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// kill ends it and everything that it started.
func (p *process) kill() {
	select {
	case <-p.done:
	default:
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
	}
}

// tidy watches from outside: when this process dies without a word, a shell
// that is deaf to everything else removes dir. The returned function removes
// it in order.
func tidy(dir string) (func() error, error) {
	cmd := exec.Command("/bin/sh", "-c", `trap "" INT TERM HUP QUIT; read -r _; exec rm -rf -- "$1"`, "sysrq-lab-tidy", dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	var out strings.Builder
	cmd.Stderr = &out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() error {
		_ = pipe.Close()
		if err := cmd.Wait(); err != nil {
			return fmt.Errorf("remove %s: %w: %s", dir, err, out.String())
		}
		return nil
	}, nil
}
