package proof

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sysrq/sysrq"
	"github.com/sysrq/sysrq/internal/lab"
	"github.com/sysrq/sysrq/internal/lab/guest"
)

// architecture is one kernel that is not amd64's, and what it answers.
type architecture struct {
	name, goarch, series string
	append               []string
	// lacks are the keys of the table that this kernel was not built with,
	// besides those that no Debian kernel without hardware has.
	lacks string
	// differs are the outcomes that are not everywhere's.
	differs map[sysrq.Key]sysrq.Outcome
	// deadly are keys that crash this kernel, by a fault of its own.
	deadly string
	// forgets is set where the console loses what is printed last, and where
	// the emulator takes a minute to begin another boot.
	forgets bool
}

// noDebian are the keys that take a debugging kernel (d), a KGDB line (g), a
// screen (v) or a boot parameter (y).
const noDebian = "dgvy"

var architectures = []architecture{
	{name: "arm64", goarch: "arm64", series: "6.1"},
	{
		name: "ppc64le", goarch: "ppc64le", series: "6.1", append: []string{"xmon=on"},
		// Its performance counters' registers, which every context prints.
		differs: map[sysrq.Key]sysrq.Outcome{'p': sysrq.Done},
	},
	{name: "s390x", goarch: "s390x", series: "6.1", forgets: true},
	{name: "mips64le", goarch: "mips64le", series: "6.1"},
	// t: print_worker_info counts on copy_from_kernel_nofault, which on
	// user-mode Linux 6.1 faults all the same.
	{name: "uml", goarch: "amd64", lacks: "lkrz", deadly: "t"},
}

// Outcomes that the trigger file and the log can prove. A key that is not here
// ends the machine, and has a test of its own.
var proven = func() map[sysrq.Key]sysrq.Outcome {
	all := map[sysrq.Key]sysrq.Outcome{
		'e': sysrq.Done, 'i': sysrq.Done, // kill(-1), which tells
		'k': sysrq.Accepted, 'n': sysrq.Accepted, 'r': sysrq.Accepted,
		'p': sysrq.Accepted, // no hard interrupt, no registers
		'x': sysrq.Done,     // where it shows the TLB
	}
	for _, k := range []sysrq.Key("0123456789fhjlmqstuwz") {
		all[k] = sysrq.Done
	}
	return all
}()

// order goes from the harmless to the deadly. The digits leave the console at
// level 4, as quiet does: a dump need not go through the serial line to be
// proved, and the last words do.
const order = "h9876532104mpqtwlzxnrkjfseiu"

// TestArchitectures triggers every command that the kernel of each architecture
// lists, by trigger file and by the program itself.
func TestArchitectures(t *testing.T) {
	for _, a := range architectures {
		t.Run(a.name, func(t *testing.T) {
			items := a.everyKey(t)
			a.compare(t, items)
			t.Run("crash", a.crash)
			t.Run("poweroff", a.powerOff)
			for _, k := range []sysrq.Key(a.deadly) {
				t.Run(k.String(), func(t *testing.T) { a.dies(t, k) })
			}
			if slices.Contains(items, sysrq.HelpItem{Name: "xmon", Key: 'x'}) {
				t.Run("xmon", a.xmon)
			}
		})
	}
}

// start boots a machine that does script, since not every architecture has a
// line besides its console.
func (a architecture) start(t *testing.T, c lab.Config, script []guest.Op) (*lab.Machine, guest.Boot, context.Context) {
	t.Helper()
	for i := range script {
		script[i].ID = i + 1
	}
	c.Kernel, c.Script = lab.FindT(t, a.name, a.series), script
	c.Append = append(c.Append, a.append...)
	m := lab.StartT(t, c)
	ctx, cancel := lab.Within(t.Context(), 90*time.Second, t.Name())
	t.Cleanup(cancel)
	b, err := m.WaitBoot(ctx)
	must(t, err)
	return m, b, ctx
}

// step runs one key. Its output goes to a file: the shell is gone by then, so
// that what ends every program ends none that matters.
func step(k sysrq.Key) guest.Op {
	return guest.Op{Run: &guest.Run{Path: "sh", TimeoutMS: 40_000, Args: []string{
		"-c", fmt.Sprintf("exec sysrq --json --yes --timeout 30s %s >/tmp/out.%s 2>&1", k, k),
	}}}
}

// onFirst has a step run on the first processor. From another one Linux on
// s390x has the first do the reboot and stops its own, and QEMU 7.2 takes the
// moment in which none runs for a power-off.
func onFirst(op guest.Op) guest.Op {
	op.Run.Args[1] = strings.Replace(op.Run.Args[1], "exec ", "exec taskset 1 ", 1)
	return op
}

