package proof

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sysrq/sysrq"
	"github.com/sysrq/sysrq/internal/lab"
	"github.com/sysrq/sysrq/internal/lab/guest"
)

// faultData takes the slow disk four seconds to write: the time in which a
// sync is under way, and things go wrong.
const (
	faultData = 40 << 20
	faultDisk = 10_000_000 // bytes a second
)

// TestFaults: what can go wrong on the way goes wrong, on a real kernel, and
// the program's outcomes and exit status are right all the same.
func TestFaults(t *testing.T) {
	for _, tc := range []struct {
		name  string
		mask  int
		flags string
		steps string
		// during is called while the program runs.
		during func(*faulty)
		// want are the outcomes, each of several possible ones where timing
		// decides: "s=done|accepted".
		want  string
		exit  int
		boots int // boots that the machine has had in the end
	}{
		{"mask forbids step 4", 0x2 | 0x4 | 0x8 | 0x20 | 0x40 | 0x80, "", "reisub", nil, "r=accepted e=accepted i=accepted s=refused u=done b=done", 3, 2},
		{"kernel answers HELP", 1, "", "S", nil, "S=unsupported", 4, 1},
		{"console floods", 1, "", "sub", (*faulty).flood, "s=done u=done b=done", 0, 2},
		{"monitor closes during the sync", 1, "", "sub", (*faulty).cutMonitor, "s=done|accepted|sent u=failed b=failed", 1, 1},
		{"half a line, then silence", 1, "--strict", "s", (*faulty).cutProof, "s=accepted", 6, 1},
		{"machine reboots during the sync", 1, "", "sub", (*faulty).reset, "s=failed u=failed b=failed", 1, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := startFaulty(t, tc.mask)
			if tc.during != nil {
				go tc.during(f)
			}
			args := append([]string{"-t", f.target(), "--json", "--yes"}, strings.Fields(tc.flags)...)
			cmd := exec.CommandContext(f.ctx, f.program, append(args, strings.Fields(tc.steps)...)...)
			out, err := cmd.Output()
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			var texts []string
			wants := strings.Fields(tc.want)
			for line := range bytes.Lines(out) {
				var ev sysrq.Event
				must(t, json.Unmarshal(line, &ev))
				if ev.Type != sysrq.EventOutcome {
					continue
				}
				texts = append(texts, ev.Key.String()+"="+ev.Outcome.String()+": "+ev.Text)
				if len(wants) == 0 {
					t.Fatalf("more outcomes than steps: %q", texts)
				}
				key, may, _ := strings.Cut(wants[0], "=")
				if key != ev.Key.String() || !strings.Contains("|"+may+"|", "|"+ev.Outcome.String()+"|") {
					t.Errorf("%s, want %s: %s", ev.Outcome, wants[0], ev.Text)
				}
				wants = wants[1:]
			}
			t.Logf("%s", strings.Join(texts, "\n"))
			if len(wants) > 0 {
				t.Errorf("no outcome for %q", wants)
			}
			if got := cmd.ProcessState.ExitCode(); got != tc.exit {
				t.Errorf("exit status %d, want %d", got, tc.exit)
			}
			if tc.boots == 2 {
				if b, err := f.WaitBoot(f.ctx); err != nil || b.ID == f.first {
					t.Errorf("boot %v, %v: want a new one", b, err)
				}
			}
			// Whatever went wrong, nothing more was done to the machine than
			// the outcomes say: it is alive, in the boot that it should be in.
			if _, err := f.Status(f.ctx); err != nil {
				t.Errorf("the machine does not answer: %v", err)
			}
			if n := strings.Count(string(f.Console()), "Linux version "); n > tc.boots {
				t.Errorf("%d boots, want %d", n, tc.boots)
			}
		})
	}
}

// faulty is a machine whose ways can be cut.
type faulty struct {
	*lab.Machine
	t       *testing.T
	ctx     context.Context
	program string
	first   string // boot ID
	monitor *cutter
	console *cutter
}

