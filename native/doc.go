// Package native does with system calls what SysRq commands do in the kernel.
//
// Its ground floor is what a rescue on the own machine needs even where the
// kernel has SysRq: ending all programs without ending the caller, seeing who
// is left, syncing and remounting each file system by itself so that a stuck
// one can be named, keeping init from restarting what was ended, and staying
// alive meanwhile.
//
// Nothing here waits without bound for something that may be dead. A system
// call that can hang, and on a dead disk or server any call that names it can,
// runs in a goroutine of its own; when the context ends, the goroutine and its
// thread are left behind and the caller is told which. A process with such a
// thread can be killed, but the kernel does not let it end, nor its parent's
// wait return, until the call does: whoever leaves a thread behind should
// have a reboot in mind.
//
// The package builds everywhere; on other systems than Linux everything
// returns [ErrOnlyLinux].
package native

import "errors"

// ErrOnlyLinux is returned on systems other than Linux.
var ErrOnlyLinux = errors.New("only Linux can do this")

// Proc is the directory of a mounted procfs: "/proc".
type Proc string
