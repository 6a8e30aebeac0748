package diagnose

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/sysrq/sysrq/dump"
)

// waitGraph is who waits for what, and who likely has it. Evidence comes in
// this order: what the kernel says itself (lists of locks, blocker lines,
// workqueues), then tasks inside the very function that takes the lock, then
// the table of holders, then what is deeper in the same part of the kernel.
type waitGraph struct {
	a      *Analyzer
	units  []*unit
	things []*thing
	byKey  map[string]int
	byTask map[*task]*unit
	proofs []proof
	// inside are the units by row of the table of holders.
	inside map[int][]inside
	// at are the units that have a function in their stacks.
	at      map[string][]int
	modules map[string][]*unit
	// cycles are the proven deadlocks, and guessed those that only stacks show.
	cycles  [][]int
	guessed [][]int
}

type inside struct{ unit, at int }

// ranks order confidences.
func rank(c Confidence) int {
	switch c {
	case Certain:
		return 3
	case Likely:
		return 2
	case Possible:
		return 1
	}
	return 0
}

func (a *Analyzer) graph() *waitGraph {
	g := &waitGraph{a: a, byKey: map[string]int{}, byTask: map[*task]*unit{}, inside: map[int][]inside{}, at: map[string][]int{}}
	g.proofs = a.proofs()
	named := map[*task]bool{}
	for _, t := range a.tasks.all {
		t.proven = false
	}
	for i := range g.proofs {
		p := &g.proofs[i]
		named[p.holder] = true
		p.waiter.proven = true
		if p.waiter.stack == nil || !p.waiter.blocked {
			named[p.waiter] = true
		}
	}
	g.units = a.units(named)
	for _, u := range g.units {
		for _, t := range u.tasks {
			g.byTask[t] = u
		}
	}
	g.wants()
	g.prove()
	g.works()
	g.sites()
	g.rows()
	g.choose()
	g.deeper()
	g.deadlocks()
	g.roots()
	return g
}

func (g *waitGraph) thing(key, label string) *thing {
	if i, ok := g.byKey[key]; ok {
		return g.things[i]
	}
	t := &thing{key: key, label: label, row: -1}
	g.byKey[key] = len(g.things)
	g.things = append(g.things, t)
	return t
}

func (g *waitGraph) assign(u *unit, t *thing) {
	u.want = g.byKey[t.key]
	t.waiters = append(t.waiters, u.id)
}

// wants finds what each unit waits for.
func (g *waitGraph) wants() {
	proven := map[*task]*proof{}
	for i := range g.proofs {
		if p := &g.proofs[i]; proven[p.waiter] == nil {
			proven[p.waiter] = p
		}
	}
	for _, u := range g.units {
		var p *proof
		same := true
		for _, t := range u.tasks {
			q := proven[t]
			if p == nil {
				p = q
			} else if q != nil && q.lock != p.lock {
				same = false
			}
		}
		if p != nil && same {
			t := g.thing(fmt.Sprintf("proof %d %s", u.boot, p.lock), p.label)
			t.proven, t.lock = true, true
			if u.st != nil {
				t.kind = u.st.site.kind
				if n, at := holds().want(u.st); n >= 0 && holds().rows[n].lock {
					t.row, u.wantAt = n, at
				}
			}
			g.assign(u, t)
			continue
		}
		if !u.blocked || u.st == nil {
			continue
		}
		st := u.st
		if n, at := holds().want(st); n >= 0 {
			r := &holds().rows[n]
			key := fmt.Sprintf("row %d %s", u.boot, r.id)
			if !r.likely && r.lock {
				key += " " + st.fn[at]
			}
			t := g.thing(key, r.label)
			t.row, t.lock, t.kind = n, r.lock, st.site.kind
			u.wantAt = at
			g.assign(u, t)
			continue
		}
		if st.site.kind == noLock {
			if flushes(st) {
				t := g.thing(fmt.Sprintf("work %d %s", u.boot, strings.Join(u.doms, ",")), "a work item to be done")
				g.assign(u, t)
			}
			continue
		}
		at := min(st.site.at, len(st.fn)-1)
		if at < 0 {
			continue
		}
		kind := st.site.kind.String()
		where := "taken in " + st.telling()
		key := fmt.Sprintf("lock %d %s %s", u.boot, kind, st.fn[at])
		if m := st.module(at); kind != "mutex" && m != "" && domainOf(st.fn[at], m).name == m {
			// A driver's readers and writers come by different functions.
			key = fmt.Sprintf("lock %d %s [%s]", u.boot, kind, m)
		}
		if off, _ := u.offset(at); kind == "mutex" && off > 0 {
			// Two places in one function take two locks.
			key += fmt.Sprintf(" +%d", off)
		}
		article := "a "
		if kind[0] == 'r' && kind[1] == 't' {
			article = "an "
		}
		t := g.thing(key, article+kind+" "+where)
		t.lock, t.kind = true, st.site.kind
		u.wantAt = at
		g.assign(u, t)
	}
}

