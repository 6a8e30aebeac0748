package dump

import "bytes"

// oomBuilder reads the OOM killer's report, and that of an allocation that
// failed (mm/oom_kill.c, mm/memcontrol.c, warn_alloc in mm/page_alloc.c):
//
//	x invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0
//	CPU: …, a stack, for a control group its use, else Mem-Info
//	Tasks state (memory values in pages):                 since 4.19
//	[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name
//	[    323]     0   323     9458     2766    77824        0          -250 systemd-journal
//	oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),…,task=x,pid=1,uid=0     since 5.0
//	Out of memory: Killed process 1 (x) total-vm:108020kB, anon-rss:8380kB, …
//
// The kernel limits how often it prints all this, and the last line alone is a
// report then.
type oomBuilder struct {
	head
	oom OOM
	stack
	mem memReader
	g   gather
	at  oomLine
	v   Victim
	// columns are those of the table, as its heading says.
	columns  [16]oomColumn
	nColumns int
	// about: "CPU:" was read. table: the table's heading or a row was. stats:
	// the numbers of a control group follow. score: the victim is a candidate
	// as yet. killed: it is not. ended: the panic that ends it came. alone: it
	// began with its last line.
	about, table, stats, score, killed, ended, alone bool
}

// oomLine is what a line of the report is.
type oomLine uint8

const (
	oNone oomLine = iota
	oInvoked
	oAlloc
	oCPU
	oHardware
	oHeading
	oRow
	oKill   // "oom-kill:constraint=…"
	oScore  // "… Kill process 1 (x) score 9 or sacrifice child"
	oKilled // "… Killed process 1 (x) total-vm:…"
	oNobody
	oReaped
	oUsage
	oStats
	oTaskIn
	oTasks // the sentence above the table, since 4.19
	oSkip
)

type oomColumn uint8

const (
	colOther oomColumn = iota
	colUID
	colTGID
	colVM
	colRSS
	colTables
	colSwap
	colAdj
)

// oomLayouts are the tables by how many numbers stand behind the pid, for those
// whose heading is lost.
var oomLayouts = [16][]oomColumn{
	6:  {colUID, colTGID, colVM, colRSS, colOther, colAdj},                                         // cpu oom_adj, 2.6
	7:  {colUID, colTGID, colVM, colRSS, colTables, colSwap, colAdj},                               // 3.7 to 4.0, 4.16 to 6.7
	8:  {colUID, colTGID, colVM, colRSS, colTables, colOther, colSwap, colAdj},                     // nr_pmds
	9:  {colUID, colTGID, colVM, colRSS, colTables, colOther, colOther, colSwap, colAdj},           // nr_puds
	10: {colUID, colTGID, colVM, colRSS, colOther, colOther, colOther, colTables, colSwap, colAdj}, // rss_anon rss_file rss_shmem
}

func (b *oomBuilder) reset(p *Parser, k Kind) {
	o := &b.oom
	*o = OOM{UsageKB: -1, LimitKB: -1, Tasks: o.Tasks[:0], CPU: CPU{CPU: -1, PID: -1}}
	b.Kind, b.Body = k, o
	b.stack.reset()
	b.mem.names, b.mem.at = &p.names, mNone
	b.g.text, b.at, b.nColumns = b.g.text[:0], oNone, 0
	b.about, b.table, b.stats, b.score, b.killed, b.ended, b.alone = false, false, false, false, false, false, false
}

func (b *oomBuilder) end() {
	b.flush()
	b.oom.Stack = b.frames
}

func (b *oomBuilder) whole() bool {
	b.flush()
	o := &b.oom
	if b.Kind == KindAllocation {
		return b.stack.whole() || len(b.frames) > 0 && o.Memory != nil && b.mem.complete()
	}
	return (b.killed || o.NoneKillable || b.ended) && (o.Invoker != "" || b.alone)
}

