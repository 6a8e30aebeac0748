package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sysrq/sysrq/diagnose"
	"github.com/sysrq/sysrq/dump"
)

// voids are elements that have no end, or need none in HTML.
var voids = []string{"meta", "link", "input", "li"}

// TestPageIsBalanced: each element that is begun is ended, in order, whatever
// the log holds; nothing comes from elsewhere, and no style or script stands
// where the policy forbids it.
func TestPageIsBalanced(t *testing.T) {
	for name, m := range map[string]*made{"made": makeMachine(200), "nasty": nasty(), "nothing": nothing(), "empty": {report: &diagnose.Report{}}} {
		t.Run(name, func(t *testing.T) { balanced(t, string(pageOf(t, m.input()))) })
	}
}

var tag = regexp.MustCompile(`<(/?)([a-z][a-z0-9]*)([^<>]*?)(/?)>`)

func balanced(t *testing.T, text string) {
	t.Helper()
	for _, el := range []string{"style", "script"} {
		text = regexp.MustCompile(`(?s)<`+el+`[^>]*>.*?</`+el+`>`).ReplaceAllString(text, "")
	}
	var open []string
	for _, f := range tag.FindAllStringSubmatch(text, -1) {
		switch {
		case slices.Contains(voids, f[2]) || f[4] == "/":
		case f[1] == "":
			open = append(open, f[2])
		case len(open) == 0 || open[len(open)-1] != f[2]:
			t.Fatalf("</%s> within %v", f[2], open)
		default:
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		t.Errorf("not ended: %v", open)
	}
	for _, bad := range []string{" style=", " onclick=", " onload=", "http://", "https://", "javascript:", "<script"} {
		rest := strings.ReplaceAll(strings.ReplaceAll(text, `xmlns="http://www.w3.org/2000/svg"`, ""), "xmlns='http://www.w3.org/2000/svg'", "")
		if i := strings.Index(rest, bad); i >= 0 {
			t.Errorf("%q is in it: %s", bad, rest[max(0, i-60):min(len(rest), i+60)])
		}
	}
	ids := map[string]bool{}
	for _, f := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(text, -1) {
		if ids[f[1]] {
			t.Errorf("two elements with the id %s", f[1])
		}
		ids[f[1]] = true
	}
	for _, f := range regexp.MustCompile(`href="#([^"]*)"`).FindAllStringSubmatch(text, -1) {
		if !ids[f[1]] {
			t.Errorf("a link to #%s, which is not there", f[1])
		}
	}
}

// pageData is the table of tasks in a page.
func pageData(t *testing.T, page []byte) (v struct {
	Str    []string
	Stacks [][]int
	Comm   []int
	PID    []int
	Stack  []int
	First  []int64
	Lines  []int64
	Kept   [][2]int64
},
) {
	t.Helper()
	_, rest, ok := bytes.Cut(page, []byte(`<script type="application/json" id="data">`))
	data, _, ok2 := bytes.Cut(rest, []byte("</script>"))
	if !ok || !ok2 {
		t.Fatal("the page has no data")
	}
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestPageHasEveryTask(t *testing.T) {
	m := makeMachine(500)
	v := pageData(t, pageOf(t, m.input()))
	i, line := 0, int64(0)
	for _, b := range m.blocks {
		task, ok := b.Body.(*dump.Task)
		if !ok {
			continue
		}
		line += v.First[i]
		if v.Str[v.Comm[i]] != task.Comm || v.PID[i] != task.PID || line != b.First || line+v.Lines[i] != b.Last {
			t.Fatalf("task %d: %s %d at %d, want %s %d at %d", i, v.Str[v.Comm[i]], v.PID[i], line, task.Comm, task.PID, b.First)
		}
		sure := sureFrames(nil, task.Stack)
		if got := v.Stacks[v.Stack[i]]; len(got) != len(sure) || v.Str[got[2]] != frameName(&sure[2]) {
			t.Fatalf("task %d has another stack", i)
		}
		i++
	}
	if i != len(v.PID) {
		t.Errorf("%d of %d tasks", len(v.PID), i)
	}
}

// The log is cut at its limit, says so, and keeps what findings rest on.
func TestRawTextIsCutAndSaysSo(t *testing.T) {
	m := makeMachine(2000)
	in := m.input()
	end := int64(len(m.lines)) - 100
	m.report.Findings = append(m.report.Findings, diagnose.Finding{ID: "far", Title: "far away", Severity: diagnose.Info, Lines: []dump.Span{{First: end, Last: end + 3}}})
	for _, limit := range []int64{-1, 1000, 50_000} {
		var b bytes.Buffer
		if err := HTML(&b, in, HTMLOptions{RawLimit: limit}); err != nil {
			t.Fatal(err)
		}
		page := b.String()
		if !strings.Contains(page, "which is more than this page carries") || !strings.Contains(page, "lines are left out here") {
			t.Errorf("limit %d: the page does not say that it is cut", limit)
		}
		for _, f := range m.report.Findings {
			for _, s := range f.Lines {
				for n := s.First; n <= s.Last; n++ {
					if !strings.Contains(page, fmt.Sprintf(`<li id="L%d" class="m">`, n)) {
						t.Fatalf("limit %d: line %d of %q is not there, or not marked", limit, n, f.ID)
					}
				}
			}
		}
		if n := strings.Count(page, "<li id=\"L"); n > 3000 {
			t.Errorf("limit %d: %d lines", limit, n)
		}
		for _, k := range pageData(t, b.Bytes()).Kept {
			for _, n := range k {
				if !strings.Contains(page, fmt.Sprintf(`<li id="L%d"`, n)) {
					t.Errorf("line %d is said to be there", n)
				}
			}
		}
	}
	full := string(pageOf(t, in))
	if n := strings.Count(full, "<li id=\"L"); n != len(m.lines) {
		t.Errorf("%d of %d lines without need", n, len(m.lines))
	}
}

func TestAppendEsc(t *testing.T) {
	for _, s := range []string{"", "plain", "a<b>&c", "\x1b[1m\x00\x7f", "tab\there", "é<ü>\xff\u202e", "a\rb"} {
		want := strings.ReplaceAll(strings.ReplaceAll(esc(s), "&#34;", `"`), "&#39;", "'")
		got := string(appendEsc(nil, s))
		got = strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(got, "&#34;", `"`), "&#39;", "'"), "\t", " ")
		if s == "a\rb" {
			want = "a b" // lines have no ends left in them
		}
		if got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

func BenchmarkHTML(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			in := makeMachine(n).input()
			b.ResetTimer()
			for range b.N {
				if err := HTML(io.Discard, in, HTMLOptions{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A list without rows is a sentence, not an empty table.
func TestEmptyListsAreSaid(t *testing.T) {
	var blocks []*dump.Block
	for i, body := range []dump.Body{&dump.Locks{}, &dump.Workqueues{}, &dump.Sched{}, &dump.Timers{}, &dump.Trace{Empty: true}} {
		kind := []dump.Kind{dump.KindLocks, dump.KindWorkqueues, dump.KindSched, dump.KindTimers, dump.KindTrace}[i]
		blocks = append(blocks, &dump.Block{Kind: kind, First: 1, Last: 2, Body: body})
	}
	text := string(pageOf(t, Input{Report: &diagnose.Report{}, Blocks: slices.Values(blocks)}))
	for _, s := range []string{"No task holds a lock.", "No workqueue is busy.", "No run queue was printed.", "No timer is pending.", "The trace is empty."} {
		if !strings.Contains(text, s) {
			t.Errorf("%q is not said", s)
		}
	}
	if strings.Contains(text, "<table") {
		t.Error("there is a table of nothing")
	}
}