// flushes reports whether a stack waits for a work item.
func flushes(s *stack) bool {
	for i := s.site.at; i < len(s.fn) && i < s.site.at+3; i++ {
		if f := s.fn[i]; has(f, "__flush_work", "flush_work", "flush_delayed_work", "cancel_work_sync", "cancel_delayed_work_sync", "__cancel_work", "drain_workqueue", "destroy_workqueue") {
			return true
		}
	}
	return false
}

// maxHolders is how many are kept of one thing.
const maxHolders = 8

func (t *thing) add(h hold) {
	for i := range t.holders {
		if t.holders[i].unit == h.unit {
			if rank(h.conf) > rank(t.holders[i].conf) {
				t.holders[i] = h
			}
			return
		}
	}
	if len(t.holders) < maxHolders {
		t.holders = append(t.holders, h)
	}
}

// prove adds the holders that the kernel names.
func (g *waitGraph) prove() {
	for i := range g.proofs {
		p := &g.proofs[i]
		w, h := g.byTask[p.waiter], g.byTask[p.holder]
		if w == nil || h == nil || w.want < 0 {
			continue
		}
		t := g.things[w.want]
		if !t.proven {
			continue
		}
		if w.id == h.id {
			continue
		}
		t.add(hold{h.id, p.conf, p.why})
	}
}

// sites finds tasks that are inside the very function that takes the lock, past
// the place where others wait in it.
func (g *waitGraph) sites() {
	need := map[string]bool{}
	for _, t := range g.things {
		if !t.lock || len(t.holders) > 0 && rank(t.holders[0].conf) > rank(Likely) {
			continue
		}
		for _, w := range t.waiters {
			st := g.units[w].st
			if st == nil {
				continue
			}
			for i := st.site.at; i <= st.site.past+1 && i < len(st.fn); i++ {
				need[st.fn[i]] = true
			}
		}
	}
	if len(need) == 0 {
		return
	}
	for _, u := range g.units {
		if u.st == nil {
			continue
		}
		for i, f := range u.st.fn {
			if need[f] && len(g.at[f]) < maxPairs && !slices.Contains(u.st.fn[:i], f) {
				g.at[f] = append(g.at[f], u.id)
			}
		}
	}
	for _, t := range g.things {
		if !t.lock || len(t.holders) > 0 && rank(t.holders[0].conf) > rank(Likely) {
			continue
		}
		for _, w := range t.waiters[:min(len(t.waiters), maxPairs)] {
			if len(t.holders) >= maxHolders {
				break
			}
			g.siteHolders(t, g.units[w])
		}
	}
}

// maxPairs bounds what is compared with each other: a machine has some dozens of
// stacks in one function; a file made to annoy has more.
const maxPairs = 128

