package render

import (
	"cmp"
	"slices"
)

// Layered drawing, after Sugiyama: edges that close a cycle are turned, nodes
// are put into layers by the longest path to an end, edges that pass a layer
// get a bend there, the order within layers is improved by the middles of the
// neighbours, and then each is moved towards its neighbours. No step depends on
// the order of a map or on chance.

// box is a node to be placed: its size goes in, its place comes out.
type box struct {
	w, h float64
	x, y float64
	// layer is 0 for the ends that others wait for.
	layer int
}

type point struct{ x, y float64 }

// link is an edge to be placed: its ends go in, its bends come out, from the
// right side of from to the left side of to, or, where it was turned, from the
// left side of from to the right side of to.
type link struct {
	from, to int
	turned   bool
	bends    []point
}

const (
	gapY     = 18.0 // between boxes of a layer
	bendSize = 10.0 // room for an edge that passes a layer
)

// layered places boxes from left to right, what others wait for at the right.
// gap is the room between layers. It returns the size of the whole.
func layered(boxes []box, links []link, gap float64) (width, height float64) {
	if len(boxes) == 0 {
		return 0, 0
	}
	turn(len(boxes), links)
	layers := assign(boxes, links)

	// Slots are boxes and bends alike.
	type slot struct {
		box   int // -1 for a bend
		layer int
		h     float64
		y     float64
		near  []int // neighbours one layer to the left (waiters)
		far   []int // and to the right
	}
	var slots []slot
	for i := range boxes {
		slots = append(slots, slot{box: i, layer: boxes[i].layer, h: boxes[i].h})
	}
	chain := make([][]int, len(links)) // bends of a link, from the waiter on
	join := func(a, b int) {           // a is left of b
		slots[a].far = append(slots[a].far, b)
		slots[b].near = append(slots[b].near, a)
	}
	for i := range links {
		a, b := links[i].from, links[i].to
		if links[i].turned {
			a, b = b, a
		}
		if a == b {
			continue
		}
		prev := a
		for l := boxes[a].layer - 1; l > boxes[b].layer; l-- {
			slots = append(slots, slot{box: -1, layer: l, h: bendSize})
			chain[i] = append(chain[i], len(slots)-1)
			join(prev, len(slots)-1)
			prev = len(slots) - 1
		}
		join(prev, b)
	}
	rows := make([][]int, layers)
	for i, s := range slots {
		rows[s.layer] = append(rows[s.layer], i)
	}

	// The order within layers: sweeps to the left and to the right.
	pos := make([]float64, len(slots))
	number := func(row []int) {
		for k, s := range row {
			pos[s] = float64(k)
		}
	}
	for _, row := range rows {
		number(row)
	}
	mean := func(list []int, self float64, of func(int) float64) float64 {
		if len(list) == 0 {
			return self
		}
		sum := 0.0
		for _, s := range list {
			sum += of(s)
		}
		return sum / float64(len(list))
	}
	at := func(s int) float64 { return pos[s] }
	key := make([]float64, len(slots))
	arrange := func(row []int, neighbours func(s int) []int) {
		for _, s := range row {
			key[s] = mean(neighbours(s), pos[s], at)
		}
		slices.SortStableFunc(row, func(a, b int) int { return cmp.Compare(key[a], key[b]) })
		number(row)
	}
	best, fewest := cloneRows(rows), -1
	crossings := func() int {
		n := 0
		for l := 1; l < layers; l++ {
			var ends []float64 // of edges in the order of their left ends
			for _, s := range rows[l] {
				from := len(ends)
				for _, f := range slots[s].far {
					ends = append(ends, pos[f])
				}
				slices.Sort(ends[from:])
			}
			n += inversions(ends)
		}
		return n
	}
	for range 8 {
		for l := 1; l < layers; l++ {
			arrange(rows[l], func(s int) []int { return slots[s].far })
		}
		if c := crossings(); fewest < 0 || c < fewest {
			fewest, best = c, cloneRows(rows)
		}
		for l := layers - 2; l >= 0; l-- {
			arrange(rows[l], func(s int) []int { return slots[s].near })
		}
		if c := crossings(); c < fewest {
			fewest, best = c, cloneRows(rows)
		}
		if fewest == 0 {
			break
		}
	}
	rows = best

	// Down the page: each as near as it can be to the middle of its neighbours.
	middle := func(s int) float64 { return slots[s].y + slots[s].h/2 }
	for _, row := range rows {
		y := 0.0
		for _, s := range row {
			slots[s].y = y
			y += slots[s].h + gapY
		}
	}
	want := make([]float64, len(slots))
	settle := func(row []int, neighbours func(s int) []int) {
		for _, s := range row {
			want[s] = mean(neighbours(s), middle(s), middle) - slots[s].h/2
		}
		// Blocks of slots that would overlap stand together, at the mean of what
		// they want (pool adjacent violators).
		type block struct {
			first, n int
			sum      float64 // of the wishes for the block's top
			h        float64
		}
		var blocks []block
		for k, s := range row {
			b := block{k, 1, want[s], slots[s].h + gapY}
			for len(blocks) > 0 {
				p := blocks[len(blocks)-1]
				if p.sum/float64(p.n)+p.h <= b.sum/float64(b.n) {
					break
				}
				b = block{p.first, p.n + b.n, p.sum + b.sum - float64(b.n)*p.h, p.h + b.h}
				blocks = blocks[:len(blocks)-1]
			}
			blocks = append(blocks, b)
		}
		for _, b := range blocks {
			y := b.sum / float64(b.n)
			for _, s := range row[b.first : b.first+b.n] {
				slots[s].y = y
				y += slots[s].h + gapY
			}
		}
	}
	for range 6 {
		for l := 1; l < layers; l++ {
			settle(rows[l], func(s int) []int { return slots[s].far })
		}
		for l := layers - 2; l >= 0; l-- {
			settle(rows[l], func(s int) []int { return slots[s].near })
		}
	}
	top := 0.0
	for i, s := range slots {
		if i == 0 || s.y < top {
			top = s.y
		}
	}

	// Across: a layer is as wide as its widest box.
	x := 0.0
	left, wide := make([]float64, layers), make([]float64, layers)
	for l := layers - 1; l >= 0; l-- {
		for _, s := range rows[l] {
			if b := slots[s].box; b >= 0 {
				wide[l] = max(wide[l], boxes[b].w)
			}
		}
		left[l] = x
		x += wide[l] + gap
	}
	width = x - gap
	for i := range slots {
		slots[i].y -= top
		height = max(height, slots[i].y+slots[i].h)
		if b := slots[i].box; b >= 0 {
			boxes[b].x, boxes[b].y = left[boxes[b].layer], slots[i].y
			// Ends stand in line at the left, waiters at the right of their layer,
			// so that edges are short.
			if boxes[b].layer > 0 {
				boxes[b].x += wide[boxes[b].layer] - boxes[b].w
			}
		}
	}
	for i := range links {
		links[i].bends = links[i].bends[:0]
		for _, s := range chain[i] {
			y, l := middle(s), slots[s].layer
			links[i].bends = append(links[i].bends, point{left[l], y}, point{left[l] + wide[l], y})
		}
		if links[i].turned {
			slices.Reverse(links[i].bends)
		}
	}
	return width, height
}

