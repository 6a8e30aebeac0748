package diagnose

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/sysrq/sysrq/dump"
)

// mem is what is kept of a report about memory.
type mem struct {
	boot    int
	kind    dump.Kind
	lines   dump.Span
	oom     *dump.OOM // nil for m
	info    *dump.Memory
	st      *stack
	n       int
	command string
	tail    bool // a report before it ended with nobody to kill
}

// maxMems bounds how many are kept: a machine can kill for hours.
const maxMems = 64

func (a *Analyzer) addMemory(b *dump.Block) {
	m := mem{boot: b.Boot, kind: b.Kind, lines: dump.Span{First: b.First, Last: b.Last}, n: 1, command: b.Command}
	c := b.Clone()
	switch d := c.Body.(type) {
	case *dump.Memory:
		m.info = d
	case *dump.OOM:
		m.oom, m.info = d, d.Memory
		m.st = a.stacks.of(d.Stack, d.Workqueue)
		a.system(&d.System)
		// One group that hits its limit again and again is one story.
		for i := range a.mems {
			o := &a.mems[i]
			if o.oom != nil && o.boot == m.boot && o.kind == m.kind && o.oom.Memcg == d.Memcg && o.oom.Constraint == d.Constraint && (o.oom.Order < 0) == (d.Order < 0) && d.Memcg != "" {
				o.n++
				if o.oom.Victim == nil {
					o.oom.Victim = d.Victim
				}
				return
			}
		}
	}
	if len(a.mems) < maxMems {
		a.mems = append(a.mems, m)
	}
}

// pages is a counter of the whole machine, in pages; -1 where it is not there.
func pages(m *dump.Memory, name string) int64 {
	if m == nil {
		return -1
	}
	for _, c := range m.Pages {
		if c.Name == name {
			return c.Value
		}
	}
	return -1
}

// managedKB is how much memory the kernel has to give, or -1.
func managedKB(m *dump.Memory) int64 {
	if m == nil {
		return -1
	}
	var kb int64
	for i := range m.Zones {
		v, ok := zoneCounter(&m.Zones[i], "managed")
		if !ok {
			v, ok = zoneCounter(&m.Zones[i], "present")
		}
		if ok {
			kb += v
		}
	}
	if kb > 0 {
		return kb
	}
	if m.RAM > 0 {
		return (m.RAM - max(m.Reserved, 0)) * pageKB(m)
	}
	return -1
}

func zoneCounter(z *dump.Zone, name string) (int64, bool) {
	for _, c := range z.Counters {
		if c.Name == name {
			return c.Value, true
		}
	}
	return 0, false
}

// pageKB is the size of a page: that of the smallest block.
func pageKB(m *dump.Memory) int64 {
	if m != nil {
		for i := range m.Zones {
			if o := m.Zones[i].Orders; len(o) > 0 && o[0].KB >= 4 && o[0].KB <= 64 {
				return o[0].KB
			}
		}
	}
	return 4
}

// share is a part of the memory in percent, or -1.
func share(kb, total int64) int {
	if kb < 0 || total <= 0 {
		return -1
	}
	return int(min(kb*100/total, 100))
}

// size is a number of kB for a person.
func size(kb int64) string {
	switch {
	case kb >= 10<<20:
		return fmt.Sprintf("%d GiB", kb>>20)
	case kb >= 1<<20:
		return fmt.Sprintf("%.1f GiB", float64(kb)/(1<<20))
	case kb >= 1<<10:
		return fmt.Sprintf("%d MiB", kb>>10)
	}
	return fmt.Sprintf("%d KiB", kb)
}

// use is what the memory of a machine is used for.
type use struct {
	total, free, slab, shmem, anon, locked, cache int64 // kB; -1 unknown
	noSwap, swapFull                              bool
}

func useOf(m *dump.Memory) use {
	k := pageKB(m)
	kb := func(name string) int64 {
		if v := pages(m, name); v >= 0 {
			return v * k
		}
		return -1
	}
	u := use{total: managedKB(m), free: kb("free"), slab: kb("slab_unreclaimable"), shmem: kb("shmem"), locked: kb("unevictable"), anon: -1, cache: -1}
	a, b := kb("active_anon"), kb("inactive_anon")
	if a >= 0 && b >= 0 {
		// Shared memory is on the lists of anonymous pages.
		u.anon = max(a+b-max(u.shmem, 0), 0)
	}
	if c, d := kb("active_file"), kb("inactive_file"); c >= 0 && d >= 0 {
		u.cache = c + d
	}
	if m != nil {
		u.noSwap = m.SwapTotal == 0
		u.swapFull = m.SwapTotal > 0 && m.SwapFree >= 0 && m.SwapFree*50 < m.SwapTotal
	}
	return u
}

