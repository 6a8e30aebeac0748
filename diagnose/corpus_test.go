package diagnose

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sysrq/sysrq/dump"
	"github.com/sysrq/sysrq/internal/golden"
)

var update = flag.Bool("update", false, "write docs/corpus.md anew")

// analyze is the report about a file.
func analyze(t testing.TB, file string) *Report {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := dump.NewParser(f)
	var a Analyzer
	p.Log = a.Log
	for p.Scan() {
		a.Add(p.Block())
	}
	if p.Err() != nil {
		t.Fatal(p.Err())
	}
	return a.Report()
}

// publicLogs are the logs of others, where they are there.
func publicLogs(t testing.TB) []string {
	t.Helper()
	for _, dir := range []string{os.Getenv("SYSRQ_CORPUS"), "../../shared/corpus"} {
		if files, _ := filepath.Glob(filepath.Join(dir, "*.log")); dir != "" && len(files) > 0 {
			return files
		}
	}
	t.Skip("the public logs are not here: set SYSRQ_CORPUS to their folder")
	return nil
}

// acceptedWords reads testdata/public.txt.
func acceptedWords(t testing.TB) map[string]string {
	t.Helper()
	text, err := os.ReadFile("testdata/public.txt")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for line := range strings.Lines(string(text)) {
		n, words, ok := strings.Cut(strings.TrimSpace(line), " ")
		if ok && n != "#" {
			out[n] = words
		}
	}
	return out
}

// said reports whether a finding has the words.
func (f *Finding) saidAny(words string) bool {
	text := strings.ToLower(f.Title + " " + f.Suspect + " " + f.Detail)
	for way := range strings.SplitSeq(strings.ToLower(words), "|") {
		all := true
		for w := range strings.SplitSeq(way, "+") {
			all = all && strings.Contains(text, strings.TrimSpace(w))
		}
		if all {
			return true
		}
	}
	return false
}

func abstains(f *Finding) bool { return f.ID == "not-enough" || f.ID == "nothing-wrong" }

// judge is the outcome for one log.
func judge(r *Report, words string) string {
	f := &r.Findings[0]
	switch {
	case words == "unlabelled":
		return "not judged"
	case words == "nobody" && f.Severity == Info:
		return "hit"
	case words == "nobody":
		return "miss"
	case abstains(f) || f.ID == "busy-cpu":
		return "abstained"
	case f.saidAny(words):
		return "hit"
	}
	return "miss"
}