func (b *oomBuilder) take(p *Parser, l *line) bool {
	near := p.owner == builder(b)
	if b.First == 0 {
		switch l.class {
		case cOOM:
			b.reset(p, KindOOM)
			b.gathers(l, oInvoked)
		case cAlloc:
			b.reset(p, KindAllocation)
			b.gathers(l, oAlloc)
		case cOOMPart:
			b.reset(p, KindOOM)
			k := b.kind(l.trim)
			b.alone = k == oKilled || k == oScore
			return k != oNone && b.part(l, k)
		default:
			return false
		}
		return true
	}
	switch l.class {
	case cCPULine:
		if b.about || len(b.frames) > 0 || b.table || b.killed {
			return false
		}
		b.about = true
		b.gathers(l, oCPU)
		return true
	case cHardware:
		if !near {
			return false
		}
		b.gathers(l, oHardware)
		return true
	case cWorkqueue:
		if b.heading || b.table || b.killed {
			return false
		}
		b.flush()
		b.oom.CPU.Workqueue = p.names.of(workqueueOf(l.trim))
		return true
	case cHungNote: // "Tainted: [W]=WARN", or the rest of "CPU:"
		if near && l.bare && b.at == oCPU {
			return b.rest(l)
		}
		return near && !b.heading
	case cFrame, cTrace, cTag, cTail, cIP:
		if b.table || b.killed || b.oom.Memory != nil {
			return false
		}
		b.flush()
		return b.stack.take(&p.names, l)
	case cMemory:
		if b.oom.Memory != nil || b.table || b.killed {
			return false
		}
		b.flush()
		b.mem.open(&p.names)
		b.oom.Memory = &b.mem.mem
		return true
	case cPanic:
		b.ended = b.ended || bytes.Contains(l.trim, []byte("emory")) || bytes.Contains(l.trim, []byte("_oom"))
		return false
	case cOther, cOOMPart, cRegs:
	default:
		return false
	}
	if l.rec.User {
		return false
	}
	if k := b.kind(l.trim); k != oNone {
		return b.part(l, k)
	}
	if b.killed {
		return near && l.bare && b.open() && b.rest(l)
	}
	if b.oom.Memory != nil && !b.table && b.mem.take(l, near) {
		if b.mem.glued {
			b.doubt(DoubtWrapped)
		}
		b.read()
		return true
	}
	if b.stats && near && statRow(l.trim) {
		return true
	}
	if l.class == cRegs && !b.table && b.oom.Memory == nil && b.stack.take(&p.names, l) {
		return true
	}
	return near && l.class == cOther && (l.bare && b.open() || b.short()) && b.rest(l)
}

// rest takes the rest of a line that was wrapped.
func (b *oomBuilder) rest(l *line) bool {
	b.g.more(l, nil)
	if b.g.glued {
		b.doubt(DoubtWrapped)
	}
	return true
}

// open reports whether the line that was gathered can go on, where lines are
// known to be broken.
func (b *oomBuilder) open() bool {
	switch b.at {
	case oNone, oTasks, oNobody, oTaskIn:
		return false
	case oRow:
		return b.short()
	case oKilled:
		return b.g.broken() && !bytes.Contains(b.g.text, []byte("oom_score_adj:"))
	}
	return b.g.broken()
}

// short reports whether the line that was gathered lacks its end.
func (b *oomBuilder) short() bool {
	if b.at != oRow {
		return b.at != oNone && hungry(b.g.text)
	}
	var numbers [16]int64
	_, name := rowOf(b.g.text, numbers[:], b.nColumns)
	return len(name) == 0
}

func (b *oomBuilder) gathers(l *line, k oomLine) {
	b.flush()
	b.g.begin(l)
	b.at = k
}

// part takes a line of the kind k, unless it contradicts what was read.
func (b *oomBuilder) part(l *line, k oomLine) bool {
	if b.Kind == KindAllocation && k != oSkip {
		return false
	}
	switch k {
	case oTasks:
		if b.table || b.killed || b.score {
			return false
		}
	case oHeading:
		if b.table || b.killed || b.score {
			return false
		}
		b.table, b.stats = true, false
	case oRow:
		if b.killed || b.score || len(b.oom.Tasks) >= maxRows {
			return false
		}
		b.table, b.stats = true, false
	case oKill, oUsage, oTaskIn:
		if b.killed || b.score {
			return false
		}
	case oScore:
		if b.killed || b.score {
			return false
		}
		b.score = true
	case oKilled:
		if b.killed {
			return false
		}
		b.killed = true
	case oNobody:
		if b.killed || b.score || b.oom.NoneKillable {
			return false
		}
	case oStats:
		if b.killed || b.score {
			return false
		}
		b.stats = true
	case oReaped:
		if !b.killed || b.oom.Reaped {
			return false
		}
	}
	b.gathers(l, k)
	return true
}

