package redact

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/sysrq/sysrq/diagnose"
	"github.com/sysrq/sysrq/dump"
)

func redacted(t interface{ Fatal(...any) }, r *Redactor, log string) string {
	if err := r.Learn(strings.NewReader(log)); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r.Reader(strings.NewReader(log)))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const sample = `Nov 25 01:02:03 db7.example.com kernel: [    0.000000] Linux version 6.12.95+deb13-amd64 (debian-kernel@lists.debian.org) #1 SMP
Nov 25 01:02:03 db7.example.com kernel: [    0.000000] Command line: BOOT_IMAGE=/boot/vmlinuz-6.12.95 root=UUID=8b5e1f0a-1111-2222-3333-444455556666 ro hostname=db7
Nov 25 01:02:03 db7.example.com kernel: [    0.000000] DMI: Example Corp Server 9/0XKCD7, BIOS 2.1 04/01/2024
Nov 25 01:02:04 db7.example.com sshd[812]: Accepted password for alice from 203.0.113.77 port 22 ssh2
Nov 25 01:02:04 db7.example.com kernel: [    1.500000] eth0: 52:54:00:12:34:56 up, 2001:db8::17/64 and 192.0.2.15
Nov 25 01:02:04 db7.example.com kernel: [    1.600000] usb 1-1: SerialNumber: 4C530001230614112345
Nov 25 01:02:05 db7.example.com kernel: [    9.000000] nfs: server filer3 not responding, still trying
Nov 25 01:02:05 db7.example.com kernel: [   10.000000] sysrq: Show Blocked State
Nov 25 01:02:05 db7.example.com kernel: [   10.000001] task:payrolld        state:D stack:0     pid:777   tgid:777   ppid:1      flags:0x00000002
Nov 25 01:02:05 db7.example.com kernel: [   10.000002] Call Trace:
Nov 25 01:02:05 db7.example.com kernel: [   10.000003]  <TASK>
Nov 25 01:02:05 db7.example.com kernel: [   10.000004]  __schedule+0x10/0x20
Nov 25 01:02:05 db7.example.com kernel: [   10.000005]  mount_bdev+0x10/0x20
Nov 25 01:02:05 db7.example.com kernel: [   10.000006]  </TASK>
Nov 25 01:02:05 db7.example.com kernel: [   10.000007] task:mount           state:D stack:0     pid:778   tgid:778   ppid:1      flags:0x00000002
Nov 25 01:02:05 db7.example.com kernel: [   10.000008] Call Trace:
Nov 25 01:02:05 db7.example.com kernel: [   10.000009]  schedule+0x10/0x20
Nov 25 01:02:05 db7.example.com kernel: [   10.000010] task:jbd2/sda1-8     state:D stack:0     pid:300   tgid:300   ppid:2      flags:0x00004000
Nov 25 01:02:05 db7.example.com kernel: [   10.000011]  schedule+0x10/0x20
Nov 25 01:02:05 db7.example.com kernel: [   10.000012] task:odd-thread      state:D stack:0     pid:301   tgid:301   ppid:2      flags:0x00004000
Nov 25 01:02:05 db7.example.com kernel: [   10.000013]  schedule+0x10/0x20
Nov 25 01:02:05 db7.example.com kernel: [   10.500000] INFO: task kworker/3:1:99 blocked for more than 120 seconds.
Nov 25 01:02:05 db7.example.com kernel: [   10.500001] 2 locks held by kworker/u8:2/77:
Nov 25 01:02:06 db7.example.com kernel: [   11.000000] INFO: task payrolld:777 blocked for more than 120 seconds.
Nov 25 01:02:06 db7.example.com kernel: [   11.000001] "echo 0 > /proc/sys/kernel/hung_task_timeout_secs" disables this message.
Nov 25 01:02:06 db7.example.com kernel: [   11.000002] EXT4-fs (dm-3): error on /home/alice/secret-plans/takeover.txt, see /srv/acme/x:
Nov 25 01:02:06 db7.example.com kernel: [   11.000003] WARNING: CPU: 1 PID: 777 at /build/linux-acme/fs/ext4/inode.c:123 ext4_foo+0x10/0x20
Nov 25 01:02:07 db7.example.com kernel: [   12.000000] oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/user.slice/user-1000.slice/acme-app.scope,task=payrolld,pid=777,uid=1000
Nov 25 01:02:07 db7.example.com kernel: [   12.000001] Out of memory: Killed process 777 (payrolld) total-vm:841328kB, anon-rss:360844kB, file-rss:0kB, shmem-rss:0kB, UID:1000 pgtables:1kB oom_score_adj:0
`

