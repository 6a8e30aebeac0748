package render

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/sysrq/sysrq/diagnose"
	"github.com/sysrq/sysrq/dump"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	a, b := strings.Split(string(want), "\n"), strings.Split(string(got), "\n")
	for i := range max(len(a), len(b)) {
		x, y := "", ""
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			t.Errorf("%s:%d (go test ./render -update writes it)\nwant %s\ngot  %s", file, i+1, x, y)
			return
		}
	}
}

// formats is all that can be written.
var formats = map[string]func(io.Writer, Input) error{
	"text": func(w io.Writer, in Input) error { return Text(w, in, TextOptions{Details: true}) },
	"colour": func(w io.Writer, in Input) error {
		return Text(w, in, TextOptions{Details: true, Color: true, Width: 60})
	},
	"wait.svg":  WaitSVG,
	"flame.svg": FlameSVG,
	"dot":       DOT,
	"mermaid":   Mermaid,
	"folded":    Folded,
	"sarif":     SARIF,
	"html":      func(w io.Writer, in Input) error { return HTML(w, in, HTMLOptions{}) },
	"json":      JSON,
}

func written(t testing.TB, name string, in Input) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := formats[name](&b, in); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return b.Bytes()
}

func TestGolden(t *testing.T) {
	m := makeMachine(40)
	for name := range formats {
		if name == "html" || name == "json" {
			continue // the one is looked at in a browser, the other has a schema
		}
		golden(t, "made."+name, written(t, name, m.input()))
	}
}

func TestSameBytesEachTime(t *testing.T) {
	for name := range formats {
		a, b := written(t, name, makeMachine(100).input()), written(t, name, makeMachine(100).input())
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs from run to run", name)
		}
	}
}

// An empty input must not panic, and must still be a file of its format.
func TestNothing(t *testing.T) {
	for name := range formats {
		for _, in := range []Input{{}, nothing().input(), {Report: &diagnose.Report{Graph: diagnose.Graph{
			Nodes: []diagnose.GraphNode{{}, {Root: true}}, Edges: []diagnose.Edge{{From: 7, To: -1}, {From: 1, To: 1}, {From: 0, To: 9}},
		}}}} {
			out := written(t, name, in)
			if strings.HasSuffix(name, ".svg") {
				wellFormed(t, name, out)
			}
			if name == "sarif" && !json.Valid(out) {
				t.Errorf("%s is no JSON", name)
			}
		}
	}
}

func wellFormed(t *testing.T, name string, b []byte) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(b))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Errorf("%s is no XML: %v", name, err)
			return
		}
	}
}

// nasty is a log whose every name wants out of where it stands.
func nasty() *made {
	evil := "\x1b[2J\x9b\"]}|;<script>alert(1)</script>--><!--'\\`&\u202e\x00\xff\r\nnext"
	m := makeMachine(30)
	for _, b := range m.blocks {
		if task, ok := b.Body.(*dump.Task); ok {
			task.Comm = evil
			task.Stack = slices.Clone(task.Stack)
			task.Stack[0].Func, task.Stack[0].Module = evil, evil
		}
	}
	r := m.report
	for i := range r.Findings {
		f := &r.Findings[i]
		f.Title, f.Detail, f.Next, f.Suspect, f.Refute = evil, evil, evil, evil, evil
	}
	for i := range r.Graph.Nodes {
		r.Graph.Nodes[i].Label, r.Graph.Nodes[i].Wait = evil, evil
	}
	for i := range r.Graph.Edges {
		r.Graph.Edges[i].Why = evil
	}
	for i := range r.Blocked {
		r.Blocked[i].Comm, r.Blocked[i].Wait, r.Blocked[i].For = evil, evil, evil
	}
	for i := range r.Groups {
		r.Groups[i].Wait, r.Groups[i].Workqueue = evil, evil
		r.Groups[i].Tasks = []diagnose.TaskRef{{Comm: evil, PID: 1}}
	}
	r.Machine = diagnose.Machine{Release: evil, Hardware: evil, Taint: evil}
	for i := range m.lines {
		m.lines[i] = evil
	}
	return m
}

func TestNamesCanNotGetOut(t *testing.T) {
	in := nasty().input()
	in.Title = "\x1b]0;title\a<b>"
	for name := range formats {
		out := written(t, name, in)
		clean := out
		if name == "json" {
			continue // JSON gives what was there; it escapes what could steer
		}
		if name == "colour" {
			for _, code := range []string{"1;31", "1;33", "36", "1", "2", "0"} {
				clean = bytes.ReplaceAll(clean, []byte("\x1b["+code+"m"), nil)
			}
		}
		for _, r := range string(clean) {
			if r != '\n' && r != '\t' && !harmless(r) {
				t.Errorf("%s has a %U in it", name, r)
				break
			}
		}
		switch {
		case strings.HasSuffix(name, ".svg"):
			wellFormed(t, name, out)
			if bytes.Contains(out, []byte("<script")) {
				t.Errorf("%s has a script in it", name)
			}
		case name == "sarif":
			if !json.Valid(out) {
				t.Errorf("%s is no JSON", name)
			}
		case name == "folded":
			for l := range strings.Lines(string(out)) {
				if len(strings.Fields(l)) != 2 {
					t.Errorf("folded: %q", l)
				}
			}
		}
	}
}

