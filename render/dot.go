package render

import (
	"fmt"
	"io"
	"strings"

	"github.com/sysrq/sysrq/diagnose"
)

// DOT writes the wait graph in Graphviz's language.
func DOT(w io.Writer, in Input) error {
	g := waitGraph(&in.report().Graph, maxNodes)
	o := newOutput(w)
	o.str("digraph wait {\n",
		"\trankdir=LR;\n",
		"\tnode [shape=box, style=\"rounded,filled\", fillcolor=\"#f6f8fa\", color=\"#8c959f\", fontname=\"monospace\", fontsize=11];\n",
		"\tedge [color=\"#57606a\", fontname=\"monospace\", fontsize=9];\n")
	for i, n := range g.nodes {
		label := dotText(n.label)
		if note := nodeNote(n); note != "" {
			label += `\n` + dotText(note)
		}
		o.str(fmt.Sprintf("\tn%d [label=\"%s\"", i, label))
		switch n.kind {
		case diagnose.NodeLock:
			o.str(`, shape=hexagon, style=filled, fillcolor="#fff8e5", color="#9a6700"`)
		case diagnose.NodeDevice:
			o.str(`, shape=cylinder, style=filled, fillcolor="#ddf4ff", color="#0969da"`)
		}
		if n.cycle {
			o.str(`, fillcolor="#ffebe9", color="#cf222e"`)
		}
		if n.root {
			o.str(`, penwidth=2.5`)
		}
		o.str("];\n")
	}
	for _, e := range g.edges {
		o.str(fmt.Sprintf("\tn%d -> n%d [label=\"%s\"", e.from, e.to, dotText(e.why)))
		switch e.confidence {
		case diagnose.Likely:
			o.str(`, style=dashed`)
		case diagnose.Possible:
			o.str(`, style=dotted`)
		}
		if g.nodes[e.from].cycle && g.nodes[e.to].cycle {
			o.str(`, color="#cf222e", penwidth=2`)
		}
		o.str("];\n")
	}
	if g.left > 0 {
		o.str(fmt.Sprintf("\tleft [shape=plaintext, style=\"\", label=\"%s not drawn\"];\n", plural(g.left, "more node")))
	}
	o.str("}\n")
	return o.end()
}

// dotText is a text between DOT's quotes.
func dotText(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", " ").Replace(printable(s))
}

// Mermaid writes the wait graph in the language that forges draw in comments.
func Mermaid(w io.Writer, in Input) error {
	g := waitGraph(&in.report().Graph, maxNodes)
	o := newOutput(w)
	o.str("flowchart LR\n")
	for i, n := range g.nodes {
		open, shut := "(", ")"
		switch n.kind {
		case diagnose.NodeLock:
			open, shut = "{{", "}}"
		case diagnose.NodeDevice:
			open, shut = "[(", ")]"
		}
		label := mermaidText(n.label)
		if note := nodeNote(n); note != "" {
			label += "<br/>" + mermaidText(note)
		}
		o.str(fmt.Sprintf("    n%d%s\"%s\"%s\n", i, open, label, shut))
	}
	for _, e := range g.edges {
		arrow := "-->"
		switch e.confidence {
		case diagnose.Likely, diagnose.Possible:
			arrow = "-.->"
		}
		if e.why != "" {
			arrow += `|"` + mermaidText(e.why) + `"|`
		}
		o.str(fmt.Sprintf("    n%d %s n%d\n", e.from, arrow, e.to))
	}
	for _, c := range []struct {
		name, style string
		in          func(n *wnode) bool
	}{
		{"deadlock", "fill:#ffebe9,stroke:#cf222e,color:#1b1f24", func(n *wnode) bool { return n.cycle }},
		{"root", "stroke-width:3px", func(n *wnode) bool { return n.root && !n.cycle }},
	} {
		var members []string
		for i := range g.nodes {
			if c.in(&g.nodes[i]) {
				members = append(members, fmt.Sprintf("n%d", i))
			}
		}
		if len(members) > 0 {
			o.str("    classDef ", c.name, " ", c.style, "\n    class ", strings.Join(members, ","), " ", c.name, "\n")
		}
	}
	if g.left > 0 {
		o.str(fmt.Sprintf("    left[\"%s not drawn\"]\n", plural(g.left, "more node")))
	}
	return o.end()
}

// mermaidText is a text between Mermaid's quotes, where it takes entities.
func mermaidText(s string) string {
	var b strings.Builder
	for _, r := range printable(s) {
		switch r {
		case '"', '#', '<', '>', '&', '`', '\\', '[', ']', '{', '}', '|', ';':
			fmt.Fprintf(&b, "#%d;", r)
		case '\n':
			b.WriteByte(' ')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
