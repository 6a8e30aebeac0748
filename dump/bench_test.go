package dump_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/sysrq/sysrq/dump"
	"github.com/sysrq/sysrq/kmsg"
)

// ordinary is the usual talk of a kernel, on a console with times.
func ordinary(w *bytes.Buffer, n int) {
	for i := range n {
		us := i * 1371
		fmt.Fprintf(w, "[%5d.%06d] ", 10+us/1e6, us%1e6)
		switch i % 8 {
		case 0:
			fmt.Fprintf(w, "usb 1-%d: new high-speed USB device number %d using xhci_hcd\n", i%9, i%100)
		case 1:
			fmt.Fprintf(w, "EXT4-fs (sda%d): mounted filesystem with ordered data mode. Quota mode: none.\n", i%5)
		case 2:
			fmt.Fprintf(w, "audit: type=1400 audit(1700000000.%03d:%d): apparmor=\"STATUS\" operation=\"profile_load\" name=\"snap.x\" pid=%d comm=\"apparmor_parser\"\n", i%1000, i, i%30000)
		case 3:
			fmt.Fprintf(w, "e1000e 0000:00:1f.6 eno1: NIC Link is Up 1000 Mbps Full Duplex, Flow Control: Rx/Tx\n")
		case 4:
			fmt.Fprintf(w, "IPv6: ADDRCONF(NETDEV_CHANGE): veth%06x: link becomes ready\n", i)
		case 5:
			fmt.Fprintf(w, "docker0: port %d(veth%06x) entered blocking state\n", i%64, i)
		case 6:
			fmt.Fprintf(w, "nvme nvme0: I/O %d QID %d timeout, aborting\n", i%1024, i%16)
		case 7:
			fmt.Fprintf(w, "perf: interrupt took too long (%d > %d), lowering kernel.perf_event_max_sample_rate to %d\n", 2500+i%99, 2500, 79000)
		}
	}
}

var benchFrames = []string{
	"__schedule+0x3f8/0xb50", "schedule+0x5e/0xd0", "schedule_timeout+0x14c/0x160", "? __pfx_process_timeout+0x10/0x10", "io_schedule+0x46/0x70",
	"folio_wait_bit_common+0x13d/0x350", "jbd2_journal_commit_transaction+0x2f1/0x1bb0 [jbd2]", "? finish_task_switch.isra.0+0x94/0x310",
	"kjournald2+0xa9/0x280 [jbd2]", "? __pfx_autoremove_wake_function+0x10/0x10", "? __pfx_kjournald2+0x10/0x10 [jbd2]", "kthread+0xd2/0x100",
	"? __pfx_kthread+0x10/0x10", "ret_from_fork+0x34/0x50", "? __pfx_kthread+0x10/0x10", "ret_from_fork_asm+0x1a/0x30",
}

// tasks is n tasks of t or w, with lines that begin as prefix says.
func tasks(w *bytes.Buffer, n int, state string, prefix func(w *bytes.Buffer)) {
	for i := range n {
		prefix(w)
		fmt.Fprintf(w, "task:%-15.15s state:%s stack:%-5d pid:%-5d tgid:%-5d ppid:%-6d task_flags:0x208040 flags:0x%08x\n", fmt.Sprintf("kworker/%d:%d", i%64, i%7), state, 0, i+1, i+1, 2, 0x4000)
		prefix(w)
		w.WriteString("Call Trace:\n")
		prefix(w)
		w.WriteString(" <TASK>\n")
		for _, f := range benchFrames {
			prefix(w)
			w.WriteString(" " + f + "\n")
		}
		prefix(w)
		w.WriteString(" </TASK>\n")
	}
}

func console() func(w *bytes.Buffer) {
	us := 0
	return func(w *bytes.Buffer) {
		us += 13
		fmt.Fprintf(w, "[%5d.%06d] ", 5000+us/1e6, us%1e6)
	}
}

func syslogLines() func(w *bytes.Buffer) {
	us := 0
	return func(w *bytes.Buffer) {
		us += 13
		fmt.Fprintf(w, "Mar  3 10:%02d:%02d host kernel: [%5d.%06d] ", us/60e6%60, us/1e6%60, 5000+us/1e6, us%1e6)
	}
}