func startFaulty(t *testing.T, mask int) *faulty {
	t.Helper()
	f := &faulty{t: t, program: program(t)}
	f.Machine = lab.StartT(t, lab.Config{
		Kernel: lab.FindT(t, "amd64", "6.1"), Init: f.program, Busybox: true,
		Disks: []lab.Disk{{Ext4: "slow", MiB: 256, BPSWrite: faultDisk}},
	})
	ctx, cancel := lab.Within(t.Context(), 3*time.Minute, t.Name())
	t.Cleanup(cancel)
	f.ctx = ctx
	b, err := f.WaitBoot(ctx)
	must(t, err)
	f.first = b.ID
	must(t, f.Mount(ctx, 0, "/slow"))
	_, err = f.Dirty(ctx, "/slow/file", faultData, 1)
	must(t, err)
	must(t, f.Mask(ctx, mask))
	// qmp:MONITOR?console=CONSOLE, as the machine gives it.
	monitor, console, _ := strings.Cut(strings.TrimPrefix(f.Target("qmp"), "qmp:"), "?console=")
	f.monitor = cut(t, monitor)
	f.console = cut(t, console)
	return f
}

func (f *faulty) target() string { return "qmp:" + f.monitor.path + "?console=" + f.console.path }

// syncing waits until the kernel has announced the sync.
func (f *faulty) syncing() {
	if _, err := f.WaitConsole(f.ctx, 0, "sysrq: Emergency Sync"); err != nil {
		f.t.Error(err)
	}
}

func (f *faulty) flood() {
	_, err := f.Do(f.ctx, guest.Op{Run: &guest.Run{
		Path: "/bin/busybox", Detach: true,
		Args: []string{"sh", "-c", "while :; do echo '<3>nfs: server not responding, still trying' > /dev/kmsg; done"},
	}})
	if err != nil {
		f.t.Error(err)
	}
}

func (f *faulty) cutMonitor() {
	f.syncing()
	f.monitor.hangUp()
}

// cutProof lets half of the proof through, and nothing after it.
func (f *faulty) cutProof() { f.console.until("Emergency Sync comp") }

func (f *faulty) reset() {
	f.syncing()
	if err := f.Monitor().Execute(f.ctx, "system_reset", nil, nil); err != nil {
		f.t.Error(err)
	}
}

// cutter is a way to one of the machine's sockets that can be cut.
type cutter struct {
	path string

	mu    sync.Mutex
	limit string // the last words that come through
	said  []byte
	conns []net.Conn
}

func cut(t *testing.T, to string) *cutter {
	t.Helper()
	c := &cutter{path: filepath.Join(t.TempDir(), "s")}
	l, err := net.Listen("unix", c.path)
	must(t, err)
	t.Cleanup(func() { l.Close(); c.hangUp() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("unix", to)
			if err != nil {
				near.Close()
				continue
			}
			c.mu.Lock()
			c.conns = append(c.conns, near, far)
			c.mu.Unlock()
			go func() { _, _ = io.Copy(far, near); far.Close() }()
			go func() { _, _ = io.Copy(&limited{c, near}, far); near.Close() }()
		}
	}()
	return c
}

func (c *cutter) until(words string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limit = words
}

func (c *cutter) hangUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		conn.Close()
	}
}

// limited hands on what a socket says, up to the cutter's last words.
type limited struct {
	*cutter
	to io.Writer
}

func (l *limited) Write(p []byte) (int, error) {
	l.mu.Lock()
	l.said = append(l.said, p...)
	from := len(l.said) - len(p)
	end := len(l.said)
	over := false
	if l.limit != "" {
		if i := bytes.Index(l.said, []byte(l.limit)); i >= 0 {
			end, over = i+len(l.limit), true
		}
	}
	words := append([]byte(nil), l.said[min(from, end):end]...)
	l.mu.Unlock()
	if _, err := l.to.Write(words); err != nil {
		return 0, err
	}
	if over {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}
