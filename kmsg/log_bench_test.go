package kmsg

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// benchLogs are the records of a real kernel in the forms that logs are kept in.
var benchLogs = []struct {
	name string
	line func(b []byte, r *Record) []byte
}{
	{"plain", func(b []byte, r *Record) []byte { return append(appendConsole(b, r), '\n') }},
	{"serial", func(b []byte, r *Record) []byte { return append(appendConsole(b, r), "\r\n"...) }},
	{"caller", func(b []byte, r *Record) []byte {
		c := *r
		c.Caller = Caller{'T', 123}
		return append(appendConsole(b, &c), '\n')
	}},
	{"raw", func(b []byte, r *Record) []byte { return append(appendConsole(append(b, "<6>"...), r), '\n') }},
	{"dmesg-T", func(b []byte, r *Record) []byte {
		return fmt.Appendf(b, "[Mon Nov 23 21:51:%02d 2026] %s\n", int(r.Time.Seconds())%60, r.Text)
	}},
	{"dmesg-x", func(b []byte, r *Record) []byte {
		return append(appendConsole(append(b, "kern  :warn  : "...), r), '\n')
	}},
	{"syslog", func(b []byte, r *Record) []byte {
		b = fmt.Appendf(b, "Nov 23 21:51:%02d machine kernel: ", int(r.Time.Seconds())%60)
		return append(appendConsole(b, r), '\n')
	}},
	{"syslog-iso", func(b []byte, r *Record) []byte {
		b = fmt.Appendf(b, "2026-11-23T21:51:%09.6f+01:00 machine kernel: ", float64(r.Time.Microseconds()%60e6)/1e6)
		return append(appendConsole(b, r), '\n')
	}},
	{"journal", func(b []byte, r *Record) []byte {
		return fmt.Appendf(b, "Nov 23 21:51:%02d machine kernel: %s\n", int(r.Time.Seconds())%60, r.Text)
	}},
	{"monotonic", func(b []byte, r *Record) []byte {
		c := *r
		c.Text = append([]byte("machine kernel: "), r.Text...)
		return append(appendConsole(b, &c), '\n')
	}},
	{"no-stamps", func(b []byte, r *Record) []byte { return append(append(b, r.Text...), '\n') }},
	{"quoted", func(b []byte, r *Record) []byte { return append(appendConsole(append(b, "> "...), r), '\n') }},
	{"kmsg", func(b []byte, r *Record) []byte {
		c := *r
		c.Level = 6
		return appendKmsg(b, &c)
	}},
	{"export", func(b []byte, r *Record) []byte {
		return fmt.Appendf(b, "__CURSOR=s=1;i=%d\n__MONOTONIC_TIMESTAMP=1\n_TRANSPORT=kernel\nPRIORITY=6\nSYSLOG_IDENTIFIER=kernel\nMESSAGE=%s\n_SOURCE_MONOTONIC_TIMESTAMP=%d\n\n", r.Seq, r.Text, r.Time.Microseconds())
	}},
	{"json", func(b []byte, r *Record) []byte {
		return fmt.Appendf(b, "{\"__CURSOR\":\"s=1;i=%d\",\"_TRANSPORT\":\"kernel\",\"PRIORITY\":\"6\",\"MESSAGE\":%q,\"_SOURCE_MONOTONIC_TIMESTAMP\":\"%d\"}\n", r.Seq, r.Text, r.Time.Microseconds())
	}},
}

// benchText is at least a MiB of a form.
func benchText(b testing.TB, line func([]byte, *Record) []byte) []byte {
	var text []byte
	for _, kmsg := range kmsgLines(b, "testdata/debian-6.12.kmsg") {
		var r Record
		if err := Parse(kmsg, &r); err != nil {
			b.Fatal(err)
		}
		if r.Text = bytes.ReplaceAll(r.Text, newline, space); len(r.Text) == 0 {
			continue
		}
		r.Level, r.Facility = LevelUnknown, 0
		text = line(text, &r)
	}
	for len(text) < 1<<20 {
		text = append(text, text...)
	}
	return text
}