// siteHolders looks for holders of what u waits for.
func (g *waitGraph) siteHolders(t *thing, u *unit) {
	st := u.st
	if st == nil || st.site.at >= len(st.fn) {
		return
	}
	from := st.site.at
	for i := from; i <= st.site.past && i < len(st.fn); i++ {
		f := st.fn[i]
		if bottom(f) && f != "path_openat" {
			break
		}
		off, size := u.offset(i)
		for _, id := range g.at[f] {
			v := g.units[id]
			if v.id == u.id || v.boot != u.boot {
				continue
			}
			j := slices.Index(v.st.fn, f)
			if j <= 0 || i == from && takes(f) && j == v.st.site.at {
				continue
			}
			vo, vs := v.offset(j)
			why, conf := "", Possible
			switch {
			case j == v.st.site.at && i == from:
				// Both wait for a lock in this function. Who is past the first
				// lock has it.
				if v.want >= 0 && g.things[v.want] == t && off == vo || size == 0 || vs != size || vo <= off || v.st.site.kind == noLock || t.kind != mutexLock {
					continue
				}
				why, conf = fmt.Sprintf("it waits in %s as well, further down: it has taken the first lock there", f), Likely
			case v.want >= 0 && g.things[v.want] == t:
				continue // it waits for the same
			case j < v.st.site.at && v.blocked:
				continue
			case size > 0 && vs == size && vo < off:
				continue // it has not come to the lock yet
			default:
				why = "it is inside " + f + ", where the others take the lock"
				if i == st.site.past && f != "path_openat" || i == from && !takes(f) {
					conf = Likely
				}
				if !v.blocked && !v.running && i > from {
					conf = Possible
				}
			}
			t.add(hold{id, conf, why})
		}
	}
	// A module that takes a lock in one function and works under it in another.
	if m := st.module(from); m != "" && domainOf(st.fn[from], m).name == m && len(t.holders) == 0 {
		for _, v := range g.inModule(m) {
			if v.id == u.id || v.st == nil || v.boot != u.boot || v.want >= 0 && (g.things[v.want] == t || v.st.site.kind != noLock) {
				continue
			}
			if k := v.st.site.at; k < len(v.st.fn) && v.st.module(k) == m && !v.kernelIdle() {
				t.add(hold{v.id, Likely, "it waits inside the same driver, for something else"})
			}
		}
	}
}

// inModule are the units that wait in a module.
func (g *waitGraph) inModule(m string) []*unit {
	if g.modules == nil {
		g.modules = map[string][]*unit{}
		for _, v := range g.units {
			if v.st == nil {
				continue
			}
			if k := v.st.site.at; k < len(v.st.fn) {
				if name := v.st.module(k); name != "" && len(g.modules[name]) < maxPairs {
					g.modules[name] = append(g.modules[name], v)
				}
			}
		}
	}
	return g.modules[m]
}

// kernelIdle reports whether a unit is a kernel thread that waits for work.
func (u *unit) kernelIdle() bool {
	return !u.blocked && !u.running && u.first().kernelThread() && u.first().workqueue == "" && (u.st == nil || u.st.workqueue == "")
}

