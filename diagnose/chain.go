package diagnose

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// end is what several chains lead to: one cause, and one finding.
type end struct {
	id      string // the finding's
	dev     string
	units   []*unit // at the chains' ends
	behind  []*unit // the others on the chains
	cycle   []int
	certain bool // the circle is proven
}

// tasks counts them.
func countTasks(us []*unit) int {
	n := 0
	for _, u := range us {
		for _, t := range u.tasks {
			if t.blocked || t.proven {
				n++
			}
		}
	}
	return n
}

// idle reports whether a unit's wait is no trouble: kernel threads that sleep
// so for ever. What khungtaskd complains of is none of them.
func (u *unit) idle() bool {
	if w := u.wait(); w == nil || !w.Normal {
		return false
	}
	for _, t := range u.tasks {
		if t.hung {
			return false
		}
	}
	return true
}

// findingID names the finding for a chain that ends at u.
func (g *waitGraph) findingID(u *unit, behind []*unit) string {
	// Who holds a lock and waits for nothing that we know: the lock is the story.
	dull := u.wait() == nil || u.wait().Normal
	switch u.waitID() {
	case "msleep", "wait-event", "driver", "completion", "sleep", "poll", "kthread-stop", "unknown":
		dull = true
	}
	if dull && u.best < 0 {
		for _, v := range behind {
			if v.best != u.id || v.want < 0 {
				continue
			}
			t := g.things[v.want]
			switch {
			case t.row >= 0 && t.lock:
				return v.plainID()
			case t.lock && t.kind != noLock:
				return t.kind.String()
			case t.lock:
				return lockID(t.label)
			case v.st != nil && flushes(v.st):
				return "workqueue"
			}
		}
	}
	return u.plainID()
}

// lockID is by the name that the list of held locks gives.
func lockID(label string) string {
	switch {
	case strings.Contains(label, "rtnl"):
		return "rtnl"
	case strings.Contains(label, "mutex"), strings.Contains(label, "mtx"):
		return "mutex"
	case strings.Contains(label, "sem"), strings.Contains(label, "s_umount"), strings.Contains(label, "mmap_lock"):
		return "rwsem"
	}
	return "lock"
}

// plainID is by the unit's own wait.
func (u *unit) plainID() string {
	id := u.waitID()
	switch {
	case frozen(id):
		return "superblock-freeze"
	case u.st != nil && id == "unknown" && u.st.site.kind != noLock:
		return u.st.site.kind.String()
	}
	if id == "driver" && slices.ContainsFunc(u.st.fn[:min(u.st.site.at, len(u.st.fn))], func(f string) bool { return has(f, "wait_for_completion", "__wait_for_common", "wait_for_common") }) {
		return "completion"
	}
	switch id {
	case "rwsem-read", "rwsem-write":
		return "rwsem"
	case "percpu-rwsem-read", "percpu-rwsem-write":
		return "percpu-rwsem"
	case "workqueue-flush":
		return "workqueue"
	case "rcu-grace-period", "rcu-barrier", "rcu-tasks", "srcu":
		return "rcu"
	case "page-lock", "page-writeback", "buffer", "direct-io", "dio-drain", "block-io-wait", "block-io", "bit-lock", "jbd2-buffer", "jbd2-commit",
		"xfs-buffer-io", "page-fault-io", "swap-in", "writeback-throttle", "dirty-throttle", "block-flush", "scsi-command", "blk-mq-tags", "writeback-flush", "jbd2-wait-commit":
		// What a page waits for is its file system's server, where it has one.
		for _, d := range u.doms {
			switch d {
			case "nfs", "fuse", "cifs", "ceph", "9p", "afs", "lustre":
				return d + "-server"
			}
		}
		return "block-device"
	case "fuse-daemon":
		return "fuse-server"
	case "unknown":
		return "stuck-task"
	}
	return id
}