// kind finds out what a line is that stands in such a report alone.
func (b *oomBuilder) kind(t []byte) oomLine {
	if len(t) < 8 {
		return oNone
	}
	switch t[0] {
	case '[':
		if tableHeading(t) {
			return oHeading
		}
		var numbers [16]int64
		if n, _ := rowOf(t, numbers[:], b.nColumns); n >= 4 {
			return oRow
		}
	case 'T':
		switch {
		case bytes.HasPrefix(t, prefixes.tasksState):
			return oTasks
		case bytes.HasPrefix(t, []byte("Task in ")) && bytes.Contains(t, []byte(" killed as a result")):
			return oTaskIn
		case bytes.HasPrefix(t, []byte("Tasks in ")) && bytes.Contains(t, []byte(" oom.group")), bytes.HasPrefix(t, []byte("Tasks in ")) && bytes.Contains(t, []byte("memory.oom.group")):
			return oSkip
		}
	case 'o':
		switch {
		case bytes.HasPrefix(t, []byte("oom-kill:constraint=")):
			return oKill
		case bytes.HasPrefix(t, []byte("oom_reaper: reaped process ")):
			if b.v.PID == pidBehind(t[len("oom_reaper: reaped process "):]) {
				return oReaped
			}
		}
	case 'O', 'M', 'K', 'm', 's', 'k':
		if k := memcgOrKill(t); k != oNone {
			return k
		}
	}
	if b.oom.Memory == nil && !b.table && bytes.Contains(t, []byte(" mems_allowed=")) && bytes.Contains(t, []byte(" cpuset=")) { // "x cpuset=/ mems_allowed=0"
		return oSkip
	}
	return oNone
}

func memcgOrKill(t []byte) oomLine {
	if i := bytes.Index(t, []byte("ill")); i >= 0 && (t[0] == 'O' || t[0] == 'K' || t[0] == 'M') {
		if t[0] != 'K' && !bytes.HasPrefix(t, prefixes.oom) && !bytes.HasPrefix(t, prefixes.memcgOOM) {
			return oNone
		}
		switch what := t[i:]; {
		case bytes.HasPrefix(what, []byte("illed process ")):
			return oKilled
		case bytes.HasPrefix(what, []byte("ill process ")):
			if bytes.Contains(what, []byte(" sharing same memory")) {
				return oSkip
			}
			return oScore
		case bytes.HasPrefix(what, []byte("illable processes")):
			return oNobody
		}
	}
	switch {
	case bytes.HasPrefix(t, []byte("memory: usage ")):
		return oUsage
	case bytes.HasPrefix(t, []byte("memory+swap: usage ")), bytes.HasPrefix(t, []byte("swap: usage ")), bytes.HasPrefix(t, []byte("kmem: usage ")):
		return oSkip
	case bytes.HasPrefix(t, []byte("Memory cgroup stats")):
		return oStats
	case bytes.HasPrefix(t, []byte("Memory cgroup min protection")):
		return oSkip
	}
	return oNone
}

// statRow recognises "anon 4096" of a control group's memory.stat.
func statRow(t []byte) bool {
	w, rest := cutWord(t)
	v, _ := cutWord(rest)
	for _, c := range w {
		if c != '_' && (c < 'a' || c > 'z') && c-'0' > 9 {
			return false
		}
	}
	return len(w) > 1 && w[0] > '9' && len(v) > 0 && digits(v) == len(v) && len(w)+len(v) < len(t) && len(bytes.TrimSpace(rest)) == len(v)
}

// tableHeading recognises "[  pid  ]   uid  tgid …".
func tableHeading(t []byte) bool {
	return len(t) > 8 && t[0] == '[' && bytes.HasPrefix(bytes.TrimLeft(t[1:min(len(t), 12)], " "), []byte("pid ")) && bytes.Contains(t, []byte("total_vm"))
}

