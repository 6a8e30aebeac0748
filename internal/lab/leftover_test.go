package lab_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sysrq/sysrq/internal/lab"
)

// TestNothingIsLeft kills a process that has a machine, and looks for what
// remains: no emulator, no directory.
func TestNothingIsLeft(t *testing.T) {
	lab.Need(t)
	kernels := map[string]lab.Kernel{"qemu": lab.FindT(t, "amd64", "6.1"), "uml": lab.FindT(t, "uml", "")}
	if kind := os.Getenv("SYSRQ_LAB_VICTIM"); kind != "" {
		m := lab.StartT(t, lab.Config{Kernel: kernels[kind], Init: os.Getenv("SYSRQ_LAB_VICTIM_INIT")})
		if _, err := m.WaitBoot(t.Context()); err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString("\ndir=" + m.Dir() + "\n")
		select {}
	}
	for kind := range kernels {
		t.Run(kind, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestNothingIsLeft$")
			cmd.Env = append(os.Environ(), "SYSRQ_LAB_VICTIM="+kind, "SYSRQ_LAB_VICTIM_INIT="+testInit(t, "amd64"))
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var dir string
			for lines := bufio.NewScanner(out); dir == "" && lines.Scan(); {
				dir, _ = strings.CutPrefix(lines.Text(), "dir=")
				if dir == lines.Text() {
					dir = ""
				}
			}
			if dir == "" {
				_ = cmd.Wait()
				t.Fatal("the victim has not started its machine")
			}
			if len(processesWith(dir)) == 0 {
				t.Fatal("no process knows the machine's directory")
			}
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			for range 100 {
				_, err = os.Stat(dir)
				if os.IsNotExist(err) && len(processesWith(dir)) == 0 {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
			t.Errorf("left: %v, %s: %v", processesWith(dir), dir, err)
		})
	}
}

// processesWith lists processes whose command line or working directory names
// dir.
func processesWith(dir string) (found []string) {
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range all {
		line, _ := os.ReadFile(p + "/cmdline")
		cwd, _ := os.Readlink(p + "/cwd")
		if strings.Contains(string(line), dir) || strings.HasPrefix(cwd, dir) {
			found = append(found, p+" "+strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}
