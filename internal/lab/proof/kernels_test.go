package proof

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sysrq/sysrq"
	"github.com/sysrq/sysrq/internal/lab"
	"github.com/sysrq/sysrq/internal/lab/guest"
	"github.com/sysrq/sysrq/rescue"
	"github.com/sysrq/sysrq/transport/all"
)

// pcKernels are the series of amd64 that the claims are made for.
var pcKernels = []string{"6.1", "6.12", "7.2"}

// pcBoot gives the machines show-rcu(y), which hides without it.
const pcBoot = "rcutree.sysrq_rcu=1"

// pcHas says which of the conditions that the table names in Config hold on
// Debian's cloud kernels, as the lab boots them.
var pcHas = map[string]func(series string) bool{
	"":                                      always,
	"BLOCK":                                 always,
	"SMP":                                   always,
	"TRACING":                               always,
	"VT":                                    always,
	"LOCKDEP":                               never,
	"KGDB and a registered KGDB I/O module": never,
	"a DRM device with fbdev emulation":     never, // the machine has no screen
	"boot parameter " + pcBoot:              always,
	"SCHED_CLASS_EXT":                       func(series string) bool { return !olderSeries(series, "6.13") },
}

func always(string) bool { return true }
func never(string) bool  { return false }

// olderSeries reports whether a comes before b.
func olderSeries(a, b string) bool {
	numbers := func(s string) (n [2]int) {
		major, minor, _ := strings.Cut(s, ".")
		n[0], _ = strconv.Atoi(major)
		n[1], _ = strconv.Atoi(minor)
		return n
	}
	x, y := numbers(a), numbers(b)
	return slices.Compare(x[:], y[:]) < 0
}

// pcInventory is what the table expects a series to list, in the form of its
// HELP line.
func pcInventory(t *testing.T, series string) []string {
	t.Helper()
	var items []string
	for _, c := range sysrq.Commands() {
		has, known := pcHas[c.Config]
		switch {
		case !c.OnArch("amd64"), c.Completion.Kind == sysrq.CompletesHelp, c.Name == "loglevel" && c.Key != '0':
		case c.Since != "" && olderSeries(series, c.Since), c.Until != "" && !olderSeries(series, c.Until):
		case !known:
			t.Errorf("%s(%s): nobody says whether the kernel has %q", c.Name, c.Key, c.Config)
		case has(series):
			items = append(items, helpWord(c.Name, c.Key))
		}
	}
	slices.Sort(items)
	return items
}

func helpWord(name string, k sysrq.Key) string {
	if name == "loglevel" {
		return "loglevel(0-9)"
	}
	return name + "(" + k.String() + ")"
}

// pcKeys are the keys of a HELP line, each digit by itself.
func pcKeys(items []sysrq.HelpItem) []sysrq.Key {
	var keys []sysrq.Key
	for _, it := range items {
		if it.Key == '0' {
			keys = append(keys, []sysrq.Key("0123456789")...)
			continue
		}
		keys = append(keys, it.Key)
	}
	return keys
}

// pcDoor is one way to bring a key to the kernel.
type pcDoor struct {
	name  string
	door  sysrq.Door
	query string // behind the target that hears the console
}

var pcDoors = []pcDoor{
	{"trigger", sysrq.DoorTrigger, ""},
	{"keyboard", sysrq.DoorKeyboard, ""},
	{"serial", sysrq.DoorSerial, "&via=serial&chardev=console"},
}

// patience bounds every wait. A healthy machine needs none of it; the tests
// of others may share its processors.
const patience = 2 * time.Minute

// pc is a running amd64 machine.
type pc struct {
	*lab.Machine
	series string
	now    guest.Boot
}

func startPC(t *testing.T, series string, c lab.Config) *pc {
	t.Helper()
	c.Kernel = lab.FindT(t, "amd64", series)
	c.Init = program(t)
	c.Panics = true
	c.Append = append(c.Append, pcBoot)
	m := &pc{Machine: lab.StartT(t, c), series: series}
	m.awaitBoot(t)
	return m
}

// waits is a context that ends with the test, or after patience.
func waits(t *testing.T, what string) context.Context {
	t.Helper()
	ctx, cancel := lab.Within(t.Context(), patience, what)
	t.Cleanup(cancel)
	return ctx
}

// awaitBoot waits for the next boot, and sees that it is another one.
func (m *pc) awaitBoot(t *testing.T) {
	t.Helper()
	b, err := m.WaitBoot(waits(t, "the boot"))
	must(t, err)
	if b.ID == m.now.ID {
		t.Fatalf("the boot ID is still %s", b.ID)
	}
	if !strings.HasPrefix(b.Release, m.series+".") {
		t.Fatalf("kernel %s is not of series %s", b.Release, m.series)
	}
	m.now = b
}