// oomPart recognises the table of candidates by its heading or a row.
func oomPart(t []byte) bool {
	if len(t) < 24 || t[1] != ' ' && t[1]-'0' > 9 {
		return false
	}
	if tableHeading(t) {
		return true
	}
	var numbers [16]int64
	n, name := rowOf(t, numbers[:], 0)
	return oomLayouts[n] != nil && len(name) > 0
}

// rowOf reads a row's numbers behind the pid, which is the first, and the name.
// With columns it reads that many.
func rowOf(t []byte, numbers []int64, columns int) (n int, name []byte) {
	t = bytes.TrimLeft(t[1:], " ")
	v, k := number(t)
	if k == 0 || k > 9 || !at(t, k, ']') {
		return 0, nil
	}
	numbers[0] = v
	t = t[k+1:]
	for n+1 < len(numbers) && (columns == 0 || n < columns) {
		w, rest := cutWord(t)
		v, k := signed(w)
		if k == 0 || k != len(w) {
			break
		}
		n++
		numbers[n], t = v, rest
	}
	return n, bytes.TrimSpace(t)
}

// read reads what was gathered of the report's own lines.
func (b *oomBuilder) read() {
	t, k := b.g.text, b.at
	b.at = oNone
	o := &b.oom
	names := b.mem.names
	switch k {
	case oInvoked:
		i := bytes.Index(t, invoked)
		if i < 0 {
			return
		}
		o.Invoker = names.of(t[:i])
		o.GFP = names.of(field(t, "gfp_mask="))
		o.Order = int(signedField(t, " order="))
		o.OOMScoreAdj = int(signedField(t, " oom_score_adj="))
	case oAlloc:
		i := bytes.Index(t, allocFailure)
		if i < 0 {
			return
		}
		o.Invoker = names.of(t[:i])
		o.GFP = names.of(field(t, "mode:"))
		o.Order = int(signedField(t, "order:"))
	case oCPU:
		readCPULine(names, t, &o.CPU)
	case oHardware:
		if _, hw, ok := bytes.Cut(t, []byte(":")); ok && o.Hardware == "" {
			o.Hardware = names.of(bytes.TrimSpace(hw))
		}
	case oHeading:
		b.heads(t)
	case oRow:
		b.row(t)
	case oKill:
		o.Constraint = names.of(field(t, "constraint="))
		o.Memcg = names.of(field(t, ",oom_memcg="))
		o.TaskMemcg = names.of(field(t, ",task_memcg="))
	case oScore, oKilled:
		b.victim(t, k)
	case oNobody:
		o.NoneKillable = true
	case oReaped:
		o.Reaped = true
	case oUsage:
		o.UsageKB, o.LimitKB = signedField(t, "usage "), signedField(t, "limit ")
	case oStats:
		if m, ok := bytes.CutPrefix(t, []byte("Memory cgroup stats for ")); ok && o.Memcg == "" {
			i := bytes.IndexByte(m, ':')
			if i < 0 {
				i = len(m)
			}
			o.Memcg = names.of(m[:i])
		}
	case oTaskIn: // before 5.0: "Task in /a killed as a result of limit of /b"
		who, limit, _ := bytes.Cut(t[len("Task in "):], []byte(" killed as a result of limit of "))
		o.TaskMemcg, o.Memcg = names.of(who), names.of(limit)
	}
}

func (b *oomBuilder) flush() {
	b.read()
	if b.oom.Memory != nil {
		b.mem.flush()
	}
}

// field is what stands behind key, up to a comma outside parentheses.
func field(t []byte, key string) []byte {
	i := bytes.Index(t, []byte(key))
	if i < 0 {
		return nil
	}
	t = t[i+len(key):]
	depth := 0
	for i, c := range t {
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth <= 0:
			return t[:i]
		}
	}
	return t
}

func signedField(t []byte, key string) int64 {
	i := bytes.Index(t, []byte(key))
	if i < 0 {
		return 0
	}
	v, _ := signed(t[i+len(key):])
	return v
}

