package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/creack/pty"
)

// terminal is a person's terminal with the program on it.
type terminal struct {
	t   *testing.T
	cmd *exec.Cmd
	tty *os.File

	mu   sync.Mutex
	said bytes.Buffer
	more chan struct{} // closed when nothing more will be said
	read int           // how much of said was waited for
}

// onTerminal runs sysrq on a terminal of 80 columns.
func onTerminal(t *testing.T, env []string, args ...string) *terminal {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// testscript.Main runs what it is called as.
	name := filepath.Join(t.TempDir(), "sysrq")
	if err := os.Symlink(self, name); err != nil {
		t.Fatal(err)
	}
	x := &terminal{t: t, cmd: exec.Command(name, args...), more: make(chan struct{})}
	x.cmd.Env = append([]string{"TERM=xterm", "SYSRQ_CONFIG=/dev/null", "HOME=/nonexistent", hurry}, env...)
	x.tty, err = pty.StartWithSize(x.cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		x.cmd.Process.Kill()
		x.tty.Close()
	})
	go func() {
		defer close(x.more)
		buf := make([]byte, 4096)
		for {
			n, err := x.tty.Read(buf)
			x.mu.Lock()
			x.said.Write(buf[:n])
			x.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return x
}

// expect waits until the program has said text, after what was expected before.
func (x *terminal) expect(text string) {
	x.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		x.mu.Lock()
		i := bytes.Index(x.said.Bytes()[x.read:], []byte(text))
		if i >= 0 {
			x.read += i + len(text)
		}
		x.mu.Unlock()
		if i >= 0 {
			return
		}
		if time.Now().After(deadline) {
			x.t.Fatalf("never said %q:\n%q", text, x.all())
		}
		time.Sleep(time.Millisecond)
	}
}

func (x *terminal) all() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.said.String()
}

func (x *terminal) typed(text string) {
	x.t.Helper()
	if _, err := io.WriteString(x.tty, text); err != nil {
		x.t.Fatal(err)
	}
}

// ends waits for the program's end, and returns all that it said.
func (x *terminal) ends(status int) string {
	x.t.Helper()
	late := time.AfterFunc(10*time.Second, func() { x.cmd.Process.Signal(syscall.SIGKILL) })
	defer late.Stop()
	_ = x.cmd.Wait()
	<-x.more
	if got := x.cmd.ProcessState.ExitCode(); got != status {
		x.t.Errorf("exit status %d, want %d:\n%s", got, status, x.all())
	}
	return x.all()
}

var escapes = regexp.MustCompile(`\x1b\[[0-9;]*[A-Za-z]`)

// screen is what is left to be read on the terminal: what was overwritten is
// gone.
func screen(said string) string {
	var lines []string
	for line := range strings.SplitSeq(strings.ReplaceAll(said, "\r\n", "\n"), "\n") {
		if i := strings.LastIndex(line, "\r\x1b[K"); i >= 0 {
			line = line[i+len("\r\x1b[K"):]
		}
		lines = append(lines, escapes.ReplaceAllString(line, ""))
	}
	return strings.Join(lines, "\n")
}

func machineFor(t *testing.T, words ...string) (m *machine, target string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "vm") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if m, err = startMachine(dir, words...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.close)
	return m, "qmp:" + dir + "/m?console=" + dir + "/c"
}

func TestQuestion(t *testing.T) {
	t.Parallel()
	const asks = "makes every file system read-only and reboots; lost: what programs have in memory. Go on? [y/N] "
	for _, tc := range []struct {
		name, typed string
		status      int
		pressed     string
		says        string
	}{
		{"yes", "y\r", 0, "8sub", "b  reboot"},
		{"a whole yes", "Yes\r", 0, "8sub", "b  reboot"},
		{"no", "n\r", 2, "", "sysrq: nothing was sent"},
		{"Enter", "\r", 2, "", "sysrq: nothing was sent"},
		{"something else", "reboot\r", 2, "", "sysrq: nothing was sent"},
		{"Ctrl-D", "\x04", 2, "", "sysrq: nothing was sent"},
		{"Ctrl-C", "\x03", 130, "", "sysrq: interrupted; nothing was sent"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			m, target := machineFor(t)
			x := onTerminal(t, nil, "-t", target, "sub")
			x.expect("this " + asks)
			x.typed(tc.typed)
			said := x.ends(tc.status)
			if !strings.Contains(screen(said), tc.says) {
				t.Errorf("does not say %q:\n%s", tc.says, said)
			}
			if got := m.received(); got != tc.pressed {
				t.Errorf("pressed %q, want %q", got, tc.pressed)
			}
		})
	}
}

