package guest

import (
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// processes are those that init has started. Init must collect every orphan,
// so nothing else may wait; a lock over fork and entry keeps an early end from
// being lost.
type processes struct {
	sync.Mutex
	ends map[int]chan unix.WaitStatus
}

// start runs a program and returns a channel that gets its end.
func (p *processes) start(path string, argv []string, attr *os.ProcAttr) (<-chan unix.WaitStatus, int, error) {
	p.Lock()
	defer p.Unlock()
	files := make([]uintptr, len(attr.Files))
	for i, f := range attr.Files {
		files[i] = f.Fd()
	}
	pid, err := syscall.ForkExec(path, argv, &syscall.ProcAttr{
		Dir: attr.Dir, Env: attr.Env, Files: files, Sys: attr.Sys,
	})
	if err != nil {
		return nil, 0, &os.PathError{Op: "exec", Path: path, Err: err}
	}
	end := make(chan unix.WaitStatus, 1)
	if p.ends == nil {
		p.ends = make(map[int]chan unix.WaitStatus)
	}
	p.ends[pid] = end
	return end, pid, nil
}

// reap collects every child's end.
func (p *processes) reap() {
	for {
		// Look without taking first: the lock must be held when it is taken.
		var info unix.Siginfo
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOWAIT, nil)
		if err == unix.ECHILD {
			// No child: sleep until a signal says that there was one.
			waitForChild()
			continue
		}
		p.Lock()
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		if err == nil && pid > 0 {
			if end := p.ends[pid]; end != nil {
				end <- status
				delete(p.ends, pid)
			}
		}
		p.Unlock()
	}
}
