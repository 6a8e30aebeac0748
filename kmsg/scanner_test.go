package kmsg

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden files anew")

// scanAll returns the records of r.
func scanAll(t testing.TB, r io.Reader) []Record {
	t.Helper()
	s := NewScanner(r)
	var all []Record
	for s.Scan() {
		all = append(all, s.Record().Clone())
	}
	if err := s.Err(); err != nil {
		t.Fatalf("Err() = %v", err)
	}
	return all
}

func at6(usec int64) time.Duration { return time.Duration(usec) * time.Microsecond }

// user, kernel and gap make the records that most tests want.
func user(text string) Record {
	return Record{Level: LevelUnknown, Text: []byte(text)}
}

func kernel(usec int64, text string) Record {
	r := Record{Level: LevelUnknown, Kernel: true, HasTime: true, Time: at6(usec)}
	if text != "" {
		r.Text = []byte(text)
	}
	return r
}

func gap(n uint64) Record { return Record{Lost: n} }

func torn(r Record) Record { r.Torn = true; return r }

func by(kind byte, id uint32, r Record) Record { r.Caller = Caller{kind, id}; return r }

func level_(facility uint8, level int8, r Record) Record {
	r.Facility, r.Level, r.Kernel = facility, level, true
	return r
}

func date_(r Record) Record { r.Kernel = true; return r }

