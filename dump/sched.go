package dump

import "bytes"

// schedBuilder reads the scheduler's own dump, which t prints behind the tasks
// (kernel/sched/debug.c, sysrq_sched_debug_show and sysrq_sched_debug_tidy):
//
//	Sched Debug Version: v0.11, 6.1.0-50-amd64 #1
//	cpu#0, 2596.150 MHz
//	  .nr_running                    : 1
//	  .curr->pid                     : 1
//	cfs_rq[0]:/
//	runnable tasks:
//	 S            task   PID         tree-key  switches  prio     wait-time             sum-exec        sum-sleep
//	-------------------------------------------------------------------------------------------------------------
//	>R            init     1      2018.967071       315   120         0.000000      1491.699195         0.000000 …
//
// Before 4.14 rows have no state, and R in front of the one that runs.
type schedBuilder struct {
	head
	sched Sched
	names *names
	g     gather
	// prio is how many words behind the pid a row's priority stands; 0 where
	// the heading is lost. states: rows have the state in front.
	prio   int
	states bool
	// queue: what follows is of the processor's own queue. rows: tasks follow.
	// row: one is gathered, whose line begins with mark.
	queue, rows, row bool
	seen             bool
	mark             [3]byte
}

func (b *schedBuilder) end() { b.flush() }

// whole: nothing marks the end; a table for the last processor is the least.
func (b *schedBuilder) whole() bool { return len(b.sched.CPUs) > 0 && b.rows }

func (b *schedBuilder) take(p *Parser, l *line) bool {
	t := bytes.TrimRight(l.trim, " \t\r")
	if b.First == 0 {
		if l.class != cSched {
			return false
		}
		b.Kind, b.Body, b.names = KindSched, &b.sched, &p.names
		b.sched = Sched{CPUs: b.sched.CPUs[:0]}
		b.prio, b.states, b.queue, b.rows, b.row, b.seen = 0, true, false, false, false, false
		_, v, _ := bytes.Cut(t, []byte(":"))
		b.sched.Version = p.names.of(bytes.TrimSpace(v))
		return true
	}
	if l.class != cOther && l.class != cRegs || l.rec.User || len(t) == 0 {
		return false
	}
	near := p.owner == builder(b)
	switch t[0] {
	case '.':
		name, v, ok := bytes.Cut(t[1:], []byte(":"))
		if !ok {
			break
		}
		b.flush()
		b.value(bytes.TrimSpace(name), bytes.TrimSpace(v))
		return true
	case 'c':
		if rest, ok := bytes.CutPrefix(t, []byte("cpu#")); ok {
			n := digits(rest)
			if n == 0 || len(b.sched.CPUs) >= maxRows {
				return false
			}
			b.flush()
			b.sched.CPUs = grow(b.sched.CPUs)
			c := &b.sched.CPUs[len(b.sched.CPUs)-1]
			*c = SchedCPU{CPU: decimal(rest[:n]), Running: -1, Current: -1, Tasks: c.Tasks[:0]}
			b.queue, b.rows = true, false
			return true
		}
	case '-':
		if b.rows && len(t) > 20 && len(bytes.Trim(t, "-")) == 0 {
			return true
		}
	case 'S', 't':
		if b.rows && b.heading(t) {
			return true
		}
	}
	if schedWord(t) {
		b.flush()
		b.queue = false
		b.rows = string(t) == "runnable tasks:"
		return true
	}
	if near && l.bare && b.row && b.g.broken() {
		b.g.more(l, nil)
		return true
	}
	if b.rows && len(b.sched.CPUs) > 0 && schedRow(t) {
		b.flush()
		b.g.begin(l)
		b.mark = [3]byte{}
		copy(b.mark[:], l.text)
		b.row = true
		return true
	}
	n := len(b.sched.CPUs)
	return near && l.bare && b.rows && n > 0 && len(b.sched.CPUs[n-1].Tasks) == 0 // the heading is long, too
}