// ends gathers the chains by what they lead to.
func (g *waitGraph) ends() []*end {
	by := map[string]*end{}
	var order []*end
	get := func(key string) *end {
		if e := by[key]; e != nil {
			return e
		}
		e := &end{}
		by[key] = e
		order = append(order, e)
		return e
	}
	chains := map[int][]*unit{} // by root
	for _, u := range g.units {
		if !u.waits || u.idle() && u.best < 0 {
			continue
		}
		chains[u.root] = append(chains[u.root], u)
	}
	ring := map[int]int{}
	rings := append(slices.Clone(g.cycles), g.guessed...)
	for i, c := range rings {
		for _, k := range c {
			ring[k] = i
		}
	}
	roots := make([]int, 0, len(chains))
	for k := range chains {
		roots = append(roots, k)
	}
	slices.Sort(roots)
	for _, k := range roots {
		u := g.units[k]
		if u.cycle {
			i := ring[k]
			e := get(fmt.Sprintf("cycle %d", i))
			e.id, e.cycle, e.certain = "deadlock", rings[i], i < len(g.cycles)
			for _, v := range chains[k] {
				if !slices.Contains(e.cycle, v.id) {
					e.behind = append(e.behind, v)
				}
			}
			if len(e.units) == 0 {
				for _, n := range e.cycle {
					e.units = append(e.units, g.units[n])
				}
			}
			continue
		}
		var others []*unit
		for _, v := range chains[k] {
			if v.id != k {
				others = append(others, v)
			}
		}
		id := g.findingID(u, others)
		dev := ""
		if c := u.category(); c == "io" || c == "fs" || c == "server" || id == "block-device" {
			dev = u.dev
			if u.dev == "" && id == "block-device" {
				// The chain's others may know the file system's device.
				dev = oneDev(others)
			}
		}
		key := fmt.Sprintf("%d %s|%s", u.boot, id, disk(dev))
		switch {
		case u.category() == "io" || u.category() == "server" || frozen(u.waitID()):
		case u.want >= 0:
			key += "|" + g.things[u.want].key
		case len(others) > 0:
			key += fmt.Sprintf("|unit %d", u.id)
		default:
			key += "|" + u.telling()
		}
		e := get(key)
		e.id, e.dev = id, dev
		e.units = append(e.units, u)
		e.behind = append(e.behind, others...)
	}
	return g.oneDevice(order)
}

// oneDev is the only device that units name, or "".
func oneDev(us []*unit) string {
	d := ""
	for _, u := range us {
		if u.dev == "" || u.dev == d {
			continue
		}
		if d != "" {
			return ""
		}
		d = u.dev
	}
	return d
}

// disk is a partition's disk: sda2 is on sda, nvme0n1p3 on nvme0n1.
func disk(dev string) string {
	trim := strings.TrimRight(dev, "0123456789")
	switch {
	case has(dev, "sd", "vd", "hd", "xvd") && trim != dev:
		return trim
	case has(dev, "nvme", "mmcblk") && strings.HasSuffix(trim, "p"):
		return strings.TrimSuffix(trim, "p")
	}
	return dev
}

// oneDevice joins what waits for an unnamed device with what waits for the only
// one that has a name.
func (g *waitGraph) oneDevice(es []*end) []*end {
	type key struct {
		boot int
		id   string
	}
	named := map[key]*end{}
	many := map[key]bool{}
	for _, e := range es {
		if e.dev == "" || len(e.cycle) > 0 {
			continue
		}
		k := key{e.units[0].boot, e.id}
		many[k] = many[k] || named[k] != nil
		named[k] = e
	}
	kept := es[:0]
	for _, e := range es {
		k := key{e.units[0].boot, e.id}
		if n := named[k]; n != nil && !many[k] && n != e && e.dev == "" && len(e.cycle) == 0 {
			n.units = append(n.units, e.units...)
			n.behind = append(n.behind, e.behind...)
			continue
		}
		kept = append(kept, e)
	}
	return kept
}

// telling is empty for a stack that was not printed.
func (u *unit) telling() string {
	if u.st == nil {
		return ""
	}
	return u.st.telling()
}

// main is the unit of an end that says most.
func (g *waitGraph) main(e *end) *unit {
	n := map[int]int{}
	for _, u := range e.behind {
		n[u.root] += len(u.tasks)
	}
	best := e.units[0]
	for _, u := range e.units {
		if g.own(u) != "" {
			return u
		}
	}
	for _, u := range e.units[1:] {
		if c := cmp.Or(cmp.Compare(u.layer, best.layer), cmp.Compare(n[u.id], n[best.id]), cmp.Compare(len(u.tasks), len(best.tasks))); c > 0 {
			best = u
		}
	}
	return best
}