var scans = []struct {
	name string
	in   string
	want []Record
}{
	{"empty", "", nil},
	{"only line ends", "\r\n\n\r\r\n", nil},
	{"usual", "[    3.772366] sysrq: Show Memory\n", []Record{kernel(3772366, "sysrq: Show Memory")}},
	{"CR LF", "[    3.772366] a\r\n[    3.772367] b\r\n", []Record{kernel(3772366, "a"), kernel(3772367, "b")}},
	{"CR CR LF", "[    3.772366] a\r\r\nb\r\r\n", []Record{kernel(3772366, "a"), user("b")}},
	{"LF CR", "a\n\rb\n\r", []Record{user("a"), user("b")}},
	{"bare CR", "10%\r20%\r[    3.000001] a\r", []Record{user("10%"), user("20%"), kernel(3000001, "a")}},
	{"text keeps its indentation", "[    3.000001]  <TASK>\n\tx\n  y\n", []Record{kernel(3000001, " <TASK>"), user("\tx"), user("  y")}},
	{"no text", "[    3.000001] \n[    3.000002]\n", []Record{kernel(3000001, ""), kernel(3000002, "")}},
	{"long uptime", "[99999.999999] a\n[123456.000000] b\n[123456789.000001] c\n", []Record{
		kernel(99999999999, "a"), kernel(123456000000, "b"), kernel(123456789000001, "c"),
	}},
	{"too long an uptime is text", "[1234567890.000001] c\n", []Record{user("[1234567890.000001] c")}},
	{"spaces lost by a person", "[ 3.772366] a\n[3.772366] b\n", []Record{kernel(3772366, "a"), kernel(3772366, "b")}},
	{"task", "[    3.772366][  T123] a\n[    3.772366][T1234567] b\n", []Record{
		by('T', 123, kernel(3772366, "a")), by('T', 1234567, kernel(3772366, "b")),
	}},
	{"processor", "[    3.772366][    C0] a\n", []Record{by('C', 0, kernel(3772366, "a"))}},
	{"caller without a time", "[  T123] a\n", []Record{by('T', 123, date_(user("a")))}},
	{"no caller", "[    3.772366][  X123] a\n[    3.772366][T] a\n", []Record{
		user("[    3.772366][  X123] a"), user("[    3.772366][T] a"),
	}},
	{"level", "<6>[    3.772366] a\n<0>b\n", []Record{level_(0, 6, kernel(3772366, "a")), level_(0, 0, user("b"))}},
	{"facility", "<14>[    3.772366] a\n<2047>b\n", []Record{level_(1, 6, kernel(3772366, "a")), level_(255, 7, user("b"))}},
	{"level and caller", "<4>[    3.772366][   T1] a\n<4>[    3.772366][    T1] a\n", []Record{
		level_(0, 4, user("[    3.772366][   T1] a")), level_(0, 4, by('T', 1, kernel(3772366, "a"))),
	}},
	{"no level", "<html>\n<>\n<\n<2048>x\n<6\n<-1>\n", []Record{
		user("<html>"), user("<>"), user("<"), user("<2048>x"), user("<6"), user("<-1>"),
	}},
	{"no stamp", "[  OK  ] Started\n[1] 4711\n[ 12.5%] x\n[1.2345678] x\n[.123456] x\n[    1.123456]x\n[    1.12345x] x\n[\n", []Record{
		user("[  OK  ] Started"), user("[1] 4711"), user("[ 12.5%] x"), user("[1.2345678] x"), user("[.123456] x"),
		user("[    1.123456]x"), user("[    1.12345x] x"), user("["),
	}},
	{"dmesg -T", "[Mon Nov 23 21:51:00 2026] a\n[Sun Mar  1 00:00:00 2026] b\n[Mon Nov 23 21:51:00 x026] c\n", []Record{
		date_(user("a")), date_(user("b")), user("[Mon Nov 23 21:51:00 x026] c"),
	}},
	{"colours", "\x1b[0m\x1b[1;31m[    3.772366] a\n\x1b[32mok\x1b[0m\n", []Record{kernel(3772366, "a"), user("ok\x1b[0m")}},
	{"other sequences", "\x1b]0;title\a[    1.000000] a\n\x1b]3008;x\x1b\\[    1.000000] b\n\x1b(B\x1b=[    1.000000] c\n\x1bc\x1b[!p\x1b[?2004h$ \n", []Record{
		kernel(1000000, "a"), kernel(1000000, "b"), kernel(1000000, "c"), user("$ "),
	}},
	{"torn sequences", "\x1b[    1.000000] a\n\x1b[[    1.000000] b\n\x1b[12345.678901] c\n\x1b]0;x\n\x1b\n\x1b[31\n", []Record{
		kernel(1000000, "a"), torn(user("[")), kernel(1000000, "b"), kernel(12345678901, "c"), user("]0;x"), user("[31"),
	}},
	{"sequence before the kernel", "x\x1b[0m[    1.000000] a\n", []Record{torn(user("x\x1b[0m")), kernel(1000000, "a")}},
	{"noise", "\x00\x00\x7f\b\a[    1.000000] a\n\x00\x00\n\x00b\x00\n", []Record{kernel(1000000, "a"), user("b\x00")}},
	{"not UTF-8", "\xff\xfe\n[    1.000000] \xff\n", []Record{user("\xff\xfe"), kernel(1000000, "\xff")}},
	{"half a last line", "[    1.000000] a\n[    2.000000] Kernel pan", []Record{kernel(1000000, "a"), torn(kernel(2000000, "Kernel pan"))}},
	{"half a last stamp", "[    1.000000][  T1", []Record{torn(user("[    1.000000][  T1"))}},
	{"first line without its beginning", "72366] sysrq: Show Memory\n3] x\n", []Record{torn(user("72366] sysrq: Show Memory")), user("3] x")}},
	{"first line without most of its stamp", "] a\n", []Record{torn(user("] a"))}},
	{"first line without its level", "6>[    1.000000] a\n", []Record{torn(user("6>")), kernel(1000000, "a")}},
	{"first line without its task", " T12] a\n", []Record{torn(user(" T12] a"))}},
	{"first line, whole for all we know", "Debian GNU/Linux\n", []Record{user("Debian GNU/Linux")}},
	{"behind a prompt", "debian login: [   12.345678] sysrq: Emergency Sync\n", []Record{
		torn(user("debian login: ")), kernel(12345678, "sysrq: Emergency Sync"),
	}},
	{"behind a prompt, with everything", "# <6>[   12.345678][    C0] a\n", []Record{
		torn(user("# ")), level_(0, 6, by('C', 0, kernel(12345678, "a"))),
	}},
	{"behind a prompt, with nothing", "# [   12.345678] \n# [   12.345678]\n", []Record{
		torn(user("# ")), kernel(12345678, ""), torn(user("# ")), kernel(12345678, ""),
	}},
	{"behind many brackets", "[1] [2.3] [ [   12.345678] a\n", []Record{torn(user("[1] [2.3] [ ")), kernel(12345678, "a")}},
	{"behind a prompt, cut", "# [   12.345678] a", []Record{torn(user("# ")), torn(kernel(12345678, "a"))}},
	{"a quotation forgives nothing", "see [ 12.345678] a\nsee [12.345678] a\nsee [   12.345678]a\nsee [   12.345678][T1] a\n", []Record{
		user("see [ 12.345678] a"), user("see [12.345678] a"), user("see [   12.345678]a"), user("see [   12.345678][T1] a"),
	}},
	{"the kernel's line is not searched", "[    1.000000] usb 1-1: Product: [    2.000000] sysrq: Emergency Sync complete\n", []Record{
		kernel(1000000, "usb 1-1: Product: [    2.000000] sysrq: Emergency Sync complete"),
	}},
	{"dropped", "** 123 printk messages dropped **\n", []Record{gap(123)}},
	{"dropped, with a prefix", "<4>** 123 printk messages dropped **\r\n[    1.000000] ** 5 printk messages dropped **\n", []Record{gap(123), gap(5)}},
	{"dropped, on one line with the next", "** 2 printk messages dropped ** [    1.000000] a\n", []Record{gap(2), kernel(1000000, "a")}},
	{"dropped, behind a prompt", "CCCC** 1196 printk messages dropped **\n", []Record{torn(user("CCCC")), gap(1196)}},
	{"dropped, at the end", "** 1 printk messages dropped **", []Record{gap(1)}},
	{"nothing dropped", "** 0 printk messages dropped **\n** x printk messages dropped **\n** 1 printk messages drop\na* printk messages dropped **\n** 99999999999999999999 printk messages dropped **\n", []Record{
		user("** 0 printk messages dropped **"), user("** x printk messages dropped **"), user("** 1 printk messages drop"),
		user("a* printk messages dropped **"), user("** 99999999999999999999 printk messages dropped **"),
	}},
	{"replaying", "[    3.8378\n** replaying previous printk message **\n[    3.837851] a\n[    3.837851] ** replaying previous printk message **\n", []Record{
		user("[    3.8378"), user("** replaying previous printk message **"), kernel(3837851, "a"),
		{Level: LevelUnknown, HasTime: true, Time: at6(3837851), Text: []byte("** replaying previous printk message **")},
	}},
	{"line as long as may be", strings.Repeat("x", maxLine) + "\ny\n", []Record{user(strings.Repeat("x", maxLine)), user("y")}},
	{"line too long", strings.Repeat("x", maxLine) + "zz\ny\n", []Record{
		torn(user(strings.Repeat("x", maxLine))), torn(user("zz")), user("y"),
	}},
	{"line far too long", "[    1.000000] " + strings.Repeat("x", 2*maxLine) + "\n", []Record{
		torn(kernel(1000000, strings.Repeat("x", maxLine-15))), torn(user(strings.Repeat("x", maxLine))), torn(user(strings.Repeat("x", 15))),
	}},
}

