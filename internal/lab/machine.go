package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sysrq/sysrq/internal/lab/guest"
	"github.com/sysrq/sysrq/transport/qmp"
)

// Config says what machine to make. The zero value, with a Kernel, is a small
// one without disks.
type Config struct {
	Kernel Kernel
	Memory int // MiB; 0 means 512
	CPUs   int // 0 means 2, where the machine can have two
	Disks  []Disk

	Append  []string // more kernel arguments
	Quiet   bool     // boots with quiet, as distributions do
	Panics  bool     // a panic is expected, and reboots: it does not end the machine
	Devices []Device // more hardware
	Once    bool     // ends at the first reboot instead of booting again

	Init    string   // the guest's init; empty finds or builds this project's
	Files   []File   // more files for the guest
	Modules []string // kernel modules to load, with what they need
	Busybox bool     // carry a busybox along
	Shell   bool     // give the console a shell, which takes a busybox
	Script  []guest.Op
	// Channel gives a control channel to a machine that has none by itself.
	Channel bool

	// OwnRoot boots from disk 0, a copy of [SystemdImage] or [OpenRCImage], with
	// that system's own init. The program and Files are put on it.
	OwnRoot bool

	// Progress is told what takes time; it may be nil.
	Progress func(string)
}

// Machine is a running one.
type Machine struct {
	config  Config
	arch    machine
	dir     string
	console *transcript
	talk    *conversation // nil without a control channel
	qmp     *qmp.Monitor  // nil for UML
	proc    *process
	stderr  *output
	tidier  *tidier // nil once closed
	seen    int     // boots that WaitBoot has returned
	next    atomic.Int64
}

// Start makes a machine and starts it. It does not wait for the kernel: see
// WaitBoot. The machine ends with ctx.
func Start(ctx context.Context, c Config) (_ *Machine, err error) {
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	arch, ok := machines[c.Kernel.Arch]
	if !ok {
		return nil, errors.New("start a machine: no kernel: see Find")
	}
	if extra := arch.extra; c.Channel && extra != nil {
		arch.control = extra.tty
		arch.serial = slices.Concat(arch.serial, extra.devices)
		c.Modules = slices.Concat(extra.modules, c.Modules)
	}
	// Short, since the paths of sockets may not be long.
	dir, err := os.MkdirTemp("", "sysrq-lab-")
	if err != nil {
		return nil, err
	}
	m := &Machine{config: c, arch: arch, dir: dir, console: newTranscript(), stderr: &output{}}
	if m.tidier, err = newTidier(dir); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("start a machine: %w", err)
			_ = m.Close()
		}
	}()
	plan := guest.Plan{Control: arch.control, Shell: c.Shell, Script: c.Script}
	for i, d := range c.Disks {
		switch {
		case d.Copy != "":
			err = m.copyRoot(ctx, d.Copy, i)
		case d.Path == "":
			err = d.make(ctx, m.Disk(i))
		}
		if err != nil {
			return nil, err
		}
		plan.Disks = append(plan.Disks, m.serial(i))
	}
	initramfs := ""
	if !c.OwnRoot {
		if initramfs, err = c.initramfs(ctx, arch, plan, dir, c.Progress); err != nil {
			return nil, err
		}
	}
	if arch.qemu == "" {
		err = m.startUML(initramfs)
	} else {
		err = m.startQEMU(ctx, initramfs)
	}
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, m.proc.kill)
	return m, nil
}

func (m *Machine) startQEMU(ctx context.Context, initramfs string) error {
	if _, err := exec.LookPath(m.arch.qemu); err != nil {
		return missing(m.arch.qemu, m.arch.install)
	}
	line := m.commandLine(initramfs)
	cmd := exec.Command(line[0], line[1:]...)
	if err := m.launch(cmd); err != nil {
		return err
	}
	if m.arch.control != "" {
		conn, err := m.dial(ctx, "control")
		if err != nil {
			return err
		}
		m.talk = converse(conn)
	}
	conn, err := m.dial(ctx, "lab")
	if err != nil {
		return err
	}
	m.qmp, err = qmp.NewMonitor(ctx, conn)
	return err
}

