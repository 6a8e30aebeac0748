package diagnose

import "github.com/sysrq/sysrq/dump"

// Analyzer collects blocks. Its zero value is ready; it keeps what it needs of
// a block, never the block.
type Analyzer struct {
	kinds map[dump.Kind]int
}

// Add takes the next block of a log.
func (a *Analyzer) Add(b *dump.Block) {
	if a.kinds == nil {
		a.kinds = map[dump.Kind]int{}
	}
	a.kinds[b.Kind]++
}

// Report says what was found so far.
func (a *Analyzer) Report() *Report {
	return &Report{Findings: []Finding{}, Blocked: []Blocked{}, Groups: []Group{}, Kinds: a.kinds}
}