const lastLine = "every key was triggered"

// everyKey triggers what does not end the machine, and then b. It returns what
// the kernel says that it has.
func (a architecture) everyKey(t *testing.T) []sysrq.HelpItem {
	script := []guest.Op{{Run: &guest.Run{Path: "sysrq", TimeoutMS: 40_000, Args: []string{"--json", "list"}}}}
	var keys []sysrq.Key
	for _, k := range []sysrq.Key(order) {
		if k == 'x' && a.has("xmon") || strings.Contains(a.deadly, k.String()) {
			continue
		}
		if k == 'f' { // somebody to be killed
			script = append(script, guest.Op{Squeeze: &guest.Squeeze{MiB: 32, Killable: true}})
		}
		script = append(script, step(k))
		keys = append(keys, k)
	}
	script = append(script,
		guest.Op{Run: &guest.Run{Path: "sh", TimeoutMS: 40_000, Args: []string{"-c", `grep -hv '"event":"heard"' /tmp/out.*`}}},
		guest.Op{Kmsg: &guest.Kmsg{Text: "<1>" + lastLine}},
		onFirst(step('b')))

	m, first, ctx := a.start(t, lab.Config{Busybox: true, Once: a.forgets}, script)
	_, err := m.WaitConsole(ctx, 0, lastLine)
	must(t, err)
	began := time.Now()
	if a.forgets {
		must(t, m.Wait(ctx))
		why(t, m, "guest-reset")
	} else {
		second, err := m.WaitBoot(ctx) // the reply to b never comes
		must(t, err)
		if first.ID == second.ID {
			t.Error("b: the boot ID has not changed")
		}
		for _, said := range []string{"sysrq[rescue]: reboot now", "sysrq: Resetting"} {
			if !bytes.Contains(m.Console(), []byte(said)) {
				t.Errorf("b: the console does not say %q", said)
			}
		}
	}
	t.Logf("%s: ready after %.1f s; b: proved after %.1f s", first.Release, first.Uptime, time.Since(began).Seconds())

	replies := make(map[int]guest.Reply)
	got, _ := m.Replies(ctx)
	for _, r := range got {
		if _, ok := replies[r.ID]; !ok {
			replies[r.ID] = r
		}
	}
	outcomes := a.outcomes(t, replies[len(script)-2])
	items := helpOf(outcomes['h'])
	if items == nil {
		t.Fatalf("no HELP: %v", outcomes['h'])
	}
	for _, k := range keys {
		ev, ok := outcomes[k]
		want := proven[k]
		if o, ok := a.differs[k]; ok {
			want = o
		}
		if k != sysrq.Ping && !sysrq.InHelp(items, k) {
			want = sysrq.Unsupported
		}
		switch {
		case !ok:
			t.Errorf("%s: no outcome", k)
		case ev.Outcome != want:
			t.Errorf("%s %s: %s (%s), want %s", k, ev.Name, ev.Outcome, ev.Text, want)
		}
		if want != sysrq.Unsupported {
			t.Logf("%s %-31s %-9s %7s %s", k, ev.Name, ev.Outcome, ev.Took.Round(time.Millisecond), ev.Text)
		}
	}
	a.checkList(t, replies[1], items)
	return items
}

func (a architecture) has(name string) bool {
	return slices.ContainsFunc(sysrq.Commands(), func(c sysrq.Command) bool {
		return c.Name == name && len(c.Arch) > 0 && c.OnArch(a.goarch)
	})
}

// outcomes reads the events that the program printed.
func (a architecture) outcomes(t *testing.T, r guest.Reply) map[sysrq.Key]sysrq.Event {
	t.Helper()
	if r.Run == nil {
		t.Fatalf("the events were not printed: %s", r.Error)
	}
	all := make(map[sysrq.Key]sysrq.Event)
	for line := range bytes.Lines(r.Run.Stdout) {
		var ev sysrq.Event
		if err := json.Unmarshal(line, &ev); err != nil {
			t.Errorf("not an event: %s", line)
			continue
		}
		switch ev.Type {
		case sysrq.EventOutcome:
			all[ev.Key] = ev
		case sysrq.EventWarning:
			t.Logf("%s warns: %s", ev.Key, ev.Text)
		}
	}
	return all
}

func helpOf(ev sysrq.Event) []sysrq.HelpItem {
	for _, e := range ev.Evidence {
		if items, ok := sysrq.ParseHelp(e.Text); ok {
			return items
		}
	}
	return nil
}

