package diagnose

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A row that does not take its own samples is no row.
func TestSignSamples(t *testing.T) {
	for _, r := range signTable().rows {
		for _, sm := range r.samples {
			for _, prefix := range []string{"", "x", "[12", "[123"} { // the four places of the grid
				var s signs
				s.add(7, []byte(prefix+" "+sm.text))
				got := s.found()
				if len(got) != 1 {
					t.Errorf("signs.txt:%d: %s finds %d signs", sm.line, r.id, len(got))
					break
				}
				f := got[0]
				if f.ID != r.id || f.Suspect != sm.suspect || f.First != 7 || f.Count != 1 || strings.ContainsAny(f.What, "{}") {
					t.Errorf("signs.txt:%d: %s is %s, suspect %q, want %q: %s", sm.line, r.id, f.ID, f.Suspect, sm.suspect, f.What)
					break
				}
			}
		}
	}
}

// ordinary is what a machine prints when it boots.
var ordinary = []string{
	"Linux version 6.12.0 (gcc (Debian 14.2.0-8) 14.2.0, GNU ld 2.43.1) #1 SMP PREEMPT_DYNAMIC",
	"BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable",
	"ACPI: PM-Timer IO Port: 0x608",
	"PCI: Using configuration type 1 for base access",
	"pci 0000:00:01.1: BAR 4 [io  0xc040-0xc04f]",
	"NET: Registered PF_INET6 protocol family",
	"ata1: SATA max UDMA/133 abar m4096@0xfebf1000 port 0xfebf1100 irq 24",
	"ata3: SATA link down (SStatus 0 SControl 300)",
	"EXT4-fs (vda1): mounted filesystem 3b2a-11 r/w with ordered data mode. Quota mode: none.",
	"systemd[1]: Started systemd-udevd.service - Rule-based Manager for Device Events and Files.",
	"usb 1-1: New USB device found, idVendor=0627, idProduct=0001, bcdDevice= 0.00",
	"input: QEMU QEMU USB Tablet as /devices/pci0000:00/0000:00:01.2/usb1/1-1/1-1:1.0/input/input4",
	" ? __pfx_autoremove_wake_function+0x10/0x10",
	" [<ffffffff810a1234>] io_schedule_timeout+0xa4/0x130",
	"e1000: eth0 NIC Link is Up 1000 Mbps Full Duplex, Flow Control: RX",
	"task:kworker/0:1     state:I stack:0     pid:10    tgid:10    ppid:2      flags:0x00004000",
	"nvme nvme0: 4/0/0 default/read/poll queues",
	"XFS (dm-0): Mounting V5 Filesystem 1234-5678",
	"XFS (dm-0): Ending clean mount",
	"md/raid1:md0: active with 2 out of 2 mirrors",
	"Freezing user space processes completed (elapsed 0.001 seconds)",
	"ACPI: Interpreter enabled",
	"random: crng init done",
	"watchdog: Delayed init of the lockup detector failed: -19",
	"SysRq : Show Blocked State",
	"scsi 0:0:0:0: Power-on or device reset occurred",
	"RAS: Correctable Errors collector initialized.",
}

func TestOrdinaryLinesAreNoSigns(t *testing.T) {
	var s signs
	for i, l := range ordinary {
		s.add(int64(i+1), []byte(l))
	}
	for _, f := range s.found() {
		t.Errorf("%q is %s", f.Text, f.ID)
	}
}

// A storm of lines must not take memory for each, nor lose its count.
func TestSignsAreBounded(t *testing.T) {
	var s signs
	const n = 10 * maxSuspects
	for i := range n {
		s.add(int64(i+1), fmt.Appendf(nil, "blk_update_request: I/O error, dev sd%d, sector 0", i))
	}
	got, sum := s.found(), int64(0)
	for _, f := range got {
		sum += f.Count
	}
	if len(got) > maxSuspects+1 || sum != n {
		t.Errorf("%d signs with %d lines, want %d at most, and %d", len(got), sum, maxSuspects+1, n)
	}
	if last := got[len(got)-1]; last.Suspect != "disk" || strings.Contains(last.What, "{") {
		t.Errorf("the nameless one is %q: %s", last.Suspect, last.What)
	}
}

