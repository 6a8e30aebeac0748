package render

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sysrq/sysrq/diagnose"
	"github.com/sysrq/sysrq/dump"
)

// TextOptions say how a text is written. The zero value is plain text for
// paper, findings only.
type TextOptions struct {
	// Width is how many columns there are; 100 where it is 0.
	Width int
	// Color paints with ANSI escape sequences. Everything that a colour says, a
	// word says as well.
	Color bool
	// Details adds the stacks, folded where they are alike, and the wait graph.
	Details bool
}

// Text writes the findings for a terminal, then what they rest on: the machine,
// what the log holds, and the blocked tasks by what they wait for.
func Text(w io.Writer, in Input, opts TextOptions) error {
	t := &texter{output: newOutput(w), in: &in, r: in.report(), width: opts.Width, color: opts.Color}
	if t.width <= 0 {
		t.width = 100
	}
	t.width = max(t.width, 30)
	t.head()
	t.findings()
	t.blocked()
	if opts.Details {
		t.graph()
		t.groups()
	}
	t.foot()
	return t.end()
}

type texter struct {
	*output
	in    *Input
	r     *diagnose.Report
	width int
	color bool
}

func (t *texter) paint(code, text string) string {
	if !t.color || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// The colours, each with its one meaning.
func (t *texter) bold(s string) string { return t.paint("1", s) }
func (t *texter) dim(s string) string  { return t.paint("2", s) }

func (t *texter) severity(s diagnose.Severity, text string) string {
	switch s {
	case diagnose.Critical:
		return t.paint("1;31", text)
	case diagnose.Warning:
		return t.paint("1;33", text)
	}
	return t.paint("36", text)
}

func (t *texter) line(parts ...string) {
	t.str(parts...)
	t.str("\n")
}

// para writes a text with an indentation; what stands before it in the first
// line has that width.
func (t *texter) para(before string, indent int, text string, style func(string) string) {
	for i, l := range wrap(oneLine(text), t.width-indent) {
		if i > 0 {
			before = strings.Repeat(" ", indent)
		}
		t.line(before, style(l))
	}
}

func same(s string) string { return s }

func (t *texter) head() {
	title := oneLine(t.in.Title)
	m := machine(t.r.Machine)
	if title == "" && m == "" {
		return
	}
	if title != "" {
		t.para("", 0, title, t.bold)
	}
	if m != "" {
		t.para("", 0, m, t.dim)
	}
	t.line()
}

// label is how many columns the names of a finding's parts take.
const label = 11

func (t *texter) findings() {
	list := ordered(t.r.Findings)
	if len(list) == 0 {
		t.line("Nothing was found.", "\n")
		return
	}
	for _, f := range list {
		mark := strings.ToUpper(oneLine(string(f.Severity)))
		lead := mark
		if f.Severity != diagnose.Info && f.Confidence != "" {
			lead += ", " + oneLine(string(f.Confidence))
		}
		t.line(t.severity(f.Severity, lead))
		t.para("  ", 2, f.Title, t.bold)
		part := func(name, text string, style func(string) string) {
			if text == "" {
				return
			}
			t.para("  "+t.dim(fmt.Sprintf("%-*s", label-2, name)), label, text, style)
		}
		part("suspect", f.Suspect, t.bold)
		part("why", f.Detail, same)
		if len(f.Tasks) > 0 {
			part("tasks", names(f.Tasks, 6), same)
		}
		part("next", f.Next, same)
		part("unless", f.Refute, same)
		part("lines", spans(f.Lines, 8), t.dim)
		t.line()
	}
}

// blocked counts the tasks in state D by what they wait for.
func (t *texter) blocked() {
	if len(t.r.Blocked) == 0 {
		return
	}
	t.line(t.bold(plural(len(t.r.Blocked), "task") + " blocked in state D"))
	list := countWaits(t.r.Blocked)
	wide := 0
	for _, c := range list {
		wide = max(wide, columns(oneLine(c.wait)))
	}
	wide = min(wide, max(t.width/3, 12))
	digits := len(fmt.Sprint(list[0].count))
	for _, c := range list {
		wait := clip(oneLine(c.wait), wide)
		before := fmt.Sprintf("  %*d  %s%s  ", digits, c.count, wait, strings.Repeat(" ", wide-columns(wait)))
		text := names(c.tasks, 5)
		if c.long > 0 {
			text += fmt.Sprintf("; for more than %s", seconds(c.long))
		}
		t.para(before, columns(before), text, t.dim)
	}
	t.line()
}

// seconds is a time in words.
func seconds(n int) string {
	switch {
	case n < 120:
		return fmt.Sprintf("%d s", n)
	case n < 2*3600:
		return fmt.Sprintf("%d min", n/60)
	}
	return fmt.Sprintf("%d h", n/3600)
}

// graph shows the wait graph as a tree: what is waited for, and below it, by
// whom.
func (t *texter) graph() {
	g := waitGraph(&t.r.Graph, maxNodes)
	if len(g.edges) == 0 {
		return
	}
	t.para("", 0, "Who waits for whom; below each, those that wait for it", t.bold)
	for _, b := range g.tree() {
		n := &g.nodes[b.node]
		lead := "  "
		if b.depth > 0 {
			lead += strings.Repeat("   ", min(b.depth-1, 12)) + "<- "
		}
		text := n.label
		if b.again {
			text += " (see above)"
		} else if note := nodeNote(*n); note != "" {
			text += " · " + note
		}
		if b.edge >= 0 {
			e := g.edges[b.edge]
			if e.why != "" {
				text += ": " + e.why
			}
			if e.confidence != diagnose.Certain && e.confidence != "" {
				text += ", " + string(e.confidence)
			}
		}
		style := same
		switch {
		case n.cycle:
			style = func(s string) string { return t.severity(diagnose.Critical, s) }
		case n.root:
			style = t.bold
		}
		t.para(lead, min(columns(lead), t.width/2), text, style)
	}
	if g.left > 0 {
		t.line(t.dim(fmt.Sprintf("  %s left out: those with the fewest tasks", plural(g.left, "more node"))))
	}
	t.line()
}

// groups shows the stacks, those of blocked tasks first, then the most common.
func (t *texter) groups() {
	groups := orderedGroups(t.r.Groups)
	for _, g := range groups {
		head := plural(g.Count, "task")
		if g.State != "" {
			head += " in state " + oneLine(g.State)
		}
		if g.Wait != "" {
			head += ", " + oneLine(g.Wait)
		}
		style := t.bold
		if g.State == "D" {
			style = func(s string) string { return t.severity(diagnose.Warning, s) }
		}
		t.para("", 0, head, style)
		t.para("  ", 2, names(g.Tasks, 12), same)
		if g.Workqueue != "" {
			t.para("  ", 2, "works on "+g.Workqueue, same)
		}
		t.para("  ", 2, "lines "+spans(g.Lines, 8), t.dim)
		var sure []dump.Frame
		sure = sureFrames(sure, g.Stack)
		for i := range sure {
			t.line("    ", clip(frameText(&sure[i]), t.width-4))
		}
		if left := len(g.Stack) - len(sure); left > 0 {
			t.line(t.dim(fmt.Sprintf("    (%s the kernel was not sure of)", plural(left, "frame"))))
		}
		t.line()
	}
}

// orderedGroups puts blocked tasks first, then the larger group.
func orderedGroups(list []diagnose.Group) []diagnose.Group {
	rank := func(g diagnose.Group) int {
		if g.State == "D" {
			return 0
		}
		return 1
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b diagnose.Group) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(b.Count, a.Count))
	})
	return list
}

// frameText is a frame with what else is known of it.
func frameText(f *dump.Frame) string {
	s := frameName(f)
	if f.Offset > 0 || f.Size > 0 {
		s = oneLine(f.Func) + fmt.Sprintf("+%#x/%#x", f.Offset, f.Size)
		if f.Module != "" {
			s += " [" + oneLine(f.Module) + "]"
		}
	}
	if f.Source != "" {
		s += " " + oneLine(f.Source)
	}
	if f.Inline {
		s += " (inlined)"
	}
	if f.Context != "" && f.Context != "TASK" {
		s += " <" + oneLine(f.Context) + ">"
	}
	return s
}

func (t *texter) foot() {
	t.para("", 0, inventory(t.r, t.in.Counts)+".", t.dim)
	if n := t.in.Counts.Unread; n > 0 {
		t.para("", 0, plural(int(n), "line")+" that could not be read.", t.dim)
	}
}