func cloneRows(rows [][]int) [][]int {
	c := make([][]int, len(rows))
	for i := range rows {
		c[i] = slices.Clone(rows[i])
	}
	return c
}

// inversions is how many pairs stand in the wrong order, in n log n.
func inversions(a []float64) int {
	if len(a) < 2 {
		return 0
	}
	m := len(a) / 2
	l, r := slices.Clone(a[:m]), slices.Clone(a[m:])
	n := inversions(l) + inversions(r)
	slices.Sort(l)
	slices.Sort(r)
	i := 0
	for _, v := range r {
		for i < len(l) && l[i] <= v {
			i++
		}
		n += len(l) - i
	}
	return n
}

// turn marks the edges that close a cycle, by a walk in the nodes' order.
func turn(n int, links []link) {
	out := make([][]int, n)
	for i := range links {
		links[i].turned = false
		out[links[i].from] = append(out[links[i].from], i)
	}
	const (
		fresh = iota
		open
		done
	)
	state := make([]int, n)
	type step struct{ node, next int }
	for i := range n {
		if state[i] != fresh {
			continue
		}
		state[i] = open
		stack := []step{{i, 0}}
		for len(stack) > 0 {
			s := &stack[len(stack)-1]
			if s.next == len(out[s.node]) {
				state[s.node] = done
				stack = stack[:len(stack)-1]
				continue
			}
			l := &links[out[s.node][s.next]]
			s.next++
			switch state[l.to] {
			case open:
				l.turned = true
			case fresh:
				state[l.to] = open
				stack = append(stack, step{l.to, 0})
			}
		}
	}
}

// assign gives each box its layer and returns how many there are.
func assign(boxes []box, links []link) int {
	in := make([][]int, len(boxes))
	out := make([]int, len(boxes))
	for i := range links {
		a, b := links[i].from, links[i].to
		if links[i].turned {
			a, b = b, a
		}
		if a != b {
			in[b] = append(in[b], a)
			out[a]++
		}
	}
	var queue []int
	for i := range boxes {
		boxes[i].layer = 0
		if out[i] == 0 {
			queue = append(queue, i)
		}
	}
	layers := 1
	for len(queue) > 0 {
		b := queue[0]
		queue = queue[1:]
		layers = max(layers, boxes[b].layer+1)
		for _, a := range in[b] {
			boxes[a].layer = max(boxes[a].layer, boxes[b].layer+1)
			if out[a]--; out[a] == 0 {
				queue = append(queue, a)
			}
		}
	}
	return layers
}