// BenchmarkLog has a Scanner beside it, which reads the same: what Log costs is
// the ratio.
func BenchmarkLog(b *testing.B) {
	type scanner interface {
		Scan() bool
		Record() *Record
	}
	run := func(b *testing.B, text []byte, scan func(io.Reader) scanner) {
		b.SetBytes(int64(len(text)))
		b.ReportAllocs()
		s := scan(&repeat{text: text, n: int64(b.N) * int64(len(text))})
		n := 0
		b.ResetTimer()
		for s.Scan() {
			n++
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/record")
	}
	for _, form := range benchLogs {
		text := benchText(b, form.line)
		b.Run(form.name, func(b *testing.B) {
			run(b, text, func(r io.Reader) scanner { return NewLog(r) })
		})
		if form.name == "plain" || form.name == "no-stamps" {
			b.Run(form.name+"-Scanner", func(b *testing.B) {
				run(b, text, func(r io.Reader) scanner { return NewScanner(r) })
			})
		}
	}
}

func TestLogDoesNotAllocate(t *testing.T) {
	for _, form := range benchLogs {
		l := NewLog(&repeat{text: benchText(t, form.line), n: 1 << 40})
		for range 30000 {
			l.Scan()
		}
		if n := testing.AllocsPerRun(5000, func() { l.Scan() }); n != 0 {
			t.Errorf("%s: %v allocations for each record", form.name, n)
		}
	}
}

func TestLogMemoryIsFlat(t *testing.T) {
	for name, text := range map[string]string{
		"long lines":   strings.Repeat("x", 3*maxLine) + "\n",
		"long string":  `{"x":"` + strings.Repeat(`y\n`, maxLine) + strings.Repeat("z", 3*maxLine) + "\"}\n",
		"long message": `{"MESSAGE":"` + strings.Repeat(`y\n`, maxLine) + "\"}\n",
		"long key":     `{"` + strings.Repeat(`y\n`, maxLine) + "\":1}\n",
		"open objects": "{\"a\":[1,\n" + strings.Repeat("1,2,{},[],\n", 30000),
		"export":       "__CURSOR=1\n" + strings.Repeat("A=b\n_KERNEL_DEVICE=x\n", 10000) + "MESSAGE=" + strings.Repeat("x", 3*maxLine) + "\n\n",
		"pairs":        "6,1,2,-;a\n" + strings.Repeat(" A=b\n", 30000),
		"fragments":    "6,1,2,-,ncfrag=0/9999;a\n" + strings.Repeat("6,1,2,-,ncfrag=1/65536;a\n", 100),
		"host names":   "Nov 05 12:00:00 " + strings.Repeat("h", maxWord) + " kernel: x\n",
	} {
		l := NewLog(&repeat{text: []byte(text), n: 3 << 20})
		var size int
		for l.Scan() {
			size = max(size, len(l.buf)+cap(l.text)+cap(l.dict)+cap(l.prefix)+cap(l.joined)+cap(l.fragment)+
				cap(l.decoded)+cap(l.message)+cap(l.pairs)+cap(l.envelope)+cap(l.head)+cap(l.host)+cap(l.mono))
		}
		if l.Err() != nil {
			t.Errorf("%s: %v", name, l.Err())
		}
		if size > 1<<20 {
			t.Errorf("%s: took %d bytes", name, size)
		}
	}
}

// Whatever form a log is kept in, the same records come out.
func TestLogReadsAllForms(t *testing.T) {
	var want []Record
	for _, kmsg := range kmsgLines(t, "testdata/debian-6.12.kmsg") {
		var r Record
		if err := Parse(kmsg, &r); err != nil {
			t.Fatal(err)
		}
		if r.Text = bytes.ReplaceAll(r.Text, newline, space); len(r.Text) > 0 {
			want = append(want, r.Clone())
		}
	}
	for _, form := range benchLogs {
		text := benchText(t, form.line)
		noTime := strings.Contains("dmesg-T journal no-stamps", form.name)
		for i, r := range logAll(t, bytes.NewReader(text)) {
			w := want[i%len(want)]
			if string(r.Text) != string(w.Text) || r.HasTime == noTime || r.HasTime && r.Time != w.Time || r.User || r.Torn || r.Kernel == (form.name == "no-stamps") {
				t.Fatalf("%s: record %d: got %+v %q, want %q", form.name, i, r, r.Text, w.Text)
			}
		}
		// Byte for byte, what stood in a line is in its record.
		if form.name == "kmsg" || form.name == "json" || form.name == "export" {
			continue
		}
		l := NewLog(bytes.NewReader(text))
		for line := range bytes.Lines(text) {
			if !l.Scan() {
				t.Fatalf("%s: the end came early", form.name)
			}
			if r := l.Record(); string(r.Prefix)+string(r.Text) != string(bytes.TrimRight(line, "\r\n")) {
				t.Fatalf("%s: %q and %q are not %q", form.name, r.Prefix, r.Text, line)
			}
		}
	}
}

// What a Reader of /dev/kmsg makes of records, a Log makes of a copy of them.
func TestLogOnCaptures(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.kmsg")
	if len(files) == 0 {
		t.Fatal("no captures")
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var want []Record
		var s script
		for _, line := range kmsgLines(t, name) {
			s = append(s, string(line))
		}
		for _, r := range readAll(t, NewReader(&s)) {
			if r.Lost == 0 {
				r.User = r.Facility != 0
				want = append(want, r)
			}
		}
		var got []Record
		for _, r := range logAll(t, bytes.NewReader(b)) {
			r.Prefix = nil
			got = append(got, r.Record)
		}
		if show(got) != show(want) || len(got) != len(want) {
			t.Errorf("%s: got other records:\n%s\nwant\n%s", name, show(got), show(want))
		}
	}
}

// TestLogOnCorpus reads logs that people have published, which are kept apart:
// SYSRQ_CORPUS names their folder, if it is not where it is usually.
func TestLogOnCorpus(t *testing.T) {
	dir := os.Getenv("SYSRQ_CORPUS")
	if dir == "" {
		dir = "../../shared/corpus"
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	if len(files) == 0 && os.Getenv("SYSRQ_CORPUS") != "" {
		t.Fatalf("no logs in %s", dir)
	}
	if len(files) == 0 {
		t.Skip("the public logs are not here: set SYSRQ_CORPUS to their folder")
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all := logAll(t, bytes.NewReader(b))
		checkLog(t, b, all)
		small := logAll(t, &repeat{text: b, n: int64(len(b)), atMost: 7})
		if !reflect.DeepEqual(all, small) {
			t.Errorf("%s: depends on the Reads", name)
		}
		// No kernel begins a text with a stamp, nor with the name that logs
		// give it.
		for _, r := range all {
			text := bytes.TrimLeft(r.Text, "> \t")
			if _, n := stamp(text); n > 0 || bytes.HasPrefix(text, kernelIs) || isKmsg(text) {
				t.Errorf("%s:%d: %q still has a mark", name, r.first, r.Text)
			}
		}
	}
}
