package local

import (
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/sysrq/sysrq"
)

// trigger is the open trigger file.
//
// It is written by the bare system call. An os.File would let one write at a
// time through, and a handler that never returns would keep every later key
// out, the reboot too.
type trigger struct {
	file   *os.File
	fd     int
	mu     sync.RWMutex // shared by writes; the descriptor's number must not be used again under one
	closed atomic.Bool
}

func openTrigger(path string) (*trigger, os.FileMode, error) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return nil, 0, err
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return &trigger{file: f, fd: int(f.Fd())}, st.Mode(), nil
}

// everyByte holds each byte once, so that a key needs no memory of its own.
var everyByte = func() (b [256]byte) {
	for i := range b {
		b[i] = byte(i)
	}
	return b
}()

func (t *trigger) write(k sysrq.Key) error {
	if t.closed.Load() {
		return os.ErrClosed
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.closed.Load() {
		return os.ErrClosed
	}
	// No retry on EINTR: never twice.
	n, err := syscall.Write(t.fd, everyByte[k:int(k)+1])
	if err != nil {
		return os.NewSyscallError("write", err)
	}
	if n != 1 {
		return io.ErrShortWrite
	}
	return nil
}

// close does not wait for a handler that is at work.
func (t *trigger) close() error {
	if t.closed.Swap(true) {
		return nil
	}
	if t.mu.TryLock() {
		defer t.mu.Unlock()
		return t.file.Close()
	}
	go func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.file.Close()
	}()
	return nil
}
