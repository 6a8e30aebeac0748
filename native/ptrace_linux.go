package native

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// freezePtrace stops pid as a debugger does. Init is no exception to it, unlike
// to SIGSTOP. The kernel lets it go by itself when the caller ends.
func freezePtrace(ctx context.Context, pid int) (hold, error) {
	var (
		stopped = make(chan error, 1)
		release = make(chan struct{})
		gone    = make(chan error, 1)
	)
	go func() {
		// A tracer is a thread, not a process: all calls must come from it, and
		// it must live as long as the hold.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := unix.PtraceSeize(pid); err != nil {
			stopped <- fmt.Errorf("ptrace: seize: %w", err)
			return
		}
		err := interrupt(ctx, pid)
		if err != nil {
			// Detaching needs a stopped process. One that is not stopped yet is
			// let go when this thread ends.
			if unix.PtraceDetach(pid) != nil {
				runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
			}
			stopped <- err
			return
		}
		stopped <- nil
		<-release
		gone <- unix.PtraceDetach(pid)
	}()
	if err := <-stopped; err != nil {
		return hold{}, err
	}
	return hold{how: "ptrace", thaw: func() error {
		close(release)
		if err := <-gone; err != nil {
			return fmt.Errorf("ptrace: detach: %w", err)
		}
		return nil
	}}, nil
}

// interrupt stops a seized process and waits until it has stopped for us, not
// for a signal of its own.
func interrupt(ctx context.Context, pid int) error {
	ctx, cancel := context.WithTimeout(ctx, confirmWithin)
	defer cancel()
	if err := unix.PtraceInterrupt(pid); err != nil {
		return fmt.Errorf("ptrace: interrupt: %w", err)
	}
	for {
		var st unix.WaitStatus
		// WNOHANG: one that is stuck in the kernel does not stop.
		got, err := unix.Wait4(pid, &st, unix.WNOHANG|unix.WALL, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("ptrace: wait: %w", err)
		case got == pid && st.Stopped() && uint32(st)>>16 == unix.PTRACE_EVENT_STOP:
			return nil
		case got == pid && st.Stopped():
			if err := unix.PtraceCont(pid, int(st.StopSignal())); err != nil {
				return fmt.Errorf("ptrace: continue: %w", err)
			}
			continue
		case got == pid:
			return fmt.Errorf("ptrace: %d has ended", pid)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("ptrace: %w", ErrUnconfirmed)
		case <-time.After(time.Millisecond):
		}
	}
}