// schedWord recognises the lines between the lists.
func schedWord(t []byte) bool {
	switch t[0] {
	case 'c':
		return bytes.HasPrefix(t, []byte("cfs_rq[")) || clockWord(t, "cpu_clk")
	case 'r':
		return bytes.HasPrefix(t, []byte("rt_rq[")) || string(t) == "runnable tasks:"
	case 'd':
		return bytes.HasPrefix(t, []byte("dl_rq["))
	case 's':
		return string(t) == "sysctl_sched" || clockWord(t, "sched_clk") || clockWord(t, "sched_clock_stable()")
	case 'k':
		return clockWord(t, "ktime")
	case 'j':
		return clockWord(t, "jiffies")
	case 'n':
		return bytes.HasPrefix(t, []byte("now at ")) && bytes.HasSuffix(t, []byte(" msecs"))
	}
	return false
}

// clockWord recognises "ktime                                   : 21229.867419".
func clockWord(t []byte, name string) bool {
	rest, ok := bytes.CutPrefix(t, []byte(name))
	return ok && bytes.HasPrefix(bytes.TrimLeft(rest, " "), []byte(":"))
}

func (b *schedBuilder) value(name, v []byte) {
	n := len(b.sched.CPUs)
	if n == 0 || !b.queue {
		return
	}
	switch c := &b.sched.CPUs[n-1]; string(name) {
	case "nr_running":
		c.Running = decimal(v)
	case "curr->pid":
		c.Current = decimal(v)
	}
}

// heading finds out in which column the priority stands.
func (b *schedBuilder) heading(t []byte) bool {
	w, rest := cutWord(t)
	states := string(w) == "S"
	if states {
		w, rest = cutWord(rest)
	}
	if string(w) != "task" {
		return false
	}
	if w, rest = cutWord(rest); string(w) != "PID" {
		return false
	}
	b.flush()
	b.states = states
	for n := 1; len(rest) > 0; n++ {
		if w, rest = cutWord(rest); string(w) == "prio" {
			b.prio = n
			break
		}
	}
	return true
}

// schedRow recognises a row: it has a pid and, behind it, the virtual runtime.
func schedRow(t []byte) bool {
	from, pid, _ := rowWords(t)
	return pid >= 0 && from > 0 && bytes.IndexByte(t[:from], '.') < 0 || pid >= 0 && from > 0 && t[0]-'0' > 9
}

// rowWords finds the pid, which is the first whole number that a number with a
// point follows. from is where it stands; rest is what follows it.
func rowWords(t []byte) (from, pid int, rest []byte) {
	for i := 0; i < len(t); {
		for i < len(t) && t[i] == ' ' {
			i++
		}
		j := i
		for j < len(t) && t[j] != ' ' {
			j++
		}
		if n := digits(t[i:j]); n > 0 && n == j-i && n < 10 {
			w, _ := cutWord(t[j:])
			if v, ok := bytes.CutPrefix(w, []byte("-")); ok {
				w = v
			}
			if k := digits(w); k > 0 && at(w, k, '.') && digits(w[k+1:]) == len(w)-k-1 && len(w) > k+1 {
				return i, decimal(t[i:j]), t[j:]
			}
		}
		i = j
	}
	return 0, -1, nil
}

// flush reads the row that was gathered.
func (b *schedBuilder) flush() {
	if !b.row {
		return
	}
	b.row = false
	c := &b.sched.CPUs[len(b.sched.CPUs)-1]
	if len(c.Tasks) >= maxRows {
		return
	}
	t := b.g.text
	from, pid, rest := rowWords(t)
	if pid < 0 || from == 0 {
		return
	}
	s := SchedTask{PID: pid}
	head := t[:from]
	switch {
	case b.states:
		if at(head, 0, '>') {
			s.Current, head = true, head[1:]
		}
		if len(head) > 1 && head[1] == ' ' {
			s.State, head = letters[head[0]], head[2:]
		}
	case head[0] == 'R' && len(head) > 1 && head[1] == ' ' && b.mark[0] == 'R':
		s.Current, s.State, head = true, "R", head[2:]
	}
	s.Comm = b.names.of(bytes.TrimSpace(head))
	prio := b.prio
	if prio == 0 { // 6.6 and later have a letter behind the first number
		prio = 3
		_, r := cutWord(rest)
		if w, _ := cutWord(r); len(w) == 1 && w[0] > '9' {
			prio = 7
		}
	}
	var w []byte
	for range prio {
		w, rest = cutWord(rest)
	}
	if v, n := signed(w); n > 0 && n == len(w) {
		s.Prio = int(v)
	}
	c.Tasks = append(c.Tasks, s)
}
