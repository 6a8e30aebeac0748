package sysrq

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestKey(t *testing.T) {
	for k := range 256 {
		k := Key(k)
		want := strings.IndexByte("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", byte(k)) >= 0
		if k.HasSlot() != want {
			t.Errorf("%s: HasSlot is %v", k, !want)
		}
		if k.IsUpper() != (want && k < 'a' && k > '9') {
			t.Errorf("%s: IsUpper is %v", k, k.IsUpper())
		}
		b, err := json.Marshal(k)
		if err != nil {
			t.Fatal(err)
		}
		var back Key
		if err := json.Unmarshal(b, &back); err != nil || back != k {
			t.Errorf("%d went out as %s and came back as %d, %v", byte(k), b, byte(back), err)
		}
	}
	for s, want := range map[Key]string{'s': "s", 'R': "R", '0': "0", '\n': `'\n'`, 0: `'\x00'`, 0xff: `'ÿ'`, ' ': "' '"} {
		if s.String() != want {
			t.Errorf("got %s, want %s", s, want)
		}
	}
	for _, bad := range []string{"", "ss", `"s"`, `'ss'`, `'\u0100'`, "'s", "é"} {
		var k Key
		if err := k.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is read as key %s", bad, k)
		}
	}
}

// TestTable holds every entry to what the rest of the program relies on.
func TestTable(t *testing.T) {
	all := Commands()
	if !slices.IsSortedFunc(all, func(a, b Command) int { return slot(a.Key) - slot(b.Key) }) {
		t.Error("the table is not in the order of slots")
	}
	seen := map[string]bool{}
	for _, c := range all {
		where := c.Name + "(" + c.Key.String() + ")"
		if seen[where] {
			t.Errorf("%s is there twice", where)
		}
		seen[where] = true
		if !c.Key.HasSlot() || c.Name == "" || c.Effect == "" || c.Source == "" || c.Danger == 0 || c.IsZero() {
			t.Errorf("%s lacks something: %+v", where, c)
		}
		if strings.ContainsAny(c.Name, " ()") {
			t.Errorf("%s: no kernel name has that", where)
		}
		if (c.Action == "") != (c.Completion.Kind == CompletesHelp) {
			t.Errorf("%s: header %q", where, c.Action)
		}
		if c.Danger.Asks() != (c.Loses != "") {
			t.Errorf("%s is of class %s, and says that it loses %q", where, c.Danger, c.Loses)
		}
		if c.Completion.Kind == 0 || c.Completion.Deadline <= 0 {
			t.Errorf("%s: no completion or deadline", where)
		}
		if c.Completion.Kind == CompletesLine && len(c.Completion.Lines) == 0 {
			t.Errorf("%s is proved by a line, but by none", where)
		}
		if c.Deferred && c.Completion.Kind == CompletesDump {
			t.Errorf("%s: what brackets a deferred dump?", where)
		}
		if c.Mask&(c.Mask-1) != 0 || c.Mask == MaskAll || c.Mask < 0 {
			t.Errorf("%s: mask %#x is not one bit", where, int(c.Mask))
		}
		if got := ForKeyOn(c.Key, ""); len(c.Arch) == 0 && got.Name != c.Name {
			t.Errorf("%s: the key alone gives %s", where, got.Name)
		}
		for _, arch := range c.Arch {
			if got := ForKeyOn(c.Key, arch); got.Name != c.Name || !c.OnArch(arch) {
				t.Errorf("%s: on %s the key gives %s", where, arch, got.Name)
			}
		}
	}
	// Nobody may write into the table through what was handed out.
	all[0].Name, ForKey('s')[0].Name = "x", "x"
	if table[0].Name == "x" || ForKey('s')[0].Name == "x" {
		t.Error("the table was changed from outside")
	}
}

func TestForKeyOn(t *testing.T) {
	tests := []struct {
		key  Key
		arch string
		want string
	}{
		{'s', "", "sync"},
		{'S', "amd64", "reset-sched-ext"},
		{'v', "", "force-fb"},
		{'v', "arm64", "force-fb"},
		{'v', "arm", "etm-buffer-dump"},
		{'x', "ppc64le", "xmon"},
		{'x', "mips64le", "show-tlbs"},
		{'x', "loong64", "show-tlbs"},
		{'x', "sparc64", "global-pmu"},
		{'x', "", "xmon"},
		{'x', "amd64", "key-x"}, // no such key there, unless a module has one
		{'y', "sparc64", "global-regs"},
		{'y', "amd64", "show-rcu"},
		{'a', "", "key-a"},
		{'Z', "amd64", "key-Z"},
	}
	for _, tt := range tests {
		c := ForKeyOn(tt.key, tt.arch)
		if c.Name != tt.want || c.Key != tt.key {
			t.Errorf("%s on %q is %s(%s), want %s", tt.key, tt.arch, c.Name, c.Key, tt.want)
		}
		if strings.HasPrefix(c.Name, "key-") && (c.Danger != Crash || c.Mask != 0 || c.Loses == "") {
			t.Errorf("%s is unknown, and so should be taken for the worst: %+v", tt.key, c)
		}
	}
	if got := ForKey('a'); len(got) != 0 {
		t.Errorf("a is free in every kernel; the table has %v", got)
	}
}

func TestNamesAreStable(t *testing.T) {
	if got := []string{Observe.String(), Tune.String(), Stop.String(), Reboot.String(), Crash.String(), Danger(0).String(), Danger(9).String()}; !slices.Equal(got, []string{"observe", "tune", "stop", "reboot", "crash", "danger(0)", "danger(9)"}) {
		t.Errorf("classes: %q", got)
	}
	want := []string{"done", "accepted", "sent", "timeout", "unsupported", "refused", "failed"}
	for i, w := range want {
		o := Outcome(i + 1)
		b, err := o.MarshalText()
		if err != nil || string(b) != w || o.String() != w {
			t.Errorf("outcome %d is %q, %v; want %q", o, b, err, w)
		}
		var back Outcome
		if err := back.UnmarshalText(b); err != nil || back != o {
			t.Errorf("%q came back as %v, %v", b, back, err)
		}
		if o.OK() != (i < 2) {
			t.Errorf("%s: OK is %v", o, o.OK())
		}
	}
	// The order in which they become the exit status of a whole run.
	worst := Outcome(0)
	for _, o := range []Outcome{Done, Accepted, Sent, Timeout, Unsupported, Refused, Failed} {
		if o.Worse(worst) != o || worst.Worse(o) != o {
			t.Errorf("%s is not worse than %s", o, worst)
		}
		worst = o
	}
	var o Outcome
	if err := o.UnmarshalText([]byte("fine")); err == nil {
		t.Error(`"fine" is read as an outcome`)
	}
	if GoOn.String() != "go-on" || StopThere.String() != "stop" {
		t.Error("the configuration's words changed")
	}
}
