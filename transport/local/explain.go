package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/sysrq/sysrq/transport"
)

// explain says why the trigger could not be opened, as precisely as can be
// found out, and what to do about it.
func explain(o Options, path string, err error) error {
	oe := &transport.OpError{Op: "open", Target: o.target(), Err: err}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		oe.Err = fmt.Errorf("%s: %w", path, pe.Err)
	}
	in := container(o.Proc)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Lstat(o.Proc + "/self"); err != nil {
			oe.Err = fmt.Errorf("%w: no procfs is mounted at %s", oe.Err, o.Proc)
			oe.Hint = "mount -t proc proc " + o.Proc
			break
		}
		oe.Err = fmt.Errorf("%w: there is no %s%s", transport.ErrNoSysRq, path, kernel(o.Proc))
		oe.Hint = `reach it from outside, if it is a virtual machine (sysrq -t qmp:…); a later version does the commands without the kernel (sysrq -t native:)`
		if in != "" {
			oe.Hint = "if this is a container, run the command on its host; or " + oe.Hint
		}
	case errors.Is(err, errMasked):
		oe.Err = fmt.Errorf("%s: %w, as container runtimes do", path, err)
		oe.Hint = "run the command on the host, or the container with --privileged"
	case errors.Is(err, syscall.EROFS):
		if in != "" {
			oe.Err = fmt.Errorf("%w: containers may not write it (%s)", oe.Err, in)
			oe.Hint = "run the command on the host, or the container with --privileged"
			break
		}
		oe.Err = fmt.Errorf("%w: a service with ProtectKernelTunables=, or %s is mounted so", oe.Err, o.Proc)
		oe.Hint = "mount -o remount,rw " + o.Proc + "; for a service: ProtectKernelTunables=no"
	case errors.Is(err, fs.ErrPermission) && os.Geteuid() == 0:
		oe.Err = fmt.Errorf("%w, though you are root: a user namespace, SELinux or AppArmor forbids it", oe.Err)
		oe.Hint = "run the command as root of the host, unconfined"
	case errors.Is(err, fs.ErrPermission):
		oe.Err = fmt.Errorf("%w: only root may write it", oe.Err)
		oe.Hint = "the same command with sudo in front"
	}
	return oe
}

// kernel names the kernel in parentheses, where it can be found out.
func kernel(proc string) string {
	// The whole of what gVisor ever says (pkg/sentry/kernel, version.go).
	const gvisor = "Linux version 4.4.0 #1 SMP Sun Jan 10 15:06:54 PST 2016"
	if b, err := os.ReadFile(proc + "/version"); err == nil && strings.TrimSpace(string(b)) == gvisor {
		return " (gVisor is not Linux, and has none)"
	}
	b, err := os.ReadFile(proc + "/sys/kernel/osrelease")
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" (Linux %s was built without CONFIG_MAGIC_SYSRQ)", strings.TrimSpace(string(b)))
}

// container says by what a container shows, or is empty.
func container(proc string) string {
	if proc != defaultProc {
		return ""
	}
	for _, mark := range []string{"/run/systemd/container", "/.dockerenv", "/run/.containerenv"} {
		if _, err := os.Lstat(mark); err == nil {
			return mark + " exists"
		}
	}
	return ""
}
