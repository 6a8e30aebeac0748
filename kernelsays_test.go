package sysrq

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// wordings introduce SysRq's own lines: up to 4.3, up to 5.0, and since.
var wordings = []string{"SysRq : ", "sysrq: SysRq : ", "sysrq: "}

func TestHeader(t *testing.T) {
	for _, w := range wordings {
		for _, c := range Commands() {
			if c.Action == "" {
				continue
			}
			for _, end := range []string{"", "\n", "\r\n", " "} {
				if got, ok := Header(w + c.Action + end); !ok || got != c.Action {
					t.Errorf("Header(%q) = %q, %v", w+c.Action+end, got, ok)
				}
			}
		}
		for _, rest := range []string{
			"", "HELP : loglevel(0-9) ", "This sysrq operation is disabled.", "Loglevel set to 4",
			"OOM request ignored. No task eligible", "CPU1:", "CPU1: backtrace skipped as idling", "sysrq always enabled.",
		} {
			if got, ok := Header(w + rest); ok || got != "" {
				t.Errorf("Header(%q) = %q, though nothing is announced", w+rest, got)
			}
		}
	}
	for _, line := range []string{
		"", "Emergency Sync", "Emergency Sync complete", "systemd: sysrq: Emergency Sync", "xsysrq: Emergency Sync",
		"sysrq:Emergency Sync", "SysRq: Emergency Sync", " sysrq: Emergency Sync", "[    1.0] sysrq: Emergency Sync",
	} {
		if got, ok := Header(line); ok {
			t.Errorf("Header(%q) = %q, though the kernel never says it so", line, got)
		}
	}
}

func TestIsRefusal(t *testing.T) {
	for _, line := range []string{
		"sysrq: This sysrq operation is disabled.", "sysrq: SysRq : This sysrq operation is disabled.",
		"This sysrq operation is disabled.", "sysrq: This sysrq operation is disabled.\r\n",
		"sysrq: This sysrq operation is disabled from userspace.", "This sysrq operation is disabled from userspace.\n",
	} {
		if !IsRefusal(line) {
			t.Errorf("%q is a refusal", line)
		}
	}
	for _, line := range []string{"", "sysrq: Emergency Sync", "sysrq: HELP : ", "app: This sysrq operation is disabled.", "This sysrq operation"} {
		if IsRefusal(line) {
			t.Errorf("%q is no refusal", line)
		}
	}
}

func TestParseLoglevel(t *testing.T) {
	for _, w := range append([]string{""}, wordings...) {
		for n := range 10 {
			line := w + "Loglevel set to " + string(rune('0'+n))
			if got, ok := ParseLoglevel(line + "\n"); !ok || got != n {
				t.Errorf("%q: %d, %v", line, got, ok)
			}
		}
	}
	for _, line := range []string{"", "sysrq: Loglevel set to ", "sysrq: Loglevel set to 10", "sysrq: Loglevel set to x", "sysrq: Changing Loglevel", "app: Loglevel set to 4"} {
		if got, ok := ParseLoglevel(line); ok {
			t.Errorf("%q: %d", line, got)
		}
	}
}

func TestParseHelp(t *testing.T) {
	tests := []struct {
		line string
		want string // NAME(K) of each, as understood
	}{
		{"sysrq: HELP : ", ""},
		{"SysRq : HELP : loglevel(0-9) reBoot Crash terminate-all-tasks(E) memory-full-oom-kill(F) kill-all-tasks(I) thaw-filesystems(J) saK show-backtrace-all-active-cpus(L) show-memory-usage(M) nice-all-RT-tasks(N) powerOff show-registers(P) show-all-timers(Q) unRaw Sync show-task-states(T) Unmount force-fb(V) show-blocked-tasks(W) dump-ftrace-buffer(Z) ", "loglevel(0) reboot(b) crash(c) terminate-all-tasks(e) memory-full-oom-kill(f) kill-all-tasks(i) thaw-filesystems(j) sak(k) show-backtrace-all-active-cpus(l) show-memory-usage(m) nice-all-RT-tasks(n) poweroff(o) show-registers(p) show-all-timers(q) unraw(r) sync(s) show-task-states(t) unmount(u) force-fb(v) show-blocked-tasks(w) dump-ftrace-buffer(z)"},
		{"sysrq: SysRq : HELP : loglevel(0-9) reboot(b) show-all-timers(Q) force-fb(V) ", "loglevel(0) reboot(b) show-all-timers(q) force-fb(v)"},
		{"sysrq: HELP : sync(s) replay-kernel-logs(R) my-own(V) ", "sync(s) replay-kernel-logs(R) my-own(V)"},
		{"sysrq: HELP : sync(s) show-reg", "sync(s)"},        // torn
		{"sysrq: HELP : sync(s) show-registers(", "sync(s)"}, // torn
		{"sysrq: HELP : (s) x() y(ab) z(\xff) w(-) sync(s", ""},
		{"sysrq: HELP : 7 Sometimes Reboot-Now İstanbul", ""},
	}
	for _, tt := range tests {
		items, ok := ParseHelp(tt.line)
		if !ok || !IsHelp(tt.line) {
			t.Errorf("%q is no HELP", tt.line)
		}
		var got []string
		for _, it := range items {
			got = append(got, it.Name+"("+it.Key.String()+")")
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%q:\n got %s\nwant %s", tt.line, s, tt.want)
		}
	}
	for _, line := range []string{"", "HELP : sync(s)", "sysrq: Show Memory", "sysrq: HELP", "app: sysrq: HELP : sync(s)"} {
		if items, ok := ParseHelp(line); ok || items != nil || IsHelp(line) {
			t.Errorf("%q: %v", line, items)
		}
	}
	items, _ := ParseHelp("sysrq: HELP : loglevel(0-9) sync(s) ")
	for k, want := range map[Key]bool{'0': true, '7': true, 's': true, 'S': false, 'b': false} {
		if InHelp(items, k) != want {
			t.Errorf("InHelp(%s) is %v", k, !want)
		}
	}
}

