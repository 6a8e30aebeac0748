package dump

import "bytes"

// workqueueBuilder reads what the workqueues are at (kernel/workqueue.c,
// show_all_workqueues, show_pwq, show_one_worker_pool; 4.1 to 7.2):
//
//	Showing busy workqueues and worker pools:
//	workqueue events: flags=0x0
//	  pwq 0: cpus=0 node=0 flags=0x0 nice=0 active=1/256 refcnt=2
//	    in-flight: 12:kprobe_optimizer for 5s
//	    pending: vmstat_shepherd, BAR(160), 3*psi_avgs_work
//	    inactive: x
//	pool 0: cpus=0 node=0 flags=0x0 nice=0 hung=0s workers=3 manager: 12 idle: 19 5
//	Showing backtraces of running workers in stalled CPU-bound worker pools:
//
// Where nothing is busy the first line is all.
type workqueueBuilder struct {
	head
	wq    Workqueues
	names *names
	g     gather
	at    wqLine
}

// wqLine is what a line of the block is.
type wqLine uint8

const (
	wNone wqLine = iota
	wQueue
	wPool // of a queue: pwq
	wInFlight
	wPending
	wInactive
	wWorkers // a pool's own line
	wStalled
)

func (b *workqueueBuilder) end()        { b.flush() }
func (b *workqueueBuilder) whole() bool { return true }

func (b *workqueueBuilder) take(p *Parser, l *line) bool {
	if b.First == 0 {
		if l.class != cWorkqueues {
			return false
		}
		b.Kind, b.Body, b.names, b.at = KindWorkqueues, &b.wq, &p.names, wNone
		b.wq = Workqueues{Queues: b.wq.Queues[:0], Pools: b.wq.Pools[:0]}
		b.g.text = b.g.text[:0]
		return true
	}
	if l.class != cOther || l.rec.User {
		return false
	}
	k := wqLineOf(l.trim)
	switch k {
	case wNone:
		if b.at == wNone || p.owner != builder(b) || !b.unfinished() && (!l.bare || !b.g.broken()) || !nameByte[l.trim[0]] && l.trim[0] != '[' {
			return false
		}
		b.g.more(l, nil)
		if b.g.glued {
			b.doubt(DoubtWrapped)
		}
		return true
	case wPool, wInFlight, wPending, wInactive:
		if len(b.wq.Queues) == 0 && b.at != wQueue {
			return false
		}
	}
	b.flush()
	b.g.begin(l)
	b.at = k
	return true
}

// unfinished reports whether a line can not end so, in a log whose lines have
// no marks.
func (b *workqueueBuilder) unfinished() bool {
	t := b.g.text
	switch b.at {
	case wPool:
		return !bytes.Contains(t, []byte("refcnt="))
	case wWorkers:
		return !bytes.Contains(t, []byte("workers="))
	case wStalled:
		return false
	}
	return hungry(t)
}

func wqLineOf(t []byte) wqLine {
	switch t[0] {
	case 'w':
		if bytes.HasPrefix(t, []byte("workqueue ")) && bytes.Contains(t, []byte(": flags=0x")) {
			return wQueue
		}
	case 'p':
		switch {
		case bytes.HasPrefix(t, []byte("pwq ")) && digits(t[4:]) > 0:
			return wPool
		case bytes.HasPrefix(t, []byte("pending: ")):
			return wPending
		case bytes.HasPrefix(t, []byte("pool ")) && digits(t[5:]) > 0 && bytes.Contains(t, []byte(": ")):
			return wWorkers
		case bytes.HasPrefix(t, []byte("pool ")) && digits(t[5:]) > 0 && string(t[5+digits(t[5:]):]) == ":":
			return wStalled // its workers' stacks follow
		}
	case 'i':
		switch {
		case bytes.HasPrefix(t, []byte("in-flight: ")):
			return wInFlight
		case bytes.HasPrefix(t, []byte("inactive: ")):
			return wInactive
		}
	case 'd': // before 5.17
		if bytes.HasPrefix(t, []byte("delayed: ")) {
			return wInactive
		}
	case 'S':
		if bytes.HasPrefix(t, []byte("Showing backtraces of ")) && bytes.Contains(t, []byte("worker")) {
			return wStalled
		}
	}
	return wNone
}

// flush reads the line that was gathered.
func (b *workqueueBuilder) flush() {
	t, k := b.g.text, b.at
	b.at = wNone
	switch k {
	case wQueue:
		b.queue(t)
	case wPool:
		b.pool(t)
	case wInFlight, wPending, wInactive:
		b.works(t, k)
	case wWorkers:
		b.workers(t)
	}
}

func (b *workqueueBuilder) queue(t []byte) {
	if len(b.wq.Queues) >= maxRows {
		return
	}
	i := bytes.LastIndex(t, []byte(": flags="))
	b.wq.Queues = grow(b.wq.Queues)
	q := &b.wq.Queues[len(b.wq.Queues)-1]
	*q = Queue{Name: b.names.of(t[len("workqueue "):max(i, len("workqueue "))]), Pools: q.Pools[:0]}
	q.Flags, _ = hexAt(t[i+len(": flags="):])
}

