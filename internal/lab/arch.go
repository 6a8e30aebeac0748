package lab

// machine is one architecture's: which kernel, which emulator, and where its
// serial lines appear.
type machine struct {
	goarch  string
	debian  string // the architecture as Debian writes it
	flavour string // of the kernel package
	qemu    string // the emulator; empty for UML
	install string // the Debian package that has it
	args    []string
	kernel  []string // what its kernel must be told
	console string   // the tty that the kernel prints on
	control string   // the tty of the control channel; empty for none
	serial  []string // devices that connect chardev console and, if there is one, control
	// extra is a control channel for a machine that has none, by a device whose
	// driver is a module.
	extra *extraChannel
}

type extraChannel struct {
	tty     string
	devices []string
	modules []string
}

// machines lists every architecture that the lab can boot. The processors are
// the most capable ones that the emulator has for each.
var machines = map[string]machine{
	"amd64": {
		goarch: "amd64", debian: "amd64", flavour: "cloud-amd64",
		qemu: "qemu-system-x86_64", install: "qemu-system-x86",
		args: []string{"-M", "pc", "-cpu", "max"},
		// Otherwise the kernel finds the emulated clock unstable and patches
		// its own code while both processors run it, which the emulator does
		// not always survive: see emulatorsFault. And where the emulator gets
		// too little time, the kernel hears no timer tick in the moment that it
		// listens for one, and panics: IO-APIC + timer doesn't work.
		kernel:  []string{"tsc=reliable", "no_timer_check"},
		console: "ttyS0", control: "/dev/ttyS1",
		serial: []string{"-serial", "chardev:console", "-serial", "chardev:control"},
	},
	"arm64": {
		goarch: "arm64", debian: "arm64", flavour: "cloud-arm64",
		qemu: "qemu-system-aarch64", install: "qemu-system-arm",
		args:    []string{"-M", "virt", "-cpu", "cortex-a57"},
		console: "ttyAMA0", control: "/dev/ttyS0",
		serial: []string{"-serial", "chardev:console", "-device", "pci-serial,chardev=control"},
	},
	"ppc64le": {
		goarch: "ppc64le", debian: "ppc64el", flavour: "powerpc64le",
		qemu: "qemu-system-ppc64", install: "qemu-system-ppc",
		args:    []string{"-M", "pseries", "-vga", "none"},
		console: "hvc0", control: "/dev/hvc1",
		serial: []string{"-serial", "chardev:console", "-device", "spapr-vty,chardev=control"},
	},
	"s390x": {
		goarch: "s390x", debian: "s390x", flavour: "s390x",
		qemu: "qemu-system-s390x", install: "qemu-system-misc",
		args: []string{"-M", "s390-ccw-virtio", "-cpu", "max"},
		// This console says every line twice, and cuts some.
		console: "ttysclp0",
		serial:  []string{"-device", "sclpconsole,chardev=console"},
		extra: &extraChannel{
			tty:     "/dev/hvc0",
			devices: []string{"-device", "virtio-serial-ccw", "-device", "virtconsole,chardev=control"},
			modules: []string{"virtio_console"},
		},
	},
	"mips64le": {
		goarch: "mips64le", debian: "mips64el", flavour: "5kc-malta",
		qemu: "qemu-system-mips64el", install: "qemu-system-mips",
		args:    []string{"-M", "malta", "-cpu", "MIPS64R2-generic"},
		console: "ttyS0", control: "/dev/ttyS1",
		serial: []string{"-serial", "chardev:console", "-serial", "chardev:control"},
	},
	"uml": {
		goarch: "amd64", debian: "amd64", install: "user-mode-linux",
		console: "tty0", control: "/dev/ttyS1",
	},
}
