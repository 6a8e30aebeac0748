package dump_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sysrq/sysrq/dump"
	"github.com/sysrq/sysrq/kmsg"
)

// account reads a text and holds the parser to its promise: each line of the
// log is in one block, or is one of the log's other lines, or is empty. Spans
// are in order and within the text. It returns the bodies as JSON.
func account(t testing.TB, in []byte) (bodies []string) {
	t.Helper()
	// What the log has, by itself: the lines of each record that has text, and
	// whether the record has several.
	type state struct{ text, several, block, log bool }
	lines := map[int64]*state{}
	at := func(n int64) *state {
		if lines[n] == nil {
			lines[n] = &state{}
		}
		return lines[n]
	}
	log := kmsg.NewLog(bytes.NewReader(in))
	var last int64
	for log.Scan() {
		r := log.Record()
		first, end := log.Lines()
		if first < 1 || end < first {
			t.Fatalf("a record stands on lines %d to %d", first, end)
		}
		last = max(last, end)
		if r.Lost > 0 || len(bytes.TrimSpace(r.Text)) == 0 {
			continue
		}
		for n := first; n <= end; n++ {
			s := at(n)
			s.several = s.several || s.text || bytes.IndexByte(r.Text, '\n') >= 0
			s.text = true
		}
	}

	p := dump.NewParser(bytes.NewReader(in))
	before := int64(0)
	p.Log = func(n int64, _ []byte) {
		k := p.Counts().Log - before
		before = p.Counts().Log
		for end := n + k; n < end; n++ {
			s := at(n)
			if !s.text && k == 1 || s.log && !s.several { // a joined line may span an empty one
				t.Errorf("line %d is no line of the log's, or comes again", n)
			}
			s.log = true
		}
	}
	unread := int64(0)
	for p.Scan() {
		b := p.Block()
		if b.Body == nil || b.Kind == "" {
			t.Fatalf("a block of kind %q without a body", b.Kind)
		}
		if b.Kind == dump.KindUnread {
			unread++
		}
		spans := b.Spans
		if len(spans) == 0 {
			spans = []dump.Span{{First: b.First, Last: b.Last}}
		} else if len(spans) == 1 || spans[0].First != b.First || spans[len(spans)-1].Last != b.Last {
			t.Errorf("%s: lines %d to %d, spans %v", b.Kind, b.First, b.Last, spans)
		}
		end := int64(0)
		for _, s := range spans {
			if s.First < max(end, 1) || s.Last < s.First || s.Last > last {
				t.Errorf("%s: spans %v of %d lines", b.Kind, spans, last)
			}
			end = s.Last
			for n := s.First; n <= s.Last; n++ {
				l := at(n)
				if l.block && !l.several {
					t.Errorf("line %d is in two blocks, the second of %s", n, b.Kind)
				}
				l.block = true
			}
		}
		if len(b.Clone().Unsure) != len(b.Unsure) {
			t.Errorf("%s: a copy has other doubts", b.Kind)
		}
		j, err := json.Marshal(b.Body)
		if err != nil {
			t.Error(err)
		}
		c, _ := json.Marshal(b.Clone().Body)
		if !bytes.Equal(j, c) {
			t.Errorf("a copy differs:\n%s\n%s", j, c)
		}
		bodies = append(bodies, string(b.Kind)+string(j))
	}
	if p.Err() != nil {
		t.Error(p.Err())
	}
	for n, l := range lines {
		switch {
		case l.text && !l.block && !l.log:
			t.Errorf("line %d is lost", n)
		case l.block && l.log && !l.several:
			t.Errorf("line %d is in a block and in the log", n)
		}
	}
	if c := p.Counts(); c.Unread < unread || c.Lines < last {
		t.Errorf("counts %+v: %d lines, %d blocks are unread", c, last, unread)
	}
	return bodies
}

