package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sysrq/sysrq"
	"github.com/sysrq/sysrq/transport"
	"github.com/sysrq/sysrq/transport/transporttest"
)

func stepsOf(t *testing.T, words ...string) []sysrq.Step {
	t.Helper()
	steps, err := sysrq.ParseSteps(words, nil, "amd64")
	if err != nil {
		t.Fatal(err)
	}
	return steps
}

func TestLoss(t *testing.T) {
	for words, want := range map[string]string{
		"b":      "reboots; lost: everything that is not on the disk yet",
		"o":      "switches it off; lost: everything that is not on the disk yet",
		"c":      "crashes the kernel; lost: the running system and everything that is not on the disk yet",
		"s b":    "reboots; lost: what programs have in memory",
		"u":      "makes every file system read-only; lost: every later write: programs fail until the machine is rebooted or remounted",
		"sub":    "makes every file system read-only and reboots; lost: what programs have in memory",
		"e":      "ends every program; lost: what running programs have not saved",
		"i":      "kills every program; lost: what running programs have not saved",
		"e i":    "ends every program; lost: what running programs have not saved",
		"f":      "kills a program; lost: what the killed program has not saved",
		"reisub": "ends every program, makes every file system read-only and reboots; lost: what running programs have not saved",
		"reisuo": "ends every program, makes every file system read-only and switches it off; lost: what running programs have not saved",
		"Z":      "runs key-Z; lost: nobody knows what: no kernel known to sysrq has this key",
	} {
		if got := loss(stepsOf(t, strings.Fields(words)...)); got != want {
			t.Errorf("%s:\n got %s\nwant %s", words, got, want)
		}
	}
	// Whatever is asked about has a sentence.
	for _, c := range sysrq.Commands() {
		if got := loss([]sysrq.Step{{Command: c}}); c.Danger.Asks() && (!strings.Contains(got, "; lost: ") || strings.HasPrefix(got, ";")) {
			t.Errorf("%s: %q", c.Name, got)
		}
	}
}

