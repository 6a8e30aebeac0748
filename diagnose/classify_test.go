package diagnose

import (
	"testing"

	"github.com/sysrq/sysrq/dump"
)

// A row that does not win its own samples is no row.
func TestSamples(t *testing.T) {
	w := waits()
	if len(w.rows) < 100 {
		t.Errorf("%d rows, want 100", len(w.rows))
	}
	for i := range w.rows {
		r := &w.rows[i]
		for _, s := range r.samples {
			got, at := classify(&dump.Task{Stack: s.stack})
			switch {
			case got == nil:
				t.Errorf("waits.txt:%d: no row fits the sample of %s", s.line, r.ID)
			case got.ID != r.ID:
				t.Errorf("waits.txt:%d: the sample of %s is taken by %s, for %s", s.line, r.ID, got.ID, s.stack[at].Func)
			}
		}
	}
}