func TestScanner(t *testing.T) {
	for _, c := range scans {
		t.Run(c.name, func(t *testing.T) {
			check(t, "in one Read", scanAll(t, strings.NewReader(c.in)), c.want)
			check(t, "byte by byte", scanAll(t, iotest.OneByteReader(strings.NewReader(c.in))), c.want)
			check(t, "with EOF at once", scanAll(t, iotest.DataErrReader(strings.NewReader(c.in))), c.want)
		})
	}
}

func check(t *testing.T, how string, got, want []Record) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %s\nwant %s", how, show(got), show(want))
	}
}

// show is the form of the golden files.
func show(all []Record) string {
	var b strings.Builder
	for i := range all {
		r := &all[i]
		if r.Lost > 0 {
			fmt.Fprintf(&b, "gap %d unknown=%t\n", r.Lost, r.LostUnknown)
			continue
		}
		if r.HasSeq {
			fmt.Fprintf(&b, "#%d ", r.Seq)
		}
		if r.HasTime {
			fmt.Fprintf(&b, "%d.%06d ", r.Time/time.Second, r.Time%time.Second/time.Microsecond)
		}
		if r.Caller.Kind != 0 {
			fmt.Fprintf(&b, "%c%d ", r.Caller.Kind, r.Caller.ID)
		}
		fmt.Fprintf(&b, "facility=%d level=%d", r.Facility, r.Level)
		for _, f := range []struct {
			is   bool
			name string
		}{{r.Kernel, "kernel"}, {r.Continues, "continues"}, {r.Torn, "torn"}} {
			if f.is {
				b.WriteString(" " + f.name)
			}
		}
		text := r.Text
		if len(text) > 200 {
			text = append(bytes.Clone(text[:200]), "…"...)
		}
		fmt.Fprintf(&b, " %q", text)
		if len(r.Dict) > 0 {
			fmt.Fprintf(&b, " %q", r.Dict)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// golden compares got with the file name.golden.
func golden(t *testing.T, name, got string) {
	t.Helper()
	name += ".golden"
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			t.Fatalf("%s:%d:\n got %s\nwant %s", name, i+1, g[i], w[i])
		}
	}
	t.Fatalf("%s: got %d lines, want %d", name, len(g), len(w))
}

// The consoles are ttyS0 of Debian's kernels in QEMU, while every SysRq key was
// triggered.
func TestScannerOnConsoles(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.console")
	if len(files) == 0 {
		t.Fatal("no captures")
	}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name, show(scanAll(t, f)))
		f.Close()
	}
}

