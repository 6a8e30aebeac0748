package local

import (
	"context"
	"syscall"

	"github.com/sysrq/sysrq/native"
)

// system is what Do and Prepare do to the machine. Tests put their own in its
// place: the real one ends every program there is.
type system struct {
	killAll     func(syscall.Signal) error
	programs    func() ([]native.Process, error)
	waitNone    func(context.Context, func(native.Process) bool) ([]native.Process, error)
	fileSystems func() ([]native.FileSystem, error)
	seesMounts  func() bool
	sync        func(context.Context, []native.FileSystem, func(native.Result)) []native.Result
	remount     func(context.Context, []native.FileSystem, func(native.Result)) []native.Result
	harden      func(context.Context, func(string))
	freezeInit  func(context.Context) (string, func() error, error)
}

func realSystem(proc native.Proc) system {
	return system{
		killAll: native.KillAll, programs: proc.Programs, waitNone: proc.WaitNone,
		fileSystems: proc.FileSystems, seesMounts: proc.SeesMountsOfInit, sync: native.Sync, remount: native.RemountReadOnly,
		harden: native.Harden, freezeInit: native.FreezeInit,
	}
}