func TestSample(t *testing.T) {
	out := redacted(t, New(), sample)
	for _, secret := range []string{
		"db7", "example.com", "alice", "203.0.113.77", "52:54:00", "2001:db8", "192.0.2.15", "4C530001230614112345", "filer3", "payrolld",
		"8b5e1f0a", "secret-plans", "takeover", "acme", "0XKCD7", "Accepted password", "task:mount", "sshd",
	} {
		if strings.Contains(out, secret) {
			t.Errorf("%q is still there:\n%s", secret, out)
		}
	}
	for _, kept := range []string{
		"jbd2/sda1-8 ", "task kworker/3:1:99 ", "by kworker/u8:2/77:", "odd-thread ", "mount_bdev+0x10", "(dm-3)", "/proc/sys/kernel/hung_task_timeout_secs", "fs/ext4/inode.c:123", "6.12.95+deb13-amd64",
		"Example Corp Server 9/", "BIOS 2.1 04/01/2024", "not responding, still trying", "CONSTRAINT_NONE", "/user.slice/", "Nov 25 01:02:06 ", "/home/user-",
	} {
		if !strings.Contains(out, kept) {
			t.Errorf("%q is gone:\n%s", kept, out)
		}
	}
	if a, b := strings.Count(sample, "\n"), strings.Count(out, "\n"); a != b {
		t.Errorf("%d lines became %d", a, b)
	}
	// The same task has the same pseudonym everywhere.
	_, rest, _ := strings.Cut(out, "INFO: task task")
	name, _, _ := strings.Cut("task"+rest, ":")
	if !strings.HasPrefix(name, "task-") || strings.Count(out, name) != 4 {
		t.Errorf("%q stands %d times, and payrolld stood 4 times", name, strings.Count(out, name))
	}
	if other := redacted(t, New(), sample); strings.Contains(other, name) {
		t.Error("another run has the same pseudonyms: the key is not of this run")
	}
}