// TestScannerDoesNotWait: a line comes out when its Read has returned.
func TestScannerDoesNotWait(t *testing.T) {
	r, w := io.Pipe()
	s := NewScanner(r)
	for _, end := range []string{"\n", "\r"} {
		go io.WriteString(w, "[    1.000000] a"+end)
		if !s.Scan() || string(s.Record().Text) != "a" {
			t.Fatalf("got %v, %v", s.Record(), s.Err())
		}
	}
	go io.WriteString(w, "one\ntwo\nthr")
	for _, want := range []string{"one", "two"} {
		if !s.Scan() || string(s.Record().Text) != want {
			t.Fatalf("got %q, want %q", s.Record().Text, want)
		}
	}
	if got := string(s.Pending()); got != "thr" {
		t.Errorf("Pending() = %q", got)
	}
}

// script is a Reader that returns what it was given, one item for each Read.
type script []any // string or error

func (s *script) Read(p []byte) (int, error) {
	if len(*s) == 0 {
		return 0, io.EOF
	}
	item := (*s)[0]
	*s = (*s)[1:]
	if err, ok := item.(error); ok {
		return 0, err
	}
	return copy(p, item.(string)), nil
}

func TestScannerGoesOnAfterTimeout(t *testing.T) {
	late := fmt.Errorf("read: %w", os.ErrDeadlineExceeded)
	s := NewScanner(&script{late, "[    1.00", late, late, "0000] a\nlogin: ", late})
	var got []string
	for range 6 {
		if s.Scan() {
			got = append(got, string(s.Record().Text))
			continue
		}
		if s.Err() == nil {
			break
		}
		got = append(got, "timeout "+string(s.Pending()))
	}
	want := []string{"timeout ", "timeout [    1.00", "timeout [    1.00", "a", "timeout login: ", "login: "}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if !s.Record().Torn {
		t.Error("the prompt at the end is not Torn")
	}
}

func TestScannerError(t *testing.T) {
	broken := errors.New("broken")
	s := NewScanner(&script{"a\nb", broken, "never"})
	var got []string
	for s.Scan() {
		got = append(got, string(s.Record().Text))
	}
	if want := []string{"a", "b"}; !reflect.DeepEqual(got, want) || !errors.Is(s.Err(), broken) {
		t.Errorf("got %q and %v", got, s.Err())
	}
	if s.Scan() || !errors.Is(s.Err(), broken) {
		t.Error("went on after an error")
	}
}

type reads func([]byte) (int, error)

func (f reads) Read(p []byte) (int, error) { return f(p) }

func TestScannerOnBadReaders(t *testing.T) {
	s := NewScanner(reads(func([]byte) (int, error) { return 0, nil }))
	if s.Scan() || !errors.Is(s.Err(), io.ErrNoProgress) {
		t.Errorf("nothing for ever: Err() = %v", s.Err())
	}
	for _, n := range []int{-1, 1 << 30} {
		s = NewScanner(reads(func([]byte) (int, error) { return n, nil }))
		if s.Scan() || s.Err() == nil {
			t.Errorf("count %d was believed", n)
		}
	}
}

// repeat reads text again and again, n bytes in all.
type repeat struct {
	text   []byte
	off    int
	n      int64
	atMost int // in one Read; 0 for all that fits
}