// commandLine is QEMU's for this machine.
func (m *Machine) commandLine(initramfs string) []string {
	c := m.config
	s := size{memoryMiB: c.Memory, cpus: c.CPUs}
	if s.memoryMiB == 0 {
		s.memoryMiB = 512
	}
	if s.cpus == 0 {
		s.cpus = 2
		if m.arch.goarch == "mips64le" {
			s.cpus = 1
		}
	}
	devices := []Device{
		s,
		boot{image: c.Kernel.Image(), initramfs: initramfs},
		console{tty: m.arch.console, socket: m.socket("console"), copyTo: 3},
		monitor{name: "monitor", socket: m.socket("monitor")},
		monitor{name: "lab", socket: m.socket("lab")},
	}
	if m.arch.control != "" {
		devices = append(devices, control{socket: m.socket("control")})
	}
	devices = append(devices, arguments(m.arch.serial))
	for i, d := range c.Disks {
		devices = append(devices, nvme{n: i, path: m.Disk(i), bpsWrite: d.BPSWrite})
	}
	if c.Once {
		devices = append(devices, arguments{"-no-reboot"})
	}
	return commandLine(m.arch, append(devices, c.Devices...), m.kernelArguments())
}

func (m *Machine) kernelArguments() []string {
	var args []string
	if m.config.Quiet {
		args = append(args, "quiet")
	}
	if m.config.Panics {
		args = append(args, "panic=1")
	}
	return append(args, m.config.Append...)
}

// copyRoot copies an image, and puts the program and more files on the one
// that will be booted from.
func (m *Machine) copyRoot(ctx context.Context, from string, i int) error {
	var files []File
	if m.config.OwnRoot && i == 0 {
		program, err := m.config.program(ctx, m.arch.goarch, m.dir)
		if err != nil {
			return err
		}
		files = append([]File{{Path: "/usr/local/bin/sysrq", From: program, Mode: 0o755}}, m.config.Files...)
	}
	return copyImage(ctx, from, m.Disk(i), files)
}

// launch starts the emulator with the lab's copy of the console as its
// descriptor 3.
func (m *Machine) launch(cmd *exec.Cmd) error {
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer write.Close()
	cmd.ExtraFiles = append([]*os.File{write}, cmd.ExtraFiles...)
	cmd.Stderr = m.stderr
	if m.proc, err = launch(cmd); err != nil {
		read.Close()
		return err
	}
	m.tidier.watch(m.proc.cmd.Process.Pid)
	go func() {
		defer read.Close()
		m.console.follow(read)
	}()
	return nil
}

// socket is the path of one of the machine's sockets.
func (m *Machine) socket(name string) string { return filepath.Join(m.dir, name) }

// serial is what the guest knows a disk by.
func (m *Machine) serial(i int) string {
	if m.arch.qemu == "" {
		return "/dev/ubd" + string(rune('a'+i))
	}
	return nvme{n: i}.serial()
}

// Disk is the path of disk i's image on the host.
func (m *Machine) Disk(i int) string {
	if p := m.config.Disks[i].Path; p != "" {
		return p
	}
	return filepath.Join(m.dir, fmt.Sprintf("disk%d.img", i))
}

// Dir is the machine's own directory, gone with it.
func (m *Machine) Dir() string { return m.dir }

// Target is the URL by which sysrq reaches the machine. Ways are "qmp",
// "qmp-blind" (without the console), "unix" (the console's socket), and "uml".
func (m *Machine) Target(way string) string {
	switch way {
	case "qmp":
		return "qmp:" + m.socket("monitor") + "?console=" + m.socket("console")
	case "qmp-blind":
		return "qmp:" + m.socket("monitor")
	case "uml":
		return "uml:" + umlID
	default:
		return way + ":" + m.socket("console")
	}
}

// Monitor is the lab's own connection to QEMU; nil for UML.
func (m *Machine) Monitor() *qmp.Monitor { return m.qmp }

// Console is everything that the console has said.
func (m *Machine) Console() []byte {
	m.console.mu.Lock()
	defer m.console.mu.Unlock()
	return append([]byte(nil), m.console.text...)
}

// ErrEnded is wrapped by errors that say that the machine is gone.
var ErrEnded = errors.New("the machine has ended")

// ErrPanic is wrapped when the guest's kernel has panicked and nobody expected
// it to.
var ErrPanic = errors.New("the guest's kernel has panicked")

// await waits until ready, which is asked under the transcript's lock, and
// puts the console's last lines into the error when it does not become so.
func (m *Machine) await(ctx context.Context, what string, ready func(*transcript) bool) error {
	for {
		m.console.mu.Lock()
		ok, changed, ended, words := ready(m.console), m.console.changed, m.console.ended, m.console.panic
		m.console.mu.Unlock()
		switch {
		case ok:
			return nil
		case ended:
			return m.failure(what, ErrEnded)
		case words != "" && !m.config.Panics:
			return m.failure(what, fmt.Errorf("%w: %s", ErrPanic, words))
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return m.failure(what, context.Cause(ctx))
		}
	}
}

