package proof

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sysrq/sysrq"
	"github.com/sysrq/sysrq/internal/lab"
	"github.com/sysrq/sysrq/internal/lab/guest"
)

// unknownKeys have no command on any kernel of a PC, or none without what
// Debian's do not have.
const unknownKeys = "aCxdgv"

// pcOrder is the order in which keys are tried: what shows first, then what
// changes something, then what ends the boot. Digits come in the middle so
// that their levels do not decide what the others show.
const pcOrder = "hlmpqtwzyDRrknSsj0123456789fei" + unknownKeys + "ubco"

// pcOutcome is the outcome that a key has on a kernel that lists it.
func pcOutcome(k sysrq.Key, d pcDoor) sysrq.Outcome {
	switch {
	case strings.ContainsRune("knrDR", rune(k)):
		return sysrq.Accepted // the kernel says no more than that it begins
	case k == 'p' && d.door == sysrq.DoorTrigger:
		return sysrq.Accepted // no interrupt, no registers
	case (k == 'e' || k == 'i') && d.door != sysrq.DoorTrigger:
		return sysrq.Accepted // from outside nobody sees whom it met
	}
	return sysrq.Done
}

// exits are the program's exit statuses.
var exits = map[sysrq.Outcome]int{sysrq.Done: 0, sysrq.Accepted: 0, sysrq.Unsupported: 4}

// TestCommands: every command that a kernel lists is in the table, and nothing
// else is; each of them is triggered through each door, its outcome is right,
// and so is its effect.
func TestCommands(t *testing.T) {
	for _, series := range pcKernels {
		t.Run(series, func(t *testing.T) {
			for _, d := range pcDoors {
				t.Run(d.name, func(t *testing.T) { everyCommand(t, series, d) })
			}
		})
	}
}

const pcDisk = "/disk"

func everyCommand(t *testing.T, series string, d pcDoor) {
	m := startPC(t, series, lab.Config{Busybox: true, Disks: []lab.Disk{{Ext4: "disk", MiB: 64}}})
	m.getReady(t, d)
	must(t, m.Mount(waits(t, "mount"), 0, pcDisk))

	// The inventory, asked through the door itself.
	help := m.run(t, d, sysrq.Ping)[0]
	items, ok := sysrq.ParseHelp(help.proofs())
	if !ok {
		t.Fatalf("no HELP: %s %q: %q", help.Outcome, help.Text, help.proofs())
	}
	var listed []string
	for _, it := range items {
		listed = append(listed, helpWord(it.Name, it.Key))
	}
	if words := strings.Fields(strings.TrimPrefix(help.proofs(), "sysrq: HELP :")); !slices.Equal(listed, words) {
		t.Errorf("of the HELP line\n%q\nthis was understood:\n%q", words, listed)
	}
	slices.Sort(listed)
	if want := pcInventory(t, series); !slices.Equal(listed, want) {
		t.Errorf("the kernel lists\n%q\nand the table\n%q", listed, want)
	}

	if d.door == sysrq.DoorTrigger {
		// A lone '_' is silent since 6.8, and HELP before.
		want := map[string]string{"6.1": "bulk prefix _: no", "6.12": "bulk prefix _: yes", "7.2": "bulk prefix _: yes"}[series]
		r, err := m.Run(waits(t, "list"), "/bin/sysrq", "list")
		must(t, err)
		if !strings.Contains(string(r.Stdout), want) {
			t.Errorf("list lacks %q:\n%s", want, r.Stdout)
		}
	}

	keys := []sysrq.Key(pcOrder)
	for _, k := range pcKeys(items) {
		if !slices.Contains(keys, k) {
			t.Errorf("%s is listed, but never tried", k)
		}
	}
	for _, k := range keys {
		ended := false
		t.Run(k.String(), func(t *testing.T) {
			if !sysrq.InHelp(items, k) && k != sysrq.Ping {
				m.expect(t, d, k, sysrq.Unsupported)
				return
			}
			switch k {
			case 'b', 'c':
				m.endsBoot(t, d, k)
				m.getReady(t, d)
			case 'o':
				m.endsBoot(t, d, k)
				must(t, m.Wait(waits(t, "the power-off")))
			default:
				m.tries(t, d, k)
			}
			ended = true
		})
		if !ended && strings.ContainsRune("bco", rune(k)) {
			return // nobody knows what machine this is now
		}
	}
}

// getReady opens the door after a boot. The keyboard finds the quiet console
// of a distribution, where most proof is hidden.
func (m *pc) getReady(t *testing.T, d pcDoor) {
	t.Helper()
	if d.door.Masked() {
		m.setMask(t, sysrq.MaskAll)
	}
	if d.door == sysrq.DoorKeyboard {
		m.setLevel(t, 4)
	}
}

// expect triggers a key that is only judged by its outcome.
func (m *pc) expect(t *testing.T, d pcDoor, k sysrq.Key, want sysrq.Outcome) said {
	t.Helper()
	s := m.run(t, d, k)[0]
	s.check(t, d, want)
	return s
}

func (s said) check(t *testing.T, d pcDoor, want sysrq.Outcome) {
	t.Helper()
	t.Logf("%s %s in %s: %s", s.Name, s.Outcome, s.Took, s.Text)
	if s.Outcome != want {
		t.Errorf("%s(%s) by %s: %s, want %s: %s\nevidence %q\nheard %d lines", s.Name, s.Key, d.name, s.Outcome, want, s.Text, s.proofs(), len(s.heard))
	}
	if len(s.Evidence) == 0 {
		t.Error("no evidence")
	}
	if d.door == sysrq.DoorTrigger && s.exit != exits[want] {
		t.Errorf("exit status %d, want %d", s.exit, exits[want])
	}
}