// works finds the workers whose work others wait for.
func (g *waitGraph) works() {
	// BAR(pid) in a list of workqueues: pid flushes what is in flight before it.
	bars := map[int][]worker{}
	for _, l := range g.a.works {
		for _, w := range l.workers {
			for _, pid := range w.bars {
				bars[pid] = append(bars[pid], w)
			}
		}
	}
	var busy []*unit // workers that are at something
	for _, v := range g.units {
		if v.st.work() != "" && (v.blocked || v.running) && len(busy) < maxPairs {
			busy = append(busy, v)
		}
	}
	for _, u := range g.units {
		if u.st == nil || !u.blocked || !flushes(u.st) || u.want < 0 {
			continue
		}
		t := g.things[u.want]
		for _, k := range u.tasks {
			for _, w := range bars[k.PID] {
				if h := g.a.tasks.byPID[w.pid]; h != nil && g.byTask[h] != nil && g.byTask[h].id != u.id {
					t.label = "the work item " + w.fn
					t.add(hold{g.byTask[h].id, Certain, "the kernel lists it as busy with " + w.fn + ", and the flush queued behind it"})
				}
			}
		}
		if len(t.holders) > 0 {
			continue
		}
		for _, v := range busy {
			fn := v.st.work()
			if v.id == u.id || v.boot != u.boot {
				continue
			}
			if v.shared(u) && v.st.site.waits {
				t.add(hold{v.id, Likely, "it is the worker busy with " + fn})
			}
		}
		if len(t.holders) > 0 {
			continue
		}
		// The only worker that is stuck.
		only := -1
		for _, v := range busy {
			if v.blocked && v.id != u.id && v.boot == u.boot {
				if only >= 0 {
					only = -2
				} else if only == -1 {
					only = v.id
				}
			}
		}
		if only >= 0 {
			t.add(hold{only, Possible, "it is the only worker that is stuck"})
		}
	}
}

// work is the function of the work item that a stack's task is busy with, or "".
func (s *stack) work() string {
	if s == nil || s.workqueue == "" {
		return ""
	}
	f := strings.Fields(s.workqueue)
	if len(f) < 2 || !slices.Contains(s.fn, "process_one_work") && !slices.Contains(s.fn, "process_scheduled_works") && len(s.fn) > 3 {
		return ""
	}
	if f[1] == "0x0" {
		return ""
	}
	return f[1]
}

// rows adds what the table of holders knows.
func (g *waitGraph) rows() {
	wanted := map[int]bool{}
	for _, t := range g.things {
		if t.row >= 0 {
			wanted[t.row] = true
		}
	}
	for n := range holds().rows {
		if !wanted[n] {
			continue
		}
		for _, u := range g.units {
			if u.st == nil || !u.blocked && !u.running {
				continue
			}
			u.st.about()
			if at := holds().has(u.st, u.first().Comm, n, u.st.site.at); at >= 0 {
				g.inside[n] = append(g.inside[n], inside{u.id, at})
			}
		}
	}
	for _, t := range g.things {
		if t.row < 0 || len(t.holders) > 0 && rank(t.holders[0].conf) >= rank(Likely) {
			continue
		}
		r := &holds().rows[t.row]
		for _, in := range g.inside[t.row] {
			v := g.units[in.unit]
			if v.want >= 0 && g.things[v.want] == t || slices.Contains(t.waiters, in.unit) {
				continue
			}
			if len(t.waiters) > 0 && g.units[t.waiters[0]].boot != v.boot {
				continue
			}
			conf := Possible
			if r.likely {
				conf = Likely
			}
			why := "it is inside " + v.st.fn[min(in.at, len(v.st.fn)-1)]
			t.add(hold{in.unit, conf, why})
		}
	}
}

// depth says how likely a unit is nearer to a hang's cause than another: it
// waits for something outside of the kernel, or nearer to the hardware.
func (u *unit) depth() int {
	d := int(u.layer) * 10
	switch u.category() {
	case "server", "device":
		d += 60
	case "io":
		d += 40
	case "rcu", "memory":
		d += 20
	case "fs":
		d += 10
	case "lock":
		d -= 20
	}
	if !u.blocked {
		d -= 10
	}
	return d
}

