package render

import (
	"cmp"
	_ "embed"
	"fmt"
	"html"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/sysrq/sysrq/diagnose"
)

// svgCSS has the colours of the pictures, for a picture that stands alone; a
// page has them in its own style sheet.
//
//go:embed picture.css
var svgCSS string

// charWidth is that of a character of the pictures' type, in pixels. It is
// generous: the type is whatever monospace the reader's machine has.
const charWidth = 7.3

// WaitSVG draws who waits for whom: waiters at the left, what they wait for in
// the end at the right.
func WaitSVG(w io.Writer, in Input) error {
	o := newOutput(w)
	drawWait(o, waitGraph(&in.report().Graph, maxNodes), true)
	return o.end()
}

// esc makes a text safe in HTML and XML, in elements and in quoted attributes.
func esc(s string) string { return html.EscapeString(printable(s)) }

// px is a coordinate, as short as it is exact enough.
func px(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }

// openSVG begins a picture. One that stands alone brings its colours.
func openSVG(o *output, class, label string, width, height float64, alone bool) {
	o.str(`<svg xmlns="http://www.w3.org/2000/svg" class="`, class, `" role="img" aria-label="`, esc(label),
		`" width="`, px(width), `" height="`, px(height), `" viewBox="0 0 `, px(width), ` `, px(height), `">`)
	if alone {
		o.str("\n<style>", svgCSS, "</style>\n", `<rect class="ground" width="100%" height="100%"/>`)
	}
	o.str("\n")
}

// whyMax is how many characters of an edge's reason are shown; all of it shows
// when it is pointed at.
const whyMax = 24

func drawWait(o *output, g wgraph, alone bool) {
	const margin = 16.0
	label := fmt.Sprintf("Wait graph: %s, %s", plural(len(g.nodes), "node"), plural(len(g.edges), "edge"))
	if len(g.nodes) == 0 {
		openSVG(o, "picture wait", "Wait graph: nobody waits for anybody", 420, 60, alone)
		o.str(`<text class="sub" x="16" y="35">Nobody waits for anybody, as far as this log tells.</text>`, "\n</svg>\n")
		return
	}
	boxes := make([]box, len(g.nodes))
	text := make([][2]string, len(g.nodes))
	for i, n := range g.nodes {
		text[i] = [2]string{clip(n.label, 36), clip(nodeNote(n), 41)}
		chars := max(float64(columns(text[i][0]))*charWidth, float64(columns(text[i][1]))*charWidth*0.87)
		boxes[i] = box{w: math.Ceil(max(chars+30, 110)), h: 32}
		if text[i][1] != "" {
			boxes[i].h = 46
		}
	}
	links := make([]link, len(g.edges))
	outs := make([]int, len(g.nodes))
	widest := 0
	for i, e := range g.edges {
		links[i] = link{from: e.from, to: e.to}
		outs[e.from]++
		widest = max(widest, min(columns(e.why), whyMax))
	}
	gap := max(70, float64(widest)*charWidth*0.83+46)
	width, height := layered(boxes, links, gap)
	foot := 0.0
	if g.left > 0 {
		foot = 22
	}
	class := "picture wait"
	if width < 1750 {
		class += " fit" // a page may shrink it a little
	}
	openSVG(o, class, label, width+2*margin, height+2*margin+foot, alone)
	o.str(`<g transform="translate(`, px(margin), ` `, px(margin), `)">`, "\n")
	for i, e := range g.edges {
		drawEdge(o, boxes, links[i], e, g.nodes[e.from].cycle && g.nodes[e.to].cycle, outs[e.from] == 1)
	}
	for i, n := range g.nodes {
		drawNode(o, boxes[i], n, text[i])
	}
	if g.left > 0 {
		o.str(`<text class="sub" y="`, px(height+foot), `">`, esc(fmt.Sprintf("%s not drawn: those with the fewest tasks.", plural(g.left, "more node"))), "</text>\n")
	}
	o.str("</g>\n</svg>\n")
}

// nodeNote is the second line of a node.
func nodeNote(n wnode) string {
	var words []string
	switch {
	case n.cycle && n.root:
		words = append(words, "deadlock, root")
	case n.cycle:
		words = append(words, "deadlock")
	case n.root:
		words = append(words, "root")
	}
	switch n.kind {
	case diagnose.NodeLock:
		words = append(words, "lock")
	case diagnose.NodeDevice:
		words = append(words, "device")
	}
	if n.wait != "" {
		words = append(words, "waits: "+n.wait)
	}
	return strings.Join(words, " · ")
}