// TestWhatKernelsSaid reads testdata/kernel: each line once that Debian's
// kernels of that series printed about SysRq on amd64, when every key was
// triggered.
func TestWhatKernelsSaid(t *testing.T) {
	// What their configuration lacks: LOCKDEP, KGDB, a DRM device, rcutree.sysrq_rcu.
	absent := map[string]string{"6.1": "dgvyDRS", "6.12": "dgvyDS", "7.2": "dgvy"}
	for v, absent := range absent {
		b, err := os.ReadFile("testdata/kernel/" + v + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		var inventory []HelpItem
		headers := map[string]bool{}
		said := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
		for _, line := range said {
			if items, ok := ParseHelp(line); ok {
				inventory = items
			} else if action, ok := Header(line); ok {
				headers[action] = true
			} else if n, ok := ParseLoglevel(line); ok && n != 9 {
				t.Errorf("%s: %q is level %d", v, line, n)
			} else if !ok && strings.HasPrefix(line, "sysrq: ") {
				t.Errorf("%s: what is %q?", v, line)
			}
		}
		for _, it := range inventory {
			if !slices.ContainsFunc(ForKey(it.Key), func(c Command) bool { return c.Name == it.Name }) {
				t.Errorf("%s lists %s(%s), which the table lacks", v, it.Name, it.Key)
			}
		}
		for _, c := range Commands() {
			if len(c.Arch) > 0 || c.Completion.Kind == CompletesHelp {
				continue
			}
			if want := !strings.Contains(absent, c.Key.String()); InHelp(inventory, c.Key) != want {
				t.Errorf("%s: %s(%s) in HELP is %v", v, c.Name, c.Key, !want)
			}
			delete(headers, c.Action)
		}
		for action := range headers {
			t.Errorf("%s announced %q, which is nobody's", v, action)
		}
		for _, done := range []Key{'s', 'u', 'j'} {
			if line := ForKeyOn(done, "").Completion.Lines[0]; !slices.Contains(said, line) {
				t.Errorf("%s never said %q", v, line)
			}
		}
	}
}

func FuzzHeader(f *testing.F) {
	for _, s := range []string{"sysrq: Emergency Sync", "sysrq: SysRq : HELP : sync(s)", "SysRq : Resetting", "sysrq: ", "This sysrq operation is disabled.", "Loglevel set to 4"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		action, header := Header(line)
		_, level := ParseLoglevel(line)
		refusal, help := IsRefusal(line), IsHelp(line)
		n := 0
		for _, is := range []bool{header, level, refusal, help} {
			if is {
				n++
			}
		}
		if n > 1 {
			t.Fatalf("%q: header %v, level %v, refusal %v, help %v", line, header, level, refusal, help)
		}
		if header != (action != "") || !strings.Contains(line, action) {
			t.Fatalf("%q announces %q", line, action)
		}
	})
}

func FuzzParseHelp(f *testing.F) {
	for _, s := range []string{"sysrq: HELP : loglevel(0-9) reboot(b) ", "SysRq : HELP : reBoot saK x(", "sysrq: HELP : force-fb(V) replay-kernel-logs(R)", "sysrq: HELP :"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		items, ok := ParseHelp(line)
		if ok != IsHelp(line) || !ok && items != nil {
			t.Fatalf("%q: %v, %v", line, items, ok)
		}
		again := "sysrq: HELP : "
		for _, it := range items {
			if it.Name == "" || !it.Key.HasSlot() || !InHelp(items, it.Key) {
				t.Fatalf("%q: %+v", line, it)
			}
			key := it.Key.String()
			if key == "0" {
				key = "0-9"
			}
			again += it.Name + "(" + key + ") "
		}
		if back, _ := ParseHelp(again); !slices.Equal(back, items) {
			t.Fatalf("%q: %v, and back %v", line, items, back)
		}
	})
}
