package lab

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sysrq/sysrq/internal/lab/guest"
)

func TestCommandLine(t *testing.T) {
	m := &Machine{
		arch: machines["amd64"], dir: "/d",
		config: Config{
			Kernel: Kernel{Arch: "amd64"},
			Disks:  []Disk{{BPSWrite: 20 << 20}, {Path: "/images/second"}},
			Quiet:  true, Panics: true, Once: true, Append: []string{"sysrq_always_enabled"},
			Devices: []Device{arguments{"-device", "usb-ehci"}},
		},
	}
	want := strings.Split(`qemu-system-x86_64
-nodefaults
-no-user-config
-display
none
-accel
tcg,thread=multi
-M
pc
-cpu
max
-m
512
-smp
2
-kernel

-initrd
/d/initramfs
-chardev
socket,id=console,path=/d/console,server=on,wait=off,logfile=/dev/fd/3,logappend=on
-chardev
socket,id=monitor,path=/d/monitor,server=on,wait=off
-mon
mode=control,chardev=monitor
-chardev
socket,id=lab,path=/d/lab,server=on,wait=off
-mon
mode=control,chardev=lab
-chardev
socket,id=control,path=/d/control,server=on,wait=off
-serial
chardev:console
-serial
chardev:control
-drive
if=none,id=backend0,file=/d/disk0.img,format=raw,cache=unsafe,discard=unmap,throttling.bps-write=20971520
-device
nvme,id=disk0,serial=lab-disk0,drive=backend0
-drive
if=none,id=backend1,file=/images/second,format=raw,cache=unsafe,discard=unmap
-device
nvme,id=disk1,serial=lab-disk1,drive=backend1
-no-reboot
-device
usb-ehci
-append
tsc=reliable no_timer_check rdinit=/init console=ttyS0 printk.devkmsg=on nvme_core.io_timeout=3600 quiet panic=1 sysrq_always_enabled`, "\n")
	if diff := cmp.Diff(want, m.commandLine("/d/initramfs")); diff != "" {
		t.Errorf("command line (-want +got):\n%s", diff)
	}
	if got, want := m.Target("qmp"), "qmp:/d/monitor?console=/d/console"; got != want {
		t.Errorf("target %s, want %s", got, want)
	}
}

func TestTranscript(t *testing.T) {
	tr := newTranscript()
	long := strings.Repeat("my bad ", 100)
	pieces := guest.Pieces("aaa", guest.Reply{ID: 7, Error: long})
	if len(pieces) != 2 {
		t.Fatalf("%d pieces", len(pieces))
	}
	for _, part := range []string{
		"[    1.0] sysrq-lab: boot aaa 6.1.0-5", "0 1.25\r\n~ # partial",
		"[    2.0][    T1] sysrq-lab: " + pieces[0].String()[:90] + "\r\n",
		"[    2.0][    T1] sysrq-lab: " + pieces[1].String() + "\r\n",
		"[    1.0] sysrq-lab: boot aaa 6.1.0-50 1.25\r\n", // replayed
		"junk sysrq-lab: " + pieces[0].String() + "\r\n",
		"junk sysrq-lab: " + pieces[0].String() + "\r\n",
		"sysrq-lab: reply aaa 9 0/0 00000000 x\nsysrq-lab: reply\nsysrq-lab: \n",
		"[    9.0] Kernel panic - not syncing: sysrq triggered crash\r\n",
	} {
		tr.add([]byte(part))
	}
	if len(tr.boots) != 1 || tr.boots[0].Release != "6.1.0-50" || tr.boots[0].Uptime != 1.25 {
		t.Errorf("boots: %+v", tr.boots)
	}
	if len(tr.replies) != 1 || tr.replies[0].ID != 7 || tr.replies[0].Error != long {
		t.Errorf("replies: %+v", tr.replies)
	}
	if tr.panic != "Kernel panic - not syncing: sysrq triggered crash" {
		t.Errorf("panic: %q", tr.panic)
	}
	if got := tr.tail(2); !strings.HasPrefix(got, "sysrq-lab: \n[    9.0] Kernel") {
		t.Errorf("tail: %q", got)
	}
	tr.add([]byte("sysrq-lab: boot bbb 6.1.0-50 1.30\n"))
	if len(tr.boots) != 2 || tr.panic != "" {
		t.Errorf("a new boot leaves the panic behind: %+v, %q", tr.boots, tr.panic)
	}
}
