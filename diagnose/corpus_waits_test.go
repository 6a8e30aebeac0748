package diagnose

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sysrq/sysrq/dump"
)

// tasksOf calls f for each task of a log.
func tasksOf(t testing.TB, file string, f func(b *dump.Block, task *dump.Task)) {
	t.Helper()
	r, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p := dump.NewParser(r)
	for p.Scan() {
		if task, ok := p.Block().Body.(*dump.Task); ok {
			f(p.Block(), task)
		}
	}
	if p.Err() != nil {
		t.Error(p.Err())
	}
}

func stackText(stack []dump.Frame) string {
	var b strings.Builder
	for i := range stack {
		f := &stack[i]
		if f.Context != "" {
			b.WriteString("<" + f.Context + ">")
		}
		if f.Guess {
			b.WriteByte('?')
		}
		b.WriteString(f.Func)
		if f.Module != "" {
			b.WriteString("[" + f.Module + "]")
		}
		b.WriteByte(' ')
	}
	return b.String()
}

// generic is the rows that say how a task sleeps, not for what.
const generic = 20

// Which rows the blocked tasks of the public logs get: go test -v -run Rows.
// What falls to a generic row is listed: there a row is missing.
func TestRowsOfPublicLogs(t *testing.T) {
	type key struct{ log, row, at string }
	count := map[key]int{}
	first := map[key]string{}
	var blocked, none, unsaid, empty int
	for _, file := range publicLogs(t) {
		log := filepath.Base(file)[:3]
		seen := map[string]bool{}
		tasksOf(t, file, func(b *dump.Block, task *dump.Task) {
			if task.State != "D" && (b.Kind != dump.KindHungTask || task.State != "") {
				return
			}
			if k := fmt.Sprint(task.Comm, task.PID); seen[k] {
				return
			} else if len(task.Stack) > 0 {
				seen[k] = true
			}
			if len(task.Stack) == 0 {
				empty++
				return
			}
			blocked++
			w, at := classify(task)
			k := key{log: log, row: "-"}
			if w == nil {
				none++
			} else {
				k.row, k.at = w.ID, task.Stack[at].Func
				if waits().row(w.ID).priority <= generic {
					unsaid++
				}
			}
			count[k]++
			if first[k] == "" {
				first[k] = task.Comm + ": " + stackText(task.Stack)
			}
		})
	}
	var keys []key
	for k := range count {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b key) int { return strings.Compare(a.log+a.row+a.at, b.log+b.row+b.at) })
	for _, k := range keys {
		t.Logf("%s %4d × %-24s at %-32s %.700s", k.log, count[k], k.row, k.at, first[k])
	}
	t.Logf("%d blocked tasks with a stack (%d without): %d without a row, %d with a generic one", blocked, empty, none, unsaid)
	if none > 0 || unsaid*20 > blocked {
		t.Errorf("%d of %d blocked tasks have no row, %d a generic one: want none, and 5 %%", none, blocked, unsaid)
	}
}
