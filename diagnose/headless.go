package diagnose

import (
	"slices"

	"github.com/sysrq/sysrq/dump"
)

// addHeadless looks at a stack whose head is lost: it belongs to nobody, but
// can tell that the OOM killer was at work.
func (a *Analyzer) addHeadless(b *dump.Block, d *dump.Task) {
	a.heads++
	if len(a.oomStack) > 8 {
		return
	}
	if slices.ContainsFunc(d.Stack, func(f dump.Frame) bool {
		return plain(f.Func) == "oom_kill_process" || plain(f.Func) == "out_of_memory"
	}) {
		a.oomStack = append(a.oomStack, dump.Span{First: b.First, Last: b.Last})
	}
}