func drawNode(o *output, b box, n wnode, text [2]string) {
	class := "node " + cmp.Or(string(n.kind), "tasks")
	switch n.kind {
	case diagnose.NodeTasks, diagnose.NodeLock, diagnose.NodeDevice:
	default:
		class = "node tasks"
	}
	if n.root {
		class += " root"
	}
	if n.cycle {
		class += " cycle"
	}
	o.str(`<g class="`, class, `"`)
	if n.first > 0 {
		o.str(fmt.Sprintf(` data-line="%d"`, n.first))
	}
	title := n.label
	if len(n.tasks) > 1 {
		title += "\n" + names(n.tasks, 40)
	}
	o.str(`><title>`, esc(title), `</title>`)
	x, y, w, h := b.x, b.y, b.w, b.h
	switch n.kind {
	case diagnose.NodeLock: // cut corners
		c := 10.0
		o.str(`<path d="M`, px(x+c), ` `, px(y), `H`, px(x+w-c), `L`, px(x+w), ` `, px(y+h/2), `L`, px(x+w-c), ` `, px(y+h),
			`H`, px(x+c), `L`, px(x), ` `, px(y+h/2), `Z"/>`)
	case diagnose.NodeDevice: // square, with a base
		o.str(`<rect x="`, px(x), `" y="`, px(y), `" width="`, px(w), `" height="`, px(h), `"/>`,
			`<path class="base" d="M`, px(x), ` `, px(y+h-2), `h`, px(w), `"/>`)
	default:
		o.str(`<rect x="`, px(x), `" y="`, px(y), `" width="`, px(w), `" height="`, px(h), `" rx="8"/>`)
	}
	ty := y + 20
	o.str(`<text x="`, px(x+15), `" y="`, px(ty), `">`, esc(text[0]), `</text>`)
	if text[1] != "" {
		o.str(`<text class="sub" x="`, px(x+15), `" y="`, px(ty+16), `">`, esc(text[1]), `</text>`)
	}
	o.str("</g>\n")
}

func drawEdge(o *output, boxes []box, l link, e wedge, cycle, alone bool) {
	class := "edge"
	switch e.confidence {
	case diagnose.Likely:
		class += " likely"
	case diagnose.Possible:
		class += " possible"
	}
	if cycle {
		class += " cycle"
	}
	a, b := boxes[l.from], boxes[l.to]
	start, end := point{a.x + a.w, a.y + a.h/2}, point{b.x, b.y + b.h/2}
	dir := 1.0
	if l.turned { // back, against the stream: a little lower, so that it can be told from the other way
		start, end, dir = point{a.x, a.y + a.h*0.7}, point{b.x + b.w, b.y + b.h*0.7}, -1
	}
	var d strings.Builder
	at := point{}
	if l.from == l.to { // waits for itself: a loop below
		x, y := a.x+a.w, a.y+a.h/2
		fmt.Fprintf(&d, "M%s %sc34 -6 34 %s -14 %s", px(x), px(y), px(a.h/2+18), px(a.h/2+6))
		at = point{x + 14, y + a.h/2 + 12}
		end, dir = point{x - 14, y + a.h/2 + 6}, 0
	} else {
		const head = 8.0
		points := append(append([]point{start}, l.bends...), point{end.x - dir*head, end.y})
		fmt.Fprintf(&d, "M%s %s", px(start.x), px(start.y))
		for i := 1; i < len(points); i++ {
			p, q := points[i-1], points[i]
			m := (q.x - p.x) / 2
			if p.y == q.y {
				fmt.Fprintf(&d, "H%s", px(q.x))
			} else {
				fmt.Fprintf(&d, "C%s %s %s %s %s %s", px(p.x+m), px(p.y), px(q.x-m), px(q.y), px(q.x), px(q.y))
			}
		}
		above := -6.0
		if l.turned {
			above = 14 // its own line stands above it
		}
		at = point{start.x + 10*dir, start.y + above}
		if !alone {
			at = point{(points[0].x + points[1].x) / 2, (points[0].y+points[1].y)/2 + above}
		}
	}
	o.str(`<g class="`, class, `"><path class="line" d="`, d.String(), `"/>`)
	switch {
	case dir == 0:
		o.str(`<path class="head" d="M`, px(end.x), ` `, px(end.y), `l9 -1l-4 8Z"/>`)
	default:
		o.str(`<path class="head" d="M`, px(end.x), ` `, px(end.y), `l`, px(-9*dir), ` -4.5v9Z"/>`)
	}
	if e.why != "" {
		anchor := ""
		switch {
		case dir < 0:
			anchor = ` text-anchor="end"`
		case dir > 0 && !alone:
			anchor = ` text-anchor="middle"`
		}
		o.str(`<text`, anchor, ` x="`, px(at.x), `" y="`, px(at.y), `">`, esc(clip(e.why, whyMax)))
		o.str(`<title>`, esc(e.why+" ("+string(e.confidence)+")"), `</title></text>`)
	}
	o.str("</g>\n")
}