// memoryFindings are those about memory.
func (a *Analyzer) memoryFindings() []*finding {
	var out []*finding
	killed := map[int]bool{}
	for i := range a.mems {
		m := &a.mems[i]
		if m.oom != nil && m.kind == dump.KindOOM {
			if o := m.oom; o.Invoker == "" && o.Victim == nil && len(o.Tasks) == 0 && o.Memory == nil && len(a.mems) > 1 {
				// The end of a report whose beginning is lost: the next one says more.
				if k := i + 1; k < len(a.mems) && a.mems[k].oom != nil {
					a.mems[k].tail = o.NoneKillable
					continue
				}
			}
			f := a.oomFinding(m)
			merged := false
			for _, g := range out {
				if g.ID == f.ID && g.Suspect == f.Suspect && g.boot == f.boot {
					g.Lines = append(g.Lines, f.Lines...)
					g.weight++
					merged = true
				}
			}
			if !merged {
				out = append(out, f)
			}
			killed[m.boot] = true
		}
	}
	for i := range a.mems {
		m := &a.mems[i]
		switch {
		case m.oom != nil && m.kind == dump.KindAllocation:
			f := a.allocationFinding(m)
			if !slices.ContainsFunc(out, func(g *finding) bool { return g.ID == f.ID && g.boot == f.boot && g.Suspect == f.Suspect }) {
				out = append(out, f)
			}
		case m.oom == nil && !killed[m.boot]:
			if f := a.useFinding(m); f != nil && !slices.ContainsFunc(out, func(g *finding) bool { return g.ID == f.ID && g.boot == f.boot }) {
				out = append(out, f)
			}
		}
	}
	return append(out, a.memoryPanics(out)...)
}

// culprit is what has eaten a machine's memory.
type culprit struct {
	id, what string
	percent  int
	detail   string
}

// eater finds the culprit: what has the largest share.
func eater(m *dump.Memory, tasks []dump.OOMTask) culprit {
	u := useOf(m)
	k := pageKB(m)
	c := culprit{percent: -1}
	slab, shm := share(u.slab, u.total), share(u.shmem, u.total)
	var big *dump.OOMTask
	for i := range tasks {
		t := &tasks[i]
		if big == nil || t.RSS > big.RSS {
			big = t
		}
	}
	task := -1
	if big != nil {
		task = share(big.RSS*k, u.total)
	}
	switch {
	case slab >= 25 && slab >= shm && slab >= task:
		c = culprit{"slab", "the kernel's own memory (slab)", slab, ""}
		if s := biggestSlab(m); s != nil {
			c.what = "the slab cache " + s.Name
			c.detail = fmt.Sprintf("The largest cache, %s, has %s.", s.Name, size(s.TotalKB))
		}
	case shm >= 30 && shm >= task:
		c = culprit{"tmpfs", "files in a tmpfs (such as /tmp, /dev/shm or /run) or shared memory", shm, ""}
	case big != nil && (task >= 20 || u.total <= 0):
		c = culprit{"memory", fmt.Sprintf("%s (pid %d)", clean(big.Name), big.PID), task, fmt.Sprintf("It has %s in memory.", size(big.RSS*k))}
		if big.Swap > 0 {
			c.detail = fmt.Sprintf("It has %s in memory and %s in swap.", size(big.RSS*k), size(big.Swap*k))
		}
	}
	if c.id == "" && big != nil {
		// Many small ones of one name.
		sum := map[string]int64{}
		n := map[string]int{}
		for i := range tasks {
			sum[tasks[i].Name] += tasks[i].RSS
			n[tasks[i].Name]++
		}
		best := ""
		for name, v := range sum {
			if best == "" || v > sum[best] || v == sum[best] && name < best {
				best = name
			}
		}
		if p := share(sum[best]*k, u.total); p >= 30 {
			c = culprit{"memory", fmt.Sprintf("%d tasks named %s", n[best], clean(best)), p, ""}
		}
	}
	return c
}

func biggestSlab(m *dump.Memory) *dump.Slab {
	var best *dump.Slab
	if m != nil {
		for i := range m.Slabs {
			if s := &m.Slabs[i]; best == nil || s.TotalKB > best.TotalKB {
				best = s
			}
		}
	}
	return best
}