// chainFindings are those from the graph.
func (a *Analyzer) chainFindings(g *waitGraph) []*finding {
	var fs []*finding
	for _, e := range g.ends() {
		f := g.explain(e)
		again := false
		for _, o := range fs {
			// The same hang in another boot is one story.
			if o.boot != f.boot && o.ID == f.ID && disk(o.dev) == disk(f.dev) && (o.dev != "" || o.site == f.site) {
				o.Lines = append(o.Lines, f.Lines...)
				o.weight = max(o.weight, f.weight)
				if rankSeverity(f.Severity) > rankSeverity(o.Severity) {
					o.Severity = f.Severity
				}
				if rank(f.Confidence) > rank(o.Confidence) {
					o.Confidence = f.Confidence
				}
				o.boots++
				again = true
				break
			}
		}
		if !again {
			fs = append(fs, f)
		}
	}
	for _, f := range fs {
		if f.boots > 0 {
			f.Detail = strings.TrimSpace(f.Detail + fmt.Sprintf(" It came in %d boots.", f.boots+1))
		}
	}
	return fs
}

func (g *waitGraph) explain(e *end) *finding {
	u := g.main(e)
	all := append(slices.Clone(e.units), e.behind...)
	total := countTasks(all)
	f := &finding{weight: total, boot: u.boot}
	f.ID = e.id
	f.Severity, f.Confidence = Warning, Possible
	stuck := false
	for _, v := range all {
		stuck = stuck || v.stuck()
	}
	if stuck || total >= 3 {
		f.Severity = Critical
	}
	if stuck || total >= 2 {
		f.Confidence = Likely
	}
	moved := true
	for _, v := range e.units {
		moved = moved && (v.movedAll() && !v.stuck())
	}
	if moved {
		f.Severity, f.Confidence = Warning, Possible
	}
	if len(e.cycle) > 0 {
		g.explainCycle(e, f)
	} else {
		g.explainEnd(e, u, f)
	}
	if moved {
		f.Detail += " These tasks had moved on in a later dump: the wait was long, but it ended."
	}
	for _, v := range all {
		f.Lines = append(f.Lines, v.lines(32)...)
		for _, t := range v.tasks {
			if len(f.Tasks) < 256 && (t.blocked || v.id == u.id) {
				f.Tasks = append(f.Tasks, t.TaskRef)
			}
		}
	}
	for _, l := range g.a.locks {
		if l.boot == u.boot && len(e.cycle) > 0 {
			f.Lines = append(f.Lines, l.lines)
		}
	}
	f.Lines = spans(f.Lines)
	if len(f.Lines) > 64 {
		f.Lines = f.Lines[:64]
	}
	return f
}

func (g *waitGraph) explainCycle(e *end, f *finding) {
	var names, has []string
	for i, k := range e.cycle {
		u := g.units[k]
		names = append(names, u.first().name())
		v := g.units[e.cycle[(i+1)%len(e.cycle)]]
		label := "something"
		if u.want >= 0 {
			label = g.things[u.want].label
		}
		has = append(has, fmt.Sprintf("%s waits for %s, which %s has (%s)", u.first().name(), label, v.first().name(), u.why))
	}
	others := countTasks(e.behind)
	f.Suspect = strings.Join(names, " and ")
	f.Severity = Critical
	if e.certain {
		f.Confidence = Certain
		for _, k := range e.cycle {
			if rank(g.units[k].conf) < rank(f.Confidence) {
				f.Confidence = g.units[k].conf
			}
		}
		f.Title = fmt.Sprintf("Deadlock: %s wait for each other, for ever", strings.Join(names, " and "))
	} else {
		f.Confidence = Likely
		for _, k := range e.cycle {
			if rank(g.units[k].conf) < rank(f.Confidence) {
				f.Confidence = g.units[k].conf
			}
		}
		f.Title = fmt.Sprintf("A deadlock is likely: %s seem to wait for each other", strings.Join(names, " and "))
	}
	if where := g.units[e.cycle[0]].telling(); where != "" {
		f.Title += " (in " + where
		if w2 := g.units[e.cycle[len(e.cycle)-1]].telling(); w2 != "" && w2 != where {
			f.Title += " and " + w2
		}
		f.Title += ")"
	}
	if others > 0 {
		f.Title += fmt.Sprintf("; %s %s behind them", count(others, "other"), verb(others))
	}
	f.Title += "."
	f.Detail = strings.Join(has, "; ") + "."
	f.Next = "sysrq observe; then reboot with REISUB: no task can leave the circle. Report it with this dump to the owner of the code"
	f.Refute = "one of them moves on in a later dump, or d lists the locks with other owners"
}

