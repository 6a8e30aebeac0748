package render

import (
	"fmt"
	"strings"

	"github.com/sysrq/sysrq/dump"
)

// The tables of a page: what a log has beside tasks.

// tables adds the sections of what there is.
func (p *page) tables() {
	some := func(kinds ...dump.Kind) (list []*dump.Block) {
		for _, k := range kinds {
			list = append(list, p.blocks[k]...)
		}
		return list
	}
	add := func(id, title string, list []*dump.Block, write func([]*dump.Block)) {
		if len(list) > 0 {
			p.section = append(p.section, section{id, title, func() { write(list) }})
		}
	}
	add("alarms", "Alarms", some(dump.KindPanic, dump.KindOops, dump.KindHardLockup, dump.KindSoftLockup, dump.KindRCUStall,
		dump.KindWorkLockup, dump.KindLockdep, dump.KindWarning), p.alarms)
	add("cpus", "Processors", some(dump.KindCPU), p.cpus)
	add("oom", "Out of memory", some(dump.KindOOM, dump.KindAllocation), p.ooms)
	add("memory", "Memory", some(dump.KindMemory), func(list []*dump.Block) {
		for _, b := range list {
			if m, ok := b.Body.(*dump.Memory); ok {
				p.memory(m, b)
			}
		}
	})
	add("locks", "Locks", some(dump.KindLocks), p.locks)
	add("workqueues", "Workqueues", some(dump.KindWorkqueues), p.workqueues)
	add("sched", "Run queues", some(dump.KindSched), p.sched)
	add("timers", "Timers", some(dump.KindTimers), p.timers)
	add("trace", "Trace", some(dump.KindTrace), p.trace)
	add("unread", "Not read", some(dump.KindUnread), p.unread)
}

// none says that a list has nothing in it, rather than show a table without
// rows.
func none[B dump.Body](p *page, list []*dump.Block, what string, count func(B) int) bool {
	for _, b := range list {
		if body, ok := b.Body.(B); ok && count(body) > 0 {
			return false
		}
	}
	p.str("<p>", esc(what), " Lines ")
	for i, b := range list {
		if i == 8 {
			break
		}
		if i > 0 {
			p.str(", ")
		}
		p.lines([]dump.Span{{First: b.First, Last: b.Last}}, 1)
	}
	p.str(".</p>\n")
	return true
}

func (p *page) alarms(list []*dump.Block) {
	for i, b := range list {
		r, ok := b.Body.(*dump.Report)
		if !ok {
			continue
		}
		if i == 40 {
			p.str(`<p class="gap">`, esc(fmt.Sprintf("%d more are not shown; the JSON has them.", len(list)-i)), "</p>\n")
			break
		}
		p.str(`<details class="group"><summary><span class="state">`, esc(string(b.Kind)), "</span> ", esc(clip(oneLine(r.Title), 140)), "</summary>\n<p>Lines ")
		p.lines(spansOf(b), 3)
		words := []string{}
		if r.Comm != "" {
			words = append(words, fmt.Sprintf("task %s %s", name(r.Comm), pid(r.PID)))
		}
		if r.CPU.CPU >= 0 {
			words = append(words, fmt.Sprintf("processor %d", r.CPU.CPU))
		}
		if r.Seconds > 0 {
			words = append(words, "for "+seconds(r.Seconds))
		}
		if len(r.Locks) > 0 {
			words = append(words, "locks "+strings.Join(r.Locks, ", "))
		}
		for _, w := range words {
			p.str("; ", esc(oneLine(w)))
		}
		p.str("</p>\n")
		if len(r.Stack) > 0 {
			p.stack(r.Stack)
		}
		p.str("</details>\n")
	}
}

func (p *page) cpus(list []*dump.Block) {
	p.open("Processors", "#CPU", "Does", "#PID", "Where", "Interrupts", "Workqueue", "Lines")
	n := 0
	for _, b := range list {
		c, ok := b.Body.(*dump.CPU)
		if !ok {
			continue
		}
		if n++; n > maxRows {
			continue
		}
		p.str("<tr>")
		p.num(pid(c.CPU))
		switch {
		case c.Idle:
			p.td("idle")
		case c.Comm == "":
			p.td("?")
		default:
			p.td(c.Comm)
		}
		p.num(strings.TrimPrefix(pid(c.PID), "?"))
		where := ""
		switch {
		case c.User:
			where = "userspace"
		case c.IP != nil:
			where = frameText(c.IP)
		case len(c.Stack) > 0:
			where = frameText(&c.Stack[0])
		}
		p.code(where)
		if c.IRQsOff {
			p.str(`<td class="alert">off</td>`)
		} else {
			p.td("")
		}
		p.td(c.Workqueue)
		p.at(b)
		p.str("</tr>\n")
	}
	p.shut(n - maxRows)
}