// TestPublicConclusions holds the first finding about each public log against
// what is known of it. With -update it writes the table in docs/corpus.md.
func TestPublicConclusions(t *testing.T) {
	files := publicLogs(t)
	words := acceptedWords(t)
	var rows strings.Builder
	total := map[string]int{}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".log")
		var label struct {
			RootCause *string `json:"root_cause"`
			Expected  struct {
				Suspect *string `json:"top_suspect"`
				Blocked *int    `json:"blocked_tasks"`
			}
		}
		if b, err := os.ReadFile(strings.TrimSuffix(file, ".log") + ".json"); err != nil || json.Unmarshal(b, &label) != nil {
			t.Fatalf("%s has no label", name)
		}
		n, _, _ := strings.Cut(name, "-")
		if words[n] == "" {
			t.Errorf("testdata/public.txt has no words for %s", name)
			continue
		}
		r := analyze(t, file)
		sound(t, name, r)
		got := judge(r, words[n])
		total[got]++
		if got == "miss" {
			t.Logf("%s: want %q, said %q", name, words[n], r.Findings[0].Title)
		}
		known := "not known"
		switch {
		case label.Expected.Suspect != nil && label.RootCause != nil:
			known = *label.Expected.Suspect + "; thread: " + *label.RootCause
		case label.Expected.Suspect != nil:
			known = *label.Expected.Suspect
		case label.RootCause != nil:
			known = "thread: " + *label.RootCause
		}
		f := &r.Findings[0]
		fmt.Fprintf(&rows, "| %s | %s | %s: %s (%s, %s) | %s |\n", cell(name), cell(known), f.ID, cell(f.Title), f.Severity, f.Confidence, got)
	}
	judged := total["hit"] + total["miss"] + total["abstained"]
	t.Logf("of %d judged logs: %d hits, %d misses, %d abstained; %d are not judged", judged, total["hit"], total["miss"], total["abstained"], total["not judged"])
	if total["hit"]*10 < judged*9 {
		t.Errorf("only %d of %d judged logs are hits", total["hit"], judged)
	}
	doc := fmt.Sprintf(docHead, len(files), judged, total["hit"], total["miss"], total["abstained"], total["not judged"]) + rows.String()
	const path = "../docs/corpus.md"
	if *update {
		if err := os.WriteFile(path, []byte(doc), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile(path)
	if err != nil || string(have) != doc {
		t.Errorf("%s is not what the logs give: go test ./diagnose -run TestPublicConclusions -update", path)
	}
}

const docHead = `# What is said about public logs

Written by ` + "`go test ./diagnose -run TestPublicConclusions -update`" + `, where the logs are there; they are not part of the project.

Each of %d logs that people posted was read, and its first finding held against what the log's thread concluded, or what
a person who read it named as the suspect. Which words count as a hit stands in ` + "`diagnose/testdata/public.txt`" + `, judged by hand.
The logs were known while the rules were written: what this table shows is that they fit, not how well they do on others.

Of %d logs with a known answer: **%d hits, %d misses, %d abstained** ('not enough to tell'). %d have no known answer.

| log | known | first finding | outcome |
|---|---|---|---|
`

// cell makes a text fit for a table.
func cell(s string) string {
	s = strings.ReplaceAll(clean(s), "|", "/")
	if r := []rune(s); len(r) > 240 {
		s = string(r[:240]) + "…"
	}
	return s
}

// sound holds what every report promises.
func sound(t interface {
	Helper()
	Errorf(format string, args ...any)
}, name string, r *Report,
) {
	t.Helper()
	if len(r.Findings) == 0 {
		t.Errorf("%s: no finding at all", name)
		return
	}
	verdict := ""
	for i, f := range r.Findings {
		if f.ID == "" || f.Title == "" || f.Next == "" || f.Lines == nil || rank(f.Confidence) == 0 || f.Severity == "" {
			t.Errorf("%s: finding %d is not whole: %+v", name, i, f)
		}
		if !kebab(f.ID) {
			t.Errorf("%s: finding's id %q", name, f.ID)
		}
		if i > 0 && rankSeverity(f.Severity) > rankSeverity(r.Findings[i-1].Severity) {
			t.Errorf("%s: findings are not in order", name)
		}
		if abstains(&f) {
			verdict = f.ID
		}
		if strings.Contains(f.Title, "  ") || strings.HasSuffix(f.Title, "..") && !strings.HasSuffix(f.Title, "...") || !strings.HasSuffix(f.Title, ".") {
			t.Errorf("%s: the title %q", name, f.Title)
		}
	}
	if verdict != "" && r.Findings[0].Severity != Info {
		t.Errorf("%s: says %s and accuses somebody: %s", name, verdict, r.Findings[0].Title)
	}
	for _, e := range r.Graph.Edges {
		if e.From < 0 || e.To < 0 || e.From >= len(r.Graph.Nodes) || e.To >= len(r.Graph.Nodes) {
			t.Errorf("%s: an edge leads nowhere: %+v", name, e)
		}
	}
	n := 0
	for _, g := range r.Groups {
		n += g.Count
		if g.Count < len(g.Tasks) {
			t.Errorf("%s: a group counts %d of %d tasks", name, g.Count, len(g.Tasks))
		}
	}
}

// recorded are the dumps of machines in known states.
func recorded(t testing.TB) []golden.File {
	t.Helper()
	files, err := golden.Read(recordedDir)
	if err != nil || len(files) < 200 {
		t.Fatalf("%d recorded dumps, %v", len(files), err)
	}
	return files
}

const recordedDir = "testdata/corpus"

func recordedFile(g golden.File) string { return filepath.Join(recordedDir, g.Name+".txt") }

// TestKnownStates holds the first finding about recorded dumps against the state
// that the machine was in. "seen" is what the dump can show, where that is less.
func TestKnownStates(t *testing.T) {
	right, all, culprits, named := 0, 0, 0, 0
	for _, g := range recorded(t) {
		name, root := g.Name, g.Root
		r := analyze(t, recordedFile(g))
		sound(t, name, r)
		f := r.Findings[0]
		if root == "none" {
			if f.Severity != Info {
				t.Errorf("%s: an idle machine is accused: %s: %s", name, f.ID, f.Title)
			}
			continue
		}
		all++
		if f.ID == root || slices.Contains(strings.Fields(g.Seen), f.ID) {
			right++
		} else {
			t.Logf("%s: root is %s, said %s: %s", name, root, f.ID, f.Title)
		}
		if c := g.Culprit; c != "" && f.ID == root {
			culprits++
			text := f.Title + " " + f.Suspect + " " + f.Detail
			if slices.ContainsFunc(strings.FieldsFunc(c, func(r rune) bool { return r == ' ' || r == ',' }), func(w string) bool { return strings.Contains(text, w) }) {
				named++
			} else {
				t.Logf("%s: the culprit is %s, said %q", name, c, f.Suspect)
			}
		}
		if g.Blocked >= 0 && len(r.Blocked) != g.Blocked {
			t.Logf("%s: %d blocked, want %d", name, len(r.Blocked), g.Blocked)
		}
	}
	t.Logf("root named right in %d of %d dumps; the culprit in %d of %d", right, all, named, culprits)
	if right*10 < all*9 {
		t.Errorf("the root is named right in %d of %d dumps, want 90 %%", right, all)
	}
}
