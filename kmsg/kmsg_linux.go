package kmsg

import (
	"fmt"
	"io"
	"os"
	"syscall"
)

// What a read of /dev/kmsg says with its errors (kernel/printk/printk.c,
// devkmsg_read; 6.1, 6.12, 7.2).
const (
	errOverrun = syscall.EPIPE  // records were overwritten before they were read
	errTooBig  = syscall.EINVAL // the buffer was too small; the record is gone
)

// seekData is SEEK_DATA, which /dev/kmsg takes for 'behind the last clear'
// (devkmsg_llseek).
const seekData = 3

// OpenAt is [Open] with a choice of where to begin. Reading needs CAP_SYSLOG
// where kernel.dmesg_restrict is 1.
func OpenAt(path string, start Start) (*Reader, error) {
	var whence int
	switch start {
	case FromEnd:
		whence = io.SeekEnd
	case FromOldest:
		whence = io.SeekStart
	case FromClear:
		whence = seekData
	default:
		return nil, fmt.Errorf("open %s: no such start: %d", path, start)
	}
	// Non-blocking, a Read waits in Go's poller: a deadline or Close ends it.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(0, whence); err != nil {
		f.Close()
		return nil, err
	}
	return NewReader(f), nil
}

// OpenWriter opens the kernel's log, usually at /dev/kmsg, for writing. The
// error is EPERM on kernels booted with printk.devkmsg=off.
func OpenWriter(path string) (*Writer, error) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	return NewWriter(f), nil
}