func kB(n int64) string {
	switch {
	case n < 0:
		return ""
	case n < 10<<10:
		return fmt.Sprintf("%d kB", n)
	case n < 10<<20:
		return fmt.Sprintf("%d MB", n>>10)
	}
	return fmt.Sprintf("%d GB", n>>20)
}

func (p *page) memory(m *dump.Memory, b *dump.Block) {
	p.str("<h3>")
	if b.Kind == dump.KindMemory {
		p.str("Memory at line ", fmt.Sprint(b.First))
	} else {
		p.str("Memory")
	}
	p.str("</h3>\n<p>")
	if m.RAM >= 0 {
		p.str(esc(fmt.Sprintf("%d pages of RAM", m.RAM)))
		if m.Reserved >= 0 {
			p.str(esc(fmt.Sprintf(", %d reserved", m.Reserved)))
		}
		p.str(". ")
	}
	switch {
	case m.SwapTotal == 0:
		p.str("No swap. ")
	case m.SwapTotal > 0:
		p.str(esc(fmt.Sprintf("Swap: %s free of %s. ", kB(m.SwapFree), kB(m.SwapTotal))))
	}
	p.str("</p>\n")
	if len(m.Zones) > 0 {
		p.open("Memory zones", "Zone", "#Node", "#Free", "#Min", "#Low", "#High", "#Managed", "#Largest free block")
		for i, z := range m.Zones {
			if i == maxRows {
				break
			}
			get := map[string]int64{"free": -1, "min": -1, "low": -1, "high": -1, "managed": -1}
			for _, c := range z.Counters {
				if _, ok := get[c.Name]; ok {
					get[c.Name] = c.Value
				}
			}
			p.str(`<tr><th scope="row">`, esc(z.Name), "</th>")
			p.num(pid(z.Node))
			for _, c := range []string{"free", "min", "low", "high", "managed"} {
				if c == "free" && get["min"] >= 0 && get["free"] >= 0 && get["free"] < get["min"] {
					p.str(`<td class="n alert">`, esc(kB(get[c])), "</td>")
					continue
				}
				p.num(kB(get[c]))
			}
			largest := int64(-1)
			for _, o := range z.Orders {
				if o.Count > 0 {
					largest = max(largest, o.KB)
				}
			}
			p.num(kB(largest))
			p.str("</tr>\n")
		}
		p.shut(len(m.Zones) - maxRows)
	}
	if len(m.Pages) > 0 {
		p.str("<details><summary>Counters, in pages</summary>\n")
		p.open("Counters, in pages", "Counter", "#Pages")
		for _, c := range m.Pages {
			p.str(`<tr><th scope="row">`, esc(c.Name), "</th>")
			p.int(c.Value)
			p.str("</tr>\n")
		}
		p.shut(0)
		p.str("</details>\n")
	}
	if len(m.Slabs) > 0 {
		p.str("<details><summary>Slabs that can not be reclaimed</summary>\n")
		p.open("Slabs", "Slab", "#Used", "#Total")
		for i, s := range m.Slabs {
			if i == maxRows {
				break
			}
			p.str(`<tr><th scope="row">`, esc(s.Name), "</th>")
			p.num(kB(s.UsedKB))
			p.num(kB(s.TotalKB))
			p.str("</tr>\n")
		}
		p.shut(len(m.Slabs) - maxRows)
		p.str("</details>\n")
	}
}