func TestTextIsAsWideAsAsked(t *testing.T) {
	for _, width := range []int{40, 80, 132} {
		var b bytes.Buffer
		if err := Text(&b, makeMachine(60).input(), TextOptions{Width: width, Details: true}); err != nil {
			t.Fatal(err)
		}
		for l := range strings.Lines(b.String()) {
			l = strings.TrimSuffix(l, "\n")
			if columns(l) > width && len(strings.Fields(l)) > 2 {
				t.Errorf("width %d: %d columns: %q", width, columns(l), l)
			}
			if l != strings.TrimRight(l, " ") {
				t.Errorf("blanks at the end: %q", l)
			}
		}
	}
}

// Colours repeat what words say.
func TestColourIsOnlyPaint(t *testing.T) {
	in := makeMachine(60).input()
	var plain, painted bytes.Buffer
	_ = Text(&plain, in, TextOptions{Width: 70, Details: true})
	_ = Text(&painted, in, TextOptions{Width: 70, Details: true, Color: true})
	s := painted.String()
	for _, code := range []string{"1;31", "1;33", "36", "1", "2", "0"} {
		s = strings.ReplaceAll(s, "\x1b["+code+"m", "")
	}
	if s != plain.String() {
		t.Error("a painted text says something else")
	}
}

type failing struct{ after int }

func (f *failing) Write(p []byte) (int, error) {
	if f.after -= len(p); f.after < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

func TestWritersErrorComesBack(t *testing.T) {
	in := makeMachine(400).input()
	for name, f := range formats {
		if err := f(&failing{after: 100}, in); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Any graph must be laid out without overlaps, and tell each edge.
func TestLayersOfAnyGraph(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		n := 1 + rnd.IntN(40)
		boxes := make([]box, n)
		for i := range boxes {
			boxes[i] = box{w: float64(60 + rnd.IntN(200)), h: float64(30 + rnd.IntN(20))}
		}
		var links []link
		for range rnd.IntN(2 * n) {
			links = append(links, link{from: rnd.IntN(n), to: rnd.IntN(n)})
		}
		w, h := layered(boxes, links, 80)
		for i, a := range boxes {
			if a.x < 0 || a.y < 0 || a.x+a.w > w+1e-6 || a.y+a.h > h+1e-6 {
				t.Fatalf("seed %d: box %d %+v is outside of %v × %v", seed, i, a, w, h)
			}
			for j, b := range boxes[:i] {
				if a.x < b.x+b.w && b.x < a.x+a.w && a.y < b.y+b.h-1e-6 && b.y < a.y+a.h-1e-6 {
					t.Fatalf("seed %d: boxes %d %+v and %d %+v overlap", seed, i, a, j, b)
				}
			}
		}
		for _, l := range links {
			if a, b := boxes[l.from], boxes[l.to]; l.from != l.to && (a.layer <= b.layer) != l.turned {
				t.Fatalf("seed %d: %+v does not point to the right: layers %d and %d", seed, l, a.layer, b.layer)
			}
		}
	}
}

func TestInversions(t *testing.T) {
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		a := make([]float64, rnd.IntN(30))
		for i := range a {
			a[i] = float64(rnd.IntN(9))
		}
		want := 0
		for i := range a {
			for j := range i {
				if a[j] > a[i] {
					want++
				}
			}
		}
		if got := inversions(a); got != want {
			t.Fatalf("%v: %d, want %d", a, got, want)
		}
	}
}

func TestTreeTellsEverything(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		g := diagnose.Graph{}
		n := 1 + rnd.IntN(20)
		for i := range n {
			g.Nodes = append(g.Nodes, diagnose.GraphNode{Kind: diagnose.NodeTasks, Label: fmt.Sprint(i), Root: rnd.IntN(9) == 0, Cycle: rnd.IntN(9) == 0})
		}
		for range rnd.IntN(2 * n) {
			g.Edges = append(g.Edges, diagnose.Edge{From: rnd.IntN(n), To: rnd.IntN(n), Why: "w", Confidence: diagnose.Likely})
		}
		w := waitGraph(&g, maxNodes)
		nodes, edges := map[int]bool{}, map[int]int{}
		for _, b := range w.tree() {
			nodes[b.node] = true
			if b.edge >= 0 {
				edges[b.edge]++
			}
		}
		if len(nodes) != len(w.nodes) || len(edges) != len(w.edges) {
			t.Fatalf("seed %d: %d of %d nodes, %d of %d edges", seed, len(nodes), len(w.nodes), len(edges), len(w.edges))
		}
		for e, n := range edges {
			if n != 1 {
				t.Fatalf("seed %d: edge %d is told %d times", seed, e, n)
			}
		}
	}
}

