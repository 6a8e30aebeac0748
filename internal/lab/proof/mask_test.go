package proof

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sysrq/sysrq"
	"github.com/sysrq/sysrq/internal/lab"
	"github.com/sysrq/sysrq/internal/lab/guest"
	"github.com/sysrq/sysrq/transport"
)

// masks are those that people have, and every bit by itself.
var masks = []sysrq.Mask{0, 1, 3, -1, 16, 176, 184, 438, 2, 4, 8, 32, 64, 128, 256}

// ends are the keys that end the boot.
const ends = "bco"

// TestMask: what keyboard, serial line and trigger file may do is what
// [sysrq.Mask.Permits] says, key by key, for every mask.
func TestMask(t *testing.T) {
	for _, series := range pcKernels {
		t.Run(series, func(t *testing.T) {
			m := startBench(t, series)
			for _, mask := range masks {
				t.Run(fmt.Sprint("mask=", int(mask)), func(t *testing.T) {
					for _, d := range pcDoors {
						// The trigger file asks no mask; on one kernel that is
						// shown for all of them.
						if d.door.Masked() || series == "6.12" || slices.Contains([]sysrq.Mask{0, 16, 438}, mask) {
							t.Run(d.name, func(t *testing.T) { m.everyKey(t, d, mask, mask) })
						}
					}
				})
			}
		})
	}
}

// TestMaskEnds is TestMask for the keys that end the boot, where they may.
func TestMaskEnds(t *testing.T) {
	const series = "6.12"
	m := startBench(t, series)
	trials := []struct {
		key   sysrq.Key
		masks []sysrq.Mask
	}{
		{'b', []sysrq.Mask{1, -1, 176, 184, 438, 128}},
		{'c', []sysrq.Mask{1, -1, 184, 8}},
		{'o', []sysrq.Mask{128}}, // the machine's last
	}
	keyboard, serial, trigger := pcDoors[1], pcDoors[2], pcDoors[0]
	for _, trial := range trials {
		for i, mask := range trial.masks {
			d := keyboard
			if i == 1 {
				d = serial
			}
			m.trial(t, d, trial.key, mask)
		}
		if trial.key != 'o' {
			m.trial(t, trigger, trial.key, 0)
		}
	}
}

// trial has a key end the boot under a mask.
func (m *bench) trial(t *testing.T, d pcDoor, k sysrq.Key, mask sysrq.Mask) {
	t.Helper()
	ok := t.Run(fmt.Sprintf("%s/mask=%d/%s", k, mask, d.name), func(t *testing.T) {
		if c := sysrq.ForKeyOn(k, "amd64"); !mask.Permits(c, d.door) {
			t.Fatalf("Permits says that %s may not do %s", mask, c.Name)
		}
		m.setMask(t, mask)
		m.endBoot(t, d, k)
	})
	if !ok {
		t.FailNow() // nobody knows what machine this is now
	}
}

// TestMaskAlwaysEnabled: with the boot parameter sysrq_always_enabled the mask
// reads 1, can be written without effect, and everything is permitted.
func TestMaskAlwaysEnabled(t *testing.T) {
	m := startBench(t, "6.12", "sysrq_always_enabled")
	if !strings.Contains(string(m.Console()), "sysrq: sysrq always enabled.") {
		t.Error("the kernel does not say so")
	}
	write := func(t *testing.T, mask int) {
		t.Helper()
		if got := m.do(t, guest.Op{Mask: &guest.Mask{Set: &mask}}).Value; got != 1 {
			t.Errorf("kernel.sysrq reads %d after %d was written", got, mask)
		}
	}
	if got := m.do(t, guest.Op{Mask: &guest.Mask{}}).Value; got != 1 {
		t.Errorf("kernel.sysrq reads %d", got)
	}
	for _, mask := range []int{0, 16} {
		t.Run(fmt.Sprint("mask=", mask), func(t *testing.T) {
			for _, d := range pcDoors {
				t.Run(d.name, func(t *testing.T) {
					write(t, mask)
					m.everyKey(t, d, sysrq.Mask(mask), sysrq.MaskAll)
				})
			}
		})
	}
	for _, end := range []struct {
		door pcDoor
		key  sysrq.Key
	}{{pcDoors[1], 'b'}, {pcDoors[2], 'c'}, {pcDoors[2], 'o'}} {
		write(t, 0)
		m.endBoot(t, end.door, end.key)
	}
}

// bench presses keys without a rescue or a transport in between, so that the
// kernel's behaviour is all there is to see, and at the kernel's own speed.
type bench struct {
	*pc
	line net.Conn           // the console's
	ears *transport.Console // what reads line
	now  time.Duration      // the kernel's time of the newest line
	keys []sysrq.Key        // what the kernel lists, what it does not, and what ends it
	list []sysrq.HelpItem
}