// mixedLog is ordinary lines with a few dumps among them.
func mixedLog(t testing.TB) []byte {
	var b bytes.Buffer
	for range 8 {
		ordinary(&b, 4000)
		b.WriteString("[  900.000000] sysrq: Show Blocked State\n")
		tasks(&b, 20, "D", func(w *bytes.Buffer) { w.WriteString("[  900.000001] ") })
		for _, text := range sections(t) {
			b.Write(text)
		}
	}
	return b.Bytes()
}

func BenchmarkParser(b *testing.B) {
	var pure, blocked, words bytes.Buffer
	tasks(&pure, 3000, "S", console())
	tasks(&blocked, 3000, "D", syslogLines())
	ordinary(&words, 50000)
	for _, bench := range []struct {
		name string
		text []byte
	}{
		{"mixed", mixedLog(b)},
		{"ordinary", words.Bytes()},
		{"t", pure.Bytes()},
		{"w-syslog", blocked.Bytes()},
	} {
		b.Run(bench.name, func(b *testing.B) { benchmark(b, bench.text, blocks) })
		b.Run(bench.name+"/log-alone", func(b *testing.B) { benchmark(b, bench.text, records) })
	}
	b.Run("sections", func(b *testing.B) {
		var all []byte
		for _, text := range sections(b) {
			all = append(all, text...)
		}
		benchmark(b, bytes.Repeat(all, 20), blocks)
	})
	if file := os.Getenv("SYSRQ_BENCH"); file != "" { // a log of one's own
		b.Run("file", func(b *testing.B) {
			text, err := os.ReadFile(file)
			if err != nil {
				b.Fatal(err)
			}
			benchmark(b, text, blocks)
		})
	}
}

func blocks(text []byte) error {
	p := dump.NewParser(bytes.NewReader(text))
	for p.Scan() {
	}
	return p.Err()
}

// records is what a Parser stands on, for comparison in the same run.
func records(text []byte) error {
	log := kmsg.NewLog(bytes.NewReader(text))
	for log.Scan() {
	}
	return log.Err()
}

func benchmark(b *testing.B, text []byte, read func([]byte) error) {
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	from, rounds := cpuTime(), 0
	for b.Loop() {
		rounds++
		if err := read(text); err != nil {
			b.Fatal(err)
		}
	}
	if used := cpuTime() - from; used > 0 {
		b.ReportMetric(float64(rounds*len(text))/1e6/used.Seconds(), "MB/cpu-s")
	}
}

// again gives the same text n times.
type again struct {
	text []byte
	at   int
	n    int
}

func (a *again) Read(b []byte) (int, error) {
	if a.at == len(a.text) {
		if a.n--; a.n <= 0 {
			return 0, io.EOF
		}
		a.at = 0
	}
	k := copy(b, a.text[a.at:])
	a.at += k
	return k, nil
}

// TestParserDoesNotAllocate reads dumps that it has read before: in the steady
// state a record costs no allocation. A trace is left out, whose text is kept.
func TestParserDoesNotAllocate(t *testing.T) {
	var b bytes.Buffer
	ordinary(&b, 500)
	b.WriteString("[  900.000000] sysrq: Show Blocked State\n")
	tasks(&b, 50, "D", func(w *bytes.Buffer) { w.WriteString("[  900.000001] ") })
	for _, text := range sections(t) {
		if !bytes.Contains(text, []byte("Dumping ftrace")) {
			b.Write(text)
		}
	}
	lines := bytes.Count(b.Bytes(), []byte("\n"))
	const rounds = 60
	p := dump.NewParser(&again{text: b.Bytes(), n: rounds})
	blocks := 0
	round := func() {
		for end := p.Counts().Lines + int64(lines); p.Counts().Lines < end && p.Scan(); {
			blocks++
		}
	}
	for range 20 {
		round()
	}
	got := testing.AllocsPerRun(20, round)
	if blocks == 0 || p.Err() != nil {
		t.Fatal(blocks, p.Err())
	}
	if perLine := got / float64(lines); perLine > 0.001 {
		t.Errorf("%.0f allocations for %d lines: %.3f a line", got, lines, perLine)
	}
}
