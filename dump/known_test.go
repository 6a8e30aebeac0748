package dump_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/sysrq/sysrq/dump"
	"github.com/sysrq/sysrq/internal/golden"
)

// TestKnownStates reads what real kernels said in states that somebody had put
// them into: the tasks that were blocked are known from /proc, and nothing that
// a kernel prints may be doubtful or stay unread.
func TestKnownStates(t *testing.T) {
	files, err := golden.Read("../diagnose/testdata/corpus")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 200 {
		t.Fatalf("only %d files", len(files))
	}
	for _, f := range files {
		blocked := map[int]bool{}
		p := dump.NewParser(bytes.NewReader(f.Body))
		for p.Scan() {
			b := p.Block()
			// The lab's own init is what asks for the dump, and may wait for a moment.
			if task, ok := b.Body.(*dump.Task); ok && task.Comm != "init" && (task.State == "D" || b.Kind == dump.KindHungTask) {
				blocked[task.PID] = true
			}
			switch {
			case b.Kind == dump.KindUnread, b.Kind == dump.KindStack:
				t.Errorf("%s: lines %d to %d: %s", f.Name, b.First, b.Last, b.Kind)
			case b.Kind == dump.KindTask && !b.Sure():
				t.Errorf("%s: lines %d to %d: %v", f.Name, b.First, b.Last, b.Unsure)
			}
		}
		if p.Err() != nil {
			t.Errorf("%s: %v", f.Name, p.Err())
		}
		for _, pid := range f.PIDs {
			if !blocked[pid] {
				t.Errorf("%s: %d was blocked, and was not read as such", f.Name, pid)
			}
			delete(blocked, pid)
		}
		if f.Blocked >= 0 && len(blocked) > 0 {
			extra := []int{}
			for pid := range blocked {
				extra = append(extra, pid)
			}
			slices.Sort(extra)
			t.Errorf("%s: %v were not blocked", f.Name, extra)
		}
	}
}