func startBench(t *testing.T, series string, boot ...string) *bench {
	t.Helper()
	m := &bench{pc: startPC(t, series, lab.Config{Append: boot})}
	var err error
	m.line, err = net.Dial("unix", m.ConsoleSocket())
	must(t, err)
	m.ears = transport.NewConsole("console", m.line)
	t.Cleanup(func() { _ = m.ears.Close() })
	heard := m.press(t, pcDoors[0], sysrq.Ping)
	items, _ := sysrq.ParseHelp(heard[len(heard)-1])
	m.list = items
	// Those that move the console's level come last, so that what the others
	// print stays off the console, but for headers, HELP and z.
	last := []sysrq.Key("0123456789ei")
	m.keys = []sysrq.Key("ah")
	for _, k := range pcKeys(items) {
		if !slices.Contains(last, k) {
			m.keys = append(m.keys, k)
		}
	}
	m.keys = append(m.keys, last...)
	if len(m.keys) < 30 {
		t.Fatalf("the kernel lists too little: %q", heard)
	}
	return m
}

// reaction is what the kernel makes of a key.
type reaction string

const (
	ran     reaction = "ran"
	refused reaction = "refused"
	silent  reaction = "was ignored"
	helped  reaction = "was answered by HELP"
)

// everyKey presses each key that does not end the boot under a mask that was
// set, and one that is in force.
func (m *bench) everyKey(t *testing.T, d pcDoor, set, force sysrq.Mask) {
	if set == force {
		m.setMask(t, set)
	}
	if d.door.Masked() && !force.On() {
		m.ignores(t, d)
		return
	}
	m.setLevel(t, 1)
	counts := map[reaction]int{}
	for _, k := range m.keys {
		c := sysrq.ForKeyOn(k, "amd64")
		want := helped
		if sysrq.InHelp(m.list, k) {
			want = refused
			if force.Permits(c, d.door) {
				want = ran
			}
		}
		if want == ran && strings.ContainsRune(ends, rune(k)) {
			continue // TestMaskEnds
		}
		got, lines := m.react(t, d, c)
		if got != want {
			t.Errorf("%s(%s) %s by %s with mask %d, and should have: %s\n%q", c.Name, k, got, d.name, int(set), want, lines)
		}
		counts[got]++
	}
	t.Logf("%v", counts)
}

// react presses a key, and a ping to see that no more is to come of it.
func (m *bench) react(t *testing.T, d pcDoor, c sysrq.Command) (reaction, []string) {
	t.Helper()
	lines := m.press(t, d, c.Key)
	got := reaction("")
	switch last := lines[len(lines)-1]; {
	case sysrq.IsHelp(last):
		return helped, lines
	case sysrq.IsRefusal(last):
		got = refused
	case last == "sysrq: "+c.Action:
		got = ran
	default:
		got = reaction("was taken for another: " + last)
	}
	rest := m.press(t, d, sysrq.Ping)
	for _, l := range rest {
		action, isHeader := sysrq.Header(l)
		if sysrq.IsRefusal(l) || isHeader {
			got += reaction("; then: " + l + action)
		}
	}
	return got, append(lines, rest...)
}

// unheard is how long a key may stay without any answer before it is pressed
// again. When Alt is released, the kernel's keyboard handler leaves some of its
// work for later, and keys that come in that moment pass it by
// (drivers/tty/sysrq.c, sysrq_reinject_alt_sysrq). On the serial line BREAK and
// key travel over two sockets, and can meet on the way: once in some thousand
// presses. A BREAK that was left without its key makes the next one an ordinary
// BREAK, so it may take a third press. Nobody types so fast, but this test does.
const unheard = 5 * time.Second

// press brings a key to the kernel and returns what it prints, up to its first
// answer of any kind.
func (m *bench) press(t *testing.T, d pcDoor, k sysrq.Key) []string {
	t.Helper()
	ctx := waits(t, fmt.Sprintf("the answer to %s by %s", k, d.name))
	since := m.now
	for {
		once, cancel := ctx, context.CancelFunc(func() {})
		if d.door == sysrq.DoorKeyboard {
			m.do(t, guest.Op{Mask: &guest.Mask{}}) // for that work to be done
		}
		if d.door.Masked() {
			once, cancel = context.WithTimeout(ctx, unheard)
		}
		m.send(ctx, t, d, k)
		lines, err := m.answer(once, t, since)
		cancel()
		switch {
		case err == nil:
			return lines
		case ctx.Err() != nil, once.Err() == nil, len(lines) > 0:
			t.Fatalf("%s by %s has no answer: %v; heard: %q", k, d.name, err, lines)
		}
		t.Logf("%s by %s passed the kernel by: pressing it again", k, d.name)
	}
}

