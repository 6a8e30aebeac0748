package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/sysrq/sysrq/kmsg"
	"github.com/sysrq/sysrq/transport"
)

// ears hear the kernel's log.
type ears struct {
	log  *kmsg.Reader
	rec  kmsg.Record // its buffers are used again for every record
	deaf error       // why there is no log; wraps transport.ErrDeaf

	mu sync.Mutex
	// watched is the context that the reader's deadline obeys. It stays
	// watched between calls, so that a loop that hears a thousand records
	// under one context sets it up once.
	watched <-chan struct{}
	forget  func() bool
	turn    uint // counts the contexts: one that comes late must not disturb the next
}

func openEars(path string) *ears {
	log, err := kmsg.Open(path)
	if errors.Is(err, syscall.ESPIPE) {
		// A FIFO in the log's place has no end to seek to. Open for writing,
		// too, it stays open when a writer leaves.
		var f *os.File
		if f, err = os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK, 0); err == nil {
			log = kmsg.NewReader(f)
		}
	}
	if err != nil {
		return &ears{deaf: fmt.Errorf("%w: %s: %s", transport.ErrDeaf, path, whyDeaf(err))}
	}
	return &ears{log: log}
}

func whyDeaf(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return err.Error() + ": where kernel.dmesg_restrict is 1, reading needs root or CAP_SYSLOG"
	case errors.Is(err, fs.ErrNotExist):
		return "there is no such file; it is the character device 1:11, and containers often have none"
	}
	return err.Error()
}

// hear reads one record. It waits in Go's poller; a context that ends makes
// the reader's deadline pass.
func (e *ears) hear(ctx context.Context) (transport.Heard, error) {
	if e.log == nil {
		return transport.Heard{}, e.deaf
	}
	if err := ctx.Err(); err != nil {
		return transport.Heard{}, err
	}
	if err := e.watch(ctx); err != nil {
		return transport.Heard{}, err
	}
	for {
		err := e.log.Read(&e.rec)
		switch {
		case err == nil:
			return transport.Heard{Record: e.rec}, nil
		case errors.Is(err, kmsg.ErrSyntax):
			return transport.Heard{Record: kmsg.Record{Lost: 1}}, nil // there was one, and nobody knows what it said
		case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != nil:
			return transport.Heard{}, ctx.Err()
		case errors.Is(err, os.ErrDeadlineExceeded):
			// Left over from another context; watch has lifted it by now.
		default:
			return transport.Heard{}, err
		}
	}
}

// watch makes the reader's deadline obey ctx.
func (e *ears) watch(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	done := ctx.Done() // the same channel is the same cancellation
	if done == e.watched {
		return nil
	}
	if e.forget != nil {
		e.forget()
		e.forget = nil
	}
	e.watched = done
	e.turn++
	if err := e.log.SetReadDeadline(time.Time{}); err != nil && done != nil {
		return err
	}
	if done == nil {
		return nil
	}
	turn := e.turn
	e.forget = context.AfterFunc(ctx, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.turn == turn {
			_ = e.log.SetReadDeadline(time.Unix(1, 0)) // long ago
		}
	})
	return nil
}

func (e *ears) close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.forget != nil {
		e.forget()
		e.forget = nil
	}
	if e.log == nil {
		return nil
	}
	return e.log.Close()
}