// heads reads the table's heading.
func (b *oomBuilder) heads(t []byte) {
	i := bytes.IndexByte(t, ']')
	if i < 0 {
		return
	}
	t = t[i+1:]
	b.nColumns = 0
	for len(t) > 0 && b.nColumns < len(b.columns)-1 {
		var w []byte
		w, t = cutWord(t)
		c := colOther
		switch string(w) {
		case "", "name":
			continue
		case "uid":
			c = colUID
		case "tgid":
			c = colTGID
		case "total_vm":
			c = colVM
		case "rss":
			c = colRSS
		case "pgtables_bytes", "nr_ptes":
			c = colTables
		case "swapents":
			c = colSwap
		case "oom_score_adj":
			c = colAdj
		}
		b.columns[b.nColumns] = c
		b.nColumns++
	}
}

func (b *oomBuilder) row(t []byte) {
	var numbers [16]int64
	n, name := rowOf(t, numbers[:], b.nColumns)
	columns := b.columns[:b.nColumns]
	if b.nColumns == 0 {
		columns = oomLayouts[n]
	}
	if len(columns) == 0 {
		return
	}
	r := OOMTask{PID: int(numbers[0]), Name: b.mem.names.of(name)}
	for i, c := range columns {
		if i >= n {
			break
		}
		switch v := numbers[i+1]; c {
		case colUID:
			r.UID = int(v)
		case colTGID:
			r.TGID = int(v)
		case colVM:
			r.TotalVM = v
		case colRSS:
			r.RSS = v
		case colTables:
			r.PageTables = v
		case colSwap:
			r.Swap = v
		case colAdj:
			r.OOMScoreAdj = int(v)
		}
	}
	b.oom.Tasks = append(b.oom.Tasks, r)
}

func pidBehind(t []byte) int { return decimal(t[:digits(t)]) }

// victim reads who is to be killed, or was:
//
//	Out of memory: Kill process 1 (x) score 9 or sacrifice child       to 4.x
//	Killed process 1 (x) total-vm:1kB, anon-rss:1kB, file-rss:0kB, shmem-rss:0kB
//	Out of memory: Killed process 1 (x) total-vm:…, UID:0 pgtables:104kB oom_score_adj:0
//	Killed process 1, UID 0, (x) total-vm:…                            RHEL 6
func (b *oomBuilder) victim(t []byte, k oomLine) {
	i := bytes.Index(t, []byte(" process "))
	if i < 0 {
		return
	}
	t = t[i+len(" process "):]
	pid := pidBehind(t)
	tail := len(t)
	for _, stop := range [...]string{" total-vm:", " vsz:", " score ", ", UID "} {
		if j := bytes.Index(t, []byte(stop)); j >= 0 && j < tail && (stop != ", UID " || bytes.IndexByte(t[:j], '(') > 0) {
			tail = j
		}
	}
	var comm []byte
	if from, to := bytes.IndexByte(t[:tail], '('), bytes.LastIndexByte(t[:tail], ')'); from >= 0 && to > from {
		comm = t[from+1 : to]
	}
	v := &b.v
	score := -1
	if b.oom.Victim != nil && v.PID == pid {
		score = v.Score
	}
	*v = Victim{Comm: b.mem.names.of(comm), PID: pid, UID: -1, TotalVM: -1, AnonRSS: -1, FileRSS: -1, Shmem: -1, Score: score}
	b.oom.Victim = v
	for _, f := range [...]struct {
		key string
		to  *int64
	}{{"total-vm:", &v.TotalVM}, {" vsz:", &v.TotalVM}, {"anon-rss:", &v.AnonRSS}, {"file-rss:", &v.FileRSS}, {"shmem-rss:", &v.Shmem}} {
		if j := bytes.Index(t[digits(t):], []byte(f.key)); j >= 0 {
			if n, w := number(t[digits(t)+j+len(f.key):]); w > 0 {
				*f.to = n
			}
		}
	}
	if j := bytes.LastIndex(t, []byte("UID")); j >= 0 {
		if n, w := number(bytes.TrimLeft(t[j+3:], ": ")); w > 0 {
			v.UID = int(n)
		}
	}
	if k == oScore {
		if j := bytes.LastIndex(t, []byte(" score ")); j >= 0 {
			v.Score = int(signedField(t[j:], " score "))
		}
	}
}