// tell says what a unit is at, for a sentence behind its name.
func (g *waitGraph) tell(u *unit) string {
	switch {
	case u.st == nil && u.blocked:
		return "is blocked (its stack was not printed)"
	case u.st == nil:
		return "is not in this dump"
	case u.running:
		return "is running, in " + u.st.telling()
	case !u.blocked:
		return "sleeps in " + u.st.telling()
	}
	s := "waits for " + g.endLabel(u)
	if in := u.st.telling(); in != "" && !strings.Contains(s, strings.Fields(in)[0]) {
		s += ", in " + in
	}
	return s
}

// stories are the first half of a title, where a wait's own words say less than
// they could. "%s" is who waits, with its verb.
var stories = map[string]string{
	"block-device":      "%s for I/O%s that does not finish",
	"superblock-freeze": "%s for a frozen file system to be thawed",
	"fuse-server":       "%s for a FUSE daemon that does not answer",
	"nfs-server":        "%s for an NFS server that does not answer",
	"vfork":             "%s for a vfork child that neither execs nor exits",
}

// own is the function further down in a unit's own stack that has taken what
// the unit waits for, or "".
func (g *waitGraph) own(u *unit) string {
	if u.want < 0 || u.st == nil || u.best >= 0 || !u.st.site.waits {
		return ""
	}
	row := g.things[u.want].row
	if row < 0 || u.st.guessed {
		return ""
	}
	for i := u.st.site.past + 1; i < len(u.st.fn); i++ {
		if len(holds().rows[row].own.find(u.st.fn[i])) > 0 {
			return u.st.fn[i]
		}
	}
	return ""
}

// waiters is "jbd2/sda-8 (pid 7) waits" or "3 tasks (dd, sync, …) wait".
func waiters(us []*unit, u *unit) string {
	n := countTasks(us)
	if n <= 1 {
		return u.first().name() + " waits"
	}
	var names []string
	for _, v := range append([]*unit{u}, us...) {
		for _, t := range v.tasks {
			c := clean(t.Comm)
			if !slices.Contains(names, c) {
				names = append(names, c)
			}
		}
	}
	list := strings.Join(names[:min(3, len(names))], ", ")
	if len(names) > 3 {
		list += ", …"
	}
	return fmt.Sprintf("%d tasks (%s) wait", n, list)
}

