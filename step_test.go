package sysrq

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func keysOf(steps []Step) string {
	var keys []byte
	for _, s := range steps {
		keys = append(keys, byte(s.Command.Key))
	}
	return string(keys)
}

func TestParseSteps(t *testing.T) {
	tests := []struct {
		words string // separated by blanks
		arch  string
		keys  string
	}{
		{"s", "", "s"},
		{"sync", "", "s"},
		{"SYNC", "", "s"},
		{"Sync", "", "s"},
		{"syn", "", "s"},
		{"sub", "", "sub"},
		{"SUB", "", "sub"},
		{"S", "", "S"}, // a key is a key: case counts
		{"R", "", "R"},
		{"show-bl", "", "w"},
		{"show-bac", "", "l"},
		{"nice", "", "n"},
		{"h", "", "h"},
		{"help", "", "h"},
		{"7", "", "7"},
		{"loglevel7", "", "7"},
		{"loglevel-7", "", "7"},
		{"loglevel=0", "", "0"},
		{"reisub", "", "reisub"},
		{"REISUB", "", "reisub"},
		{"observe", "", "wlmt"},
		{"s u b", "", "sub"},
		{"9 sync reisuo", "", "9sreisuo"},
		{"_lmw", "", "lmw"},
		{"_reisub", "", "reisub"}, // one step each, whatever the kernel would do with it
		{"_R", "", "R"},
		{"_hSh", "", "hSh"},
		{"x", "mips64le", "x"},
		{"_x", "ppc64le", "x"},
		{"show-t", "amd64", "t"}, // there are no TLBs to show
		{"a", "", "a"},           // perhaps a module has it: the kernel will say
		{"etm", "", "v"},
	}
	for _, tt := range tests {
		steps, err := ParseSteps(strings.Fields(tt.words), nil, tt.arch)
		if err != nil || keysOf(steps) != tt.keys {
			t.Errorf("%q: %q, %v; want %q", tt.words, keysOf(steps), err, tt.keys)
			continue
		}
		for _, s := range steps {
			if want := ForKeyOn(s.Command.Key, tt.arch).Name; s.Command.Name != want && tt.words != "etm" {
				t.Errorf("%q on %q: %s is %s, want %s", tt.words, tt.arch, s.Command.Key, s.Command.Name, want)
			}
		}
	}
}

func TestParseStepsRefuses(t *testing.T) {
	tests := []struct {
		words     string
		nearest   string // separated by blanks
		ambiguous bool
	}{
		{"lmw", "_lmw", false},
		{"rs", "_rs", false},
		{"synk", "sync", false},
		{"snyc", "sync", false},
		{"resiub", "reisub", false},
		{"reboto", "reboot", false},
		{"blocked", "show-blocked-tasks", false},
		{"blokced", "show-blocked-tasks", false},
		{"memroy", "memory-full-oom-kill show-memory-usage", false},
		{"backtrce", "show-backtrace-all-active-cpus", false},
		{"loglevel", "0 4 7 9", true},
		{"loglevel10", "0 4 7 9", true},
		{"show-all", "show-all-locks show-all-timers", true},
		{"global", "global-pmu global-regs", true},
		{"?", "h", false},
		{"_", "h", false},
		{"-", "h", false},
		{"\n", "h", false},
		{"_l?", "", false},
		{"_h\n", "", false}, // the newline that the kernel would take for a command
		{"__h", "", false},
		{"", "", false},
		{"zzzzzzzzzz", "", false},
		{"日本", "", false},
	}
	for _, tt := range tests {
		steps, err := ParseSteps([]string{"s", tt.words}, nil, "")
		var unknown *UnknownError
		if steps != nil || !errors.As(err, &unknown) {
			t.Errorf("%q: %q, %v", tt.words, keysOf(steps), err)
			continue
		}
		if unknown.Word != tt.words || unknown.Ambiguous != tt.ambiguous {
			t.Errorf("%q: %+v", tt.words, unknown)
		}
		if got := strings.Join(unknown.Nearest, " "); got != tt.nearest && (tt.nearest == "" || !strings.HasPrefix(got, tt.nearest)) {
			t.Errorf("%q: nearest %q, want %q", tt.words, got, tt.nearest)
		}
		for _, n := range unknown.Nearest {
			if !strings.Contains(err.Error(), n) {
				t.Errorf("%q: the message keeps %q to itself: %v", tt.words, n, err)
			}
		}
	}
	if _, err := ParseSteps(nil, nil, ""); !errors.Is(err, ErrNothingToDo) {
		t.Errorf("no words: %v", err)
	}
	if _, err := ParseSteps([]string{"none"}, []Sequence{{Name: "none"}}, ""); !errors.Is(err, ErrNothingToDo) {
		t.Errorf("an empty sequence: %v", err)
	}
}

