package local

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sysrq/sysrq/transport"
)

func TestExplain(t *testing.T) {
	write := func(dir string, files map[string]string) string {
		for name, text := range files {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	linux := write(t.TempDir(), map[string]string{"self": "", "sys/kernel/osrelease": "6.1.0\n"})
	gvisor := write(t.TempDir(), map[string]string{"self": "", "version": "Linux version 4.4.0 #1 SMP Sun Jan 10 15:06:54 PST 2016\n"})
	none := t.TempDir()
	for name, tc := range map[string]struct {
		proc  string
		cause error
		is    error
		says  string
		hint  string
	}{
		"no SysRq":  {linux, syscall.ENOENT, transport.ErrNoSysRq, "Linux 6.1.0 was built without CONFIG_MAGIC_SYSRQ", "native:"},
		"gVisor":    {gvisor, syscall.ENOENT, transport.ErrNoSysRq, "gVisor", "native:"},
		"no procfs": {none, syscall.ENOENT, fs.ErrNotExist, "no procfs is mounted", "mount -t proc"},
		"read-only": {linux, syscall.EROFS, syscall.EROFS, "read-only file system", "remount,rw"},
		"no right":  {linux, syscall.EACCES, fs.ErrPermission, "permission denied", ""},
		"masked":    {linux, errMasked, errMasked, "/dev/null", "on the host"},
	} {
		cause := tc.cause
		if _, ok := cause.(syscall.Errno); ok {
			cause = &fs.PathError{Op: "open", Path: "/x", Err: cause}
		}
		err := explain(Options{Proc: tc.proc, Kmsg: defaultKmsg}, tc.proc+"/sysrq-trigger", cause)
		var oe *transport.OpError
		if !errors.As(err, &oe) || !errors.Is(err, tc.is) || oe.Op != "open" ||
			!strings.Contains(err.Error(), tc.says) || !strings.Contains(oe.Hint, tc.hint) || oe.Hint == "" {
			t.Errorf("%s: %v\nhint: %s", name, err, oe.Hint)
		}
	}
}

// TestOpenHere shows what a person would read on this machine.
func TestOpenHere(t *testing.T) {
	if _, err := os.Lstat("/proc/sysrq-trigger"); err == nil {
		t.Skip("this machine has SysRq; nothing is opened")
	}
	_, err := Open(Options{})
	var oe *transport.OpError
	if !errors.As(err, &oe) || oe.Target != "local:" || oe.Hint == "" {
		t.Fatalf("%v", err)
	}
	t.Logf("%v\nhint: %s", err, oe.Hint)
}
