package proof

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"regexp"
	"testing"
	"time"

	"github.com/sysrq/sysrq/internal/lab"
	"github.com/sysrq/sysrq/internal/lab/guest"
)

// localRun is REISUB by the program in the guest itself, on a machine whose
// init starts a service whenever there is none.
type localRun struct {
	*lab.Machine
	ctx context.Context
}

const (
	localData = 40 << 20 // two seconds of s, for init to start what i has killed
	localSeed = 7
	localDisk = 20_000_000 // bytes a second

	// stubborn is what the service says when it starts, on a quiet console,
	// too.
	stubborn        = "stubborn: here"
	stubbornCommand = `echo "<1>` + stubborn + `" >/dev/kmsg; exec sleep 1000000`
)

// startLocal boots a machine that ends with the reset, so that its disks are
// seen as that left them.
func startLocal(t *testing.T, series string, c lab.Config) localRun {
	t.Helper()
	c.Kernel, c.Init, c.Once, c.Quiet = lab.FindT(t, "amd64", series), program(t), true, true
	ctx, cancel := lab.Within(t.Context(), 4*time.Minute, t.Name())
	t.Cleanup(cancel)
	m := localRun{lab.StartT(t, c), ctx}
	_, err := m.WaitBoot(ctx)
	must(t, err)
	return m
}

// says waits until the service has said so often that it has started.
func (m localRun) says(t *testing.T, times int) {
	t.Helper()
	for end := 0; times > 0; times-- {
		var err error
		end, err = m.WaitConsole(m.ctx, end, stubborn)
		must(t, err)
	}
}

// rescued waits for the reset and judges what led to it, and what it left. The
// service was started so often before.
func (m localRun) rescued(t *testing.T, started int, data string) {
	t.Helper()
	_, err := m.WaitConsole(m.ctx, 0, "sysrq: Resetting")
	must(t, err)
	must(t, m.Wait(m.ctx))
	console := m.Console()
	last := regexp.MustCompile(`sysrq\[rescue\]: reboot now; before: unraw \w+ in [^,]+, terminate-all-tasks done in [^,]+, ` +
		`kill-all-tasks done in [^,]+, sync done in [^,]+, unmount done in (?s:.*)sysrq: Resetting`)
	if !last.Match(console) {
		t.Errorf("the last words before the reset are not there: %s", last)
	}
	if n := bytes.Count(console, []byte(stubborn)); n != started {
		t.Errorf("init started the service %d times, %d of them before", n, started)
	}
	super, err := lab.Superblock(m.Disk(0))
	must(t, err)
	if !super.Clean || super.Recovery || super.Errors != 0 {
		t.Errorf("the file system is not clean: %+v", super)
	}
	if err := lab.Check(m.ctx, m.Disk(0)); err != nil {
		t.Error(err)
	}
	// A machine with the lab's own init is up sooner.
	v := lab.StartT(t, lab.Config{Kernel: lab.FindT(t, "amd64", "6.1"), Init: program(t), Disks: []lab.Disk{{Path: m.Disk(0)}}})
	_, err = v.WaitBoot(m.ctx)
	must(t, err)
	must(t, v.Mount(m.ctx, 0, "/seen"))
	got, err := v.Verify(m.ctx, "/seen"+data, localData, localSeed)
	must(t, err)
	if got.Right != localData || got.Size != localData {
		t.Errorf("%d of %d bytes survived, size %d", got.Right, int64(localData), got.Size)
	}
}

// startSystemd boots a whole Debian, with a service that restarts always.
func startSystemd(t *testing.T, series string) localRun {
	t.Helper()
	lab.Need(t)
	image, err := lab.SystemdImage(t.Context(), func(s string) { t.Logf("lab: %s", s) })
	must(t, err)
	m := startLocal(t, series, lab.Config{
		OwnRoot: true, Disks: []lab.Disk{{Copy: image, BPSWrite: localDisk}},
		Files: []lab.File{
			{Path: "/etc/systemd/system/stubborn.service", Data: []byte(`[Unit]
StartLimitIntervalSec=0
[Service]
Restart=always
RestartSec=0
ExecStart=/bin/sh -c '` + stubbornCommand + `'
`)},
			{Path: "/etc/systemd/system/multi-user.target.wants/stubborn.service", Link: "../stubborn.service"},
			{Path: "/etc/systemd/system/rescue-now.service", Data: []byte("[Service]\nExecStart=/usr/local/bin/sysrq --yes reisub\n")},
		},
	})
	_, err = m.WaitConsole(m.ctx, 0, "root@lab:") // logged in: all is up
	must(t, err)
	// It is started again when it is killed, or the test would prove nothing.
	m.says(t, 1)
	_, err = m.Run(m.ctx, "systemctl", "kill", "--signal=KILL", "stubborn")
	must(t, err)
	m.says(t, 2)
	_, err = m.Dirty(m.ctx, "/data", localData, localSeed)
	must(t, err)
	return m
}

