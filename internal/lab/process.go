package lab

import (
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strconv"
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

// tidier watches a lab from outside. When the lab dies without a word, it ends
// what is left of the emulator, whose helper processes the kernel does not
// end, and removes the machine's directory. It is a shell that is deaf to
// everything but the end of its input.
type tidier struct {
	cmd  *exec.Cmd
	pipe io.WriteCloser
	out  bytes.Buffer
}

const tidying = `trap "" INT TERM HUP QUIT
group=
while read -r line; do group=$line; done
[ -z "$group" ] || kill -s KILL -- "-$group" 2>/dev/null
exec rm -rf -- "$1"`

func newTidier(dir string) (*tidier, error) {
	t := &tidier{cmd: exec.Command("/bin/sh", "-c", tidying, "sysrq-lab-tidier", dir)}
	t.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	t.cmd.Stderr = &t.out
	var err error
	if t.pipe, err = t.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	return t, t.cmd.Start()
}

// watch names the process group that must not remain; 0 for none.
func (t *tidier) watch(group int) {
	name := ""
	if group != 0 {
		name = strconv.Itoa(group)
	}
	_, _ = io.WriteString(t.pipe, name+"\n")
}

// finish has everything removed now.
func (t *tidier) finish() error {
	_ = t.pipe.Close()
	if err := t.cmd.Wait(); err != nil {
		return fmt.Errorf("tidy up: %w: %s", err, lastLine(t.out.String()))
	}
	return nil
}
