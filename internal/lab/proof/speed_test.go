package proof

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sysrq/sysrq"
	"github.com/sysrq/sysrq/internal/lab"
	"github.com/sysrq/sysrq/internal/lab/guest"
	"github.com/sysrq/sysrq/kmsg"
	"github.com/sysrq/sysrq/rescue"
	"github.com/sysrq/sysrq/transport/all"
)

// The budgets, as ratios within one run. Who else uses the processors is not
// ours to say, so a test fails only at insane times the budget.
const (
	triggerBudget = 1.1 // of one write(2)
	programBudget = 1.5 // of a Go program that does nothing but write
	rescueBudget  = 1.1 // of what the kernel itself took
	insane        = 3
)

// within reports a ratio against its budget.
func within(t *testing.T, what string, ratio, budget float64) {
	t.Helper()
	verdict := "within"
	if ratio > budget {
		verdict = "OVER"
	}
	t.Logf("%s: %.2f × (%s the budget of %.1f ×)", what, ratio, verdict, budget)
	if ratio > budget*insane {
		t.Errorf("%s: %.2f × is insane; the budget is %.1f ×", what, ratio, budget)
	}
}

func median(d []int64) time.Duration {
	d = slices.Clone(d)
	slices.Sort(d)
	return time.Duration(d[len(d)/2])
}

// TestSpeed measures the library and the program inside an idle machine. Its
// serial console is detached before, since what a console takes to print the
// header would hide what we add to it.
func TestSpeed(t *testing.T) {
	const series = "6.12"
	lab.Need(t)
	dir := t.TempDir()
	var files []lab.File
	for _, name := range []string{"rawwrite", "keyspeed"} {
		path := filepath.Join(dir, name)
		must(t, lab.Build(t.Context(), "amd64", "github.com/sysrq/sysrq/internal/lab/testdata/"+name, path))
		files = append(files, lab.File{Path: "/bin/" + name, From: path, Mode: 0o755})
	}
	m := lab.StartT(t, lab.Config{Kernel: lab.FindT(t, "amd64", series), Init: program(t), Busybox: true, Files: files})
	ctx, cancel := lab.Within(t.Context(), 3*time.Minute, t.Name())
	defer cancel()
	boot, err := m.WaitBoot(ctx)
	must(t, err)
	_, err = m.Do(ctx, guest.Op{WriteFile: &guest.WriteFile{
		Path: "/sys/class/tty/ttyS0/console", Data: []byte("N"), Existing: true,
	}})
	must(t, err)

	t.Run("library", func(t *testing.T) {
		ran, err := m.Run(ctx, "keyspeed", "2000")
		must(t, err)
		var took map[string][]int64
		must(t, json.Unmarshal(ran.Stdout, &took))
		write, trigger, run := median(took["write"]), median(took["trigger"]), median(took["rescue"])
		t.Logf("%s: write(2) of a key %s, Trigger %s, rescue.Run with evidence %s (medians of %d)",
			boot.Release, write, trigger, run, len(took["write"]))
		within(t, "Trigger to write(2)", ratio(trigger, write), triggerBudget)
		t.Logf("rescue.Run to write(2): %.2f ×", ratio(run, write))
	})
	t.Run("program", func(t *testing.T) {
		programs := []guest.Run{
			{Path: "/bin/rawwrite", Args: []string{"4"}},
			{Path: "/bin/sysrq", Args: []string{"4"}},
			{Path: "/bin/busybox", Args: []string{"sh", "-c", "echo 4 > /proc/sysrq-trigger"}},
		}
		took := make([][]int64, len(programs))
		for range 40 {
			for i, p := range programs {
				p.Repeat = 5
				r, err := m.Do(ctx, guest.Op{Run: &p})
				must(t, err)
				if r.Run.Exit != 0 {
					t.Fatalf("%s: exit status %d: %s", p.Path, r.Run.Exit, r.Run.Stderr)
				}
				took[i] = append(took[i], r.Run.TookNS...)
				if i == 1 && !bytes.Contains(r.Run.Stdout, []byte("Loglevel set to 4")) {
					t.Fatalf("no evidence: %s", r.Run.Stdout)
				}
			}
		}
		raw, ours, shell := median(took[0]), median(took[1]), median(took[2])
		t.Logf("%s: from exec to exit: rawwrite %s, sysrq %s, busybox sh %s (medians of %d)", boot.Release, raw, ours, shell, len(took[0]))
		within(t, "sysrq 4 to a Go program that only writes", ratio(ours, raw), programBudget)
		t.Logf("sysrq 4 to busybox sh -c echo: %.2f ×", ratio(ours, shell))
	})
}

// TestStartUp measures what each linked package costs before main begins. Their
// time is mostly the processor's first look at their pages, so the test holds
// them to what they allocate: a package that builds its tables at start-up, for
// a step that does not need them, would show.
func TestStartUp(t *testing.T) {
	const mostBytes, mostAllocs = 40 << 10, 100 // of one package; xz's tables of checksums are 33 kB
	cmd := exec.CommandContext(t.Context(), program(t), "--dry-run", "4")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	var traced bytes.Buffer
	cmd.Stderr = &traced
	must(t, cmd.Run())
	var clock float64
	var bytes, allocs, packages int
	for line := range strings.Lines(traced.String()) {
		var name string
		var at, ms float64
		var b, n int
		if _, err := fmt.Sscanf(line, "init %s @%f ms, %f ms clock, %d bytes, %d allocs", &name, &at, &ms, &b, &n); err != nil {
			t.Fatalf("not a trace: %q: %v", line, err)
		}
		clock, bytes, allocs, packages = clock+ms, bytes+b, allocs+n, packages+1
		if b > 4<<10 || ms > 0.2 {
			t.Log(strings.TrimSpace(line))
		}
		if b > mostBytes || n > mostAllocs {
			t.Errorf("%s allocates too much before main: %d bytes in %d pieces", name, b, n)
		}
	}
	if packages < 20 {
		t.Errorf("%d initialisers: is this all?", packages)
	}
	t.Logf("%d initialisers: %.2f ms, %d bytes in %d pieces", packages, clock, bytes, allocs)
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }

// TestSpeedREISUB holds the whole of REISUB, from outside by keyboard, against
// what the kernel itself took by its own timestamps: for each step, from the
// header to the line that completes it.
func TestSpeedREISUB(t *testing.T) {
	const series = "6.1"
	m := lab.StartT(t, lab.Config{
		Kernel: lab.FindT(t, "amd64", series), Init: program(t),
		Disks: []lab.Disk{{Ext4: "slow", BPSWrite: 20 << 20}},
	})
	ctx, cancel := lab.Within(t.Context(), 2*time.Minute, t.Name())
	defer cancel()
	_, err := m.WaitBoot(ctx)
	must(t, err)
	must(t, m.Mount(ctx, 0, "/slow"))
	_, err = m.Dirty(ctx, "/slow/data", 150<<20, 1)
	must(t, err)
	must(t, m.Mask(ctx, 1))

	tr, err := all.Registry().Open(ctx, m.Target("qmp"))
	must(t, err)
	defer tr.Close()
	steps, err := sysrq.ParseSteps([]string{"reisub"}, nil, "amd64")
	must(t, err)
	var kernel, grace time.Duration
	var left time.Time // the last step that has a grace
	began := time.Now()
	for ev := range rescue.Run(ctx, tr, steps, rescue.Options{}) {
		switch ev.Type {
		case sysrq.EventStep:
			if !left.IsZero() {
				grace += ev.Time.Sub(left)
				left = time.Time{}
			}
		case sysrq.EventOutcome:
			if !ev.Outcome.OK() {
				t.Errorf("%s: %s: %s", ev.Name, ev.Outcome, ev.Text)
			}
			took := kernelTook(ev)
			kernel += took
			t.Logf("%s: kernel %9s, we %9s", ev.Key, took.Round(time.Microsecond), ev.Took.Round(time.Microsecond))
			if steps[ev.Step-1].Grace > 0 {
				left = ev.Time
			}
		}
	}
	total := time.Since(began)
	t.Logf("total %s, of which the declared grace %s; the kernel took %s", total.Round(time.Millisecond), grace.Round(time.Millisecond), kernel.Round(time.Millisecond))
	within(t, "REISUB without its grace to the kernel's own time", ratio(total-grace, kernel), rescueBudget)
}

// kernelTook is the time between the first and the last line of the evidence,
// by the kernel's clock.
func kernelTook(ev sysrq.Event) time.Duration {
	var first, last time.Duration
	known := false
	for _, e := range ev.Evidence {
		if !e.HasUptime {
			continue
		}
		if !known {
			first, known = e.Uptime, true
		}
		last = e.Uptime
	}
	return last - first
}

// consoleFlood is a console's text without an end.
type consoleFlood struct {
	text []byte
	at   int
	left int64
}

func (f *consoleFlood) Read(p []byte) (int, error) {
	if f.left <= 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > f.left {
		p = p[:f.left]
	}
	n := copy(p, f.text[f.at:])
	f.at = (f.at + n) % len(f.text)
	f.left -= int64(n)
	return n, nil
}

// TestSpeedStream reads 10 GB of console text in flat memory.
func TestSpeedStream(t *testing.T) {
	lab.Need(t)
	const size = 10_000_000_000
	text := strings.Repeat("[  123.456789] sysrq: Show Blocked State\r\n"+
		"[  123.456999] task:kworker/u4:2    state:D stack:0     pid:57    ppid:2      flags:0x00004000\r\n"+
		"[  123.457012] Call Trace:\r\n[  123.457015]  <TASK>\r\n"+
		"[  123.457017]  __schedule+0x34d/0x9e0\r\n[  123.457040]  schedule+0x5a/0xd0\r\n"+
		"[  123.457052]  io_schedule+0x46/0x70\r\n", 4096)
	s := kmsg.NewScanner(&consoleFlood{text: []byte(text), left: size})
	var records, lost int
	var before, peak, now runtime.MemStats
	began := time.Now()
	for s.Scan() {
		if s.Record().Lost > 0 {
			lost++
		}
		if records++; records == 1000 {
			runtime.GC()
			runtime.ReadMemStats(&before)
		} else if records%(1<<24) == 0 {
			if runtime.ReadMemStats(&now); now.HeapAlloc > peak.HeapAlloc {
				peak = now
			}
		}
	}
	took := time.Since(began)
	must(t, s.Err())
	runtime.ReadMemStats(&now)
	t.Logf("%d records of %d bytes in %s: %.2f GB/s; %d allocations, %d bytes in all", records, int64(size),
		took.Round(time.Millisecond), size/took.Seconds()/1e9, now.Mallocs-before.Mallocs, now.TotalAlloc-before.TotalAlloc)
	if grown := int64(peak.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	if lost > 0 {
		t.Errorf("%d gaps", lost)
	}
	if want := size / int64(len(text)) * 7 * 4096; int64(records) < want {
		t.Errorf("%d records, want at least %d", records, want)
	}
}