func (p *page) ooms(list []*dump.Block) {
	for i, b := range list {
		o, ok := b.Body.(*dump.OOM)
		if !ok {
			continue
		}
		if i == 40 {
			p.str(`<p class="gap">`, esc(fmt.Sprintf("%d more are not shown; the JSON has them.", len(list)-i)), "</p>\n")
			break
		}
		title := "OOM killer"
		if b.Kind == dump.KindAllocation {
			title = "Allocation failed"
		}
		if o.Invoker != "" {
			title += ", asked for by " + name(o.Invoker)
		}
		p.str("<h3>", esc(title), "</h3>\n<dl>\n")
		part := func(name, text string) {
			if text != "" {
				p.str("<div><dt>", name, "</dt><dd>", esc(text), "</dd></div>\n")
			}
		}
		if v := o.Victim; v != nil {
			part("Killed", fmt.Sprintf("%s, pid %s, uid %d, %s anonymous", name(v.Comm), pid(v.PID), v.UID, kB(v.AnonRSS)))
		} else if o.NoneKillable {
			part("Killed", "nobody: no killable processes")
		}
		if o.Order < 0 {
			part("Wanted", "nothing: SysRq f asked for it")
		} else {
			part("Wanted", fmt.Sprintf("%s, order %d", o.GFP, o.Order))
		}
		part("Constraint", strings.ToLower(strings.TrimPrefix(o.Constraint, "CONSTRAINT_")))
		part("Control group", o.Memcg)
		if o.LimitKB >= 0 && o.UsageKB >= 0 {
			part("Its limit", fmt.Sprintf("%s of %s", kB(o.UsageKB), kB(o.LimitKB)))
		}
		p.str("<div><dt>Lines</dt><dd>")
		p.lines(spansOf(b), 4)
		p.str("</dd></div>\n</dl>\n")
		if len(o.Tasks) > 0 {
			p.str("<details><summary>", esc(plural(len(o.Tasks), "candidate")), "</summary>\n")
			p.open("Candidates of the OOM killer", "Name", "#PID", "#UID", "#RSS, pages", "#Total, pages", "#Swap", "#Adjust")
			for i, t := range o.Tasks {
				if i == maxRows {
					break
				}
				class := ""
				if o.Victim != nil && o.Victim.PID == t.PID {
					class = ` class="m"`
				}
				p.str("<tr", class, `><th scope="row">`, esc(name(t.Name)), "</th>")
				p.num(pid(t.PID))
				p.int(int64(t.UID))
				p.int(t.RSS)
				p.int(t.TotalVM)
				p.int(t.Swap)
				p.int(int64(t.OOMScoreAdj))
				p.str("</tr>\n")
			}
			p.shut(len(o.Tasks) - maxRows)
			p.str("</details>\n")
		}
		if o.Memory != nil {
			p.memory(o.Memory, b)
		}
	}
}

func (p *page) locks(list []*dump.Block) {
	if none(p, list, "No task holds a lock.", func(l *dump.Locks) int { return len(l.Holders) }) {
		return
	}
	p.open("Locks held", "Task", "#PID", "#Locks", "Lock", "Usage", "Taken in", "Lines")
	n := 0
	for _, b := range list {
		l, ok := b.Body.(*dump.Locks)
		if !ok {
			continue
		}
		for _, h := range l.Holders {
			held := h.Held
			if len(held) == 0 {
				held = []dump.HeldLock{{}}
			}
			for i, lock := range held {
				if n++; n > maxRows {
					continue
				}
				p.str(`<tr><th scope="row">`, esc(name(h.Comm)), "</th>")
				p.num(pid(h.PID))
				count := ""
				if i == 0 {
					count = fmt.Sprint(h.Count)
				}
				p.num(count)
				p.code(strings.TrimSpace(lock.Name + " " + lock.Addr))
				p.code(lock.Usage)
				p.code(frameName(&lock.At))
				p.at(b)
				p.str("</tr>\n")
			}
		}
	}
	p.shut(n - maxRows)
}

func (p *page) workqueues(list []*dump.Block) {
	if !none(p, list, "No workqueue is busy.", func(w *dump.Workqueues) int { return len(w.Queues) }) {
		p.queues(list)
	}
	p.pools(list)
}

func (p *page) queues(list []*dump.Block) {
	p.open("Busy workqueues", "Queue", "#Pool", "CPUs", "#Active", "In flight", "Pending", "Lines")
	n := 0
	for _, b := range list {
		w, ok := b.Body.(*dump.Workqueues)
		if !ok {
			continue
		}
		for _, q := range w.Queues {
			for _, pool := range q.Pools {
				if n++; n > maxRows {
					continue
				}
				p.str(`<tr><th scope="row">`, esc(q.Name), "</th>")
				p.int(int64(pool.Pool))
				p.td(pool.CPUs)
				p.num(fmt.Sprintf("%d/%d", pool.Active, pool.Max))
				var flight []string
				for _, f := range pool.InFlight {
					s := fmt.Sprintf("%s by %d", f.Func, f.PID)
					if f.Seconds > 0 {
						s += ", " + seconds(f.Seconds)
					}
					flight = append(flight, s)
				}
				p.code(strings.Join(flight, ", "))
				pending := append(append([]string(nil), pool.Pending...), pool.Inactive...)
				if len(pending) > 8 {
					pending = append(pending[:8], fmt.Sprintf("%d more", len(pending)-8))
				}
				p.code(strings.Join(pending, ", "))
				p.at(b)
				p.str("</tr>\n")
			}
		}
	}
	p.shut(n - maxRows)
}