// sections are the recorded dumps.
func sections(t testing.TB) (texts [][]byte) {
	t.Helper()
	files, _ := filepath.Glob("testdata/sections/*.txt")
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, b)
	}
	if len(texts) == 0 {
		t.Fatal("no testdata")
	}
	return texts
}

func FuzzParser(f *testing.F) {
	for _, b := range sections(f) {
		f.Add(b[:min(len(b), 4<<10)])
	}
	for _, test := range sectionForms {
		f.Add([]byte(test.in))
		f.Add([]byte(stamped(test.in)))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 64<<10 {
			return
		}
		account(t, in)
	})
}

// TestAccount holds the same for recorded dumps, whole and broken, and for the
// public logs where they are.
func TestAccount(t *testing.T) {
	for _, b := range sections(t) {
		account(t, b)
	}
	if dir := os.Getenv("SYSRQ_CORPUS"); dir != "" {
		files, _ := filepath.Glob(filepath.Join(dir, "*.log"))
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			t.Run(filepath.Base(file), func(t *testing.T) { account(t, b) })
		}
	}
}

// TestReuse reads all recorded dumps twice: builders that are used again must
// have forgotten what they had read.
func TestReuse(t *testing.T) {
	var all []byte
	for _, b := range sections(t) {
		all = append(append(all, b...), '\n')
	}
	for _, test := range sectionForms {
		all = append(all, test.in...)
	}
	once := account(t, all)
	again := account(t, append(append(append([]byte{}, all...), "[    0.000000] Linux version 6.1.0 (x)\n"...), all...))
	if len(again) != 2*len(once) {
		t.Fatalf("%d blocks, then %d", len(once), len(again))
	}
	for i, b := range again {
		if b != once[i%len(once)] {
			t.Errorf("block %d differs:\n%s", i, firstDifference(strings.ReplaceAll(b, ",", ",\n"), strings.ReplaceAll(once[i%len(once)], ",", ",\n")))
		}
	}
}

var breaking = flag.Int("breaking", 300, "how many broken texts TestBroken reads")

// TestBroken breaks recorded dumps in the ways that logs are broken: lines
// dropped, doubled, swapped, cut, glued, wrapped, of another dump, and bytes
// that are not theirs.
func TestBroken(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 1))
	texts := sections(t)
	for _, test := range sectionForms {
		texts = append(texts, []byte(test.in), []byte(stamped(test.in)))
	}
	if dir := os.Getenv("SYSRQ_CORPUS"); dir != "" {
		files, _ := filepath.Glob(filepath.Join(dir, "*.log"))
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, b)
		}
	}
	var pool [][]byte
	for _, b := range texts {
		pool = append(pool, bytes.Split(b, []byte("\n"))...)
	}
	for range *breaking {
		text := texts[r.IntN(len(texts))]
		lines := bytes.Split(text, []byte("\n"))
		if n := 200; len(lines) > n {
			from := r.IntN(len(lines) - n)
			lines = lines[from : from+n]
		}
		in := broken(r, lines, pool)
		if why := breaks(in); why != "" {
			in = smallest(in)
			t.Fatalf("seed %d: %s\n%q", seed, breaks(in), in)
		}
	}
}

// failure is what account says, for a caller that goes on.
type failure struct {
	testing.TB
	said []string
}

func (f *failure) Helper()           {}
func (f *failure) Error(args ...any) { f.said = append(f.said, fmt.Sprint(args...)) }
func (f *failure) Errorf(format string, args ...any) {
	f.said = append(f.said, fmt.Sprintf(format, args...))
}
func (f *failure) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// breaks is why a text breaks the parser's promise, or empty.
func breaks(in []byte) (why string) {
	f := new(failure)
	defer func() {
		if e := recover(); e != nil {
			why = fmt.Sprintf("panic: %v\n%s", e, debug.Stack())
		}
	}()
	account(f, in)
	return strings.Join(f.said, "\n")
}