func TestSequencesOfOnesOwn(t *testing.T) {
	mine := append(Sequences(), Sequence{Name: "sub", Steps: []Step{
		{Command: ForKeyOn('s', ""), Deadline: time.Minute, OnTimeout: StopThere, Of: "sub"},
		{Command: ForKeyOn('b', ""), Of: "sub"},
	}})
	steps, err := ParseSteps([]string{"sub"}, mine, "")
	if err != nil || keysOf(steps) != "sb" || steps[0].Wait() != time.Minute || steps[0].OnTimeout != StopThere {
		t.Errorf("the later sub should win: %q, %v", keysOf(steps), err)
	}
	x := []Sequence{{Name: "look", Steps: []Step{{Command: ForKeyOn('x', ""), Of: "look"}}}}
	for arch, want := range map[string]string{"": "xmon", "ppc64le": "xmon", "mips64le": "show-tlbs", "amd64": "key-x"} {
		steps, err := ParseSteps([]string{"look"}, x, arch)
		if err != nil || len(steps) != 1 || steps[0].Command.Name != want || steps[0].Of != "look" {
			t.Errorf("x of a sequence on %q: %+v, %v; want %s", arch, steps, err, want)
		}
	}
	if steps[1].Wait() != rebootDeadline {
		t.Errorf("a step without a deadline should have its command's, not %v", steps[1].Wait())
	}
	steps[0].Of = "changed"
	if mine[len(mine)-1].Steps[0].Of != "sub" {
		t.Error("the steps are not the caller's own")
	}
}

func TestSequences(t *testing.T) {
	want := map[string]Danger{"reisub": Reboot, "reisuo": Reboot, "sub": Reboot, "observe": Observe}
	for _, s := range Sequences() {
		if want[s.Name] != s.Danger() {
			t.Errorf("%s is of class %s, want %s", s.Name, s.Danger(), want[s.Name])
		}
		delete(want, s.Name)
		for i, st := range s.Steps {
			if st.Of != s.Name || st.Wait() <= 0 || st.OnTimeout != GoOn {
				t.Errorf("%s: %+v", s.Name, st)
			}
			// Programs get time between SIGTERM and SIGKILL, and nowhere else.
			if (st.Grace > 0) != (st.Command.Key == 'e' && i+1 < len(s.Steps)) {
				t.Errorf("%s: grace %v after %s", s.Name, st.Grace, st.Command.Key)
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
	if DangerOf(nil) != 0 {
		t.Error("nothing is dangerous")
	}
}

func TestLookup(t *testing.T) {
	// Every name finds its command, and so does every beginning that is no
	// other's.
	for _, c := range Commands() {
		if c.Name == "loglevel" {
			continue
		}
		got, err := Lookup(c.Name, "")
		if err != nil || got.Name != c.Name || got.Key != c.Key {
			t.Errorf("%s: %s(%s), %v", c.Name, got.Name, got.Key, err)
		}
		for n := 2; n < len(c.Name); n++ {
			got, err := Lookup(c.Name[:n], "")
			var unknown *UnknownError
			switch {
			case err == nil && got.Name == c.Name:
			case errors.As(err, &unknown) && unknown.Ambiguous && slices.Contains(unknown.Nearest, c.Name):
			default:
				t.Errorf("%s: %s, %v", c.Name[:n], got.Name, err)
			}
		}
	}
	for _, w := range []string{"", "_lmw", "reisub"} {
		_, err := Lookup(w, "")
		var unknown *UnknownError
		if !errors.As(err, &unknown) {
			t.Errorf("%q is one command: %v", w, err)
			continue
		}
		for _, n := range unknown.Nearest {
			if _, err := ParseSteps([]string{n}, nil, ""); err != nil {
				t.Errorf("%q: the advice %q is no good: %v", w, n, err)
			}
		}
	}
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "abc", 3},
		{"abc", "", 3},
		{"sync", "sync", 0},
		{"sync", "snyc", 1},
		{"sync", "syn", 1},
		{"sync", "sink", 2},
		{"ab", "ba", 1},
		{"kitten", "sitting", 3},
	} {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("%q to %q: %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
	word := rapid.StringMatching(`[a-e]{0,8}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := word.Draw(t, "a"), word.Draw(t, "b")
		d := distance(a, b)
		if d != distance(b, a) || (d == 0) != (a == b) || d > max(len(a), len(b)) {
			t.Fatalf("%q, %q: %d and %d", a, b, d, distance(b, a))
		}
	})
}

func FuzzParseSteps(f *testing.F) {
	for _, s := range []string{"s", "sync", "reisub", "_lmw", "lmw", "S", "loglevel4", "_", "__", "show", "", "_h\n", "s u b", "é"} {
		f.Add(s, "amd64")
		f.Add(s, "")
	}
	f.Fuzz(func(t *testing.T, s, arch string) {
		words := strings.Split(s, " ")
		steps, err := ParseSteps(words, nil, arch)
		var unknown *UnknownError
		switch {
		case err == nil:
			if len(steps) < len(words) {
				t.Fatalf("%q: %d words, but %d steps", s, len(words), len(steps))
			}
			for _, st := range steps {
				if !st.Command.Key.HasSlot() || st.Wait() <= 0 || st.Command.Danger == 0 {
					t.Fatalf("%q: %+v can not be sent", s, st)
				}
			}
			if DangerOf(steps) == 0 {
				t.Fatalf("%q has no class", s)
			}
		case errors.As(err, &unknown):
			if steps != nil {
				t.Fatalf("%q: steps and an error", s)
			}
			for _, n := range unknown.Nearest {
				if _, err := ParseSteps([]string{n}, nil, arch); err != nil {
					t.Fatalf("%q: the advice %q is no good: %v", s, n, err)
				}
			}
		default:
			t.Fatalf("%q: %v", s, err)
		}
	})
}
