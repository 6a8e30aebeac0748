package dump_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
			if !s.text || s.log && !s.several {
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