func (r *repeat) Read(p []byte) (int, error) {
	if r.n <= 0 {
		return 0, io.EOF
	}
	if r.atMost > 0 {
		p = p[:min(len(p), r.atMost)]
	}
	n := copy(p, r.text[r.off:])
	r.off = (r.off + n) % len(r.text)
	r.n -= int64(n)
	return n, nil
}

func TestScannerMemoryIsFlat(t *testing.T) {
	text := []byte(strings.Repeat("[    1.000000] a line as the kernel prints it\r\n", 1000) + strings.Repeat("x", 3*maxLine))
	r := &repeat{text: text, n: 64 << 20}
	s := NewScanner(r)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for s.Scan() {
	}
	runtime.ReadMemStats(&after)
	if s.Err() != nil {
		t.Fatal(s.Err())
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 512<<10 {
		t.Errorf("64 MiB of text cost %d bytes", grown)
	}
	if len(s.buf) > 2*maxLine {
		t.Errorf("the buffer grew to %d", len(s.buf))
	}
}

func TestScannerDoesNotAllocate(t *testing.T) {
	s := NewScanner(&repeat{text: []byte("[    1.000000][  T123] a\r\nlogin: <6>[   12.345678] b\n** 5 printk messages dropped **\nx\r"), n: 1 << 40, atMost: 77})
	s.Scan()
	if n := testing.AllocsPerRun(10000, func() { s.Scan() }); n != 0 {
		t.Errorf("%v allocations for each Scan", n)
	}
}

// drawn are records that survive being printed to a console.
func drawn(t *rapid.T) Record {
	text := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) byte {
		if rapid.IntRange(0, 3).Draw(t, "kind") == 0 {
			return rapid.SampledFrom([]byte("[]<>*.0123456789T \t\x1b\x00\xff")).Draw(t, "c")
		}
		return rapid.Byte().Filter(func(c byte) bool { return c != '\n' && c != '\r' }).Draw(t, "c")
	}), 0, 60).Draw(t, "text")
	r := Record{
		Level: int8(rapid.IntRange(-1, 7).Draw(t, "level")), Kernel: true,
		HasTime: true, Time: at6(rapid.Int64Range(0, 999999999999999).Draw(t, "usec")),
	}
	if r.Level >= 0 {
		r.Facility = rapid.Byte().Draw(t, "facility")
	}
	if rapid.Bool().Draw(t, "caller") {
		r.Caller = Caller{rapid.SampledFrom([]byte("TC")).Draw(t, "caller kind"), rapid.Uint32().Draw(t, "id")}
	}
	if len(text) > 0 {
		r.Text = text
	}
	return r
}

// appendConsole prints r as the kernel does.
func appendConsole(b []byte, r *Record) []byte {
	if r.Level >= 0 {
		b = fmt.Appendf(b, "<%d>", int(r.Facility)<<3|int(r.Level))
	}
	b = fmt.Appendf(b, "[%5d.%06d]", r.Time/time.Second, r.Time%time.Second/time.Microsecond)
	if r.Caller.Kind != 0 {
		b = fmt.Appendf(b, "[%6s]", fmt.Sprintf("%c%d", r.Caller.Kind, r.Caller.ID))
	}
	return append(append(b, ' '), r.Text...)
}

// chunks cuts a text into Reads.
func chunks(t *rapid.T, text []byte) io.Reader {
	var s script
	for len(text) > 0 {
		n := rapid.IntRange(1, min(len(text), 50)).Draw(t, "chunk")
		s = append(s, string(text[:n]))
		text = text[n:]
	}
	return &s
}

func TestScannerReadsWhatTheKernelPrints(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want []Record
		var text []byte
		for range rapid.IntRange(0, 10).Draw(t, "records") {
			r := drawn(t)
			if bytes.HasPrefix(r.Text, []byte("**")) {
				continue
			}
			if rapid.Bool().Draw(t, "prompt") {
				text = append(text, "login: "...)
				want = append(want, torn(user("login: ")))
			}
			text = append(appendConsole(text, &r), rapid.SampledFrom([]string{"\n", "\r", "\r\n", "\n\r", "\r\r\n"}).Draw(t, "end")...)
			want = append(want, r)
		}
		var got []Record
		s := NewScanner(chunks(t, text))
		for s.Scan() {
			got = append(got, s.Record().Clone())
		}
		if s.Err() != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%q:\n got %s %v\nwant %s", text, show(got), s.Err(), show(want))
		}
	})
}

