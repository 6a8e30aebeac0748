package lab

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// umlID is the name by which mconsole finds the machine within its directory.
const umlID = "lab"

// startUML starts user-mode Linux: a kernel that is an ordinary program. Its
// console is a descriptor, and its control channel a socket pair.
func (m *Machine) startUML(initramfs string) error {
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	ours, theirs := os.NewFile(uintptr(ends[0]), "control"), os.NewFile(uintptr(ends[1]), "control")
	defer theirs.Close()
	defer ours.Close()
	memory := m.config.Memory
	if memory == 0 {
		memory = 128
	}
	line := []string{
		fmt.Sprintf("mem=%dM", memory), "initrd=" + initramfs, "rdinit=/init",
		"umid=" + umlID, "uml_dir=" + m.dir,
		// The lab's copy is descriptor 3, the control channel 4.
		"con0=null,fd:3", "con=null", "ssl1=fd:4,fd:4", "ssl=null",
		"console=" + m.arch.console, "printk.devkmsg=on",
	}
	for i := range m.config.Disks {
		line = append(line, fmt.Sprintf("ubd%d=%s", i, m.Disk(i)))
	}
	cmd := exec.Command(m.config.Kernel.Image(), append(line, m.kernelArguments()...)...)
	// Its memory is a file that is unlinked at once.
	cmd.Env = append(os.Environ(), "TMPDIR="+m.dir)
	cmd.Dir = m.dir
	cmd.ExtraFiles = []*os.File{theirs}
	if err := m.launch(cmd); err != nil {
		return err
	}
	conn, err := net.FileConn(ours)
	if err != nil {
		return err
	}
	m.talk = converse(conn)
	return nil
}

// Mconsole sends one command to user-mode Linux's management console, the way
// its sysrq arrives, and returns the answer.
func (m *Machine) Mconsole(command string) (string, error) {
	tool, err := exec.LookPath("uml_mconsole")
	if err != nil {
		return "", missing("uml_mconsole", "uml-utilities")
	}
	cmd := exec.Command(tool, append([]string{m.socket(umlID) + "/mconsole"}, strings.Fields(command)...)...)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}