func TestSignsCount(t *testing.T) {
	var s signs
	s.add(3, []byte("nfs: server a not responding, still trying"))
	s.add(5, []byte("nfs: server b not responding, still trying"))
	s.add(9, []byte("nfs: server a not responding, still trying"))
	s.add(11, []byte("nfs: server a OK"))
	var got []string
	for _, f := range s.found() {
		got = append(got, fmt.Sprintf("%s %s %d×%d-%d", f.ID, f.Suspect, f.Count, f.First, f.Last))
	}
	want := "[nfs-not-responding NFS server a 2×3-9 nfs-not-responding NFS server b 1×5-5 nfs-ok NFS server a 1×11-11]"
	if fmt.Sprint(got) != want {
		t.Errorf("got  %v\nwant %s", got, want)
	}
}

func TestSignTableErrors(t *testing.T) {
	const good = "id: a\nwhat: w\nseverity: info\nnext: n\nmatch: something {dev}\nsample: something x\n"
	if _, err := readSigns("f", good); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ change, to, want string }{
		{"severity: info", "severity: bad", `f:3: no severity "bad"`},
		{"match: something {dev}", "match: s {dev} x", "f:5: match \"s {dev} x\": want a piece of 7 characters"},
		{"id: a", "id: A b", `f:1: id "A b"`},
		{"id: a\nwhat: w", "what: w\nid: a", "f:1: a row begins with id"},
		{"next: n", "nxt: n", `f:4: no key "nxt"`},
		{"next: n\n", "", `f:1: row "a": what, severity and next`},
		{"sample: something x\n", "", `f:1: row "a" needs a match and a sample`},
		{"what: w", "what", "f:2: no colon"},
		{"sample: something x\n", "sample: x\n\n" + good, "f:8: \"a\" stands in line 1 already"},
		{"id: a", " id: a", "f:1: a line that goes on"},
	} {
		_, err := readSigns("f", strings.Replace(good, test.change, test.to, 1))
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%q: %v, want %s", test.to, err, test.want)
		}
	}
}

// The prefilter must lose nothing that the patterns alone would find.
func FuzzSigns(f *testing.F) {
	t := signTable()
	for _, r := range t.rows {
		for _, sm := range r.samples {
			f.Add([]byte("[1.2] " + sm.text))
		}
	}
	for _, l := range ordinary {
		f.Add([]byte(l))
	}
	f.Fuzz(func(tt *testing.T, text []byte) {
		if len(text) > maxLine || bytes.ContainsAny(text, "\n") {
			return
		}
		want := -1
		for _, p := range t.patterns {
			if p.re.Match(text) && !t.rows[p.row].refused(text) {
				want = p.row
				break
			}
		}
		if got, _ := t.match(text); got != want {
			tt.Errorf("%q: row %d, want %d", text, got, want)
		}
	})
}

// What the public logs show: go test -v -run SignsOf.
func TestSignsOfPublicLogs(t *testing.T) {
	for _, file := range publicLogs(t) {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var s signs
		n := int64(0)
		for line := range bytes.Lines(b) {
			n++
			s.add(n, bytes.TrimRight(line, "\r\n"))
		}
		for _, f := range s.found() {
			t.Logf("%.3s %-8s %-20s %d× %s: %.120s", filepath.Base(file), f.Severity, f.ID, f.Count, f.Suspect, f.Text)
		}
	}
}

// Reading is how long it takes to look at each byte once.
func BenchmarkSigns(b *testing.B) {
	b.Run("reading", func(b *testing.B) {
		text := []byte(strings.Join(ordinary, "\n"))
		b.SetBytes(int64(len(text)))
		n := 0
		for b.Loop() {
			for _, c := range text {
				n += int(c & 1)
			}
		}
	})
	for _, bench := range []struct {
		name  string
		lines []string
	}{
		{"ordinary", ordinary},
		{"signs", []string{
			"blk_update_request: I/O error, dev sdb, sector 12345 op 0x1:(WRITE) flags 0x0 phys_seg 1",
			"nfs: server 10.1.2.3 not responding, still trying",
		}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			lines := make([][]byte, len(bench.lines))
			size := 0
			for i, l := range bench.lines {
				lines[i] = []byte(l)
				size += len(l) + 1
			}
			var s signs
			signTable()
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				for i, l := range lines {
					s.add(int64(i), l)
				}
			}
		})
	}
}