func (m *Machine) failure(what string, err error) error {
	text := ""
	if words := strings.TrimSpace(m.stderr.String()); words != "" {
		text = "\nemulator: " + words
	}
	return fmt.Errorf("%s: %w%s\nconsole:\n%s", what, err, text, m.console.tail(25))
}

// WaitBoot waits for the next boot: the first call for the first one. It
// returns when the guest's init is ready.
func (m *Machine) WaitBoot(ctx context.Context) (guest.Boot, error) {
	for range 3 {
		b, err := m.waitBoot(ctx)
		if !errors.Is(err, ErrPanic) || !m.emulatorsFault() {
			return b, err
		}
		m.config.Progress("the emulator tripped over the kernel's patching of itself: starting again")
		m.console.forgive()
		if err := m.qmp.Execute(ctx, "system_reset", nil, nil); err != nil {
			return b, err
		}
	}
	return m.waitBoot(ctx)
}

// emulatorsFault recognises a breakpoint that the kernel had put into its own
// code for a moment, and that the emulator executed after it was gone. It
// happens to about one boot in fifty, and is no word about what is tested.
func (m *Machine) emulatorsFault() bool {
	m.console.mu.Lock()
	defer m.console.mu.Unlock()
	return m.qmp != nil && len(m.console.boots) == 0 && bytes.Contains(m.console.text, []byte("int3: 0000 ["))
}

func (m *Machine) waitBoot(ctx context.Context) (guest.Boot, error) {
	var b guest.Boot
	err := m.await(ctx, fmt.Sprintf("wait for boot %d", m.seen+1), func(t *transcript) bool {
		if len(t.boots) <= m.seen {
			return false
		}
		b = t.boots[m.seen]
		return true
	})
	if err != nil {
		return b, err
	}
	m.seen++
	if m.talk != nil && len(m.config.Script) == 0 { // the script comes first
		err = m.talk.awaitBoot(ctx, b.ID)
	}
	return b, err
}

// WaitConsole waits until the console has said text, and returns what stood
// before its first occurrence from offset from on, and the offset after it.
func (m *Machine) WaitConsole(ctx context.Context, from int, text string) (end int, err error) {
	err = m.await(ctx, fmt.Sprintf("wait for %q on the console", text), func(t *transcript) bool {
		i := strings.Index(string(t.text[min(from, len(t.text)):]), text)
		end = from + i + len(text)
		return i >= 0
	})
	return end, err
}

// Replies waits for all replies to the configuration's script.
func (m *Machine) Replies(ctx context.Context) ([]guest.Reply, error) {
	var replies []guest.Reply
	err := m.await(ctx, "wait for the script", func(t *transcript) bool {
		replies = append([]guest.Reply(nil), t.replies...)
		return len(replies) >= len(m.config.Script)
	})
	return replies, err
}

// Throttle changes how fast disk i may be written, in bytes a second: 0 is
// unlimited, 1 is as good as dead.
func (m *Machine) Throttle(ctx context.Context, i int, bps int64) error {
	return m.qmp.Execute(ctx, "block_set_io_throttle", map[string]any{
		"id": nvme{n: i}.id(), "bps": 0, "bps_rd": 0, "bps_wr": bps,
		"iops": 0, "iops_rd": 0, "iops_wr": 0,
	}, nil)
}

// Wait waits until the machine ends by itself: a power-off, or a reboot when
// it boots only once.
func (m *Machine) Wait(ctx context.Context) error {
	select {
	case <-m.proc.done:
		return nil
	case <-ctx.Done():
		return m.failure("wait for the machine's end", context.Cause(ctx))
	}
}

// Quit switches the machine off as a pulled plug does. Its disks' images are
// complete then, and stay until Close.
func (m *Machine) Quit(ctx context.Context) error {
	if m.qmp == nil {
		m.proc.kill()
		return nil
	}
	err := m.qmp.Execute(ctx, "quit", nil, nil)
	if waited := m.Wait(ctx); waited != nil {
		return errors.Join(err, waited)
	}
	return nil
}

// Close ends the machine and removes everything that it had. It may be called
// more than once.
func (m *Machine) Close() error {
	if m.tidier == nil {
		return nil
	}
	if m.proc != nil {
		m.proc.kill()
		m.tidier.watch(0)
	}
	if m.qmp != nil {
		_ = m.qmp.Close()
	}
	if m.talk != nil {
		m.talk.close()
	}
	err := m.tidier.finish()
	m.tidier = nil
	return err
}

// output collects what the emulator complains of.
type output struct {
	mu   sync.Mutex
	text []byte
}

// Write keeps p.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, p...)
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text)
}

// ConsoleSocket is the path of the console's socket, which takes one client.
func (m *Machine) ConsoleSocket() string { return m.socket("console") }