// smallest leaves lines out of a text as long as it breaks.
func smallest(in []byte) []byte {
	lines := bytes.Split(in, []byte("\n"))
	for n := len(lines) / 2; n > 0; {
		less := false
		for i := 0; i+n <= len(lines); {
			rest := append(slices.Clone(lines[:i]), lines[i+n:]...)
			if breaks(bytes.Join(rest, []byte("\n"))) != "" {
				lines, less = rest, true
			} else {
				i += n
			}
		}
		if !less || n > 1 {
			n /= 2
		}
	}
	return bytes.Join(lines, []byte("\n"))
}

func broken(r *rand.Rand, lines, pool [][]byte) []byte {
	var out [][]byte
	rate := r.IntN(30) + 1
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if r.IntN(100) >= rate {
			out = append(out, line)
			continue
		}
		switch r.IntN(12) {
		case 0:
		case 1:
			out = append(out, line, line)
		case 2:
			j := r.IntN(len(lines))
			out = append(out, lines[j])
		case 3, 4:
			out = append(out, pool[r.IntN(len(pool))], line)
		case 5:
			out = append(out, line[:r.IntN(len(line)+1)])
		case 6:
			k := r.IntN(len(line) + 1)
			out = append(out, line[:k], line[k:])
		case 7:
			if k := bytes.IndexByte(line[min(len(line), 20):], ' '); k >= 0 {
				k += min(len(line), 20)
				out = append(out, line[:k], line[k+1:])
			}
		case 8:
			if len(out) > 0 {
				out[len(out)-1] = append(slices.Clone(out[len(out)-1]), line...)
			}
		case 9:
			b := slices.Clone(line)
			for range 3 {
				if len(b) > 0 {
					b[r.IntN(len(b))] = byte(r.IntN(256))
				}
			}
			out = append(out, b)
		case 10:
			j := r.IntN(len(lines))
			k := r.IntN(len(line) + 1)
			out = append(out, append(slices.Clone(line[:k]), lines[j]...))
		case 11:
			out = append(out, bytes.TrimLeft(line, " \t"))
		}
	}
	return bytes.Join(out, []byte("\n"))
}

// TestSectionsOnTheWay sends recorded dumps the ways that logs take. What is
// read must stay the same.
func TestSectionsOnTheWay(t *testing.T) {
	files, _ := filepath.Glob("testdata/sections/*.txt")
	for _, file := range files {
		in, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text := console7(in)
		want := bodiesOf(t, text)
		for _, w := range ways {
			if w.only != nil && !w.only(text) {
				continue
			}
			got := bodiesOf(t, w.do(text))
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s, %s:\n%.3000s", filepath.Base(file), w.name, d)
			}
		}
		if d := cmp.Diff(want, bodiesOf(t, chop(text, 80))); d != "" {
			t.Errorf("%s, on a terminal:\n%.3000s", filepath.Base(file), d)
		}
	}
}

// chop breaks lines as a terminal does: in the midst of a word.
func chop(text string, column int) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		for len(line) > column {
			out.WriteString(line[:column] + "\n")
			line = line[column:]
		}
		out.WriteString(line + "\n")
	}
	return out.String()
}

// console7 is what a console has of /dev/kmsg's records.
func console7(in []byte) string {
	var b strings.Builder
	log := kmsg.NewLog(bytes.NewReader(in))
	for log.Scan() {
		r := log.Record()
		for line := range bytes.SplitSeq(r.Text, []byte("\n")) {
			fmt.Fprintf(&b, "[%5d.%06d] %s\n", r.Time/time.Second, r.Time%time.Second/time.Microsecond, line)
		}
	}
	return b.String()
}

func bodiesOf(t *testing.T, text string) (all []string) {
	t.Helper()
	blocks, _ := bodies(t, text)
	for _, b := range blocks {
		var w bytes.Buffer
		outline(&w, b)
		_, body, _ := strings.Cut(w.String(), "\n")
		all = append(all, string(b.Kind)+"\n"+body)
	}
	return all
}
