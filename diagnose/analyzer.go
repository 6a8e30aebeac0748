package diagnose

import (
	"github.com/sysrq/sysrq/dump"
)

// Analyzer collects blocks. Its zero value is ready; it keeps what it needs of
// a block, never the block. Its memory grows with the distinct tasks and stacks
// of a log, not with the log.
type Analyzer struct {
	kinds   map[dump.Kind]int
	machine Machine
	dumps   int

	tasks  tasks
	stacks stacks
	signs  signs

	locks      []lockList
	lockdepOff []dump.Span
	works      []workList
	headers    []header
	alarms     map[dump.Kind][]alarm
	mems       []mem
	sched      []schedTask
	boots      []int64 // the line of the first block of each boot, from the first
	heads      int     // stacks without a head
	counts     *dump.Counts
	oomStack   []dump.Span
}

// header is a SysRq command that was asked for.
type header struct {
	key, action string
	refused     bool
	boot, dump  int
	lines       dump.Span
	// blocks is how many followed it.
	blocks int
}

// Counts tells what became of the log's lines, when all of it was read: without
// it, a text that is no kernel's log can not be told from one without trouble.
func (a *Analyzer) Counts(c dump.Counts) { a.counts = &c }

// Add takes the next block of a log.
func (a *Analyzer) Add(b *dump.Block) {
	if a.kinds == nil {
		a.kinds = map[dump.Kind]int{}
		a.alarms = map[dump.Kind][]alarm{}
	}
	a.kinds[b.Kind]++
	a.machine.Boots = max(a.machine.Boots, b.Boot)
	a.dumps = max(a.dumps, b.Dump)
	if n := len(a.headers); n > 0 && b.Dump == a.headers[n-1].dump && b.Kind != dump.KindHeader {
		a.headers[n-1].blocks++
	}
	for len(a.boots) < min(b.Boot, 1<<12) {
		a.boots = append(a.boots, b.First)
	}
	switch d := b.Body.(type) {
	case *dump.Task:
		if b.Kind != dump.KindStack {
			a.addTask(b, d)
		} else {
			a.addHeadless(b, d)
		}
	case *dump.Sched:
		a.addSched(b, d)
	case *dump.Locks:
		a.addLocks(b, d)
	case *dump.Workqueues:
		a.addWorks(b, d)
	case *dump.Memory, *dump.OOM:
		a.addMemory(b)
	case *dump.Report:
		a.addAlarm(b, d)
	case *dump.CPU:
		a.addAlarm(b, &dump.Report{CPU: *d})
	case *dump.Header:
		if len(a.headers) < 1<<12 {
			a.headers = append(a.headers, header{d.Key, d.Action, d.Refused, b.Boot, b.Dump, dump.Span{First: b.First, Last: b.Last}, 0})
		}
	}
}

// Log takes a line that belongs to no block, with its number in the source.
func (a *Analyzer) Log(line int64, text []byte) { a.signs.add(line, text) }

// Report says what was found so far.
func (a *Analyzer) Report() *Report {
	r := &Report{
		Machine: a.machine, Findings: []Finding{}, Blocked: a.blockedList(), Groups: a.groupList(), Dumps: a.dumps, Kinds: map[dump.Kind]int{},
	}
	for k, n := range a.kinds {
		r.Kinds[k] = n
	}
	g := a.graph()
	r.Graph = g.report()
	r.Findings = a.findings(g)
	return r
}