// TestLocalSystemdSession: typed by somebody who has logged in. i kills the
// shell, which leads the session: the terminal is hung up, and the session's
// unit ends.
func TestLocalSystemdSession(t *testing.T) {
	m := startSystemd(t, "6.1")
	m.onConsole(t, "sysrq --yes --verbose reisub\r")
	m.rescued(t, 2, "/data")
	if want := "init stands still (cgroup v2 /init.scope)"; !bytes.Contains(m.Console(), []byte(want)) {
		t.Errorf("the terminal does not say: %s", want)
	}
}

// TestLocalSystemdService: started by systemd itself, with the journal, which e
// ends, for its output.
func TestLocalSystemdService(t *testing.T) {
	m := startSystemd(t, "6.12")
	_, err := m.Run(m.ctx, "systemctl", "start", "--no-block", "rescue-now")
	if err != nil && !errors.Is(err, lab.ErrEnded) { // whoever answers is ended, too
		t.Fatal(err)
	}
	m.rescued(t, 2, "/data")
}

// TestLocalOpenRC: a whole Debian with OpenRC, whose init sits in the root group
// among the kernel's threads, and starts at once what its inittab names.
func TestLocalOpenRC(t *testing.T) {
	lab.Need(t)
	image, err := lab.OpenRCImage(t.Context(), func(s string) { t.Logf("lab: %s", s) })
	must(t, err)
	m := startLocal(t, "6.1", lab.Config{
		OwnRoot: true, Disks: []lab.Disk{{Copy: image, BPSWrite: localDisk}},
		Files: []lab.File{
			{Path: "/etc/stubborn", Data: []byte(stubbornCommand + "\n")},
			{Path: "/etc/inittab", Data: []byte(lab.OpenRCInittab + "own:2:respawn:/bin/sh /etc/stubborn\n")},
		},
	})
	_, err = m.WaitConsole(m.ctx, 0, "root@lab:")
	must(t, err)
	_, err = m.Run(m.ctx, "sh", "-c", "rc-status --runlevel | grep -qx default && grep -q '^0::/$' /proc/1/cgroup")
	must(t, err)
	m.says(t, 1)
	_, err = m.Run(m.ctx, "sh", "-c", "kill -9 $(pidof sleep)")
	must(t, err)
	m.says(t, 2)
	_, err = m.Dirty(m.ctx, "/data", localData, localSeed)
	must(t, err)
	m.onConsole(t, "sysrq --yes --verbose reisub\r")
	m.rescued(t, 2, "/data")
	if want := "init stands still (cgroup v2 /sysrq-init)"; !bytes.Contains(m.Console(), []byte(want)) {
		t.Errorf("the terminal does not say: %s", want)
	}
}

// TestLocalBusybox: an init that knows no control groups, and starts at once
// what has ended.
func TestLocalBusybox(t *testing.T) {
	m := startLocal(t, "6.1", lab.Config{
		Busybox: true, Disks: []lab.Disk{{Ext4: "data", BPSWrite: localDisk}},
		Files: []lab.File{
			{Path: "/etc/stubborn", Data: []byte(stubbornCommand + "\n")},
			{Path: "/etc/inittab", Data: []byte("::respawn:/bin/sh /etc/stubborn\n")},
		},
	})
	must(t, m.Mount(m.ctx, 0, "/mnt"))
	must(t, m.Replace(m.ctx, "/bin/init"))
	m.says(t, 1)
	_, err := m.Run(m.ctx, "killall", "-9", "sleep")
	must(t, err)
	m.says(t, 2)
	_, err = m.Dirty(m.ctx, "/mnt/data", localData, localSeed)
	must(t, err)
	_, err = m.Do(m.ctx, guest.Op{Run: &guest.Run{Path: "sh", Detach: true, Args: []string{
		"-c", "exec /bin/sysrq --yes --verbose reisub >/dev/console 2>&1",
	}}})
	must(t, err)
	m.rescued(t, 2, "/data")
	if want := "init stands still (cgroup v2 /sysrq-init)"; !bytes.Contains(m.Console(), []byte(want)) {
		t.Errorf("the console does not say: %s", want)
	}
}

// onConsole types text at the machine's console.
func (m localRun) onConsole(t *testing.T, text string) {
	t.Helper()
	conn, err := net.Dial("unix", m.ConsoleSocket())
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	go func() { _, _ = io.Copy(io.Discard, conn) }() // or the emulator waits for its reader
	_, err = io.WriteString(conn, text)
	must(t, err)
}
