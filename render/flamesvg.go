package render

import (
	"fmt"
	"io"
)

const (
	flameWidth = 1160.0
	flameRow   = 18.0
	// flameMin is the width, in pixels, below which a frame is not drawn:
	// nobody could point at it.
	flameMin = 1.0
)

// FlameSVG draws the tasks' stacks as a flame graph, outermost function on top:
// the wider a frame, the more tasks are in it; the warmer, the more of these
// are blocked.
func FlameSVG(w io.Writer, in Input) error {
	o := newOutput(w)
	drawFlame(o, flameOf(in), true)
	return o.end()
}

func drawFlame(o *output, root *flame, alone bool) {
	if root.count == 0 {
		openSVG(o, "picture flame", "Flame graph: no stacks", 420, 60, alone)
		o.str(`<text x="16" y="35">There is no stack in this log.</text>`, "\n</svg>\n")
		return
	}
	scale := flameWidth / float64(root.count)
	depth := 0
	var measure func(f *flame, d int)
	measure = func(f *flame, d int) {
		depth = max(depth, d+1)
		for _, c := range f.children {
			if float64(c.count)*scale >= flameMin {
				measure(c, d+1)
			}
		}
	}
	measure(root, 0)
	label := fmt.Sprintf("Flame graph of %s, %d of them blocked", plural(root.count, "task"), root.blocked)
	openSVG(o, "picture flame", label, flameWidth, float64(depth)*flameRow+2, alone)
	var draw func(f *flame, at int, d int)
	draw = func(f *flame, at, d int) {
		x, w, y := float64(at)*scale, float64(f.count)*scale, float64(d)*flameRow
		o.str(fmt.Sprintf(`<g class="f%d" data-d="%d" data-at="%d" data-n="%d">`, warmth(f), d, at, f.count))
		title := fmt.Sprintf("%s: %s", f.name, plural(f.count, "task"))
		if f.blocked > 0 {
			title += fmt.Sprintf(", %d blocked", f.blocked)
		}
		o.str(`<title>`, esc(title), `</title><rect x="`, px(x), `" y="`, px(y), `" width="`, px(w), `" height="`, px(flameRow), `"/></g>`)
		// The name stands beside its box, not in it: to a screen reader the box has
		// its whole name, and half of it again would be noise.
		if fit := int((w - 6) / (charWidth * 11 / 12)); fit >= 3 {
			o.str(`<text aria-hidden="true" x="`, px(x+3), `" y="`, px(y+13), `">`, esc(clip(f.name, fit)), `</text>`)
		}
		o.str("\n")
		for _, c := range f.children {
			if float64(c.count)*scale >= flameMin {
				draw(c, at, d+1)
			}
			at += c.count
		}
	}
	draw(root, 0, 0)
	o.str("</svg>\n")
}

// warmth is how much of a frame is blocked, in four steps.
func warmth(f *flame) int {
	switch {
	case f.blocked == 0:
		return 0
	case f.blocked == f.count:
		return 3
	case 2*f.blocked >= f.count:
		return 2
	}
	return 1
}