// checkList holds what `sysrq list` printed against HELP.
func (a architecture) checkList(t *testing.T, r guest.Reply, items []sysrq.HelpItem) {
	t.Helper()
	if r.Run == nil || r.Run.Exit != 0 {
		t.Errorf("sysrq list: %+v", r)
		return
	}
	var rows []sysrq.HelpItem
	for s := bufio.NewScanner(bytes.NewReader(r.Run.Stdout)); s.Scan(); {
		var row struct {
			Key, Name string
			Present   *bool
		}
		if err := json.Unmarshal(s.Bytes(), &row); err != nil || row.Present == nil || !*row.Present {
			t.Errorf("sysrq list: %v: %s", err, s.Bytes())
			continue
		}
		rows = append(rows, sysrq.HelpItem{Name: row.Name, Key: sysrq.Key(row.Key[0])})
	}
	if !slices.Equal(rows, items) {
		t.Errorf("sysrq list says\n%v\nand HELP\n%v", rows, items)
	}
}

// compare holds the kernel's inventory against the table: every name and key,
// both ways.
func (a architecture) compare(t *testing.T, items []sysrq.HelpItem) {
	t.Helper()
	for _, it := range items {
		if !slices.ContainsFunc(sysrq.Commands(), func(c sysrq.Command) bool {
			return c.Key == it.Key && c.Name == it.Name && c.OnArch(a.goarch)
		}) {
			t.Errorf("the kernel has %s(%s), and the table has not, for %s", it.Name, it.Key, a.goarch)
		}
	}
	for _, c := range sysrq.Commands() {
		if c.Since != "" && olderSeries("6.1", c.Since) || c.Until != "" || c.Key == sysrq.Ping || !c.OnArch(a.goarch) {
			continue // newer, or older, than 6.1
		}
		there := slices.ContainsFunc(items, func(it sysrq.HelpItem) bool { return it.Name == c.Name && sysrq.InHelp([]sysrq.HelpItem{it}, c.Key) })
		if want := !strings.Contains(noDebian+a.lacks, c.Key.String()); there != want {
			t.Errorf("%s(%s): in the kernel: %t, by the table: %t", c.Name, c.Key, there, want)
		}
	}
}

// crash proves c from the console, which outlives the kernel.
func (a architecture) crash(t *testing.T) {
	a.append = nil // xmon would step in
	m, _, ctx := a.start(t, lab.Config{Busybox: true, Panics: true, Once: true}, []guest.Op{step('c')})
	from, err := m.WaitConsole(ctx, 0, "sysrq: Trigger a crash")
	must(t, err)
	_, err = m.WaitConsole(ctx, from, "Kernel panic - not syncing: sysrq triggered crash")
	must(t, err)
}

// dies proves that a key crashes this kernel by itself, so that it is only left
// out where it must be.
func (a architecture) dies(t *testing.T, k sysrq.Key) {
	m, _, ctx := a.start(t, lab.Config{Busybox: true, Panics: true, Once: true}, []guest.Op{step(k)})
	from, err := m.WaitConsole(ctx, 0, "sysrq: "+sysrq.ForKeyOn(k, a.goarch).Action)
	must(t, err)
	_, err = m.WaitConsole(ctx, from, "Kernel panic - not syncing: Kernel mode fault")
	must(t, err)
}

// powerOff proves o from the console and by the machine's end.
func (a architecture) powerOff(t *testing.T) {
	m, _, ctx := a.start(t, lab.Config{Busybox: true}, []guest.Op{step('o')})
	if !a.forgets {
		from, err := m.WaitConsole(ctx, 0, "sysrq: Power Off")
		must(t, err)
		_, err = m.WaitConsole(ctx, from, "reboot: Power down")
		must(t, err)
	}
	must(t, m.Wait(ctx))
	why(t, m, "guest-shutdown")
}

// why checks what the emulator says that it ended for.
func why(t *testing.T, m *lab.Machine, want string) {
	t.Helper()
	if m.Monitor() == nil {
		return // user-mode Linux: an end is an end
	}
	for {
		select {
		case ev := <-m.Monitor().Events():
			if ev.Name == "SHUTDOWN" {
				if !bytes.Contains(ev.Data, []byte(`"`+want+`"`)) {
					t.Errorf("ended by %s, want %s", ev.Data, want)
				}
				return
			}
		case <-time.After(5 * time.Second):
			t.Error("the emulator ended without a word")
			return
		}
	}
}

// xmon stops the machine, and its prompt is the proof.
func (a architecture) xmon(t *testing.T) {
	m, _, ctx := a.start(t, lab.Config{Busybox: true}, []guest.Op{step('x')})
	from, err := m.WaitConsole(ctx, 0, "sysrq: Entering xmon")
	must(t, err)
	_, err = m.WaitConsole(ctx, from, "mon>")
	must(t, err)
}