// What was redacted can be redacted, and the result is that of the first time.
func TestText(t *testing.T) {
	r := New()
	_ = redacted(t, r, sample)
	for in, want := range map[string]string{
		"":                        "",
		"payrolld.log":            r.words["payrolld"] + ".log",
		"payrolld.part.0+0x1/0x2": "payrolld.part.0+0x1/0x2",
		"host db7 ok":             "host " + r.words["db7"] + " ok",
		"fe80::1":                 r.name("addr", "fe80::1"),
		"127.0.0.1 and ::1":       "127.0.0.1 and " + r.name("addr", "::1"),
		"12:34:56":                "12:34:56",
		"0000:00:1f.2":            "0000:00:1f.2",
		"</TASK>":                 "</TASK>",
		"user@1000.service":       "user@1000.service",
		"kworker/0:1+ext4":        "kworker/0:1+ext4",
		"payrolld+0x10/0x20":      "payrolld+0x10/0x20", // a function
		"/dev/sda1 /dev/vgx/lvy":  "/dev/sda1 /dev/" + r.name("name", "vgx") + "/" + r.name("name", "lvy"),
	} {
		if got := r.Text(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestProgramsLines(t *testing.T) {
	log := "[    4.310926] systemd[1]: Started secret-unit for carol.\n4,7,5,-;daemon[22]: secret words\n[    5.000000] a.out[23]: segfault at 0 ip 0000 sp 0000 error 4 in a.out[400000+1000]\n"
	out := redacted(t, New(), log)
	for _, secret := range []string{"secret", "carol", "systemd", "daemon[", "a.out["} {
		if strings.Contains(out, secret) {
			t.Errorf("%q is still there:\n%s", secret, out)
		}
	}
	if !strings.Contains(out, "segfault at 0") || !strings.HasPrefix(out, "[    4.310926] task-") {
		t.Errorf("got\n%s", out)
	}
}

// A log of several machines has several names to take out.
func TestHostsAlikeAreAllFound(t *testing.T) {
	log := ""
	for _, h := range []string{"db", "db7", "b7", "db77", "xdb"} {
		log += "Nov 25 01:02:03 " + h + " kernel: [    1.000000] sysrq: Show State\n"
	}
	out := redacted(t, New(), log)
	if strings.Contains(out, "db") || strings.Contains(out, "b7 ") {
		t.Errorf("got\n%s", out)
	}
}

func TestJournals(t *testing.T) {
	log := `{"MESSAGE":"sysrq: Show State","_HOSTNAME":"db7","_MACHINE_ID":"0123456789abcdef0123456789abcdef","PRIORITY":"6","_TRANSPORT":"kernel","SYSLOG_IDENTIFIER":"kernel"}
{"MESSAGE":"secret words","_HOSTNAME":"db7","_CMDLINE":"/usr/bin/topsecret --now","_TRANSPORT":"syslog","SYSLOG_IDENTIFIER":"topsecret"}
{"MESSAGE":"db7 is up","_HOSTNAME":"db7","_TRANSPORT":"kernel"}
`
	out := redacted(t, New(), log)
	for _, secret := range []string{"_HOSTNAME", "0123456789abcdef", "secret"} {
		if strings.Contains(out, secret) {
			t.Errorf("%q is still there:\n%s", secret, out)
		}
	}
	if !strings.Contains(out, "Show State") || strings.Count(out, "\n") != 3 {
		t.Errorf("got\n%s", out)
	}
	export := "__CURSOR=s=abc;i=1\n__REALTIME_TIMESTAMP=1732500000000000\n_HOSTNAME=db7\nMESSAGE=task:payrolld state:D\n_CMDLINE=topsecret\n\n"
	out = redacted(t, New(), export)
	for _, secret := range []string{"db7", "payrolld", "topsecret", "abc"} {
		if strings.Contains(out, secret) {
			t.Errorf("%q is still there:\n%s", secret, out)
		}
	}
}

// TestNoSecretIsLeft puts random names everywhere where a log has names.
func TestNoSecretIsLeft(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`q[a-z]{4,9}z[0-9]?`)
		var secrets []string
		secret := func(name string, g *rapid.Generator[string]) string {
			s := g.Draw(t, name)
			secrets = append(secrets, s)
			return s
		}
		octet := rapid.IntRange(11, 250)
		hexes := func(n int) *rapid.Generator[string] {
			return rapid.StringMatching(fmt.Sprintf(`[a-f][0-9a-f]{%d}`, n-1))
		}
		host, user, comm, other := secret("host", word), secret("user", word), secret("comm", word), secret("other", word)
		short := rapid.StringMatching(`[qxz][qxz]`).Draw(t, "short")
		dir, file := secret("dir", word), secret("file", word)
		ip := fmt.Sprintf("%d.%d.%d.%d", octet.Draw(t, "a"), octet.Draw(t, "b"), octet.Draw(t, "c"), octet.Draw(t, "d"))
		ip6 := "2001:db8:" + hexes(4).Draw(t, "h") + "::" + hexes(3).Draw(t, "i")
		mac := fmt.Sprintf("52:54:%s:%s:%s:%s", hexes(2).Draw(t, "j"), hexes(2).Draw(t, "k"), hexes(2).Draw(t, "l"), hexes(2).Draw(t, "m"))
		uuid := fmt.Sprintf("%s-%s-%s-%s-%s", hexes(8).Draw(t, "n"), hexes(4).Draw(t, "o"), hexes(4).Draw(t, "p"), hexes(4).Draw(t, "q"), hexes(12).Draw(t, "r"))
		secrets = append(secrets, ip, ip6, mac, uuid)
		lines := []string{
			"task:" + fmt.Sprintf("%-15s", comm) + " state:D stack:0     pid:777   tgid:777   ppid:1      flags:0x00000002",
			"Call Trace:", " schedule+0x1/0x2",
			fmt.Sprintf("%-15s D    0   910      1 0x80004000", other), "Call Trace:", " schedule+0x1/0x2",
			"INFO: task " + other + ":910 blocked for more than 120 seconds.",
			"watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [" + comm + ":777]",
			"CPU: 1 PID: 777 Comm: " + comm + " Not tainted 6.1.0 #1",
			"Out of memory: Killed process 777 (" + comm + ") total-vm:1kB, anon-rss:1kB, file-rss:0kB, shmem-rss:0kB, UID:1000",
			"2 locks held by " + other + "/910:", " #0: ffff888 (&sb->s_type){+.+.}-{3:3}, at: lock_it+0x1/0x2",
			other + " invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
			"EXT4-fs (sda1): mounted filesystem " + uuid + " on /" + dir + "/" + file + ".",
			"nfs: server " + ip + " not responding, still trying", "eth0: " + mac + " has " + ip6, "opened /home/" + user + "/" + file,
			"audit: user=" + user + " exe=\"/opt/" + dir + "/" + file + "\" comm=\"" + comm + "\"",
			"task:" + short + "              state:S stack:0     pid:5   tgid:5   ppid:1      flags:0x00000002", "words of " + host + " and " + comm + ".",
		}
		perm := rapid.Permutation(lines).Draw(t, "order")
		if rapid.Bool().Draw(t, "in order") {
			perm = lines
		}
		form := rapid.SampledFrom([]string{"Nov 25 01:02:03 %s kernel: [   10.000001] %s", "2026-11-25T01:02:03.123456+00:00 %s kernel: [   10.000001] %s", "[   10.000001] %[2]s"}).Draw(t, "form")
		if strings.HasPrefix(form, "[") {
			perm = append(slices.Clone(perm), "systemd[1]: Hostname set to <"+host+">.")
		}
		var b strings.Builder
		for _, l := range perm {
			fmt.Fprintf(&b, form+"\n", host, l)
		}
		r := New()
		if err := r.Learn(iotest.OneByteReader(strings.NewReader(b.String()))); err != nil {
			t.Fatal(err)
		}
		out, err := io.ReadAll(r.Reader(iotest.HalfReader(strings.NewReader(b.String()))))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range secrets {
			if i := strings.Index(strings.ToLower(string(out)), strings.ToLower(s)); i >= 0 {
				t.Fatalf("%q is still there: …%s…", s, out[max(i-80, 0):min(i+80, len(out))])
			}
		}
		if strings.Contains(string(out), "task:"+short+" ") {
			t.Fatalf("%q is still there", short)
		}
		if bytes.Count(out, []byte("\n")) != len(perm) {
			t.Fatalf("%d lines of %d", bytes.Count(out, []byte("\n")), len(perm))
		}
	})
}

