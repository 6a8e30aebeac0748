package kmsg

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var parses = []struct {
	name string
	in   string
	want Record
}{
	{"usual", "6,371,5746200,-;sysrq: Show Memory\n", Record{Level: 6, Seq: 371, Time: at6(5746200), Text: []byte("sysrq: Show Memory")}},
	{"user", "14,361,2312347,-;x\n", Record{Level: 6, Facility: 1, Seq: 361, Time: at6(2312347), Text: []byte("x")}},
	{"continuation", "4,1,2,c;  .x : 1\n", Record{Level: 4, Seq: 1, Time: at6(2), Continues: true, Text: []byte("  .x : 1")}},
	{"later fragment of Linux 3", "4,1,2,+;x\n", Record{Level: 4, Seq: 1, Time: at6(2), Continues: true, Text: []byte("x")}},
	{"task", "4,1,2,-,caller=T123;x\n", Record{Level: 4, Seq: 1, Time: at6(2), Caller: Caller{'T', 123}, Text: []byte("x")}},
	{"processor and fields to come", "4,1,2,-,new=1,caller=C0,,x;x\n", Record{Level: 4, Seq: 1, Time: at6(2), Caller: Caller{'C', 0}, Text: []byte("x")}},
	{"caller of a kind to come", "4,1,2,-,caller=X1;x\n", Record{Level: 4, Seq: 1, Time: at6(2), Text: []byte("x")}},
	{"no text", "4,1,2,-;\n", Record{Level: 4, Seq: 1, Time: at6(2)}},
	{"semicolons", "4,1,2,-;a;b,c\n", Record{Level: 4, Seq: 1, Time: at6(2), Text: []byte("a;b,c")}},
	{"escapes", `4,1,2,-;a\x0ab\x5cx41 \xc3\xA9 \x zz \x4` + "\n", Record{Level: 4, Seq: 1, Time: at6(2), Text: []byte("a\nb\\x41 é \\x zz \\x4")}},
	{"dictionary", "6,1,2,-;a\n SUBSYSTEM=usb\n DEVICE=c189:1\n X=\\x41\\x0aY=2\n", Record{
		Level: 6, Seq: 1, Time: at6(2), Text: []byte("a"), Dict: []byte("SUBSYSTEM=usb\nDEVICE=c189:1\nX=A\\x0aY=2\n"),
	}},
	{"cut", `6,1,2,-;a\x0`, Record{Level: 6, Seq: 1, Time: at6(2), Torn: true, Text: []byte(`a\x0`)}},
	{"cut in the dictionary", "6,1,2,-;a\n SUB", Record{Level: 6, Seq: 1, Time: at6(2), Torn: true, Text: []byte("a"), Dict: []byte("SUB\n")}},
	{"largest", "2047,18446744073709551615,9223372036854775,-;x\n", Record{
		Level: 7, Facility: 255, Seq: math.MaxUint64, Time: 9223372036854775 * time.Microsecond, Text: []byte("x"),
	}},
}

func TestParse(t *testing.T) {
	var rec Record
	for _, c := range parses {
		want := c.want
		want.Kernel, want.HasSeq, want.HasTime = true, true, true
		if err := Parse([]byte(c.in), &rec); err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if got := rec.Clone(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %s\nwant %s", c.name, show([]Record{got}), show([]Record{want}))
		}
	}
}

func TestParseErrors(t *testing.T) {
	for in, want := range map[string]error{
		"":                             errPriority,
		"x":                            errPriority,
		"6":                            errPriority,
		"-6,1,2,-;x\n":                 errPriority,
		"2048,1,2,-;x\n":               errPriority,
		"6,,2,-;x\n":                   errSequence,
		"6,18446744073709551616,2,-;x": errSequence,
		"6,1,x,-;x\n":                  errTime,
		"6,1,2;x\n":                    errTime,
		"6,1,9223372036854776,-;x\n":   errTime,
		"6,1,2,;x\n":                   errFlags,
		"6,1,2,-x\n":                   errNoText,
		"6,1,2,-\n;x\n":                errNoText,
		"6,1,2,-;x\n6,2,3,-;y\n":       errBehind,
		"6,1,2,-;x\n A=b\n\n":          errBehind,
	} {
		rec := Record{Seq: 7, Text: []byte("kept")}
		err := Parse([]byte(in), &rec)
		if !errors.Is(err, want) || !errors.Is(err, ErrSyntax) {
			t.Errorf("%q: error %v, want %v", in, err, want)
		}
		if rec.Seq != 7 || string(rec.Text) != "kept" {
			t.Errorf("%q: the record was changed", in)
		}
	}
}