func TestExitStatus(t *testing.T) {
	const (
		done, accepted, refused = sysrq.Done, sysrq.Accepted, sysrq.Refused
		unsupported, timeout    = sysrq.Unsupported, sysrq.Timeout
		sent, failed            = sysrq.Sent, sysrq.Failed
	)
	for _, tc := range []struct {
		outcomes     []sysrq.Outcome
		loose, tight int
	}{
		{[]sysrq.Outcome{done}, 0, 0},
		{[]sysrq.Outcome{done, accepted, done}, 0, 6},
		{[]sysrq.Outcome{accepted, sent}, 6, 6},
		{[]sysrq.Outcome{sent, timeout, done}, 5, 5},
		{[]sysrq.Outcome{timeout, unsupported}, 4, 4},
		{[]sysrq.Outcome{unsupported, refused, timeout}, 3, 3},
		{[]sysrq.Outcome{refused, failed, done}, 1, 1},
		{nil, 1, 1}, // nothing is known of nothing
	} {
		if got := exitStatus(tc.outcomes, false); got != tc.loose {
			t.Errorf("%v: %d, want %d", tc.outcomes, got, tc.loose)
		}
		if got := exitStatus(tc.outcomes, true); got != tc.tight {
			t.Errorf("%v, strict: %d, want %d", tc.outcomes, got, tc.tight)
		}
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                        "0 µs",
		43 * time.Microsecond:    "43 µs",
		1234 * time.Microsecond:  "1.2 ms",
		9999 * time.Microsecond:  "10.0 ms",
		250 * time.Millisecond:   "250 ms",
		1500 * time.Millisecond:  "1.5 s",
		2 * time.Second:          "2 s",
		99949 * time.Millisecond: "99.9 s",
		3 * time.Minute:          "180 s",
		15 * time.Minute:         "15m0s",
	} {
		if got := short(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

func TestClip(t *testing.T) {
	for _, tc := range []struct {
		s    string
		n    int
		want string
	}{
		{"", 5, ""}, {"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"größer", 4, "grö…"}, {"abc", 1, ""}, {"abc", -7, ""}, {"", -7, ""},
	} {
		if got := clip(tc.s, tc.n); got != tc.want {
			t.Errorf("clip(%q, %d) = %q, want %q", tc.s, tc.n, got, tc.want)
		}
	}
}

func TestWrap(t *testing.T) {
	for _, tc := range []struct {
		s    string
		n    int
		want []string
	}{
		{"", 10, []string{""}},
		{"one two three", 7, []string{"one two", "three"}},
		{"  spaces   go ", 20, []string{"spaces go"}},
		{"unbreakable-word it is", 5, []string{"unbreakable-word", "it is"}},
		{"ü ü ü ü", 3, []string{"ü ü", "ü ü"}},
		{"a b", 0, []string{"a", "b"}},
	} {
		if got := wrap(tc.s, tc.n); !slices.Equal(got, tc.want) {
			t.Errorf("wrap(%q, %d) = %q, want %q", tc.s, tc.n, got, tc.want)
		}
	}
}

func TestPrintable(t *testing.T) {
	for s, want := range map[string]string{
		"plain\n\ttext, größer": "plain\n\ttext, größer",
		"\x1b]0;owned\a":        "\ufffd]0;owned\ufffd",
		"\r\b\x7f\u009b2J":      "\ufffd\ufffd\ufffd\ufffd2J",
		"\xff":                  "\ufffd",
	} {
		if got := printable(s); got != want {
			t.Errorf("printable(%q) = %q, want %q", s, got, want)
		}
	}
}

// TestOutcomeLine: what a machine prints neither steers the terminal nor
// breaks the line that sums it up.
func TestOutcomeLine(t *testing.T) {
	var out bytes.Buffer
	p := &textPrinter{out: &out, err: &out}
	for _, ev := range []sysrq.Event{
		{
			Type: sysrq.EventOutcome, Key: 's', Name: "sync", Outcome: sysrq.Done, Took: 1200 * time.Microsecond,
			Evidence: []sysrq.Evidence{{Text: "\nEmergency Sync complete\x1b[2J\nmore"}},
		},
		{Type: sysrq.EventOutcome, Key: 'u', Name: "unmount", Outcome: sysrq.Failed, Text: "trigger: \x1b[31mno", Took: time.Second},
		{Type: sysrq.EventWarning, Key: 'u', Name: "unmount", Text: "QEMU: \x1b[31mRESET"},
	} {
		p.event(ev)
	}
	want := "s  sync                   done           1.2 ms  Emergency Sync complete\ufffd[2J more\n" +
		"u  unmount                failed            1 s\n" +
		"   trigger: \ufffd[31mno\n" +
		"sysrq: u unmount: QEMU: \ufffd[31mRESET\n"
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestNames: long names push the columns of the whole run, so that they stay
// columns.
func TestNames(t *testing.T) {
	var out bytes.Buffer
	p := &program{stdout: &out, stderr: io.Discard, isTerminal: func(any) bool { return false }}
	pr := p.printer(stepsOf(t, "l", "m"), runOptions{})
	for _, st := range stepsOf(t, "l", "m") {
		pr.event(sysrq.Event{Type: sysrq.EventOutcome, Key: st.Command.Key, Name: st.Command.Name, Outcome: sysrq.Done})
	}
	pr.close()
	lines := strings.Split(out.String(), "\n")
	if a, b := strings.Index(lines[0], " done"), strings.Index(lines[1], " done"); a != b || a < 0 {
		t.Errorf("not aligned:\n%s", out.String())
	}
}

func TestInstead(t *testing.T) {
	for words, want := range map[string]string{
		"reisbu":        "did you mean: sysrq reisub or sysrq reisuo?",
		"w synk":        "did you mean: sysrq w sync or sysrq w sak?",
		"synk $(x)":     "did you mean: sysrq sync or sysrq sak?",
		"verison":       "did you mean: sysrq version?",
		"w watch":       "watch is a command of its own: sysrq watch",
		"_":             "keys are missing behind the underscore; for example: sysrq _lmw",
		"qqqqqqqqqqqqq": "see what there is: sysrq list",
	} {
		fields := strings.Fields(words)
		_, err := sysrq.ParseSteps(fields, nil, "")
		var unknown *sysrq.UnknownError
		if !errors.As(err, &unknown) {
			t.Errorf("%s: %v", words, err)
			continue
		}
		if got := instead(fields, unknown); got != want {
			t.Errorf("%s: %q, want %q", words, got, want)
		}
	}
}

// TestStatus: what an error prints, and where.
func TestStatus(t *testing.T) {
	open := &transport.OpError{Op: "open", Target: "local:", Err: errors.New("x"), Hint: "do y"}
	for _, tc := range []struct {
		err    error
		status int
		says   string
	}{
		{nil, 0, ""},
		{open, 1, "sysrq: open local: x\n       do y\n"},
		{&statusError{4, open, "do z"}, 4, "sysrq: open local: x\n       do z\n"},
		{&statusError{5, errQuiet, ""}, 5, ""},
		{usagef("", "no"), 2, "sysrq: no\n"},
		{errors.New("anything"), 1, "sysrq: anything\n"},
		{syscall.EPIPE, 141, ""},
		{&transport.OpError{Op: "open", Target: "qmp:m", Err: syscall.EPIPE}, 1, "sysrq: open qmp:m: broken pipe\n"},
	} {
		var out bytes.Buffer
		p := &program{stderr: &out, isTerminal: func(any) bool { return false }}
		if got := p.status(tc.err); got != tc.status || out.String() != tc.says {
			t.Errorf("%v: %d %q, want %d %q", tc.err, got, out.String(), tc.status, tc.says)
		}
	}
}

// TestSubcommands: a sequence must not take the name of a command, for nobody
// could run it.
func TestSubcommands(t *testing.T) {
	for _, c := range Command(transport.NewRegistry()).Commands() {
		if !slices.Contains(subcommands, c.Name()) {
			t.Errorf("%s is not among subcommands", c.Name())
		}
	}
}

// marked is a fake that can be written to, as the local log can.
type marked struct{ *transporttest.Fake }

func (m marked) Mark(text string) error { m.Say(7, text); return nil }

// TestBulkPrefix: kernels of 6.8 and later say nothing to a lone '_', older
// ones answer HELP.
func TestAlwaysEnabled(t *testing.T) {
	for line, want := range map[string]bool{
		"": false, "quiet sysrq_always_enabled\n": true, "sysrq_always_enabled=1 quiet": true,
		"sysrq-always-enabled": true, "no_sysrq_always_enabled": false, "sysrq_always": false,
	} {
		if got := alwaysEnabled(line); got != want {
			t.Errorf("%q: %v, want %v", line, got, want)
		}
	}
}

func TestBulkPrefix(t *testing.T) {
	local := transport.Properties{Door: sysrq.DoorTrigger, Sequenced: true}
	for _, tc := range []struct {
		name  string
		props transport.Properties
		say   []transporttest.Reply
		want  string
	}{
		{"new", local, nil, "yes"},
		{"old", local, []transporttest.Reply{transporttest.Help}, "no"},
		{"lost", local, []transporttest.Reply{{Lost: 3}}, ""},
		{"deaf", transport.Properties{Door: sysrq.DoorTrigger, Deaf: true}, nil, ""},
		{"not by keyboard", transport.Properties{Door: sysrq.DoorKeyboard}, nil, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := transporttest.NewFake(tc.props)
			defer f.Close()
			f.Do(transporttest.Help) // of a question before
			f.On('_', tc.say)
			if got := bulkPrefix(context.Background(), marked{f}, time.Minute); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
	if f := transporttest.NewFake(local); bulkPrefix(context.Background(), f, time.Minute) != "" || len(f.Sent()) > 0 {
		t.Error("asked where nothing can end the wait")
	}
}

func TestParseConfig(t *testing.T) {
	seqs, err := parseConfig("f", `
[sequences.zeta]
summary = "last letter, first in the file"
steps = ["w", {do = "sub", deadline = "20s", on-timeout = "stop"}]
[sequences]
alpha.steps = ["_lm"]
[sequences."größe"]
steps = ["s"]
`)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range seqs {
		keys := ""
		for _, st := range s.Steps {
			keys += st.Command.Key.String()
			if st.Of != s.Name {
				t.Errorf("%s: a step of %q", s.Name, st.Of)
			}
		}
		got = append(got, s.Name+"="+keys)
	}
	if want := []string{"zeta=wsub", "alpha=lm", "größe=s"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if last := seqs[0].Steps[3]; last.Deadline != 20*time.Second || last.OnTimeout != sysrq.StopThere {
		t.Errorf("%+v", last)
	}
	if first := seqs[0].Steps[1]; first.Deadline != 0 {
		t.Error("a deadline is the last step's only")
	}
}

func TestLineOf(t *testing.T) {
	const text = "# x\n[sequences.careful2]\n[ sequences . \"careful\" ]\n[sequences]\nother = {}\nthird.steps = []\n[x]\nother2 = 1\n"
	for name, want := range map[string]int{"careful2": 2, "careful": 3, "other": 5, "third": 6, "other2": 1, "none": 1} {
		if got := lineOf(text, name); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
}

// FuzzConfig: whatever stands in the file, there is either an error that names
// it, or sequences that can be run.
func FuzzConfig(f *testing.F) {
	for _, s := range []string{
		"", "[sequences.careful]\nsteps = [\"w\", {do = \"u\", deadline = \"20s\", on-timeout = \"stop\", grace = \"1s\"}]\n",
		"[sequences.careful]\nsteps = [\"synk\"]", "sequences.mine.steps = [1]", "[sequences.mine]\n\tsteps = [\n\"\x1b\"]",
		"[sequences.mine]\nstepz = []", "[", "sequences = 4", "sequences.\"a\\nb\".steps=[]", "[sequences.\"\"]\nsteps=[\"s\"]",
		"[sequences.é]\nsteps = [{}]\r\n", "[sequences.list]\nsteps=[\"s\"]",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		seqs, err := parseConfig("the-file", text)
		if err != nil {
			if seqs != nil {
				t.Error("both sequences and an error")
			}
			if !strings.HasPrefix(err.Error(), "the-file:") || strings.ContainsRune(err.Error(), '\x1b') || !utf8.ValidString(err.Error()) {
				t.Errorf("%q", err)
			}
			return
		}
		for _, s := range seqs {
			if steps, err := sysrq.ParseSteps([]string{s.Name}, seqs, ""); err != nil || len(steps) == 0 {
				t.Errorf("%q can not be run: %v", s.Name, err)
			}
			for _, st := range s.Steps {
				if st.Wait() <= 0 {
					t.Errorf("%q waits for nothing: %+v", s.Name, st)
				}
			}
		}
	})
}