// shape is what must not change: which blocks stand where, and what was found.
func shape(t *testing.T, log string) (list []string) {
	p := dump.NewParser(strings.NewReader(log))
	var a diagnose.Analyzer
	for p.Scan() {
		b := p.Block()
		a.Add(b)
		s := fmt.Sprintf("%s %d–%d", b.Kind, b.First, b.Last)
		if task, ok := b.Body.(*dump.Task); ok {
			s += fmt.Sprintf(" %d %s %d frames", task.PID, task.State, len(task.Stack))
		}
		list = append(list, s)
	}
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	r := a.Report()
	for _, f := range r.Findings {
		list = append(list, fmt.Sprintf("finding %s %s %s %v", f.ID, f.Severity, f.Confidence, f.Lines))
	}
	for _, b := range r.Blocked {
		list = append(list, fmt.Sprintf("blocked %d %s", b.PID, b.Wait))
	}
	return list
}

// TestMeaningStays reads logs before and after, where there are logs: our own
// corpus, and whatever SYSRQ_CORPUS names.
func TestMeaningStays(t *testing.T) {
	var files []string
	for _, pattern := range []string{"../diagnose/testdata/corpus/*.txt", filepath.Join(os.Getenv("SYSRQ_CORPUS"), "*.log"), filepath.Join(os.Getenv("SYSRQ_CORPUS"), "*.txt")} {
		list, _ := filepath.Glob(pattern)
		files = append(files, list...)
	}
	read, differ := 0, 0
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		read++
		log := string(b)
		r, again := New(), New()
		out := redacted(t, r, log)
		_ = redacted(t, again, out)
		for _, known := range []map[string]string{r.words, r.tricky, r.paths} {
			for w := range known {
				if again.words[w]+again.tricky[w]+again.paths[w] != "" {
					t.Errorf("%s: %q is still a name in it", filepath.Base(f), w)
				}
			}
		}
		before, after := shape(t, log), shape(t, out)
		if !slices.Equal(before, after) {
			differ++
			for i := range before {
				if i >= len(after) || before[i] != after[i] {
					got := "nothing"
					if i < len(after) {
						got = after[i]
					}
					t.Logf("%s: %s became %s", filepath.Base(f), before[i], got)
					break
				}
			}
		}
	}
	if read == 0 {
		t.Fatal("no logs here")
	}
	t.Logf("%d logs, %d read otherwise after redaction", read, differ)
	if differ > 0 {
		t.Errorf("%d of %d logs are read otherwise", differ, read)
	}
}

func BenchmarkReader(b *testing.B) {
	log := strings.Repeat(sample, 200)
	r := New()
	_ = redacted(b, r, log)
	b.SetBytes(int64(len(log)))
	for b.Loop() {
		_, _ = io.Copy(io.Discard, r.Reader(strings.NewReader(log)))
	}
}

// FuzzReader: any bytes come out with as many lines, and what was redacted once
// is redacted.
func FuzzReader(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte("{\"MESSAGE\":[1,2],\"_TRANSPORT\":\"kernel\"}\n__CURSOR=x\nA=b\n"))
	f.Add([]byte("a\r\nb\x00\xff\n[ 1.0] x[1]: y\n/:/.//\nuser=:: @ \\\\ ::1:"))
	f.Fuzz(func(t *testing.T, log []byte) {
		out := redacted(t, New(), string(log))
		if a, b := bytes.Count(log, []byte("\n")), strings.Count(out, "\n"); a != b {
			t.Fatalf("%d lines became %d", a, b)
		}
	})
}
