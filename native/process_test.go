package native

import "testing"

func TestParseStat(t *testing.T) {
	const tail = " 1 412 412 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 535 10 20\n"
	for _, tc := range []struct {
		in   string
		want Process
	}{
		{"412 (cron) S" + tail, Process{PID: 412, PPID: 1, Name: "cron", State: 'S', Threads: 3, Start: 535}},
		{"7 (a) b (c\n) D" + tail, Process{PID: 7, PPID: 1, Name: "a) b (c\n", State: 'D', Threads: 3, Start: 535}},
		{"2 () Z" + tail, Process{PID: 2, PPID: 1, State: 'Z', Threads: 3, Start: 535}},
		{
			"9 (kworker/0:1) I 2 0 0 0 -1 69238880 0 0 0 0 0 0 0 0 20 0 1 0 28 0 0",
			Process{PID: 9, PPID: 2, Name: "kworker/0:1", State: 'I', Threads: 1, Start: 28, Kernel: true},
		},
	} {
		got, err := ParseStat([]byte(tc.in))
		if err != nil || got != tc.want {
			t.Errorf("%q:\ngot  %+v, %v\nwant %+v", tc.in, got, err, tc.want)
		}
	}
	for _, in := range []string{"", "1", "1 (x", "1 (x) S 1", "x (y) S" + tail, "1 (x) SS" + tail, ") ("} {
		if p, err := ParseStat([]byte(in)); err == nil {
			t.Errorf("%q: got %+v", in, p)
		}
	}
}

func TestDead(t *testing.T) {
	for _, tc := range []struct {
		p    Process
		dead bool
	}{
		{Process{State: 'Z', Threads: 1}, true},
		{Process{State: 'Z', Threads: 2}, false}, // its first thread has ended, others have not
		{Process{State: 'X'}, true},
		{Process{State: 'D', Threads: 1}, false},
	} {
		if got := tc.p.dead(); got != tc.dead {
			t.Errorf("%+v: %v", tc.p, got)
		}
	}
}

func TestNames(t *testing.T) {
	ps := []Process{{PID: 4, Name: "cron", State: 'S'}, {PID: 5, Name: "dd", State: 'D'}, {PID: 6, Name: "x", State: 'T'}}
	if got := Names(ps, 2); got != "cron (4), dd (5, stuck in the kernel) and 1 more" {
		t.Error(got)
	}
	if got := Names(nil, 2); got != "" {
		t.Error(got)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("7 (a) b (c\n) D 1 412 412 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 535 10 20\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := ParseStat(b); err == nil && p.PID <= 0 {
			t.Errorf("%q: %+v", b, p)
		}
	})
}