// choose picks the likeliest holder for each unit that waits, never so that a
// guess closes a circle.
func (g *waitGraph) choose() {
	type edge struct {
		unit int
		hold
	}
	var edges []edge
	for _, u := range g.units {
		if u.want < 0 {
			continue
		}
		for _, h := range g.things[u.want].holders {
			if h.unit != u.id {
				edges = append(edges, edge{u.id, h})
			}
		}
	}
	slices.SortStableFunc(edges, func(a, b edge) int {
		return cmp.Or(
			cmp.Compare(rank(b.conf), rank(a.conf)),
			cmp.Compare(g.units[b.hold.unit].depth(), g.units[a.hold.unit].depth()),
			cmp.Compare(len(g.units[a.hold.unit].tasks), len(g.units[b.hold.unit].tasks)),
			cmp.Compare(a.unit, b.unit),
			cmp.Compare(a.hold.unit, b.hold.unit),
		)
	})
	for _, e := range edges {
		u := g.units[e.unit]
		if u.best >= 0 {
			continue
		}
		if e.conf != Certain && g.reaches(e.hold.unit, e.unit) {
			continue
		}
		u.best, u.conf, u.why = e.hold.unit, e.conf, e.why
	}
	// Whoever has nobody left to wait for may be in a circle after all.
	for _, e := range edges {
		u := g.units[e.unit]
		if u.best < 0 && e.conf == Likely && g.likelyRing(e.hold.unit, e.unit) {
			u.best, u.conf, u.why = e.hold.unit, e.conf, e.why
		}
	}
}

// likelyRing reports whether the chain from one unit leads to another over few
// steps that are all likely.
func (g *waitGraph) likelyRing(from, to int) bool {
	for range 4 {
		if from == to {
			return true
		}
		u := g.units[from]
		if u.best < 0 || rank(u.conf) < rank(Likely) || u.category() == "io" {
			return false
		}
		from = u.best
	}
	return false
}

// reaches reports whether the chain from one unit leads to another.
func (g *waitGraph) reaches(from, to int) bool {
	for n := 0; from >= 0 && n <= len(g.units); n++ {
		if from == to {
			return true
		}
		from = g.units[from].best
	}
	return false
}

// outside reports whether a wait ends by something that is no task of this
// machine's kernel.
func (u *unit) outside() bool {
	switch u.category() {
	case "server", "device":
		return true
	case "process", "rcu":
		return true
	}
	return frozen(u.waitID()) || u.layer == layerServer
}

func frozen(id string) bool { return id == "superblock-freeze" || id == "frozen-ext4" }

// storage reports whether a unit is at files or disks.
func (u *unit) storage() bool {
	if u.layer >= layerVFS && u.layer <= layerVolume {
		for _, d := range u.doms {
			switch d {
			case "net", "sysfs", "devices", "cgroup", "tty", "drm", "rcu", "wifi":
				return false
			}
		}
		return true
	}
	switch u.category() {
	case "io":
		return true
	case "fs":
		return u.layer == layerNone
	}
	return false
}

// deeper links what has no holder to what is nearer to the hardware in the same
// hang: a guess, and said to be one.
func (g *waitGraph) deeper() {
	var ends []*unit
	for _, u := range g.units {
		if len(ends) < maxPairs && u.blocked && u.best < 0 && u.st != nil && (u.st.site.kind == noLock || u.category() == "server") && !u.idle() &&
			(u.layer >= layerFS || u.category() == "io" || u.category() == "server" || u.category() == "device" || frozen(u.waitID())) {
			ends = append(ends, u)
		}
	}
	for _, u := range g.units {
		if !u.blocked || u.best >= 0 || u.st == nil || u.outside() || !u.storage() || u.movedAll() && !u.stuck() {
			continue
		}
		var best *unit
		score := func(v *unit) int {
			s := v.depth()
			if v.shared(u) {
				s += 100
			}
			return s
		}
		for _, v := range ends {
			if v.id == u.id || v.boot != u.boot || v.layer <= u.layer {
				continue
			}
			if u.category() == "io" && v.layer < layerVolume {
				continue // both wait for the disk
			}
			if v.layer == layerDriver && !v.shared(u) || v.layer == layerServer && !v.shared(u) && !slices.Contains(v.doms, "rbd") && !slices.Contains(v.doms, "nbd") {
				continue
			}
			if g.reaches(v.id, u.id) {
				continue
			}
			if best == nil || score(v) > score(best) {
				best = v
			}
		}
		if best != nil {
			u.best, u.conf, u.why = best.id, Possible, "it is the one that waits nearest to the hardware"
		}
	}
}

