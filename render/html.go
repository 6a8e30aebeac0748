package render

import (
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sysrq/sysrq/diagnose"
	"github.com/sysrq/sysrq/dump"
)

//go:embed page.css
var pageCSS string

//go:embed page.js
var pageJS string

// HTMLOptions say how a page is written. The zero value is right.
type HTMLOptions struct {
	// RawLimit is how many bytes of the log the page carries; 4 MiB where it is
	// 0, none where it is negative. The lines near findings come in addition,
	// whatever it is, where there are lines at all.
	RawLimit int64
}

// HTML writes one page that needs nothing else: no network, no other file, and
// to see the findings and the pictures, no script. It holds every task, however
// many there are; the log itself up to a limit, and says where it was cut.
func HTML(w io.Writer, in Input, opts HTMLOptions) error {
	if opts.RawLimit == 0 {
		opts.RawLimit = rawLimit
	}
	p := &page{output: newOutput(w), in: &in, r: in.report(), findings: ordered(in.report().Findings)}
	p.raw = keepRaw(in.Lines, p.findings, max(opts.RawLimit, 0))
	p.collect()
	p.write()
	return p.end()
}

// page is one under way.
type page struct {
	*output
	in       *Input
	r        *diagnose.Report
	findings []diagnose.Finding
	raw      rawText
	tasks    *pageTasks
	all, bad *flame // stacks of all tasks, and of blocked ones
	graph    wgraph
	blocks   map[dump.Kind][]*dump.Block // but tasks
	repeats  bool                        // tasks stand in more than one dump
	section  []section
	labels   map[string]int
}

type section struct {
	id, title string
	write     func()
}

// collect walks the blocks and keeps what the page shows.
func (p *page) collect() {
	p.tasks = newPageTasks()
	p.blocks = map[dump.Kind][]*dump.Block{}
	w := newWaits(p.r)
	dumps := 0
	for b := range p.in.blocks() {
		switch b.Kind {
		case dump.KindTask, dump.KindHungTask, dump.KindStack:
			if t, ok := b.Body.(*dump.Task); ok {
				p.tasks.add(b, t, w)
				if dumps == 0 {
					dumps = b.Dump
				} else if dumps != b.Dump {
					p.repeats = true
				}
			}
		case dump.KindHeader, dump.KindHelp:
		default:
			if len(p.blocks[b.Kind]) < maxBlocks {
				p.blocks[b.Kind] = append(p.blocks[b.Kind], b.Clone())
			}
		}
	}
	// A task counts once, by its last stack.
	type key struct{ comm, pid int32 }
	last := map[key]int{}
	for i, t := range p.tasks.rows {
		if t.pid >= 0 {
			last[key{t.comm, t.pid}] = i
		}
	}
	type bar struct {
		stack   int32
		blocked bool
	}
	counts := map[bar]int{}
	var order []bar
	for i, t := range p.tasks.rows {
		if len(p.tasks.stacks[t.stack]) == 0 || t.pid >= 0 && last[key{t.comm, t.pid}] != i {
			continue
		}
		k := bar{t.stack, t.state == 'D'}
		if counts[k] == 0 {
			order = append(order, k)
		}
		counts[k]++
	}
	p.all, p.bad = &flame{name: "all tasks"}, &flame{name: "blocked tasks"}
	for _, k := range order {
		stack := func(yield func(string) bool) {
			for _, f := range slices.Backward(p.tasks.stacks[k.stack]) {
				if !yield(p.tasks.strings[f]) {
					return
				}
			}
		}
		p.all.add(stack, counts[k], k.blocked)
		if k.blocked {
			p.bad.add(stack, counts[k], true)
		}
	}
	p.all.sort()
	p.bad.sort()
	p.graph = waitGraph(&p.r.Graph, maxNodes)
}

// Of a kind of block that is not a task's, and of rows of a table, a page shows
// so many. A log that has more is read by a program, not by a person.
const (
	maxBlocks = 400
	maxRows   = 400
	maxGroups = 60
	maxIdle   = 10 // groups of tasks that are not blocked
)

// hash is how a policy names the one script, or style sheet, that it permits.
func hash(text string) string {
	h := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(h[:]) + "'"
}

// icon is a page's, in its own address: browsers ask for one.
const icon = `data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect width='16' height='16' rx='3' fill='%23cf222e'/%3E%3Cpath d='M8 3v6M8 11v2' stroke='white' stroke-width='2'/%3E%3C/svg%3E`

