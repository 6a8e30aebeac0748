package dump_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

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
			blocked[[2]any{task.Comm, task.PID}] = true
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
