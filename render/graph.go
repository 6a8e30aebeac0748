package render

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/sysrq/sysrq/diagnose"
)

// wnode is a node of the wait graph as it is drawn. Tasks for which nobody
// waits, and which wait alike for the same, are one.
type wnode struct {
	kind  diagnose.NodeKind
	label string
	wait  string
	tasks []diagnose.TaskRef
	first int64 // the first line of it, or 0
	last  int64
	root  bool
	cycle bool
}

// wedge says that one waits for another, by indices.
type wedge struct {
	from, to   int
	why        string
	confidence diagnose.Confidence
}

type wgraph struct {
	nodes []wnode
	edges []wedge
	// left is how many nodes are not drawn because there are too many.
	left int
}

// maxNodes is how many nodes are drawn: more than anybody follows with a
// finger.
const maxNodes = 250

// waitGraph makes a graph ready to be drawn, whatever its indices say.
func waitGraph(g *diagnose.Graph, limit int) wgraph {
	n := len(g.Nodes)
	var edges []diagnose.Edge
	waitedFor := make([]bool, n)
	out := make([][]int, n)
	for _, e := range g.Edges {
		if e.From < 0 || e.From >= n || e.To < 0 || e.To >= n {
			continue
		}
		out[e.From] = append(out[e.From], len(edges))
		edges = append(edges, e)
		waitedFor[e.To] = true
	}

	// Those at the near end of the chains are put together where they are alike.
	var w wgraph
	place := make([]int, n)
	alike := map[string]int{}
	for i, gn := range g.Nodes {
		wn := wnode{
			kind: gn.Kind, label: oneLine(gn.Label), wait: oneLine(gn.Wait),
			tasks: gn.Tasks, root: gn.Root, cycle: gn.Cycle,
		}
		if len(gn.Lines) > 0 {
			wn.first, wn.last = gn.Lines[0].First, gn.Lines[0].Last
		}
		if gn.Kind == diagnose.NodeTasks && len(out[i]) > 0 && !waitedFor[i] && !gn.Cycle {
			var key strings.Builder
			fmt.Fprintf(&key, "%s\x00%t", gn.Wait, gn.Root)
			for _, j := range out[i] {
				fmt.Fprintf(&key, "\x00%d\x00%s\x00%s", edges[j].To, edges[j].Why, edges[j].Confidence)
			}
			if at, ok := alike[key.String()]; ok {
				place[i] = at
				w.nodes[at].tasks = append(slices.Clip(w.nodes[at].tasks), gn.Tasks...)
				w.nodes[at].label = ""
				continue
			}
			alike[key.String()] = len(w.nodes)
		}
		place[i] = len(w.nodes)
		w.nodes = append(w.nodes, wn)
	}
	for i := range w.nodes {
		if w.nodes[i].label == "" {
			w.nodes[i].label = cmp.Or(crowd(w.nodes[i].tasks), "?")
		}
	}
	seen := map[wedge]bool{}
	for _, e := range edges {
		we := wedge{place[e.From], place[e.To], oneLine(e.Why), e.Confidence}
		if !seen[we] {
			seen[we] = true
			w.edges = append(w.edges, we)
		}
	}
	w.cut(limit)
	return w
}

// crowd names several tasks: how many there are, and who.
func crowd(tasks []diagnose.TaskRef) string {
	if len(tasks) <= 1 {
		return names(tasks, 1)
	}
	return fmt.Sprintf("%s: %s", plural(len(tasks), "task"), names(tasks, 3))
}

// cut leaves the nodes that say most: deadlocks and roots, what they hang on,
// then the largest crowds.
func (w *wgraph) cut(limit int) {
	if len(w.nodes) <= limit {
		return
	}
	degree := make([]int, len(w.nodes))
	for _, e := range w.edges {
		degree[e.to]++
	}
	order := make([]int, len(w.nodes))
	for i := range order {
		order[i] = i
	}
	weight := func(i int) int {
		n := &w.nodes[i]
		v := len(n.tasks) + 4*degree[i]
		if n.root || n.cycle {
			v += 1 << 30
		}
		return v
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(weight(b), weight(a)) })
	keep := order[:limit]
	slices.Sort(keep)
	place := make([]int, len(w.nodes))
	for i := range place {
		place[i] = -1
	}
	nodes := make([]wnode, 0, limit)
	for _, i := range keep {
		place[i] = len(nodes)
		nodes = append(nodes, w.nodes[i])
	}
	w.left = len(w.nodes) - limit
	var edges []wedge
	for _, e := range w.edges {
		if f, t := place[e.from], place[e.to]; f >= 0 && t >= 0 {
			edges = append(edges, wedge{f, t, e.why, e.confidence})
		}
	}
	w.nodes, w.edges = nodes, edges
}

// branch is a line of the graph as a tree: the root first, those that wait for
// it below it and further in.
type branch struct {
	node  int
	depth int
	edge  int // the edge to what stands above it; -1 for a root
	// again: it has stood in the tree before, and what waits for it with it.
	again bool
}

// tree walks the graph from what everybody waits for. Every node comes out at
// least once, every edge exactly once.
func (w *wgraph) tree() []branch {
	in := make([][]int, len(w.nodes)) // edges that end here
	waits := make([]int, len(w.nodes))
	for i, e := range w.edges {
		in[e.to] = append(in[e.to], i)
		waits[e.from]++
	}
	var list []branch
	seen := make([]bool, len(w.nodes))
	var walk func(node, depth, edge int)
	walk = func(node, depth, edge int) {
		list = append(list, branch{node, depth, edge, seen[node]})
		if seen[node] {
			return
		}
		seen[node] = true
		for _, e := range in[node] {
			walk(w.edges[e].from, depth+1, e)
		}
	}
	begin := func(ok func(i int) bool) {
		for i := range w.nodes {
			if !seen[i] && ok(i) {
				walk(i, 0, -1)
			}
		}
	}
	begin(func(i int) bool { return waits[i] == 0 && w.nodes[i].root })
	begin(func(i int) bool { return waits[i] == 0 && len(in[i]) > 0 })
	begin(func(i int) bool { return w.nodes[i].root })
	begin(func(i int) bool { return w.nodes[i].cycle })
	begin(func(i int) bool { return waits[i] == 0 })
	begin(func(int) bool { return true })
	return list
}