// plural is the verb behind a culprit.
func plural(c culprit) string {
	if c.id == "tmpfs" || strings.Contains(c.what, "tasks named") {
		return "have"
	}
	return "has"
}

// oomFinding is the finding about one kill.
func (a *Analyzer) oomFinding(m *mem) *finding {
	o := m.oom
	u := useOf(m.info)
	f := &finding{boot: m.boot, weight: 3 + m.n}
	f.Severity, f.Confidence = Warning, Certain
	f.Lines = []dump.Span{m.lines}
	byHand := o.Order < 0 || strings.Contains(o.Workqueue, "moom_callback")
	c := eater(m.info, o.Tasks)
	victim := ""
	if o.Victim != nil {
		victim = fmt.Sprintf("%s (pid %d)", clean(o.Victim.Comm), o.Victim.PID)
		f.Tasks = []TaskRef{{Comm: o.Victim.Comm, PID: o.Victim.PID}}
	}
	cgroup := o.Constraint == "CONSTRAINT_MEMCG" || o.Memcg != "" || o.Constraint == "" && m.st != nil && slices.ContainsFunc(m.st.fn, func(s string) bool {
		return s == "mem_cgroup_out_of_memory" || s == "mem_cgroup_oom_synchronize" || s == "mem_cgroup_oom"
	})
	var detail []string
	switch {
	case cgroup:
		f.ID = "cgroup-limit"
		group := o.Memcg
		if group == "" {
			group = o.TaskMemcg
		}
		f.Title = "A control group has hit its memory limit"
		if group != "" {
			f.Title = "The control group " + clean(group) + " has hit its memory limit"
		}
		if o.LimitKB >= 0 {
			f.Title += " of " + size(o.LimitKB)
		}
		if victim != "" {
			f.Title += ": " + victim + " was killed"
		}
		f.Title += "; the machine itself had memory."
		if o.NoneKillable || m.tail && o.Victim == nil {
			f.Title = "A control group has hit its memory limit, and nothing in it may be killed."
			f.Severity = Critical
		}
		f.Suspect = "the limit of " + orWord(clean(group), "the control group")
		if victim != "" {
			f.Suspect += ", and " + victim
		}
		if o.UsageKB >= 0 {
			detail = append(detail, fmt.Sprintf("It used %s.", size(o.UsageKB)))
		}
		f.Next = "raise memory.max (MemoryMax= of the unit) or find what grows: systemd-cgtop -m, memory.stat"
		f.Refute = "constraint is CONSTRAINT_NONE: then it was the whole machine"
	default:
		switch o.Constraint {
		case "CONSTRAINT_CPUSET", "CONSTRAINT_MEMORY_POLICY":
			detail = append(detail, "Only some memory nodes were allowed (cpuset or memory policy): others may have had room.")
		}
		f.ID = c.id
		what := "The machine ran out of memory"
		if byHand {
			what = "Somebody asked for a kill (SysRq f)"
			detail = append(detail, "SysRq f by hand: order=-1; memory need not have been short.")
		}
		switch {
		case c.id != "":
			f.Title = fmt.Sprintf("%s; %s %s", what, c.what, plural(c))
			if c.percent >= 0 {
				f.Title += fmt.Sprintf(" %d %% of the memory", c.percent)
			} else {
				f.Title += " the most of it"
			}
			if c.id == "slab" {
				f.Title += ", which no kill can free"
			}
			if c.id == "tmpfs" {
				f.Title += ", which no kill frees"
			}
			f.Suspect = c.what
			if victim != "" && victim != c.what {
				f.Title += "; " + victim + " was killed for it"
				detail = append(detail, "The victim was not the largest.")
				if c.id != "memory" {
					f.Suspect += "; not the victim, " + victim
				}
			} else if victim != "" {
				f.Title += " and was killed"
			}
			f.Title += "."
		case byHand:
			f.ID, f.Severity = "oom-by-hand", Info
			f.Title = "Somebody asked for a kill (SysRq f)"
			if victim != "" {
				f.Title += ": " + victim + " was killed"
			}
			f.Title += "; nothing shows that memory was short."
			f.Suspect = "SysRq f by hand"
		default:
			f.ID = "memory"
			f.Title = "The machine ran out of memory"
			f.Suspect = victim
			if victim != "" {
				f.Title += "; " + victim + " was killed"
			}
			if o.Victim != nil && o.Victim.AnonRSS > 0 {
				f.Title += fmt.Sprintf(", which had %s", size(o.Victim.AnonRSS+max(o.Victim.Shmem, 0)))
			} else if big := largest(o.Tasks); victim == "" && big != nil {
				f.Suspect = fmt.Sprintf("%s (pid %d), the largest task in the list", clean(big.Name), big.PID)
				f.Title += fmt.Sprintf("; the largest task is %s (pid %d)", clean(big.Name), big.PID)
			}
			f.Title += "."
			f.Confidence = Likely
		}
		if byHand && c.id != "" {
			f.Suspect += " (the kill was asked for by hand, SysRq f)"
			if c.id == "memory" && c.percent < 50 {
				f.Confidence = Possible
			}
		}
		if o.NoneKillable && !byHand {
			f.Severity = Critical
			detail = append(detail, "No task was left that may be killed.")
		}
		f.Next = "limit or fix what grows (MemoryMax= of its unit), or add memory or swap"
		switch f.ID {
		case "slab":
			f.Next = "slabtop -o -s c, and /sys/kernel/slab/NAME/alloc_traces (boot with slub_debug=U): who allocates, and does not free?"
		case "tmpfs":
			f.Next = "df -h -t tmpfs; ipcs -mu; find /tmp /dev/shm /run -size +10M: remove what is large"
		case "oom-by-hand":
			f.Next = "nothing, unless the victim matters: restart it"
		}
		f.Refute = "the list of tasks and Mem-Info show another large share"
	}
	if u.total > 0 {
		detail = append(detail, fmt.Sprintf("Of %s: free %s, slab %s, shared memory %s, anonymous %s.", size(u.total), sizeOr(u.free), sizeOr(u.slab), sizeOr(u.shmem), sizeOr(u.anon)))
	}
	if u.noSwap && !cgroup {
		detail = append(detail, "There is no swap.")
	} else if u.swapFull {
		detail = append(detail, "Swap is full.")
	}
	if c.detail != "" && !cgroup {
		detail = append(detail, c.detail)
	}
	if o.Order > 3 {
		detail = append(detail, fmt.Sprintf("A block of %d pages was asked for (order %d): memory may only be fragmented.", 1<<min(o.Order, 20), o.Order))
	}
	if o.Invoker != "" {
		detail = append(detail, fmt.Sprintf("%s asked for memory when it happened; it need not be to blame.", clean(o.Invoker)))
	}
	if m.n > 1 {
		detail = append(detail, fmt.Sprintf("It happened %d times.", m.n))
	}
	f.Detail = strings.Join(detail, " ")
	return f
}