// tries triggers a key that the boot survives, and looks for its effect.
func (m *pc) tries(t *testing.T, d pcDoor, k sysrq.Key) {
	want := pcOutcome(k, d)
	ctx := waits(t, "key "+k.String())
	switch k {
	case 'R':
		// What is printed again is nobody's proof: the ping behind it must find
		// its own answer.
		both := m.run(t, d, 'R', sysrq.Ping)
		both[0].check(t, d, want)
		both[1].check(t, d, sysrq.Done)

	case 'p':
		s := m.expect(t, d, k, want)
		if got := s.shows("RIP: "); got != (want == sysrq.Done) {
			t.Errorf("registers were printed: %v", got)
		}

	case '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		m.expect(t, d, k, want)
		if level := m.do(t, guest.Op{Level: &guest.Level{}}).Value; level != int(k-'0') {
			t.Errorf("the console's level is %d", level)
		}

	case 's':
		const size = 16 << 20
		_, err := m.Dirty(ctx, pcDisk+"/data", size, 1)
		must(t, err)
		m.expect(t, d, k, want)
		state, err := m.Status(ctx)
		must(t, err)
		if state.Unsaved > size/4 {
			t.Errorf("%d of %d MiB are still unsaved", state.Unsaved>>20, size>>20)
		}

	case 'j':
		_, err := m.Do(ctx, guest.Op{Freeze: &guest.Freeze{Target: pcDisk}})
		must(t, err)
		m.expect(t, d, k, want)
		if _, err := m.Do(ctx, guest.Op{Freeze: &guest.Freeze{Target: pcDisk, Thaw: true}}); err == nil {
			t.Error("the file system was still frozen")
		}

	case 'n':
		hog := m.do(t, guest.Op{Spin: &guest.Spin{Tasks: 1, FIFO: 50}}).PIDs[0]
		if got := m.policy(t, hog); got != "1" {
			t.Fatalf("the real-time task has policy %s", got)
		}
		m.expect(t, d, k, want)
		if got := m.policy(t, hog); got != "0" {
			t.Errorf("the real-time task has still policy %s", got)
		}
		m.do(t, guest.Op{Signal: &guest.Signal{Sig: 9, PIDs: []int{hog}}})

	case 'f':
		hog := m.do(t, guest.Op{Squeeze: &guest.Squeeze{MiB: 96, Killable: true}}).PIDs[0]
		s := m.expect(t, d, k, want)
		if killed := fmt.Sprintf("Killed process %d (", hog); !strings.Contains(s.proofs(), killed) {
			t.Fatalf("the proof does not say %q: %q", killed, s.proofs())
		}
		m.awaitEnd(t, hog)

	case 'e', 'i':
		// A Go program: what init starts has SIGTERM ignored, and others keep that.
		victim := m.do(t, guest.Op{Squeeze: &guest.Squeeze{MiB: 4}}).PIDs[0]
		m.expect(t, d, k, want)
		m.awaitEnd(t, victim)

	case 'u':
		if !m.writable(t) {
			t.Fatal("the disk is not writable before")
		}
		m.expect(t, d, k, want)
		if m.writable(t) {
			t.Error("the disk is still writable")
		}

	default:
		m.expect(t, d, k, want)
	}
}

// policy is a task's scheduling policy as /proc/PID/stat has it.
func (m *pc) policy(t *testing.T, pid int) string {
	t.Helper()
	data := m.do(t, guest.Op{ReadFile: &guest.ReadFile{Path: fmt.Sprintf("/proc/%d/stat", pid)}}).Data
	_, rest, _ := strings.Cut(string(data), ") ")
	if f := strings.Fields(rest); len(f) > 38 {
		return f[38] // field 41 of them all
	}
	return fmt.Sprintf("unknown: %q", data)
}

// awaitEnd waits until a process is gone.
func (m *pc) awaitEnd(t *testing.T, pid int) {
	t.Helper()
	_, err := m.Run(waits(t, "the end of a program"), "sh", "-c", fmt.Sprintf("while [ -d /proc/%d ]; do usleep 20000 2>/dev/null || sleep 1; done", pid))
	must(t, err)
}

// writable looks at how the disk is mounted.
func (m *pc) writable(t *testing.T) bool {
	t.Helper()
	data := m.do(t, guest.Op{ReadFile: &guest.ReadFile{Path: "/proc/mounts"}}).Data
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) > 3 && f[1] == pcDisk {
			return slices.Contains(strings.Split(f[3], ","), "rw")
		}
	}
	t.Fatalf("%s is not mounted: %s", pcDisk, data)
	return false
}

// endsBoot triggers a key that ends the boot; after all but o another begins.
// The program in the guest ends with it: the console has to tell.
func (m *pc) endsBoot(t *testing.T, d pcDoor, k sysrq.Key) {
	command := sysrq.ForKeyOn(k, "amd64")
	from := len(m.Console())
	if d.door == sysrq.DoorTrigger {
		ctx := waits(t, "key "+k.String())
		_, err := m.Do(ctx, guest.Op{Run: &guest.Run{Path: "/bin/sysrq", Args: []string{"--json", "--yes", k.String()}}})
		if err != nil && !errors.Is(err, lab.ErrRebooted) && !errors.Is(err, lab.ErrEnded) {
			t.Fatal(err)
		}
		at, err := m.WaitConsole(ctx, from, "sysrq: "+command.Action)
		must(t, err)
		if lines := command.Completion.Lines; len(lines) > 0 {
			_, err = m.WaitConsole(ctx, at, lines[0])
			must(t, err)
		}
	} else {
		m.expect(t, d, k, sysrq.Done)
	}
	if k != 'o' {
		m.awaitBoot(t)
	}
}
