package diagnose

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/sysrq/sysrq/dump"
)

// finding is a Finding under way.
type finding struct {
	Finding
	weight int // how many tasks it explains: among equals the larger comes first
	boot   int
	// vague: it names nobody.
	vague bool
	// What stands around it is joined by these: the device and place that it
	// is about, the parts of the kernel, and whether it is about files and
	// disks. unheld: it ends at a lock whose holder does not show.
	dev, site string
	doms      []string
	storage   bool
	unheld    bool
	boots     int // more than one
}

func rankSeverity(s Severity) int {
	switch s {
	case Critical:
		return 3
	case Warning:
		return 2
	}
	return 1
}

// findings are all that can be said, the root cause first.
func (a *Analyzer) findings(g *waitGraph) []Finding {
	var fs []*finding
	fs = append(fs, a.chainFindings(g)...)
	fs = append(fs, a.crashes(fs)...)
	fs = append(fs, a.lockups()...)
	fs = append(fs, a.memoryFindings()...)
	fs = append(fs, a.realtime()...)
	for _, f := range fs {
		f.Lines = spans(f.Lines)
	}
	fs = a.context(fs)
	for _, f := range fs {
		f.Lines = spans(f.Lines)
	}
	fs = append(fs, a.verdicts(fs)...)
	fs = once(fs)
	slices.SortStableFunc(fs, func(x, y *finding) int {
		return cmp.Or(
			cmp.Compare(rankSeverity(y.Severity), rankSeverity(x.Severity)),
			cmp.Compare(rank(y.Confidence), rank(x.Confidence)),
			cmp.Compare(y.weight, x.weight),
			bySpan(firstSpan(x.Lines), firstSpan(y.Lines)),
			cmp.Compare(x.ID, y.ID),
		)
	})
	out := make([]Finding, 0, len(fs))
	for _, f := range fs[:min(len(fs), maxFindings)] {
		if f.Lines == nil {
			f.Lines = []dump.Span{}
		}
		out = append(out, f.Finding)
	}
	return out
}

// once joins findings that say the same: it happened again.
func once(fs []*finding) []*finding {
	type key struct{ id, title, suspect string }
	at := map[key]*finding{}
	out := fs[:0]
	for _, f := range fs {
		f.Title, f.Suspect = tidyTitle(f.Title), tidyTitle(f.Suspect)
		k := key{f.ID, f.Title, f.Suspect}
		if o := at[k]; o != nil {
			o.Lines = spans(o.Lines, f.Lines)
			o.weight += f.weight
			if rankSeverity(f.Severity) > rankSeverity(o.Severity) {
				o.Severity = f.Severity
			}
			continue
		}
		at[k] = f
		out = append(out, f)
	}
	return out
}

// maxFindings is how many a report has at most: nobody reads more.
const maxFindings = 40

func firstSpan(s []dump.Span) dump.Span {
	if len(s) == 0 {
		return dump.Span{}
	}
	return s[0]
}

// count is "1 task" or "3 tasks".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// behind is the consequence: "; 38 others wait behind it".
func behind(n int) string {
	switch n {
	case 0:
		return ""
	case 1:
		return "; another waits behind it"
	}
	return fmt.Sprintf("; %d others wait behind it", n)
}

// verb is "waits" or "wait".
func verb(n int) string {
	if n == 1 {
		return "waits"
	}
	return "wait"
}