func (g *waitGraph) explainEnd(e *end, u *unit, f *finding) {
	own, others := countTasks(e.units), countTasks(e.behind)
	w := u.wait()
	lock := u.want >= 0 && g.things[u.want].lock
	f.dev = e.dev
	f.site = u.telling()
	f.storage = u.storage() || e.id == "block-device"
	f.doms = u.doms
	for _, v := range e.behind {
		f.storage = f.storage || v.storage() && u.layer == layerNone
		f.doms = append(f.doms, v.doms...)
	}
	f.unheld = lock && u.best < 0
	holder, label := "", "" // the end holds what others wait for
	for _, v := range e.behind {
		if v.best == u.id && v.want >= 0 {
			holder, label = v.why, g.things[v.want].label
			if rank(v.conf) > rank(f.Confidence) {
				f.Confidence = v.conf
			}
			break
		}
	}
	dev := ""
	if e.dev != "" {
		dev = " on " + e.dev
	}
	switch {
	case u.st == nil && label == "":
		f.Title = waiters(e.units, u) + ", and the stack is not in this log."
		if k := u.first().workqueue; k != "" && own <= 1 {
			f.Title = fmt.Sprintf("%s waits in its work %s, and the stack is not in this log.", u.first().name(), clean(k))
		}
		f.Suspect = u.first().name()
		if u.dev != "" {
			f.Suspect += " (" + u.dev + ")"
			f.storage = true
		}
	case label != "" && (!u.waits || u.st == nil):
		f.Title = fmt.Sprintf("%s has %s and %s; %s %s for it.", u.first().name(), label, g.tell(u), count(others, "task"), verb(others))
		if u.st == nil {
			f.Title = fmt.Sprintf("%s has %s; %s %s for it. What it does itself is not in this log", u.first().name(), label, count(others, "task"), verb(others))
			if h := g.a.held(u.first()); len(h) > 0 && h[len(h)-1].At.Func != "" {
				f.Title += fmt.Sprintf("; its last lock is %s, taken in %s", clean(h[len(h)-1].Name), plain(h[len(h)-1].At.Func))
			}
			f.Title += "."
		}
		f.Suspect = u.first().name()
		if in := u.telling(); in != "" {
			f.Suspect += " in " + in
		}
	case stories[e.id] != "":
		story := stories[e.id]
		who := waiters(e.units, u)
		if strings.Count(story, "%s") == 2 {
			f.Title = fmt.Sprintf(story, who, dev)
		} else {
			f.Title = fmt.Sprintf(story, who)
			if e.dev != "" {
				f.Title += " (" + e.dev + ")"
			}
		}
		if e.id == "block-device" && w != nil {
			f.Title += ": " + w.What
		}
		f.Title += pluralBehind(own, others) + "."
		f.Suspect = g.suspect(e, u)
	default:
		f.Title = waiters(e.units, u) + " for " + g.endLabel(u)
		if e.dev != "" && !strings.Contains(f.Title, e.dev) {
			f.Title += " (" + e.dev + ")"
		}
		if in := u.telling(); in != "" && !strings.Contains(f.Title, strings.Fields(in)[0]) {
			f.Title += ", in " + in
		}
		f.Title += pluralBehind(own, others) + "."
		f.Suspect = g.suspect(e, u)
	}
	var detail []string
	if own := g.own(u); own != "" {
		f.ID, f.Severity, f.unheld = "deadlock", Critical, false
		f.Title = fmt.Sprintf("Deadlock: %s waits for %s, which it has taken itself, in %s%s.", u.first().name(), g.things[u.want].label, own, pluralBehind(1, countTasks(e.units)-1+others))
		f.Suspect = u.first().name() + " in " + u.telling() + ", called under the lock from " + own
	}
	if f.unheld && holder == "" {
		detail = append(detail, "Who holds it does not show in this log.")
	}
	if holder != "" {
		detail = append(detail, fmt.Sprintf("%s likely has %s: %s.", u.first().name(), label, holder))
	}
	if p := u.st.path(); p != "" {
		detail = append(detail, fmt.Sprintf("%s is in %s.", u.first().name(), p))
	}
	if u.st == nil || !u.blocked {
		if h := g.a.held(u.first()); len(h) > 0 {
			var names []string
			for _, l := range h[:min(4, len(h))] {
				n := clean(l.Name)
				if l.At.Func != "" {
					n += " (" + plain(l.At.Func) + ")"
				}
				names = append(names, n)
			}
			detail = append(detail, "It holds or waits for these locks: "+strings.Join(names, ", ")+".")
			if u.st == nil {
				f.Suspect += ", with " + names[len(names)-1]
			}
		}
	}
	if k := u.first().workqueue; k != "" {
		detail = append(detail, "Its work: "+clean(k)+".")
		if u.st == nil || e.id == "workqueue" {
			f.Suspect += "; work " + clean(k)
		}
	}
	if via := g.via(e, u); via != "" {
		detail = append(detail, via)
	}
	var stopped []string
	if u.category() == "server" {
		stopped = g.stopped(u.boot)
	}
	if len(stopped) > 0 {
		// Whoever serves a file system here, and is stopped, does not answer.
		s := strings.Join(stopped, ", ")
		detail = append(detail, "Stopped (state T): "+s+".")
		if e.id == "fuse-server" {
			f.Suspect = s + ", which is stopped; " + f.Suspect
		}
	}
	if strings.HasPrefix(disk(e.dev), "dm-") || strings.Contains(e.dev, "(dm-") {
		detail = append(detail, "It is a device-mapper device: it may be suspended (dmsetup info -c shows 's'), or the disk below does not answer.")
	}
	if n := again(e.units); n > 1 {
		detail = append(detail, fmt.Sprintf("It stood on the same stack in %d dumps.", n))
	}
	if s := u.seconds(); s > 0 {
		detail = append(detail, fmt.Sprintf("The kernel says that it has been blocked for more than %d seconds.", s))
	}
	f.Detail = strings.Join(detail, " ")
	f.Next, f.Refute = "sysrq observe", "the same tasks are gone or elsewhere in a second dump"
	if w != nil && u.blocked {
		if w.Next != "" {
			f.Next = w.Next
		}
		if w.Refute != "" {
			f.Refute = w.Refute
		}
	} else if u.waits || label != "" {
		f.Next = "sysrq observe (w twice, t and d): which task is inside, and does it move?"
	}
	switch {
	case e.id == "superblock-freeze":
		f.Next = "sysrq thaw-filesystems (SysRq j), or fsfreeze -u MOUNTPOINT; then find what froze it: LVM snapshot, backup or VM agent, dmsetup suspend"
	case e.id == "block-device" && (strings.HasPrefix(e.dev, "dm-") || strings.Contains(e.dev, "(dm-")):
		f.Next = "dmsetup info -c; dmsetup table; if it is suspended: dmsetup resume NAME"
	case e.id == "block-device":
		f.Next = "dmesg | tail -50; cat /sys/block/" + orWord(disk(e.dev), "*") + "/inflight, twice: does it move?"
	}
}