func (p *page) write() {
	css := pageCSS + svgCSS
	title := cmp.Or(oneLine(p.in.Title), "a log")
	p.str("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
		`<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src `, hash(css), `; script-src `, hash(pageJS),
		`; img-src data:; base-uri 'none'; form-action 'none'">`, "\n",
		`<meta name="viewport" content="width=device-width, initial-scale=1">`, "\n",
		`<meta name="color-scheme" content="light dark">`, "\n",
		`<link rel="icon" href="`, icon, `">`, "\n",
		"<title>", esc(title), " – sysrq report</title>\n<style>", css, "</style>\n</head>\n<body>\n",
		`<a class="skip" href="#main">Skip to the findings</a>`, "\n")

	p.section = []section{{"findings", "Findings", p.writeFindings}}
	if len(p.r.Blocked) > 0 {
		p.section = append(p.section, section{"blocked", "Blocked tasks", p.writeBlocked})
	}
	if len(p.graph.edges) > 0 {
		p.section = append(p.section, section{"graph", "Wait graph", p.writeGraph})
	}
	if p.all.count > 0 {
		p.section = append(p.section, section{"flame", "Flame graph", p.writeFlame})
	}
	if len(p.r.Groups) > 0 {
		p.section = append(p.section, section{"stacks", "Stacks", p.writeGroups})
	}
	if len(p.tasks.rows) > 0 {
		p.section = append(p.section, section{"tasks", "Tasks", p.writeTasks})
	}
	p.tables()
	if p.in.Lines != nil {
		p.section = append(p.section, section{"raw", "Raw text", p.writeRaw})
	}

	p.str("<header>\n<p class=\"brand\">sysrq report</p>\n<h1>", esc(title), "</h1>\n")
	if m := machine(p.r.Machine); m != "" {
		p.str(`<p class="machine">`, esc(m), "</p>\n")
	}
	p.str(`<p class="machine">`, esc(inventory(p.r, p.in.Counts)), ".")
	if n := p.in.Counts.Unread; n > 0 {
		p.str(" ", esc(plural(int(n), "line")), " could not be read.")
	}
	p.str("</p>\n")
	p.verdict()
	p.str("</header>\n<nav aria-label=\"Parts of this page\"><ul>\n")
	for _, s := range p.section {
		p.str(`<li><a href="#`, s.id, `">`, esc(s.title), "</a></li>\n")
	}
	p.str("</ul></nav>\n<main id=\"main\" tabindex=\"-1\">\n")
	for _, s := range p.section {
		p.str(`<section id="`, s.id, `" aria-labelledby="h-`, s.id, `">`, "\n<h2 id=\"h-", s.id, `">`, esc(s.title), "</h2>\n")
		s.write()
		p.str("</section>\n")
	}
	p.str("</main>\n<footer><p>Made by sysrq", esc(prefixed(" ", p.in.Version)), " from the text of the log alone.</p></footer>\n")
	if len(p.tasks.rows) > 0 {
		p.str(`<script type="application/json" id="data">`)
		p.tasks.write(p.output, p.raw.kept, p.repeats)
		p.str("</script>\n")
	}
	p.str("<script>", pageJS, "</script>\n</body>\n</html>\n")
}

func prefixed(before, s string) string {
	if s == "" {
		return ""
	}
	return before + s
}

// verdict is what somebody reads who reads one line.
func (p *page) verdict() {
	counts := map[diagnose.Severity]int{}
	for _, f := range p.findings {
		counts[f.Severity]++
	}
	p.str("<ul class=\"verdict\" aria-label=\"In short\">\n")
	item := func(class string, n int, what string) {
		p.str(`<li class="`, class, `"><b>`, fmt.Sprint(n), "</b> ", esc(what), "</li>\n")
	}
	for _, s := range severities {
		if n := counts[s]; n > 0 {
			what := map[diagnose.Severity]string{diagnose.Critical: "critical", diagnose.Warning: plural(n, "warning")[len(fmt.Sprint(n))+1:], diagnose.Info: "to know"}[s]
			item(string(s), n, what)
		}
	}
	if n := len(p.r.Blocked); n > 0 {
		item("plain", n, plural(n, "blocked task")[len(fmt.Sprint(n))+1:])
	}
	if n := len(p.tasks.rows); n > 0 {
		item("plain", n, plural(n, "stack")[len(fmt.Sprint(n))+1:])
	}
	p.str("</ul>\n")
}