// TestAskedLast: nobody says yes to what can not be done.
func TestAskedLast(t *testing.T) {
	t.Parallel()
	x := onTerminal(t, nil, "-t", "qmp:/nonexistent/m", "reisub")
	if said := x.ends(1); strings.Contains(said, "[y/N]") || !strings.Contains(strings.Join(strings.Fields(said), " "), "no such file") {
		t.Error(said)
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	m, target := machineFor(t, "stuck=s")
	x := onTerminal(t, nil, "--timeout", "700ms", "-t", target, "s")
	x.expect("\r\x1b[K1/1 s sync … 0.")
	said := x.ends(5)
	left := screen(said)
	if strings.Contains(left, "…") {
		t.Errorf("progress is left on the screen:\n%s", left)
	}
	if !strings.HasPrefix(left, "s  sync                   timeout ") {
		t.Errorf("the screen does not begin with the outcome:\n%s", left)
	}
	if !strings.Contains(said, "\x1b[33mtimeout") {
		t.Errorf("no colours:\n%q", said)
	}
	narrow(t, left)
	if got := m.received(); got != "8s7" {
		t.Errorf("pressed %q", got)
	}
}

func narrow(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func TestNoColour(t *testing.T) {
	t.Parallel()
	_, target := machineFor(t)
	x := onTerminal(t, []string{"NO_COLOR=1"}, "-t", target, "s")
	if said := x.ends(0); strings.Contains(said, "\x1b[") && strings.Contains(said, "m") && regexp.MustCompile(`\x1b\[[0-9;]*m`).MatchString(said) {
		t.Errorf("colours: %q", said)
	}
}

// TestDumbTerminal is a serial line, or an editor's shell window: nothing moves.
func TestDumbTerminal(t *testing.T) {
	t.Parallel()
	_, target := machineFor(t, "stuck=s")
	x := onTerminal(t, []string{"TERM=dumb"}, "--timeout", "400ms", "-t", target, "s")
	if said := x.ends(5); strings.Contains(said, "\x1b") || strings.Contains(strings.ReplaceAll(said, "\r\n", ""), "\r") {
		t.Errorf("the cursor was moved: %q", said)
	}
}

// TestNothingIsWide runs what a person reads first, in 80 columns.
func TestNothingIsWide(t *testing.T) {
	t.Parallel()
	_, target := machineFor(t, "mask=16", "lacks=v")
	for _, tc := range []struct {
		name   string
		status int
		args   []string
	}{
		{"outcomes", 3, []string{"-t", target, "w", "s", "show-all-locks", "v"}},
		{"a long error", 1, []string{"-t", "local:?proc=/nonexistent", "w"}},
		{"overview", 0, []string{"-t", target}},
		{"overview of nothing", 0, []string{"-t", "local:?proc=/nonexistent"}},
		{"list", 0, []string{"-t", target, "list", "--mask", "1"}},
		{"dry run", 0, []string{"--dry-run", "_q", "reisub"}},
		{"help", 0, []string{"help", "_q", "reisub", "xmon"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			narrow(t, screen(onTerminal(t, nil, tc.args...).ends(tc.status)))
		})
	}
}

// TestInterrupted: Ctrl-C ends a run with what is known, and sends no more.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		steps []string
		says  string
	}{
		{"in the middle", []string{"--yes", "s", "u", "b"}, "sysrq: interrupted; not sent: unmount, reboot"},
		{"at the last step", []string{"s"}, "sysrq: interrupted"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			m, target := machineFor(t, "stuck=s")
			x := onTerminal(t, nil, append([]string{"--keep-console", "-t", target}, tc.steps...)...)
			x.expect("1/")
			x.typed("\x03")
			left := screen(x.ends(130))
			for _, want := range []string{"s  sync                   timeout", "interrupted while waiting; the key was sent, so it may still take effect", tc.says} {
				if !strings.Contains(strings.Join(strings.Fields(left), " "), strings.Join(strings.Fields(want), " ")) {
					t.Errorf("does not say %q:\n%s", want, left)
				}
			}
			if got := m.received(); got != "s" {
				t.Errorf("pressed %q", got)
			}
		})
	}
}

// TestWatch prints until Ctrl-C, which is its ordinary end.
func TestWatch(t *testing.T) {
	t.Parallel()
	m, target := machineFor(t)
	x := onTerminal(t, nil, "-t", target, "watch", "--sysrq")
	for m.received() == "" { // the console may not be connected yet
		select {
		case <-x.more:
			t.Fatal(x.all())
		default:
		}
		m.kernel.Say(0, "eth0: link is up")
		m.press('4')
		time.Sleep(time.Millisecond)
	}
	x.expect("Loglevel set to 4")
	x.typed("\x03")
	if said := x.ends(0); strings.Contains(said, "eth0") {
		t.Errorf("--sysrq shows all:\n%s", said)
	}
}
