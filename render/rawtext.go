package render

import (
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/sysrq/sysrq/diagnose"
	"github.com/sysrq/sysrq/dump"
)

const (
	// rawLimit is how much of the log a page carries, unless it is told.
	rawLimit = 4 << 20
	// around is how many lines before and behind a finding's are carried
	// whatever the limit, and rangeMax how many of a long range.
	around, rangeMax = 15, 300
	// nearMax is how many bytes may be carried for that reason.
	nearMax = 4 << 20
	// chunk is how many lines are one list: the browser lays out those in sight.
	chunk = 100
	// lineMax is how much of one line is shown.
	lineMax = 4 << 10
)

// rawText is the part of the log that a page carries, as HTML.
type rawText struct {
	html []byte
	kept []dump.Span
	// lines and bytes are of the whole log, shown of what is kept.
	lines, shown int64
	size         int64
}

// near is the lines that are carried whatever the limit: those of findings and
// their neighbours, sorted and without overlaps.
func near(findings []diagnose.Finding) []dump.Span {
	var list []dump.Span
	for _, f := range findings {
		for _, s := range f.Lines {
			last := min(max(s.Last, s.First), s.First+rangeMax)
			list = append(list, dump.Span{First: max(s.First-around, 1), Last: last + around})
		}
	}
	slices.SortFunc(list, func(a, b dump.Span) int {
		if a.First != b.First {
			return int(a.First - b.First)
		}
		return int(b.Last - a.Last)
	})
	var merged []dump.Span
	for _, s := range list {
		if n := len(merged); n > 0 && s.First <= merged[n-1].Last+1 {
			merged[n-1].Last = max(merged[n-1].Last, s.Last)
			continue
		}
		merged = append(merged, s)
	}
	return merged
}

// marked are the lines on which findings rest, sorted.
func marked(findings []diagnose.Finding) []dump.Span {
	var list []dump.Span
	for _, f := range findings {
		list = append(list, f.Lines...)
	}
	slices.SortFunc(list, func(a, b dump.Span) int { return int(a.First - b.First) })
	return list
}

// keepRaw takes from the log what fits. Its head fits first; what stands near a
// finding always does.
func keepRaw(lines iter.Seq[string], findings []diagnose.Finding, limit int64) rawText {
	var r rawText
	if lines == nil {
		return r
	}
	must := near(findings)
	marks := marked(findings)
	nearLeft := int64(nearMax)
	inList := 0 // lines in the list that is open; 0: none is
	var lastMark int64
	end := func() {
		if inList > 0 {
			r.html = append(r.html, "</ol>\n"...)
			inList = 0
		}
	}
	prev := int64(0)
	for l := range lines {
		r.lines++
		n := r.lines
		r.size += int64(len(l)) + 1
		for len(must) > 0 && must[0].Last < n {
			must = must[1:]
		}
		near := len(must) > 0 && must[0].First <= n
		cost := int64(min(len(l), lineMax)) + 1
		switch {
		case limit >= cost:
			limit -= cost
		case near && nearLeft >= cost:
			nearLeft -= cost
		default:
			limit = 0 // no holes in the head
			continue
		}
		for len(marks) > 0 && marks[0].First <= n {
			lastMark = max(lastMark, marks[0].Last, marks[0].First)
			marks = marks[1:]
		}
		if n != prev+1 && prev > 0 {
			end()
			r.html = append(r.html, `<p class="gap">`...)
			r.html = strconv.AppendInt(r.html, n-prev-1, 10)
			r.html = append(r.html, " lines are left out here.</p>\n"...)
		}
		if k := len(r.kept); k > 0 && r.kept[k-1].Last == n-1 {
			r.kept[k-1].Last = n
		} else {
			r.kept = append(r.kept, dump.Span{First: n, Last: n})
		}
		if inList == chunk {
			end()
		}
		if inList == 0 {
			r.html = append(r.html, `<ol start="`...)
			r.html = strconv.AppendInt(r.html, n, 10)
			if near {
				r.html = append(r.html, `" class="near`...)
			}
			r.html = append(r.html, `">`...)
		}
		inList++
		r.html = append(r.html, `<li id="L`...)
		r.html = strconv.AppendInt(r.html, n, 10)
		if n <= lastMark {
			r.html = append(r.html, `" class="m`...)
		}
		r.html = append(r.html, `">`...)
		if len(l) > lineMax {
			l = strings.ToValidUTF8(l[:lineMax], "") + " …"
		}
		r.html = appendEsc(r.html, l)
		r.html = append(r.html, '\n')
		prev = n
		r.shown++
	}
	end()
	return r
}

// has reports whether a line is carried.
func (r *rawText) has(n int64) bool {
	i, _ := slices.BinarySearchFunc(r.kept, n, func(s dump.Span, n int64) int {
		if s.Last < n {
			return -1
		}
		return 1
	})
	return i < len(r.kept) && r.kept[i].First <= n
}

// appendEsc is esc, for a text of which there is much.
func appendEsc(dst []byte, s string) []byte {
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= ' ' && c < 0x7f && c != '<' && c != '>' && c != '&' {
			continue
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		switch {
		case c == '<':
			dst = append(dst, "&lt;"...)
		case c == '>':
			dst = append(dst, "&gt;"...)
		case c == '&':
			dst = append(dst, "&amp;"...)
		case c == '\t':
			dst = append(dst, '\t')
		case c == '\n' || c == '\r':
			dst = append(dst, ' ')
		case c == 0x1b || c < ' ' || c == 0x7f:
			dst = append(dst, "\ufffd"...)
		default: // the rest of the line has other characters than ASCII's
			return append(dst, esc(s[i:])...)
		}
	}
	return append(dst, s[from:]...)
}
