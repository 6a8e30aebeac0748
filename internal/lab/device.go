package lab

import (
	"fmt"
	"strings"
)

// Device is one part of a machine: what QEMU must be told, and what the kernel
// must be told for it.
type Device interface {
	QEMU() []string
	Kernel() []string
}

// commandLine puts a machine together. It is a pure function: the emulator's
// arguments, the kernel's among them.
func commandLine(m machine, devices []Device, extra []string) []string {
	args := []string{m.qemu, "-nodefaults", "-no-user-config", "-display", "none", "-accel", "tcg,thread=multi"}
	args = append(args, m.args...)
	kernel := append([]string(nil), m.kernel...)
	for _, d := range devices {
		args = append(args, d.QEMU()...)
		kernel = append(kernel, d.Kernel()...)
	}
	return append(args, "-append", strings.Join(append(kernel, extra...), " "))
}

// size is the machine's memory and processors.
type size struct{ memoryMiB, cpus int }

func (s size) QEMU() []string {
	return []string{"-m", fmt.Sprint(s.memoryMiB), "-smp", fmt.Sprint(s.cpus)}
}
func (s size) Kernel() []string { return nil }

// boot is the kernel and its first file system; without an initramfs the
// kernel finds its root on disk 0.
type boot struct{ image, initramfs string }

func (b boot) QEMU() []string {
	if b.initramfs == "" {
		return []string{"-kernel", b.image}
	}
	return []string{"-kernel", b.image, "-initrd", b.initramfs}
}

func (b boot) Kernel() []string {
	if b.initramfs == "" {
		return []string{"root=/dev/nvme0n1", "rw"}
	}
	return []string{"rdinit=/init"}
}

// console is the serial line that the kernel prints on: a socket for the
// program under test, and a copy of all output to the lab's own descriptor.
type console struct {
	tty    string
	socket string
	copyTo int
}

func (c console) QEMU() []string {
	return []string{"-chardev", fmt.Sprintf("socket,id=console,path=%s,server=on,wait=off,logfile=/dev/fd/%d,logappend=on", c.socket, c.copyTo)}
}

// Records of our own are not rate-limited: tests count on each.
func (c console) Kernel() []string {
	return []string{"console=" + c.tty, "printk.devkmsg=on"}
}

// control is the channel on which the guest does what it is asked.
type control struct{ socket string }

func (c control) QEMU() []string {
	return []string{"-chardev", fmt.Sprintf("socket,id=control,path=%s,server=on,wait=off", c.socket)}
}
func (c control) Kernel() []string { return nil }

// monitor is a QMP socket.
type monitor struct{ name, socket string }

func (m monitor) QEMU() []string {
	return []string{
		"-chardev", fmt.Sprintf("socket,id=%s,path=%s,server=on,wait=off", m.name, m.socket),
		"-mon", "mode=control,chardev=" + m.name,
	}
}
func (m monitor) Kernel() []string { return nil }

// arguments are for the emulator alone.
type arguments []string

func (a arguments) QEMU() []string   { return a }
func (a arguments) Kernel() []string { return nil }

// nvme is a disk whose driver every Debian kernel for clouds has built in.
type nvme struct {
	n        int
	path     string
	bpsWrite int64
}

func (d nvme) QEMU() []string {
	drive := fmt.Sprintf("if=none,id=%s,file=%s,format=raw,cache=unsafe,discard=unmap", d.backend(), d.path)
	if d.bpsWrite > 0 {
		drive += fmt.Sprintf(",throttling.bps-write=%d", d.bpsWrite)
	}
	return []string{
		"-drive", drive,
		"-device", fmt.Sprintf("nvme,id=%s,serial=%s,drive=%s", d.id(), d.serial(), d.backend()),
	}
}

// A controller that is slow must stay a slow one: the driver would otherwise
// reset it after half a minute, which lets everything through at once.
func (d nvme) Kernel() []string {
	if d.n > 0 {
		return nil
	}
	return []string{"nvme_core.io_timeout=3600"}
}

func (d nvme) id() string      { return fmt.Sprintf("disk%d", d.n) }
func (d nvme) backend() string { return fmt.Sprintf("backend%d", d.n) }
func (d nvme) serial() string  { return fmt.Sprintf("lab-disk%d", d.n) }