// roots follows the chains.
func (g *waitGraph) roots() {
	for _, u := range g.units {
		at := u
		for n := 0; n <= len(g.units); n++ {
			if at.best < 0 || at.cycle {
				break
			}
			at = g.units[at.best]
		}
		u.root = at.id
	}
}

// deadlocks finds circles. The proven ones come from the kernel's own words;
// what is guessed from stacks alone is kept apart.
func (g *waitGraph) deadlocks() {
	seen := make([]int, len(g.units))
	for i := range g.units {
		if seen[i] != 0 {
			continue // it was on another's chain
		}
		at := i
		for at >= 0 && seen[at] == 0 {
			seen[at] = i + 1
			at = g.units[at].best
		}
		if at < 0 || seen[at] != i+1 {
			continue
		}
		var ring []int
		for k := at; ; {
			ring = append(ring, k)
			g.units[k].cycle = true
			if k = g.units[k].best; k == at {
				break
			}
		}
		proven := true
		for _, k := range ring {
			u := g.units[k]
			proven = proven && u.want >= 0 && g.things[u.want].proven
		}
		if proven {
			g.cycles = append(g.cycles, ring)
		} else {
			g.guessed = append(g.guessed, ring)
		}
	}
	g.guessDeadlocks()
}

// guessDeadlocks looks for two tasks that wait for mutexes of one driver in
// different functions, nobody else being there to hold them, where one is seen
// to have the lock that others want.
func (g *waitGraph) guessDeadlocks() {
	holds := map[int]bool{} // others wait for what it has
	var free []*unit        // they wait for a mutex, and for nobody that is known
	for _, u := range g.units {
		if u.best >= 0 && rank(u.conf) >= rank(Likely) {
			holds[u.best] = true
		}
		if u.best < 0 && u.blocked && u.st != nil && u.st.site.kind == mutexLock && len(free) < 4*maxPairs {
			free = append(free, u)
		}
	}
	for _, u := range free {
		if u.best >= 0 || u.want < 0 || !holds[u.id] {
			continue
		}
		for _, v := range free {
			if v.id == u.id || v.best >= 0 || !v.blocked || v.st == nil || v.st.site.kind != mutexLock || v.boot != u.boot || v.cycle ||
				v.st.fn[min(v.st.site.at, len(v.st.fn)-1)] == u.st.fn[min(u.st.site.at, len(u.st.fn)-1)] || !sameHome(u, v) {
				continue
			}
			u.best, u.conf, u.why = v.id, Possible, "it is the only other one in there that can have what it waits for"
			v.best, v.conf, v.why = u.id, Possible, u.why
			u.cycle, v.cycle = true, true
			g.guessed = append(g.guessed, []int{u.id, v.id})
			break
		}
		if u.cycle {
			continue
		}
	}
}

// sameHome reports whether two units wait in the same module, or the same part
// of the kernel.
func sameHome(u, v *unit) bool {
	a, b := u.st.site.at, v.st.site.at
	if a >= len(u.st.fn) || b >= len(v.st.fn) {
		return false
	}
	if m := u.st.module(a); m != "" {
		return m == v.st.module(b)
	}
	x, y := domainOf(u.st.fn[a], ""), domainOf(v.st.fn[b], "")
	return x.name != "" && x.name == y.name
}