// lines writes ranges as links to the raw text, as far as it is there.
func (p *page) lines(list []dump.Span, limit int) {
	for i, s := range list {
		if i == limit {
			p.str(", ", esc(fmt.Sprintf("%d more", len(list)-limit)))
			return
		}
		if i > 0 {
			p.str(", ")
		}
		if p.raw.has(s.First) {
			p.str(fmt.Sprintf(`<a href="#L%d" data-last="%d">%s</a>`, s.First, max(s.Last, s.First), span(s)))
		} else {
			p.str(span(s))
		}
	}
}

// sureness says what the confidences mean.
var sureness = map[diagnose.Confidence]string{
	diagnose.Certain:  "certain: the kernel says so itself",
	diagnose.Likely:   "likely: nothing else that we know fits",
	diagnose.Possible: "possible: it fits, and so do other things",
}

func (p *page) writeFindings() {
	if len(p.findings) == 0 {
		p.str("<p>Nothing was found.</p>\n")
	}
	for i, f := range p.findings {
		class := "info"
		if slices.Contains(severities, f.Severity) {
			class = string(f.Severity)
		}
		p.str(fmt.Sprintf(`<article class="finding %s" id="finding-%d" aria-labelledby="f-%d">`, class, i+1, i+1), "\n",
			`<p class="meta"><span class="badge">`, esc(string(f.Severity)), "</span>")
		if s := sureness[f.Confidence]; s != "" && f.Severity != diagnose.Info {
			p.str(` <span class="sure">`, esc(s), "</span>")
		}
		p.str("</p>\n", fmt.Sprintf(`<h3 id="f-%d">`, i+1), esc(oneLine(f.Title)), "</h3>\n<dl>\n")
		part := func(class, name, text string) {
			if text != "" {
				p.str(`<div class="`, class, `"><dt>`, name, "</dt><dd>", esc(text), "</dd></div>\n")
			}
		}
		part("suspect", "Suspect", f.Suspect)
		part("why", "Why", f.Detail)
		if len(f.Tasks) > 0 {
			part("who", "Tasks", names(f.Tasks, 8))
		}
		part("next", "Next", f.Next)
		part("refute", "Not so, if", f.Refute)
		if len(f.Lines) > 0 {
			p.str(`<div class="lines"><dt>Lines</dt><dd>`)
			p.lines(f.Lines, 12)
			p.str("</dd></div>\n")
		}
		p.str("</dl>\n</article>\n")
	}
}

// open begins a table in a box that scrolls sideways where it must.
func (p *page) open(label string, heads ...string) {
	// Who jumps between landmarks needs a name for each.
	label += ", table"
	if p.labels == nil {
		p.labels = map[string]int{}
	}
	if p.labels[label]++; p.labels[label] > 1 {
		label += fmt.Sprintf(" %d", p.labels[label])
	}
	p.str(`<div class="scroll" role="region" tabindex="0" aria-label="`, esc(label), `"><table>`, "\n<thead><tr>")
	for _, h := range heads {
		class := ""
		if rest, ok := strings.CutPrefix(h, "#"); ok {
			h, class = rest, ` class="n"`
		}
		p.str(`<th scope="col"`, class, ">", esc(h), "</th>")
	}
	p.str("</tr></thead>\n<tbody>\n")
}

func (p *page) shut(left int) {
	p.str("</tbody></table></div>\n")
	if left > 0 {
		p.str(`<p class="gap">`, esc(fmt.Sprintf("%d more rows are not shown; the JSON has them.", left)), "</p>\n")
	}
}

// Cells: text, a number, and code.
func (p *page) td(s string)   { p.str("<td>", esc(s), "</td>") }
func (p *page) num(s string)  { p.str(`<td class="n">`, esc(s), "</td>") }
func (p *page) code(s string) { p.str(`<td class="c">`, esc(s), "</td>") }
func (p *page) int(n int64)   { p.num(fmt.Sprint(n)) }
func (p *page) at(b *dump.Block) {
	p.str("<td>")
	p.lines(spansOf(b), 2)
	p.str("</td>")
}