// stopped are the tasks that a signal or a debugger has stopped.
func (g *waitGraph) stopped(boot int) []string {
	var out []string
	for _, t := range g.a.tasks.all {
		if (t.state == "T" || t.state == "t") && t.boot == boot && len(out) < 3 {
			out = append(out, t.name())
		}
	}
	return out
}

// again is in how many dumps one of the units' tasks stood without moving.
func again(us []*unit) int {
	n := 0
	for _, u := range us {
		for _, t := range u.tasks {
			if !t.moved {
				n = max(n, t.seen)
			}
		}
	}
	return n
}

// pluralBehind is the consequence, behind one task or several.
func pluralBehind(own, others int) string {
	s := behind(others)
	if own > 1 {
		s = strings.Replace(s, "behind it", "behind them", 1)
	}
	return s
}

// path is the way to where a stack waits.
func (s *stack) path() string {
	if s == nil {
		return ""
	}
	s.about()
	var fns, mods []string
	block := false
	for i := s.site.at; i < len(s.fn); i++ {
		f, m := s.fn[i], s.module(i)
		d := domainOf(f, m).name == "block"
		if !(d && block) { // one of the block layer's is enough
			fns, mods = append(fns, f), append(mods, m)
		}
		block = d
	}
	return way(fns, mods, plumbing)
}

// suspect is the culprit in a few words.
func (g *waitGraph) suspect(e *end, u *unit) string {
	var s string
	w := u.wait()
	switch {
	case e.id == "superblock-freeze":
		s = "whoever froze the file system"
	case e.id == "workqueue" && u.st.work() != "":
		s = "the work " + u.st.work()
	case e.id == "block-device" || w != nil && w.Category == "io":
		s = "the block device below"
		if e.dev != "" {
			s = e.dev
		}
		if u.layer >= layerVolume || g.bfq(u.boot) {
			if g.bfq(u.boot) {
				s += ", or the I/O scheduler (BFQ)"
			}
		}
	case u.want >= 0 && g.things[u.want].lock:
		s = "whoever has " + g.things[u.want].label
	case w != nil && w.Holder != "":
		s = w.Holder
	}
	if e.dev != "" && !strings.Contains(s, e.dev) {
		s += " (" + e.dev + ")"
	}
	at := u.first().name()
	if in := u.telling(); in != "" {
		at += " in " + in
	}
	if s == "" {
		return at
	}
	return s + "; seen at " + at
}

// bfq reports whether the BFQ scheduler stands in a stack of that boot.
func (g *waitGraph) bfq(boot int) bool {
	for _, u := range g.units {
		if u.boot != boot || u.st == nil || !u.blocked {
			continue
		}
		for _, f := range u.st.frames {
			if has(f.Func, "bfq_") {
				return true
			}
		}
	}
	return false
}

// via tells the chain in between.
func (g *waitGraph) via(e *end, u *unit) string {
	type step struct {
		what string
		n    int
	}
	var steps []step
	at := map[string]int{}
	for _, v := range e.behind {
		what := g.endLabel(v)
		if i, ok := at[what]; ok {
			steps[i].n += len(v.tasks)
			continue
		}
		at[what] = len(steps)
		steps = append(steps, step{what, len(v.tasks)})
	}
	slices.SortStableFunc(steps, func(a, b step) int { return cmp.Compare(b.n, a.n) })
	if len(steps) == 0 {
		return ""
	}
	var parts []string
	for _, s := range steps[:min(4, len(steps))] {
		parts = append(parts, fmt.Sprintf("%d for %s", s.n, s.what))
	}
	return "Behind it wait: " + strings.Join(parts, "; ") + "."
}