// kmsgLines returns the records of a capture that has one on each line.
func kmsgLines(t testing.TB, name string) (lines [][]byte) {
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		lines = append(lines, line)
	}
	return lines
}

// The captures are excerpts of /dev/kmsg of Debian's kernels in QEMU.
func TestParseOnCaptures(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.kmsg")
	if len(files) == 0 {
		t.Fatal("no captures")
	}
	for _, name := range files {
		var s script
		for _, line := range kmsgLines(t, name) {
			s = append(s, string(line))
		}
		golden(t, name, show(readAll(t, NewReader(&s))))
	}
}

// appendKmsg prints r as /dev/kmsg does.
func appendKmsg(b []byte, r *Record) []byte {
	flag := '-'
	if r.Continues {
		flag = 'c'
	}
	b = fmt.Appendf(b, "%d,%d,%d,%c", int(r.Facility)<<3|int(r.Level), r.Seq, r.Time.Microseconds(), flag)
	if r.Caller.Kind != 0 {
		b = fmt.Appendf(b, ",caller=%c%d", r.Caller.Kind, r.Caller.ID)
	}
	b = append(b, ';')
	for _, c := range r.Text {
		if c < ' ' || c >= 0x7f || c == '\\' {
			b = fmt.Appendf(b, `\x%02x`, c)
		} else {
			b = append(b, c)
		}
	}
	if !r.Torn {
		b = append(b, '\n')
	}
	for pair := range bytes.Lines(r.Dict) {
		b = append(append(b, ' '), bytes.ReplaceAll(pair, []byte(`\`), []byte(`\x5c`))...)
	}
	return b
}

func TestParseReadsWhatTheKernelPrints(t *testing.T) {
	var rec Record
	rapid.Check(t, func(t *rapid.T) {
		r := drawn(t)
		r.Level = max(r.Level, 0)
		r.Seq, r.HasSeq = rapid.Uint64().Draw(t, "seq"), true
		r.Text = append(r.Text, rapid.SampledFrom([]string{"x", "\n", "\\x0a", "é"}).Draw(t, "end")...)
		r.Continues = rapid.Bool().Draw(t, "continues")
		if rapid.Bool().Draw(t, "dict") {
			r.Dict = []byte("SUBSYSTEM=usb\nDEVICE=+usb:1-1\n")
		}
		line := appendKmsg(nil, &r)
		if err := Parse(line, &rec); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if got := rec.Clone(); !reflect.DeepEqual(got, r) {
			t.Fatalf("%q:\n got %+v\nwant %+v", line, got, r)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, c := range parses {
		f.Add([]byte(c.in))
	}
	for _, line := range kmsgLines(f, "testdata/debian-6.12.kmsg")[:30] {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		kept := bytes.Clone(in)
		var rec, again Record
		err := Parse(in, &rec)
		if !bytes.Equal(in, kept) {
			t.Fatal("the input was changed")
		}
		if err != nil {
			if !errors.Is(err, ErrSyntax) || !reflect.DeepEqual(rec, Record{}) {
				t.Fatalf("error %v with %+v", err, rec)
			}
			return
		}
		if rec.Level < 0 || rec.Level > 7 || rec.Time < 0 || !rec.HasSeq || !rec.HasTime || !rec.Kernel || rec.Lost != 0 {
			t.Fatalf("impossible: %+v", rec)
		}
		if len(rec.Text)+len(rec.Dict) > len(in) {
			t.Fatal("more came out than went in")
		}
		if rec.Torn && len(rec.Dict) > 0 || bytes.Contains(rec.Dict, []byte(`\`)) {
			return // cannot be told apart when printed again
		}
		if err := Parse(appendKmsg(nil, &rec), &again); err != nil {
			t.Fatal(err)
		}
		if got, want := again.Clone(), rec.Clone(); !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	})
}

func TestParseDoesNotAllocate(t *testing.T) {
	good := []byte("6,1,2,-,caller=T1;a\\x0ab\n SUBSYSTEM=usb\n")
	bad := []byte("6,1,2,;a\n")
	rec := Record{Text: make([]byte, 0, 100), Dict: make([]byte, 0, 100)}
	if n := testing.AllocsPerRun(1000, func() {
		if Parse(good, &rec) != nil || Parse(bad, &rec) == nil {
			t.Fatal("wrong")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkParse(b *testing.B) {
	lines := kmsgLines(b, "testdata/debian-6.12.kmsg")
	var size int64
	for _, line := range lines {
		size += int64(len(line))
	}
	b.SetBytes(size)
	b.ReportAllocs()
	var rec Record
	for b.Loop() {
		for _, line := range lines {
			if err := Parse(line, &rec); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(lines)), "ns/record")
}

// readAll returns the records of r up to io.EOF.
func readAll(t testing.TB, r *Reader) (all []Record) {
	t.Helper()
	var rec Record
	for {
		switch err := r.Read(&rec); {
		case errors.Is(err, io.EOF):
			return all
		case err != nil:
			t.Fatal(err)
		}
		all = append(all, rec.Clone())
	}
}

func TestReaderGaps(t *testing.T) {
	rec := func(seq uint64) string { return fmt.Sprintf("6,%d,0,-;r\n", seq) }
	for name, c := range map[string]struct {
		in   script
		want string // numbers, and gaps as -lost or -?
	}{
		"none":                          {script{rec(5), rec(6)}, "5 6"},
		"in the numbers":                {script{rec(5), rec(9)}, "5 -3 9"},
		"overrun":                       {script{rec(5), errOverrun, rec(9), rec(10)}, "5 -3 9 10"},
		"overrun, wrapped":              {script{rec(5), &os.PathError{Op: "read", Err: errOverrun}, rec(9)}, "5 -3 9"},
		"overrun twice":                 {script{rec(5), errOverrun, errOverrun, rec(9)}, "5 -3 9"},
		"overrun at first":              {script{errOverrun, rec(9), rec(11)}, "-? 9 -1 11"},
		"overrun that cost nothing":     {script{rec(5), errOverrun, rec(6)}, "5 6"},
		"too big":                       {script{rec(5), errTooBig, rec(7)}, "5 -1 7"},
		"too big at first":              {script{errTooBig, rec(7)}, "-1 7"},
		"too big and more":              {script{rec(5), errTooBig, rec(9)}, "5 -1 -2 9"},
		"too big in an overrun":         {script{rec(5), errOverrun, errTooBig, rec(9)}, "5 -3 9"},
		"too big in a first overrun":    {script{errOverrun, errTooBig, rec(9)}, "-? 9"},
		"overrun before the end":        {script{rec(5), errOverrun}, "5"},
		"the numbers of another kernel": {script{rec(5), rec(0), rec(1), rec(3)}, "5 0 1 -1 3"},
		"several at once":               {script{rec(5) + " A=b\n" + rec(6) + rec(9), rec(10)}, "5 6 -2 9 10"},
		"largest number":                {script{rec(math.MaxInt64), rec(math.MaxInt64)}, "9223372036854775807 9223372036854775807"},
	} {
		var got []string
		for _, r := range readAll(t, NewReader(&c.in)) {
			switch {
			case r.LostUnknown:
				got = append(got, "-?")
				r.Lost = 0
				fallthrough
			case r.Lost > 0:
				if r.Lost > 0 {
					got = append(got, fmt.Sprintf("-%d", r.Lost))
				}
				if r.Lost, r.LostUnknown = 0, false; !reflect.DeepEqual(r, Record{}) {
					t.Errorf("%s: more than a gap: %+v", name, r)
				}
			default:
				got = append(got, fmt.Sprint(r.Seq))
			}
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: got %s, want %s", name, s, c.want)
		}
	}
}

func TestReaderGoesOn(t *testing.T) {
	broken := errors.New("broken")
	r := NewReader(&script{"6,1,0,-;a\n", "garbage\n", broken, errOverrun, os.ErrDeadlineExceeded, "6,4,0,-;d\n"})
	var rec Record
	for i, want := range []error{nil, ErrSyntax, broken, os.ErrDeadlineExceeded, nil, nil, io.EOF} {
		if err := r.Read(&rec); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Fatalf("Read %d: error %v, want %v", i, err, want)
		}
		if i == 4 && rec.Lost != 2 {
			t.Errorf("the overrun was forgotten: %+v", rec)
		}
	}
}

// A Reader may return a record and an error at once.
func TestReaderErrorWithRecord(t *testing.T) {
	done := false
	r := NewReader(reads(func(p []byte) (int, error) {
		if done {
			t.Error("read on after EOF")
		}
		done = true
		return copy(p, "6,1,0,-;a\n"), io.EOF
	}))
	var rec Record
	if err := r.Read(&rec); err != nil || string(rec.Text) != "a" {
		t.Fatalf("got %q, %v", rec.Text, err)
	}
	if err := r.Read(&rec); err != io.EOF {
		t.Fatalf("got %v", err)
	}
	for _, n := range []int{0, -1, 1 << 30} {
		r := NewReader(reads(func([]byte) (int, error) { return n, nil }))
		if err := r.Read(&rec); !errors.Is(err, io.ErrNoProgress) {
			t.Errorf("count %d: %v", n, err)
		}
	}
}

func TestReaderDeadlineAndClose(t *testing.T) {
	pr, pw, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pw.Close()
	r := NewReader(pr)
	if err := r.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	var rec Record
	if err := r.Read(&rec); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("after the deadline: %v", err)
	}
	if err := r.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	end := make(chan error)
	go func() { end <- r.Read(&rec) }()
	time.Sleep(time.Millisecond)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-end; !errors.Is(err, os.ErrClosed) {
		t.Fatalf("after Close: %v", err)
	}
	if err := NewReader(strings.NewReader("")).SetReadDeadline(time.Now()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("deadline for a Reader without: %v", err)
	}
}

func TestReaderDoesNotAllocate(t *testing.T) {
	line := []byte("6,1,0,-,caller=T1;a text\n SUBSYSTEM=usb\n")
	r := NewReader(reads(func(p []byte) (int, error) { return copy(p, line), nil }))
	var rec Record
	r.Read(&rec)
	if n := testing.AllocsPerRun(1000, func() { r.Read(&rec) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestWriter(t *testing.T) {
	var out bytes.Buffer
	w := NewWriter(&out)
	long := strings.Repeat("x", 2000)
	for _, c := range []struct{ in, want string }{
		{"hello", "<6>hello\n"},
		{"", "<6>\n"},
		{"a\nb\r\tc", "<6>a b  c\n"},
		{"\x1b[31m\x00\x7f\u0085", "<6>?[31m???\n"},
		{"é\xff€", "<6>é?€\n"},
		{long, "<6>" + long[:maxWrite-7] + "...\n"},
		{long[:maxWrite-4], "<6>" + long[:maxWrite-4] + "\n"},
		{long[:maxWrite-3], "<6>" + long[:maxWrite-7] + "...\n"},
		{long[:maxWrite-8] + "€€€", "<6>" + long[:maxWrite-8] + "...\n"},
	} {
		out.Reset()
		if err := w.Print(6, c.in); err != nil {
			t.Errorf("%q: %v", c.in, err)
		}
		if out.String() != c.want || out.Len() > maxWrite {
			t.Errorf("%q: wrote %q, want %q", c.in, out.String(), c.want)
		}
	}
	for _, level := range []int8{-1, 8} {
		if err := w.Print(level, "x"); !errors.Is(err, ErrLevel) {
			t.Errorf("level %d: %v", level, err)
		}
	}
	w = NewWriter(io.Discard)
	if n := testing.AllocsPerRun(1000, func() { w.Print(6, "a line\n") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestWriterError(t *testing.T) {
	pr, pw := io.Pipe()
	pr.Close()
	w := NewWriter(pw)
	if err := w.Print(6, "x"); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

func TestOpenMissing(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "kmsg")
	_, err := Open(missing)
	_, werr := OpenWriter(missing)
	for _, err := range []error{err, werr} {
		var pe *os.PathError
		if !errors.As(err, &pe) || pe.Path != missing {
			t.Errorf("got %v", err)
		}
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("it was created")
	}
}