func (p *page) writeBlocked() {
	list := countWaits(p.r.Blocked)
	p.open("Blocked tasks by what they wait for", "Waits for", "#Tasks", "Share", "Who", "#Longest")
	most := list[0].count
	for _, c := range list {
		p.str(`<tr><th scope="row" class="w">`, esc(c.wait), "</th>")
		p.int(int64(c.count))
		p.str(`<td class="bar"><svg width="120" height="10" aria-hidden="true"><rect width="`, px(max(2, 120*float64(c.count)/float64(most))), `" height="10" rx="2"/></svg></td>`)
		p.td(names(c.tasks, 8))
		long := ""
		if c.long > 0 {
			long = "> " + seconds(c.long)
		}
		p.num(long)
		p.str("</tr>\n")
	}
	p.shut(0)
	// Where there is no script, this is all that is seen of single tasks.
	p.str("<details><summary>", esc(plural(len(p.r.Blocked), "task")), " one by one</summary>\n")
	p.open("Blocked tasks, one by one", "Name", "#PID", "Waits for", "On", "#Blocked", "#Dumps", "Lines")
	shown := p.r.Blocked[:min(len(p.r.Blocked), maxRows)]
	for _, b := range shown {
		p.str(`<tr><th scope="row">`, esc(name(b.Comm)), "</th>")
		p.num(pid(b.PID))
		p.td(b.Wait)
		p.td(b.For)
		long := ""
		if b.Seconds > 0 {
			long = "> " + seconds(b.Seconds)
		}
		p.num(long)
		seen := fmt.Sprint(b.Seen)
		if b.Moved {
			seen += ", moved"
		}
		p.num(seen)
		p.str("<td>")
		p.lines(b.Lines, 4)
		p.str("</td></tr>\n")
	}
	p.shut(len(p.r.Blocked) - len(shown))
	p.str("</details>\n")
}

func pid(n int) string {
	if n < 0 {
		return "?"
	}
	return fmt.Sprint(n)
}

func (p *page) writeGraph() {
	p.str(`<figure><div class="scroll picture-box" role="region" tabindex="0" aria-label="Wait graph, a picture">`, "\n")
	drawWait(p.output, p.graph, false)
	p.str("</div>\n<figcaption>From left to right: who waits, and for what. ",
		"A solid line is certain, a dashed one likely, a dotted one possible. A thick frame is a root: what others wait for in the end. Red is a deadlock.</figcaption></figure>\n",
		"<details><summary>The same in words</summary>\n<ul class=\"tree\">\n")
	depth := 0
	for i, b := range p.graph.tree() {
		for ; depth > b.depth; depth-- {
			p.str("</li></ul>\n")
		}
		switch {
		case b.depth > depth:
			p.str("<ul>\n")
			depth++
		case i > 0:
			p.str("</li>\n")
		}
		n := &p.graph.nodes[b.node]
		p.str("<li>", esc(n.label))
		if note := nodeNote(*n); note != "" && !b.again {
			p.str(` <span class="sure">(`, esc(note), ")</span>")
		}
		if b.edge >= 0 {
			e := p.graph.edges[b.edge]
			p.str(" waits for it")
			if e.why != "" {
				p.str(": ", esc(e.why))
			}
			if e.confidence != "" {
				p.str(", ", esc(string(e.confidence)))
			}
		}
		if b.again {
			p.str(" (see above)")
		} else if n.first > 0 {
			p.str("; lines ")
			p.lines([]dump.Span{{First: n.first, Last: n.last}}, 1)
		}
	}
	for ; depth >= 0; depth-- {
		p.str("</li></ul>\n")
	}
	p.str("</details>\n")
}

func (p *page) writeFlame() {
	one := func(f *flame, label string) {
		p.str(`<div class="scroll picture-box flame-box" role="region" tabindex="0" aria-label="`, label, `">`, "\n")
		drawFlame(p.output, f, false)
		p.str("</div>\n")
	}
	caption := "<figcaption>The outermost function is on top; what a task sleeps in is at the bottom. The wider a box, the more tasks; the warmer, the more of them are blocked. " +
		"<span class=\"script\" hidden>A click, or the arrow keys and Enter, enlarge a part; Escape shows all again.</span></figcaption>"
	if p.bad.count > 0 {
		p.str("<figure>\n")
		one(p.bad, "Flame graph of blocked tasks, a picture")
		p.str(caption, "</figure>\n")
		if p.all.count == p.bad.count {
			return
		}
		p.str("<details><summary>All ", esc(plural(p.all.count, "task")), "</summary><figure>\n")
		one(p.all, "Flame graph of all tasks, a picture")
		p.str("</figure></details>\n")
		return
	}
	p.str("<figure>\n")
	one(p.all, "Flame graph of all tasks, a picture")
	p.str(caption, "</figure>\n")
}

