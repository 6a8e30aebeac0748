package dump_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sysrq/sysrq/dump"
)

// corpusDir is where the public logs are, if they are there.
func corpusDir(t testing.TB) string {
	t.Helper()
	for _, dir := range []string{os.Getenv("SYSRQ_CORPUS"), "../../shared/corpus"} {
		if files, _ := filepath.Glob(filepath.Join(dir, "*.log")); dir != "" && len(files) > 0 {
			return dir
		}
	}
	t.Skip("the public logs are not here: set SYSRQ_CORPUS to their folder")
	return ""
}

// label is what a person found in a log.
type label struct {
	Expected struct {
		Blocked *int     `json:"blocked_tasks"`
		Names   []string `json:"names"`
	} `json:"expected"`
}

// blockedTasks counts distinct tasks in state D.
func blockedTasks(t testing.TB, p *dump.Parser) map[[2]any]bool {
	t.Helper()
	blocked := map[[2]any]bool{}
	for p.Scan() {
		b := p.Block()
		task, ok := b.Body.(*dump.Task)
		if !ok || b.Kind == dump.KindStack {
			continue
		}
		if task.State == "D" || b.Kind == dump.KindHungTask && task.State == "" {
			// A name can hold blanks that a mailer eats.
			blocked[[2]any{strings.Join(strings.Fields(task.Comm), " "), task.PID}] = true
		}
	}
	if p.Err() != nil {
		t.Error(p.Err())
	}
	return blocked
}

func TestPublicLogs(t *testing.T) {
	dir := corpusDir(t)
	files, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	right := 0
	for _, file := range files {
		var want label
		b, err := os.ReadFile(file[:len(file)-len(".log")] + ".json")
		if err == nil {
			err = json.Unmarshal(b, &want)
		}
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		p := dump.NewParser(f)
		got := blockedTasks(t, p)
		f.Close()
		c := p.Counts()
		if c.Unread > 0 {
			t.Logf("%s: unread %d of %d lines", filepath.Base(file), c.Unread, c.Lines)
		}
		if want.Expected.Blocked == nil || *want.Expected.Blocked == len(got) {
			right++
			continue
		}
		t.Logf("%s: %d blocked, labelled %d: %v", filepath.Base(file), len(got), *want.Expected.Blocked, got)
	}
	t.Logf("%d of %d right", right, len(files))
	if right*100 < 95*len(files) {
		t.Errorf("blocked tasks are as labelled in %d of %d files, want 95 %%", right, len(files))
	}
}

// wrap breaks lines as a mailer does: at the last blank before the column,
// which it eats.
func wrap(text string, column int) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		for len(line) > column {
			i := strings.LastIndexByte(line[:column+1], ' ')
			if i <= 0 || strings.TrimSpace(line[:i]) == "" {
				break
			}
			out.WriteString(line[:i] + "\n")
			line = line[i+1:]
		}
		out.WriteString(line + "\n")
	}
	return out.String()
}

var (
	eachLine = regexp.MustCompile(`(?m)^`)
	stampRE  = regexp.MustCompile(`(?m)^(<\d+>)?\[ *\d+\.\d+\](\[ *[TC]\d+\])? `)
	blanksRE = regexp.MustCompile(` {2,}`)
)

// ways are what happens to logs on their way: each must leave the answers as
// they are. only says which logs it can happen to.
var ways = []struct {
	name string
	do   func(string) string
	only func(string) bool
}{
	{"quoted", func(s string) string { return eachLine.ReplaceAllString(s, "> ") }, nil},
	{"quoted twice", func(s string) string { return eachLine.ReplaceAllString(s, "> > ") }, nil},
	{"indented", func(s string) string { return eachLine.ReplaceAllString(s, "    ") }, allStamped},
	{"CR LF", func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }, nil},
	{"trailing blanks", func(s string) string { return strings.ReplaceAll(s, "\n", " \n") }, nil},
	{"syslog", func(s string) string { return eachLine.ReplaceAllString(s, "Nov  5 12:00:00 some-host kernel: ") }, allStamped},
	{"journal", func(s string) string {
		return eachLine.ReplaceAllString(s, "2024-11-05T12:00:00+0100 some-host kernel: ")
	}, allStamped},
	{"no stamps", func(s string) string { return stampRE.ReplaceAllString(s, "") }, allStamped},
	{"squeezed", func(s string) string { return blanksRE.ReplaceAllString(s, " ") }, nil},
	{"wrapped at 72", func(s string) string { return wrap(s, 72) }, allStamped},
	{"wrapped at 66", func(s string) string { return wrap(s, 66) }, allStamped},
}

// allStamped reports whether nearly all lines begin with a stamp.
func allStamped(s string) bool {
	return len(stampRE.FindAllString(s, -1))*10 > 9*strings.Count(s, "\n")
}

// TestPublicLogsOnTheWay: what a mailer, a journal or a person does to a log
// changes no answer.
func TestPublicLogsOnTheWay(t *testing.T) {
	dir := corpusDir(t)
	files, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			tried, same := 0, 0
			for _, file := range files {
				b, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				text := strings.ReplaceAll(string(b), "\r\n", "\n")
				if w.only != nil && !w.only(text) {
					continue
				}
				tried++
				want := blockedTasks(t, dump.NewParser(strings.NewReader(text)))
				got := blockedTasks(t, dump.NewParser(strings.NewReader(w.do(text))))
				if d := cmp.Diff(want, got); d == "" {
					same++
				} else {
					t.Logf("%s: %d blocked, %d before:\n%s", filepath.Base(file), len(got), len(want), d)
				}
			}
			if same != tried {
				t.Errorf("%d of %d logs gave the same answer", same, tried)
			}
		})
	}
}