// report is the graph for people.
func (g *waitGraph) report() Graph {
	out := Graph{Nodes: []GraphNode{}, Edges: []Edge{}}
	at := map[int]int{}     // unit to node
	lock := map[int]int{}   // thing to node
	dev := map[string]int{} // device to node
	isRoot := map[int]bool{}
	held := map[int]bool{}
	for _, u := range g.units {
		if u.best >= 0 {
			held[u.best] = true
		}
	}
	for _, u := range g.units {
		if u.waits {
			isRoot[u.root] = true
		}
	}
	for _, u := range g.units {
		if !u.waits && !held[u.id] {
			continue
		}
		n := GraphNode{Kind: NodeTasks, Label: u.label(), Lines: u.lines(16), Root: isRoot[u.id] && u.best < 0, Cycle: u.cycle}
		if u.blocked {
			n.Wait = u.waitID()
		}
		for _, t := range u.tasks[:min(len(u.tasks), maxGroupTasks)] {
			n.Tasks = append(n.Tasks, t.TaskRef)
		}
		at[u.id] = len(out.Nodes)
		out.Nodes = append(out.Nodes, n)
	}
	for _, u := range g.units {
		from, ok := at[u.id]
		if !ok {
			continue
		}
		if u.best >= 0 {
			to, ok := at[u.best]
			if !ok {
				continue
			}
			if u.want >= 0 {
				t := g.things[u.want]
				k, ok := lock[u.want*len(g.units)+u.best]
				if !ok {
					k = len(out.Nodes)
					lock[u.want*len(g.units)+u.best] = k
					out.Nodes = append(out.Nodes, GraphNode{Kind: NodeLock, Label: t.label, Cycle: u.cycle && g.units[u.best].cycle})
					out.Edges = append(out.Edges, Edge{From: k, To: to, Why: u.why, Confidence: u.conf})
				}
				why := "waits for it"
				if u.wantAt >= 0 && u.st != nil && u.wantAt < len(u.st.fn) {
					why = "waits in " + u.st.fn[u.wantAt]
				}
				out.Edges = append(out.Edges, Edge{From: from, To: k, Why: why, Confidence: u.conf})
				continue
			}
			out.Edges = append(out.Edges, Edge{From: from, To: to, Why: u.why, Confidence: u.conf})
			continue
		}
		if !u.blocked {
			continue
		}
		label := g.endLabel(u)
		k, ok := dev[label]
		if !ok {
			k = len(out.Nodes)
			dev[label] = k
			kind := NodeDevice
			if u.want >= 0 && g.things[u.want].lock {
				kind = NodeLock
			}
			out.Nodes = append(out.Nodes, GraphNode{Kind: kind, Label: label})
		}
		out.Edges = append(out.Edges, Edge{From: from, To: k, Why: "its stack says so", Confidence: Likely})
	}
	return out
}

// label names a unit.
func (u *unit) label() string {
	t := u.first()
	s := t.name()
	if n := len(u.tasks) - 1; n > 0 {
		s += fmt.Sprintf(" and %d more", n)
	}
	return s
}

// name is a task's for a sentence: "kworker/0:1 (pid 12)".
func (t *task) name() string {
	if t.PID < 0 {
		return clean(t.Comm)
	}
	return fmt.Sprintf("%s (pid %d)", clean(t.Comm), t.PID)
}

// clean makes a name fit for a line.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\ufffd' {
			return '?'
		}
		return r
	}, s)
}

// tidyTitle makes one line of a title, with single blanks.
func tidyTitle(s string) string { return strings.Join(strings.Fields(clean(s)), " ") }

// endLabel is what a chain's last unit waits for.
func (g *waitGraph) endLabel(u *unit) string {
	if u.want >= 0 {
		return g.things[u.want].label
	}
	if w := u.wait(); w != nil {
		if u.dev != "" && (w.Category == "io" || w.Category == "device" || w.Category == "fs") {
			return w.What + " (" + u.dev + ")"
		}
		return w.What
	}
	if u.st != nil {
		if f := u.st.telling(); f != "" {
			return "something in " + f
		}
	}
	return "something that was not printed"
}

func spans(lists ...[]dump.Span) []dump.Span {
	out := []dump.Span{}
	for _, l := range lists {
		out = append(out, l...)
	}
	slices.SortFunc(out, bySpan)
	out = slices.Compact(out)
	return out
}