// do has the guest carry out an op that can not fail.
func (m *pc) do(t *testing.T, op guest.Op) guest.Reply {
	t.Helper()
	r, err := m.Do(waits(t, "the guest"), op)
	must(t, err)
	return r
}

// setLevel sets the level below which the console shows messages.
func (m *pc) setLevel(t *testing.T, level int) { m.do(t, guest.Op{Level: &guest.Level{Set: &level}}) }

// setMask sets kernel.sysrq, and sees that it reads back.
func (m *pc) setMask(t *testing.T, mask sysrq.Mask) {
	t.Helper()
	value := int(mask)
	if r := m.do(t, guest.Op{Mask: &guest.Mask{Set: &value}}); r.Value != value {
		t.Fatalf("kernel.sysrq reads %d after %d was written", r.Value, value)
	}
}

// said is what a run told of one step.
type said struct {
	sysrq.Event          // its outcome
	heard       []string // the lines that came before
	exit        int      // the program's exit status, where it was one
}

// shows reports whether a line begins so.
func (s said) shows(prefix string) bool {
	return slices.ContainsFunc(s.heard, func(l string) bool { return strings.HasPrefix(l, prefix) })
}

// proofs are the lines of evidence.
func (s said) proofs() string {
	var all []string
	for _, e := range s.Evidence {
		all = append(all, e.Text)
	}
	return strings.Join(all, "\n")
}

// gather sorts a run's events by step.
func gather(events []sysrq.Event, steps int) ([]said, error) {
	all := make([]said, steps)
	for _, ev := range events {
		if ev.Step < 1 || ev.Step > steps {
			continue
		}
		s := &all[ev.Step-1]
		switch {
		case ev.Type == sysrq.EventHeard:
			s.heard = append(s.heard, ev.Line.Text)
		case ev.Type == sysrq.EventOutcome && s.Outcome != 0:
			return all, fmt.Errorf("step %d has two outcomes", ev.Step)
		case ev.Type == sysrq.EventOutcome:
			s.Event = ev
		}
	}
	for i, s := range all {
		if s.Outcome == 0 {
			return all, fmt.Errorf("step %d of %d has no outcome", i+1, steps)
		}
	}
	return all, nil
}

// run runs keys through a door as a person would: by the program inside, or by
// a rescue from outside.
func (m *pc) run(t *testing.T, d pcDoor, keys ...sysrq.Key) []said {
	t.Helper()
	var events []sysrq.Event
	exit := -1
	if d.door == sysrq.DoorTrigger {
		events, exit = m.runInside(t, keys)
	} else {
		tr, err := all.Registry().Open(waits(t, "opening the target"), m.Target("qmp")+d.query)
		must(t, err)
		defer tr.Close()
		if got := tr.Properties().Door; got != d.door {
			t.Fatalf("%s is the door %v", d.name, got)
		}
		var steps []sysrq.Step
		for _, k := range keys {
			steps = append(steps, sysrq.Step{Command: sysrq.ForKeyOn(k, "amd64")})
		}
		ctx := waits(t, "the rescue")
		for ev := range rescue.Run(ctx, tr, steps, rescue.Options{Timeout: patience / 2}) {
			events = append(events, ev)
		}
	}
	all, err := gather(events, len(keys))
	for i := range all {
		all[i].exit = exit
	}
	if err != nil {
		t.Fatalf("%v: %v", err, events)
	}
	return all
}

// runInside runs the program in the guest.
func (m *pc) runInside(t *testing.T, keys []sysrq.Key) ([]sysrq.Event, int) {
	t.Helper()
	args := []string{"--json", "--yes", "--timeout", (patience / 2).String()}
	for _, k := range keys {
		args = append(args, k.String())
	}
	ran := m.do(t, guest.Op{Run: &guest.Run{Path: "/bin/sysrq", Args: args}}).Run
	if len(ran.Stderr) > 0 || ran.Signal != 0 {
		t.Errorf("sysrq %v: exit status %d, signal %d: %s", args, ran.Exit, ran.Signal, ran.Stderr)
	}
	var events []sysrq.Event
	dec := json.NewDecoder(bytes.NewReader(ran.Stdout))
	for {
		var ev sysrq.Event
		err := dec.Decode(&ev)
		if errors.Is(err, io.EOF) {
			return events, ran.Exit
		}
		if err != nil {
			t.Fatalf("sysrq %v: %v in %s", args, err, ran.Stdout)
		}
		events = append(events, ev)
	}
}