// pools are those of which the kernel says that nothing moves in them.
func (p *page) pools(list []*dump.Block) {
	hung := 0
	for _, b := range list {
		if w, ok := b.Body.(*dump.Workqueues); ok {
			for _, pool := range w.Pools {
				if pool.Hung > 0 && hung < maxRows {
					if hung++; hung == 1 {
						p.open("Pools in which nothing moves", "#Pool", "CPUs", "#Nothing moves for", "#Workers", "#Idle")
					}
					p.str("<tr>")
					p.int(int64(pool.ID))
					p.td(pool.CPUs)
					p.str(`<td class="n alert">`, esc(seconds(pool.Hung)), "</td>")
					p.int(int64(pool.Workers))
					p.int(int64(len(pool.Idle)))
					p.str("</tr>\n")
				}
			}
		}
	}
	if hung > 0 {
		p.shut(0)
	}
}

func (p *page) sched(list []*dump.Block) {
	if none(p, list, "No run queue was printed.", func(s *dump.Sched) int { return len(s.CPUs) }) {
		return
	}
	p.open("Run queues", "#CPU", "#Running", "#Current", "Runnable", "Lines")
	n := 0
	for _, b := range list {
		s, ok := b.Body.(*dump.Sched)
		if !ok {
			continue
		}
		for _, c := range s.CPUs {
			if n++; n > maxRows {
				continue
			}
			var who []string
			for _, t := range c.Tasks {
				if t.State == "R" || t.Current {
					who = append(who, fmt.Sprintf("%s %s", name(t.Comm), pid(t.PID)))
				}
			}
			if len(who) > 8 {
				who = append(who[:8], fmt.Sprintf("%d more", len(who)-8))
			}
			p.str("<tr>")
			p.num(pid(c.CPU))
			p.num(pid(c.Running))
			p.num(pid(c.Current))
			p.td(strings.Join(who, ", "))
			p.at(b)
			p.str("</tr>\n")
		}
	}
	p.shut(n - maxRows)
}

func (p *page) timers(list []*dump.Block) {
	if none(p, list, "No timer is pending.", func(t *dump.Timers) (n int) {
		for _, c := range t.CPUs {
			n += len(c.Timers)
		}
		return n
	}) {
		return
	}
	p.open("Pending timers", "#CPU", "Function", "#Due in", "Lines")
	n := 0
	for _, b := range list {
		t, ok := b.Body.(*dump.Timers)
		if !ok {
			continue
		}
		for _, c := range t.CPUs {
			for _, timer := range c.Timers {
				if n++; n > maxRows {
					continue
				}
				p.str("<tr>")
				p.num(pid(c.CPU))
				p.code(timer.Func)
				class := "n"
				if timer.In < 0 {
					class = "n alert"
				}
				p.str(`<td class="`, class, `">`, esc(fmt.Sprintf("%.3f ms", float64(timer.In)/1e6)), "</td>")
				p.at(b)
				p.str("</tr>\n")
			}
		}
	}
	p.shut(n - maxRows)
}

func (p *page) trace(list []*dump.Block) {
	if none(p, list, "The trace is empty.", func(t *dump.Trace) int { return len(t.Events) }) {
		return
	}
	p.open("Trace", "#Time, µs", "#CPU", "Task", "#PID", "Event")
	n := 0
	for _, b := range list {
		t, ok := b.Body.(*dump.Trace)
		if !ok {
			continue
		}
		for _, e := range t.Events {
			if n++; n > maxRows {
				continue
			}
			p.str("<tr>")
			p.int(e.Time)
			p.num(pid(e.CPU))
			p.td(name(e.Comm))
			p.num(pid(e.PID))
			p.code(strings.TrimSpace(e.Name + " " + e.Text))
			p.str("</tr>\n")
		}
	}
	p.shut(n - maxRows)
}

func (p *page) unread(list []*dump.Block) {
	p.str("<p>These lines look like a part of a dump, and could not be read.</p>\n")
	p.open("Lines that could not be read", "Lines", "First of them")
	for i, b := range list {
		if i == maxRows {
			break
		}
		u, ok := b.Body.(*dump.Unread)
		if !ok {
			continue
		}
		p.str("<tr><td>")
		p.lines(spansOf(b), 2)
		p.str("</td>")
		p.code(clip(oneLine(u.Text), 160))
		p.str("</tr>\n")
	}
	p.shut(len(list) - maxRows)
}