func largest(ts []dump.OOMTask) *dump.OOMTask {
	var best *dump.OOMTask
	for i := range ts {
		if best == nil || ts[i].RSS > best.RSS {
			best = &ts[i]
		}
	}
	return best
}

func orWord(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func sizeOr(kb int64) string {
	if kb < 0 {
		return "unknown"
	}
	return size(kb)
}

// allocationFinding is the finding about an allocation that failed.
func (a *Analyzer) allocationFinding(m *mem) *finding {
	o := m.oom
	f := &finding{boot: m.boot, weight: m.n}
	f.ID, f.Severity, f.Confidence = "allocation-failure", Warning, Certain
	f.Lines = []dump.Span{m.lines}
	u := useOf(m.info)
	f.Title = fmt.Sprintf("%s got no memory for a block of %d pages (order %d)", orWord(clean(o.Invoker), "The kernel"), 1<<min(max(o.Order, 0), 20), o.Order)
	f.Suspect = orWord(clean(o.Invoker), "")
	at := ""
	if m.st != nil {
		for i, fn := range m.st.fn {
			if !plumbing(fn) && !has(fn, "warn_alloc", "__alloc_pages", "alloc_pages", "dump_stack", "show_stack", "kmalloc", "__kmalloc", "__get_free", "kmem_cache", "cache_", "new_slab", "allocate_slab", "___slab", "__slab", "__page_frag", "page_frag", "dump_header", "fallback_alloc", "___kmalloc", "alloc_slab", "__folio_alloc", "folio_alloc", "dma_", "__dma") {
				at = fn
				if mod := m.st.module(i); mod != "" {
					at += " [" + mod + "]"
				}
				break
			}
		}
	}
	if at != "" {
		f.Suspect = strings.TrimPrefix(f.Suspect+" in "+at, " in ")
	}
	frag := fragmented(m.info, o.Order)
	switch {
	case frag != "":
		f.ID = "fragmentation"
		f.Title += ": memory is free, but in pieces that are too small"
		f.Detail = frag
		f.Next = "echo 1 > /proc/sys/vm/compact_memory; raise vm.min_free_kbytes; let the caller use vmalloc or smaller blocks"
	case strings.Contains(o.GFP, "GFP_ATOMIC") || strings.Contains(o.GFP, "GFP_NOWAIT"):
		f.Title += " and could not wait for it (GFP_ATOMIC)"
		f.Severity = Info
		f.Detail = "An allocation in an interrupt may fail; its caller must bear that."
		f.Next = "raise vm.min_free_kbytes if it comes often"
	default:
		f.Next = "sysrq show-memory-usage when it comes again"
		if c := eater(m.info, nil); c.id != "" {
			f.Detail = fmt.Sprintf("%s has %d %%. %s", c.what, c.percent, c.detail)
			f.Suspect = c.what
			f.ID = c.id
		}
	}
	f.Title += "."
	if u.noSwap {
		f.Detail = strings.TrimSpace(f.Detail + " There is no swap.")
	}
	f.Refute = "the zone that was asked for had a free block of that size"
	return f
}

// fragmented says how much is free below the order that was asked for, where
// nothing is free at or above it.
func fragmented(m *dump.Memory, order int) string {
	if m == nil || order < 1 || order > 12 {
		return ""
	}
	need := pageKB(m) << order
	var small, large, n int64
	for i := range m.Zones {
		for _, o := range m.Zones[i].Orders {
			n++
			if o.KB >= need {
				large += o.KB * o.Count
			} else {
				small += o.KB * o.Count
			}
		}
	}
	if n == 0 || small < 16*need || large*4 > small {
		return ""
	}
	return fmt.Sprintf("%s are free in blocks smaller than %s, and %s in blocks of that size or larger.", size(small), size(need), size(large))
}

// useFinding is what m alone shows: something has a large share.
func (a *Analyzer) useFinding(m *mem) *finding {
	u := useOf(m.info)
	if u.total <= 0 {
		return nil
	}
	f := &finding{boot: m.boot}
	f.Severity, f.Confidence = Warning, Possible
	f.Lines = []dump.Span{m.lines}
	c := eater(m.info, nil)
	used := u.locked
	if u.anon > 0 {
		used = max(used, 0) + u.anon
	}
	switch {
	case c.id == "slab":
		f.Confidence = Likely
		f.Title = fmt.Sprintf("The kernel's own memory (unreclaimable slab) has %d %% of the machine's memory, %s: something in the kernel leaks or hoards.", c.percent, size(u.slab))
		f.Next = "slabtop -o -s c (or SysRq f, which lists the caches): which cache is it?"
		f.Refute = "a file server or firewall with many objects; it shrinks by itself"
	case c.id == "tmpfs":
		f.Title = fmt.Sprintf("Files in a tmpfs or shared memory have %d %% of the machine's memory, %s.", c.percent, size(u.shmem))
		f.Next = "df -h -t tmpfs; ipcs -mu"
		f.Refute = "a data base whose shared memory is meant to be so large"
	case share(u.locked, u.total) >= 50:
		c = culprit{id: "memory", what: "programs that lock their memory (mlock)"}
		f.Title = fmt.Sprintf("Programs have locked %d %% of the machine's memory (%s, unevictable): none of it can be freed or swapped.", share(u.locked, u.total), size(u.locked))
		f.Next = "grep VmLck /proc/*/status | sort -k2 -n: who?"
		f.Refute = "virtual machines or a data base that are meant to"
	case share(used, u.total) >= 80 && share(u.free+max(u.cache, 0), u.total) < 10 && (u.noSwap || u.swapFull):
		c = culprit{id: "memory", what: "programs"}
		f.Title = fmt.Sprintf("Programs have %d %% of the machine's memory, and little is left: free %s, cache %s.", share(used, u.total), sizeOr(u.free), sizeOr(u.cache))
		f.Next = "ps aux --sort -rss | head"
		f.Refute = "swap has room, or the cache is large"
	default:
		return nil
	}
	f.ID, f.Suspect = c.id, c.what
	f.Detail = fmt.Sprintf("Of %s: free %s, slab %s, shared memory %s, anonymous %s, locked %s.", size(u.total), sizeOr(u.free), sizeOr(u.slab), sizeOr(u.shmem), sizeOr(u.anon), sizeOr(u.locked))
	return f
}

// memoryPanics are panics over memory. A machine that boots with little is a
// crash kernel.
func (a *Analyzer) memoryPanics(fs []*finding) []*finding {
	var out []*finding
	for i := range a.alarms[dump.KindPanic] {
		al := &a.alarms[dump.KindPanic][i]
		low := strings.ToLower(al.Title)
		setting := strings.Contains(low, "panic_on_oom")
		if !strings.Contains(low, "out of memory") && !strings.Contains(low, "deadlocked on memory") && !setting {
			continue
		}
		var oom *finding
		var m *mem
		for _, f := range fs {
			if f.boot == al.boot && f.Severity != Info {
				oom = f
			}
		}
		for j := range a.mems {
			if a.mems[j].boot == al.boot && a.mems[j].oom != nil {
				m = &a.mems[j]
			}
		}
		f := &finding{boot: al.boot, weight: 3}
		f.Severity, f.Confidence = Critical, Certain
		f.ID = "memory"
		f.Lines = []dump.Span{al.lines}
		total := int64(-1)
		if m != nil {
			total = managedKB(m.info)
			f.Lines = append(f.Lines, m.lines)
		}
		crashBefore := false
		for _, k := range []dump.Kind{dump.KindPanic, dump.KindOops} {
			for j := range a.alarms[k] {
				crashBefore = crashBefore || a.alarms[k][j].boot < al.boot
			}
		}
		switch {
		case setting:
			f.Title = "The machine ran out of memory and panicked, because panic_on_oom is set"
			if m != nil {
				if big := largest(m.oom.Tasks); big != nil {
					f.Suspect = fmt.Sprintf("%s (pid %d), the largest task in the list", clean(big.Name), big.PID)
					f.Title += fmt.Sprintf("; the largest task is %s (pid %d) with %s", clean(big.Name), big.PID, size(big.RSS*pageKB(m.info)))
					if big.Swap > 0 {
						f.Title += fmt.Sprintf(" and %s in swap", size(big.Swap*pageKB(m.info)))
					}
				}
			}
			f.Title += "."
			f.Suspect = strings.TrimPrefix(f.Suspect+"; panic_on_oom", "; ")
			f.Next = "sysctl vm.panic_on_oom=0, and limit what grows"
		case (crashBefore || early(al)) && (total < 0 || total < 2<<20):
			f.ID = "crash-kernel-memory"
			f.Title = "The crash kernel ran out of memory while it booted"
			if total > 0 {
				f.Title += fmt.Sprintf(", with %s", size(total))
			}
			f.Title += ": crashkernel= is too small for this machine."
			f.Suspect = "crashkernel= is too small"
			if p := al.path(); p != "" {
				f.Detail = "It failed in " + memoryPath(al) + "."
				f.Suspect += "; it failed in " + memoryPath(al)
			}
			f.Next = "give more: crashkernel=512M (or 1G on machines with many processors or IOMMUs), and boot the crash kernel with nr_cpus=1"
			if !crashBefore {
				f.Confidence = Likely
			}
		default:
			f.Title = "The machine ran out of memory, and nothing was left that could be killed: it panicked."
			if oom != nil {
				f.Suspect = oom.Suspect
				f.Detail = oom.Detail
			}
			f.Next = "find what ate the memory: a leak in the kernel (slab), a limit too small, hugepages reserved at boot"
		}
		f.Refute = "Mem-Info shows room in the zone that was asked for"
		for _, g := range fs {
			if g.boot == al.boot {
				g.Severity = Info
			}
		}
		out = append(out, f)
	}
	slices.SortStableFunc(out, func(x, y *finding) int { return cmp.Compare(x.boot, y.boot) })
	return out
}

// early reports whether a panic came while the kernel was still starting.
func early(al *alarm) bool {
	return al.PID == 1 && al.hasFn(func(f string) bool {
		return f == "kernel_init_freeable" || f == "do_one_initcall" || f == "do_initcalls" || f == "start_kernel"
	})
}

// memoryPath is where memory was asked for, without the allocator.
func memoryPath(al *alarm) string {
	fns, mods := al.fns()
	var out []string
	for i, f := range fns {
		if plumbing(f) || has(f, "panic", "out_of_memory", "__alloc", "alloc_pages", "cache_", "fallback_alloc", "kmem_cache", "kmalloc", "__kmalloc", "dump_", "pagecache", "new_slab", "allocate_slab", "___slab", "__slab", "nmi_panic") {
			continue
		}
		if len(out) == 3 || bottom(f) {
			break
		}
		if mods[i] != "" {
			f += " [" + mods[i] + "]"
		}
		out = append(out, f)
	}
	return strings.Join(out, " < ")
}
