//go:build !linux

package native

import (
	"context"
	"syscall"
)

// KillAll returns [ErrOnlyLinux].
func KillAll(syscall.Signal) error { return ErrOnlyLinux }

// Programs returns [ErrOnlyLinux].
func (Proc) Programs() ([]Process, error) { return nil, ErrOnlyLinux }

// Process returns [ErrOnlyLinux].
func (Proc) Process(int) (Process, error) { return Process{}, ErrOnlyLinux }

// WaitNone returns [ErrOnlyLinux].
func (Proc) WaitNone(context.Context, func(Process) bool) ([]Process, error) {
	return nil, ErrOnlyLinux
}

// FirstNamespace is false.
func (Proc) FirstNamespace() bool { return false }

// SeesMountsOfInit is false.
func (Proc) SeesMountsOfInit() bool { return false }

// FileSystems returns [ErrOnlyLinux].
func (Proc) FileSystems() ([]FileSystem, error) { return nil, ErrOnlyLinux }

func unable(FileSystem) error { return ErrOnlyLinux }

// Sync fails with [ErrOnlyLinux] for every file system.
func Sync(ctx context.Context, fss []FileSystem, tell func(Result)) []Result {
	return each(ctx, fss, unable, tell)
}

// RemountReadOnly fails with [ErrOnlyLinux] for every file system.
func RemountReadOnly(ctx context.Context, fss []FileSystem, tell func(Result)) []Result {
	return each(ctx, fss, unable, tell)
}

// ErrUnconfirmed is never returned here.
var ErrUnconfirmed error = ErrOnlyLinux

// FreezeInit returns [ErrOnlyLinux].
func FreezeInit(context.Context) (how string, thaw func() error, err error) {
	return "", func() error { return nil }, ErrOnlyLinux
}

// Harden says that it can do nothing.
func Harden(_ context.Context, say func(text string)) {
	if say != nil {
		say(ErrOnlyLinux.Error())
	}
}