// A graph of everything is cut to what matters.
func TestGraphIsCut(t *testing.T) {
	g := diagnose.Graph{}
	for i := range 5000 {
		g.Nodes = append(g.Nodes, diagnose.GraphNode{Kind: diagnose.NodeLock, Label: fmt.Sprint(i)})
	}
	g.Nodes[4321].Root = true
	w := waitGraph(&g, maxNodes)
	if len(w.nodes) != maxNodes || w.left != 5000-maxNodes || !slices.ContainsFunc(w.nodes, func(n wnode) bool { return n.root }) {
		t.Errorf("%d nodes, %d left out", len(w.nodes), w.left)
	}
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", 200_000)
	for in, want := range map[string][]string{
		"": nil, "a": {"a"}, "a\n": {"a"}, "a\r\n\nb": {"a", "", "b"}, "\n": {""}, "a\rb\n": {"a\rb"},
		long + "\nb\n": {long[:64<<10], "b"}, long: {long[:64<<10]},
	} {
		lines, fail := Lines(strings.NewReader(in))
		if got := slices.Collect(lines); !slices.Equal(got, want) || fail() != nil {
			t.Errorf("%.20q: %d lines, want %d", in, len(got), len(want))
		}
	}
	lines, fail := Lines(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("ab\ncd"))))
	if got := slices.Collect(lines); fail() == nil || len(got) > 1 {
		t.Error("a reader's error is lost")
	}
}

func TestSamples(t *testing.T) {
	old := &dump.Task{Comm: "a", PID: 1, State: "S", Stack: frames("x y")}
	now := &dump.Task{Comm: "a", PID: 1, State: "D", Stack: frames("p ?q r")}
	lost := &dump.Task{PID: -1, Stack: frames("?g ?h")}
	in := Input{
		Report: &diagnose.Report{Blocked: []diagnose.Blocked{{Comm: "a", PID: 1, Wait: "mutex"}}},
		Blocks: slices.Values([]*dump.Block{
			{Kind: dump.KindTask, First: 1, Last: 3, Body: old},
			{Kind: dump.KindStack, First: 4, Last: 5, Body: lost},
			{Kind: dump.KindTask, First: 6, Last: 9, Body: now},
			{Kind: dump.KindStack, First: 10, Last: 11, Body: lost},
			{Kind: dump.KindTask, First: 12, Last: 12, Body: &dump.Task{Comm: "b", PID: 2}},
		}),
	}
	var got []string
	for s := range Samples(in) {
		fs := ""
		for _, f := range s.Stack {
			fs += f.Func
		}
		got = append(got, fmt.Sprintf("%s/%d/%s/%s/%s/%d", s.Comm, s.PID, s.State, s.Wait, fs, s.Lines.First))
	}
	want := []string{"/-1///gh/4", "a/1/D/mutex/pr/6", "/-1///gh/10"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got, want := string(written(t, "folded", in)), "h;g 2\nr;p 1\n"; got != want {
		t.Errorf("folded: %q, want %q", got, want)
	}
}

// FuzzText: whatever a log's names are, no form of the report breaks.
func FuzzText(f *testing.F) {
	f.Add("name", "what it waits for", 3, 1)
	f.Add("\x1b]0;x\a", "</script>\"]|", -1, 0)
	f.Fuzz(func(t *testing.T, comm, why string, a, b int) {
		m := makeMachine(20)
		g := &m.report.Graph
		for i := range g.Nodes {
			g.Nodes[i].Label, g.Nodes[i].Wait = comm, why
		}
		g.Edges = append(g.Edges, diagnose.Edge{From: a, To: b, Why: why, Confidence: diagnose.Confidence(comm)})
		m.report.Findings[0].Lines = []dump.Span{{First: int64(a), Last: int64(b)}}
		m.report.Findings[0].Title = comm
		in := m.input()
		in.Title = comm
		for name := range formats {
			out := written(t, name, in)
			if strings.HasSuffix(name, ".svg") {
				wellFormed(t, name, out)
			}
			if (name == "json" || name == "sarif") && !json.Valid(out) {
				t.Fatalf("%s is no JSON", name)
			}
		}
	})
}