func (p *page) writeGroups() {
	groups := orderedGroups(p.r.Groups)
	p.str("<p>Tasks whose stacks are alike, blocked ones first.</p>\n")
	idle := 0
	for i, g := range groups {
		if g.State != "D" {
			idle++
		}
		if i == maxGroups || idle > maxIdle {
			p.str(`<p class="gap">`, esc(fmt.Sprintf("%d more groups: the table of tasks has them all.", len(groups)-i)), "</p>\n")
			break
		}
		p.str(`<details class="group"><summary><b>`, esc(plural(g.Count, "task")), "</b>")
		if g.State != "" {
			p.str(` <span class="state" title="state">`, esc(g.State), "</span>")
		}
		if g.Wait != "" {
			p.str(` <span class="wait">`, esc(g.Wait), "</span>")
		}
		p.str(` <span class="who">`, esc(names(g.Tasks, 4)), "</span></summary>\n<p>")
		if g.Workqueue != "" {
			p.str("Works on ", esc(g.Workqueue), ". ")
		}
		p.str(esc(names(g.Tasks, 40)), ". Lines ")
		p.lines(g.Lines, 12)
		p.str("</p>\n")
		p.stack(g.Stack)
		p.str("</details>\n")
	}
}

func (p *page) stack(stack []dump.Frame) {
	sure := sureFrames(nil, stack)
	p.str("<pre>")
	for i := range sure {
		p.str(esc(frameText(&sure[i])), "\n")
	}
	if left := len(stack) - len(sure); left > 0 {
		p.str("<i>", esc(plural(left, "frame")), " the kernel was not sure of</i>\n")
	}
	p.str("</pre>\n")
}

// writeTasks leaves the table to the script, and a short one to those who have
// none.
func (p *page) writeTasks() {
	t := p.tasks
	p.str(`<div id="browser" hidden>
<div class="controls" role="search" aria-label="Tasks">
<label class="grow">Search <input type="search" id="q" placeholder="name, number, function, wait" autocomplete="off" spellcheck="false"></label>
<label>State <select id="state"><option value="">all</option></select></label>
<label>Waits for <select id="wait"><option value="">anything</option></select></label>
<label class="check"><input type="checkbox" id="fold" checked> Fold like stacks</label>
</div>
<p id="count" role="status"></p>
<div class="grid" id="grid" role="region" tabindex="0" aria-label="Tasks, a table that scrolls"><table id="rows">
<thead><tr></tr></thead><tbody></tbody></table></div>
</div>
<div id="plain">
`)
	p.open("Tasks", "Name", "#PID", "State", "Waits for", "Sleeps in", "Lines")
	n := min(len(t.rows), 100)
	for _, row := range t.rows[:n] {
		p.str(`<tr><th scope="row">`, esc(cmp.Or(t.strings[row.comm], "?")), "</th>")
		p.num(pid(int(row.pid)))
		state := ""
		if row.state != 0 {
			state = string(rune(row.state))
		}
		p.td(state)
		p.td(t.strings[row.wait])
		p.code(t.leaf(row.stack))
		p.str("<td>")
		p.lines([]dump.Span{{First: row.first, Last: row.last}}, 1)
		p.str("</td></tr>\n")
	}
	p.shut(0)
	if n < len(t.rows) {
		p.str(`<p class="gap">`, esc(fmt.Sprintf("These are the first %d of %d. With JavaScript this page shows all of them.", n, len(t.rows))), "</p>\n")
	}
	p.str("</div>\n")
}

// leaf is the innermost function that says something.
func (t *pageTasks) leaf(stack int32) string {
	for _, f := range t.stacks[stack] {
		switch s := t.strings[f]; {
		case strings.HasPrefix(s, "__schedule"), strings.HasPrefix(s, "schedule"), s == "io_schedule", s == "__switch_to", s == "preempt_schedule_common", s == "__cond_resched":
		default:
			return s
		}
	}
	return ""
}

func (p *page) writeRaw() {
	r := &p.raw
	switch {
	case r.lines == 0:
		p.str("<p>The log is empty.</p>\n")
		return
	case r.shown == r.lines:
		p.str("<p>", esc(plural(int(r.lines), "line")), ", all of the log. ")
	default:
		p.str("<p><b>", esc(fmt.Sprintf("%d of %d lines", r.shown, r.lines)), "</b>: the log has ", esc(megabytes(r.size)),
			", which is more than this page carries. Its beginning is here, and everything near the findings. ")
	}
	p.str(`Lines on which a finding rests are marked.</p>`, "\n", `<p class="print">Only the lines near findings are printed.</p>`, "\n<div class=\"raw\">\n")
	p.bytes(r.html)
	if r.shown < r.lines {
		if last := r.kept; len(last) > 0 && last[len(last)-1].Last < r.lines {
			p.str(`<p class="gap">`, esc(fmt.Sprintf("%d lines are left out here.", r.lines-last[len(last)-1].Last)), "</p>\n")
		}
	}
	p.str("</div>\n")
}

func megabytes(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%d kB", n>>10)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
}