func FuzzScanner(f *testing.F) {
	for _, c := range scans {
		if len(c.in) < 1000 {
			f.Add([]byte(c.in), uint8(3))
		}
	}
	files, _ := filepath.Glob("testdata/*.console")
	for _, name := range files {
		b, _ := os.ReadFile(name)
		f.Add(b[:min(len(b), 2000)], uint8(100))
	}
	f.Fuzz(func(t *testing.T, in []byte, chunk uint8) {
		all := scanAll(t, bytes.NewReader(in))
		small := scanAll(t, &repeat{text: append(bytes.Clone(in), 0)[:max(len(in), 1)], n: int64(len(in)), atMost: int(chunk) + 1})
		if !reflect.DeepEqual(all, small) {
			t.Errorf("depends on the Reads:\n%s\n%s", show(all), show(small))
		}
		left := in
		for i := range all {
			r := &all[i]
			if r.Lost > 0 {
				if !reflect.DeepEqual(*r, Record{Lost: r.Lost}) {
					t.Errorf("more than a gap: %+v", *r)
				}
				continue
			}
			if r.Level < LevelUnknown || r.Level > 7 || r.Time < 0 || !r.HasTime && r.Time != 0 {
				t.Errorf("impossible: %+v", *r)
			}
			if !r.Kernel && len(r.Text) == 0 || len(r.Text) > maxLine || bytes.ContainsAny(r.Text, "\r\n") {
				t.Errorf("no line: %q", r.Text)
			}
			// Texts stand in the stream in their order, and between them is
			// nothing but framing.
			j := bytes.Index(left, r.Text)
			if j < 0 {
				t.Fatalf("text %q is not in %q", r.Text, left)
			}
			left = left[j+len(r.Text):]
		}
		if bytes.ContainsAny(in, "[<*\x1b") {
			return
		}
		// Without anything that could be a prefix, all but line ends and the
		// noise before lines comes out.
		var want, got []byte
		for _, line := range bytes.FieldsFunc(in, func(r rune) bool { return r == '\n' || r == '\r' }) {
			want = append(want, bytes.TrimLeftFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })...)
		}
		for i := range all {
			got = append(got, all[i].Text...)
		}
		if len(in) < maxLine && !bytes.Equal(got, want) {
			t.Errorf("lost something: got %q, want %q", got, want)
		}
	})
}

func ExampleScanner() {
	console := strings.NewReader("debian login: [   12.345678] sysrq: Emergency Sync\r\n" +
		"** 3 printk messages dropped **\r\n" +
		"[   12.401210] Emergency Sync complete\r\n")
	s := NewScanner(console)
	for s.Scan() {
		r := s.Record()
		switch {
		case r.Lost > 0:
			fmt.Println("lost", r.Lost)
		case r.Kernel:
			fmt.Printf("kernel at %v: %s\n", r.Time, r.Text)
		default:
			fmt.Printf("somebody else: %q\n", r.Text)
		}
	}
	if err := s.Err(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// somebody else: "debian login: "
	// kernel at 12.345678s: sysrq: Emergency Sync
	// lost 3
	// kernel at 12.40121s: Emergency Sync complete
}

// bench scans the records of a real kernel as a console shows them.
func benchmarkScanner(b *testing.B, end string, atMost int) {
	var text []byte
	for _, line := range kmsgLines(b, "testdata/debian-6.12.kmsg") {
		var r Record
		if err := Parse(line, &r); err != nil {
			b.Fatal(err)
		}
		r.Level = LevelUnknown
		text = append(appendConsole(text, &r), end...)
	}
	for len(text) < 1<<20 {
		text = append(text, text...)
	}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	r := &repeat{text: text, n: int64(b.N) * int64(len(text)), atMost: atMost}
	s := NewScanner(r)
	n := 0
	b.ResetTimer()
	for s.Scan() {
		n++
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/record")
}

func BenchmarkScanner(b *testing.B) {
	b.Run("file", func(b *testing.B) { benchmarkScanner(b, "\n", 0) })
	b.Run("serial", func(b *testing.B) { benchmarkScanner(b, "\r\n", 0) })
	b.Run("socket", func(b *testing.B) { benchmarkScanner(b, "\r\n", 1448) })
}