// answer is what the kernel prints after a time, up to its first answer.
func (m *bench) answer(ctx context.Context, t *testing.T, since time.Duration) (lines []string, err error) {
	t.Helper()
	for {
		h, err := m.ears.Hear(ctx)
		if err != nil {
			return lines, err
		}
		rec := h.Record
		if rec.Lost > 0 {
			t.Fatalf("%d lines were lost", rec.Lost)
		}
		if !rec.HasTime || rec.Time <= since {
			continue // printed again by R
		}
		m.now = max(m.now, rec.Time)
		line := string(rec.Text)
		lines = append(lines, line)
		if _, isHeader := sysrq.Header(line); isHeader || sysrq.IsHelp(line) || sysrq.IsRefusal(line) {
			return lines, nil
		}
	}
}

// send brings a key to the kernel.
func (m *bench) send(ctx context.Context, t *testing.T, d pcDoor, k sysrq.Key) {
	t.Helper()
	switch d.door {
	case sysrq.DoorKeyboard:
		must(t, m.Monitor().Execute(ctx, "input-send-event", map[string]any{"events": chord(k)}, nil))
	case sysrq.DoorSerial:
		must(t, m.Monitor().Execute(ctx, "chardev-send-break", map[string]any{"id": "console"}, nil))
		_, err := m.line.Write([]byte{byte(k)})
		must(t, err)
	default:
		must(t, m.Trigger(ctx, k.String()))
	}
}

// chord is Alt+SysRq+k, pressed and released.
func chord(k sysrq.Key) (events []any) {
	keys := []string{"alt", "sysrq", strings.ToLower(k.String())}
	if k.IsUpper() {
		keys = append([]string{"shift"}, keys...)
	}
	event := func(name string, down bool) {
		events = append(events, map[string]any{"type": "key", "data": map[string]any{
			"down": down, "key": map[string]any{"type": "qcode", "data": name},
		}})
	}
	for _, name := range keys {
		event(name, true)
	}
	for _, name := range slices.Backward(keys) {
		event(name, false)
	}
	return events
}

// ignores shows that SysRq is off: no key makes the kernel print anything.
// Every key is pressed, those that would end the boot among them. When the
// mask permits it again, a ping answers behind them all.
func (m *bench) ignores(t *testing.T, d pcDoor) {
	m.setLevel(t, 8)
	ctx := waits(t, "keys that are ignored")
	interrupts := m.interrupts(t)
	for _, k := range m.keys {
		at := len(m.Console())
		m.send(ctx, t, d, k)
		if d.door == sysrq.DoorSerial {
			// The key is no more than a letter typed into the terminal, which
			// echoes it.
			_, err := m.WaitConsole(ctx, at, k.String())
			must(t, err)
			continue
		}
		m.setMask(t, 0) // takes the guest longer than the key does
	}
	if n := m.interrupts(t) - interrupts; d.door == sysrq.DoorKeyboard && n < 6*len(m.keys) {
		t.Errorf("the keyboard interrupted %d times for %d keys: did they arrive?", n, len(m.keys))
	}
	if d.door == sysrq.DoorSerial { // ends the line that the echoes are
		at := len(m.Console())
		_, err := m.line.Write([]byte{'\r'})
		must(t, err)
		_, err = m.WaitConsole(ctx, at, "\n")
		must(t, err)
	}
	m.setMask(t, sysrq.MaskAll)
	if lines := m.press(t, d, sysrq.Ping); len(lines) != 1 || !sysrq.IsHelp(lines[0]) {
		t.Errorf("with mask 0 the kernel printed: %q", lines)
	}
	m.setMask(t, 0)
}

// interrupts is how often the keyboard has interrupted.
func (m *bench) interrupts(t *testing.T) (n int) {
	t.Helper()
	data := m.do(t, guest.Op{ReadFile: &guest.ReadFile{Path: "/proc/interrupts"}}).Data
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) < 3 || f[0] != "1:" {
			continue
		}
		for _, s := range f[1:] {
			var each int
			if _, err := fmt.Sscanf(s, "%d", &each); err != nil {
				break
			}
			n += each
		}
	}
	return n
}

// endBoot has a key end the boot, and waits for what comes after it.
func (m *bench) endBoot(t *testing.T, d pcDoor, k sysrq.Key) {
	t.Helper()
	ctx := waits(t, "the end of this boot")
	if d.door == sysrq.DoorTrigger {
		go func() { _ = m.Trigger(ctx, k.String()) }() // has no answer
	} else {
		m.send(ctx, t, d, k)
	}
	if k == 'o' {
		must(t, m.Wait(ctx))
		return
	}
	m.awaitBoot(t)
	m.now = 0
}