// pool reads "pwq 4: cpus=2 node=0 flags=0x0 nice=0 active=2/256 refcnt=3 MAYDAY".
func (b *workqueueBuilder) pool(t []byte) {
	q := b.last()
	if q == nil || len(q.Pools) >= maxRows {
		return
	}
	t = t[len("pwq "):]
	q.Pools = grow(q.Pools)
	w := &q.Pools[len(q.Pools)-1]
	*w = PoolWork{Pool: pidBehind(t), InFlight: w.InFlight[:0], Pending: w.Pending[:0], Inactive: w.Inactive[:0]}
	for len(t) > 0 {
		var word []byte
		word, t = cutWord(t)
		key, value, ok := bytes.Cut(word, []byte("="))
		switch {
		case string(word) == "MAYDAY":
			w.Mayday = true
		case !ok:
		case string(key) == "cpus":
			w.CPUs = b.names.of(value)
		case string(key) == "active":
			n := digits(value)
			w.Active = max(decimal(value[:n]), 0)
			if at(value, n, '/') {
				w.Max = max(decimal(value[n+1:]), 0)
			}
		}
	}
}

func (b *workqueueBuilder) last() *Queue {
	if n := len(b.wq.Queues); n > 0 {
		return &b.wq.Queues[n-1]
	}
	return nil
}

// works reads a list of work: "980:hub_event hub_event", "188(RESCUER):f",
// "3*f", "f, BAR(160)". Commas stand before or behind the blank between the
// entries, and what is queued behind a worker's item follows without a comma.
func (b *workqueueBuilder) works(t []byte, k wqLine) {
	q := b.last()
	if q == nil || len(q.Pools) == 0 {
		return
	}
	w := &q.Pools[len(q.Pools)-1]
	_, t, _ = bytes.Cut(t, []byte(":"))
	for len(t) > 0 {
		var word []byte
		word, t = cutWord(t)
		word = bytes.Trim(word, ",")
		if len(word) > 2 && word[0] == '[' && word[len(word)-1] == ']' {
			continue // the function's module
		}
		if len(word) == 0 || len(w.InFlight)+len(w.Pending)+len(w.Inactive) >= maxRows {
			continue
		}
		if string(word) == "for" && k == wInFlight && len(w.InFlight) > 0 { // 7.2: "f for 5s"
			s, rest := cutWord(t)
			if n := digits(s); n > 0 && at(s, n, 's') {
				w.InFlight[len(w.InFlight)-1].Seconds = decimal(s[:n])
				t = rest
				continue
			}
		}
		switch k {
		case wPending:
			w.Pending = append(w.Pending, b.names.of(word))
		case wInactive:
			w.Inactive = append(w.Inactive, b.names.of(word))
		default:
			w.InFlight = append(w.InFlight, b.work(w, word))
		}
	}
}

func (b *workqueueBuilder) work(w *PoolWork, word []byte) Work {
	n := digits(word)
	if n > 0 {
		rest := word[n:]
		rescuer := bytes.HasPrefix(rest, []byte("(RESCUER)"))
		if rescuer {
			rest = rest[len("(RESCUER)"):]
		}
		if at(rest, 0, ':') {
			return Work{PID: decimal(word[:n]), Func: b.names.of(rest[1:]), Rescuer: rescuer}
		}
	}
	for _, bh := range [...]string{"bh:", "bh-hi:"} { // 6.9: no thread, a softirq
		if f, ok := bytes.CutPrefix(word, []byte(bh)); ok {
			return Work{Func: b.names.of(f)}
		}
	}
	// More work of the same worker: what is queued behind it.
	o := Work{PID: -1, Func: b.names.of(word)}
	if n := len(w.InFlight); n > 0 {
		o.PID, o.Rescuer = w.InFlight[n-1].PID, w.InFlight[n-1].Rescuer
	}
	return o
}

// workers reads "pool 4: cpus=2 node=0 flags=0x0 nice=0 hung=29s workers=4
// manager: 12 idle: 28 3084".
func (b *workqueueBuilder) workers(t []byte) {
	if len(b.wq.Pools) >= maxRows {
		return
	}
	t = t[len("pool "):]
	b.wq.Pools = grow(b.wq.Pools)
	w := &b.wq.Pools[len(b.wq.Pools)-1]
	*w = Pool{ID: pidBehind(t), Idle: w.Idle[:0]}
	idle, manager := false, false
	for len(t) > 0 {
		var word []byte
		word, t = cutWord(t)
		key, value, ok := bytes.Cut(word, []byte("="))
		switch {
		case string(word) == "idle:":
			idle = true
		case string(word) == "manager:":
			manager = true
		case manager:
			w.Manager, manager = pidBehind(word), false
		case idle:
			if n := digits(word); n > 0 && len(w.Idle) < maxRows {
				w.Idle = append(w.Idle, decimal(word[:n]))
			}
		case !ok:
		case string(key) == "cpus":
			w.CPUs = b.names.of(value)
		case string(key) == "nice":
			v, _ := signed(value)
			w.Nice = int(v)
		case string(key) == "hung":
			w.Hung = max(decimal(value[:digits(value)]), 0)
		case string(key) == "workers":
			w.Workers = max(decimal(value), 0)
		}
	}
}
