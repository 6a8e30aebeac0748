package render

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/sysrq/sysrq/diagnose"
	"github.com/sysrq/sysrq/dump"
)

// Input is what is shown. Only Report must be there.
type Input struct {
	// Title is what a person calls the log: most often its file's name.
	Title string
	// File is where a program finds the log, as SARIF wants to know; Title
	// where it is empty.
	File   string
	Report *diagnose.Report
	// Blocks is what was read, in any order. It may be walked more than once;
	// a block must stay valid until the next one only.
	Blocks iter.Seq[*dump.Block]
	Counts dump.Counts
	// Lines is the log itself, line by line from line 1, without the lines'
	// ends. It may be nil, and is walked once.
	Lines iter.Seq[string]
	// Version is that of the program that asks.
	Version string
}

func (in *Input) report() *diagnose.Report {
	if in.Report != nil {
		return in.Report
	}
	return &diagnose.Report{}
}

func (in *Input) blocks() iter.Seq[*dump.Block] {
	if in.Blocks != nil {
		return in.Blocks
	}
	return func(func(*dump.Block) bool) {}
}

// Lines is a stream as the lines that an [Input] wants, numbered as the parser
// numbers them: by newlines. fail says, after the walk, why it ended early. Of
// a line that is longer than 64 KiB, the rest is left out.
func Lines(r io.Reader) (lines iter.Seq[string], fail func() error) {
	var err error
	return func(yield func(string) bool) {
		br := bufio.NewReaderSize(r, 64<<10)
		for {
			part, e := br.ReadSlice('\n')
			if len(part) == 0 && e != nil {
				if e != io.EOF {
					err = e
				}
				return
			}
			line := strings.TrimRight(string(part), "\r\n")
			for e == bufio.ErrBufferFull {
				_, e = br.ReadSlice('\n')
			}
			if !yield(line) {
				return
			}
			if e != nil {
				if e != io.EOF {
					err = e
				}
				return
			}
		}
	}, func() error { return err }
}

// waits says what a task waits for, as far as the report knows.
type waits map[diagnose.TaskRef]string

func newWaits(r *diagnose.Report) waits {
	w := make(waits, len(r.Blocked))
	for _, g := range r.Groups {
		if g.Wait == "" {
			continue
		}
		for _, t := range g.Tasks {
			w[t] = g.Wait
		}
	}
	for _, b := range r.Blocked {
		w[diagnose.TaskRef{Comm: b.Comm, PID: b.PID}] = b.Wait
	}
	return w
}

// waitCount is how many blocked tasks wait for one kind of thing.
type waitCount struct {
	wait  string
	count int
	tasks []diagnose.TaskRef
	long  int // the longest wait that the kernel has told, in seconds
}

// countWaits groups the blocked tasks, the most first.
func countWaits(blocked []diagnose.Blocked) []waitCount {
	by := map[string]*waitCount{}
	for _, b := range blocked {
		c := by[b.Wait]
		if c == nil {
			c = &waitCount{wait: b.Wait}
			by[b.Wait] = c
		}
		c.count++
		c.long = max(c.long, b.Seconds)
		c.tasks = append(c.tasks, diagnose.TaskRef{Comm: b.Comm, PID: b.PID})
	}
	list := make([]waitCount, 0, len(by))
	for _, w := range slices.Sorted(maps.Keys(by)) {
		list = append(list, *by[w])
	}
	slices.SortStableFunc(list, func(a, b waitCount) int { return cmp.Compare(b.count, a.count) })
	return list
}

// severities in the order in which they are shown.
var severities = []diagnose.Severity{diagnose.Critical, diagnose.Warning, diagnose.Info}

// ordered is the findings, the worst first, and as they came within a severity.
func ordered(list []diagnose.Finding) []diagnose.Finding {
	rank := func(f diagnose.Finding) int {
		if i := slices.Index(severities, f.Severity); i >= 0 {
			return i
		}
		return len(severities)
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b diagnose.Finding) int { return cmp.Compare(rank(a), rank(b)) })
	return list
}

// names lists tasks by name, each once with how many there are, the most
// first. At most limit names are told.
func names(tasks []diagnose.TaskRef, limit int) string {
	type count struct {
		comm  string
		n     int
		pid   int
		first int
	}
	by := map[string]*count{}
	for i, t := range tasks {
		key := t.Comm
		if strings.HasPrefix(key, "kworker/") {
			key = "kworker/" // a pool's number tells nobody anything
		}
		c := by[key]
		if c == nil {
			c = &count{comm: t.Comm, pid: t.PID, first: i}
			by[key] = c
		}
		c.n++
	}
	list := slices.SortedFunc(maps.Values(by), func(a, b *count) int {
		return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.first, b.first))
	})
	var words []string
	left := 0
	for i, c := range list {
		switch {
		case i >= limit:
			left += c.n
		case c.n == 1:
			words = append(words, task(diagnose.TaskRef{Comm: c.comm, PID: c.pid}))
		default:
			n := name(c.comm)
			if strings.HasPrefix(n, "kworker/") {
				n = "kworker"
			}
			words = append(words, fmt.Sprintf("%d × %s", c.n, n))
		}
	}
	if left > 0 {
		words = append(words, fmt.Sprintf("%d more", left))
	}
	return strings.Join(words, ", ")
}

// name is a task's name, also where it has none.
func name(comm string) string {
	return cmp.Or(oneLine(comm), "?")
}

// task is a task's name and number.
func task(t diagnose.TaskRef) string {
	if t.PID < 0 {
		return name(t.Comm)
	}
	return fmt.Sprintf("%s %d", name(t.Comm), t.PID)
}

// spans is line ranges in words: "12–40, 88". At most limit of them are told.
func spans(list []dump.Span, limit int) string {
	var words []string
	for i, s := range list {
		if i == limit {
			words = append(words, fmt.Sprintf("%d more", len(list)-limit))
			break
		}
		words = append(words, span(s))
	}
	return strings.Join(words, ", ")
}

func span(s dump.Span) string {
	if s.Last <= s.First {
		return fmt.Sprint(s.First)
	}
	return fmt.Sprintf("%d–%d", s.First, s.Last)
}

// plural is "1 task", "2 tasks".
func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	if strings.HasSuffix(one, "y") {
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(one, "y"))
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// kindNames is what a person calls the kinds of block, in the order in which
// they are told.
var kindNames = []struct {
	kind dump.Kind
	name string
}{
	{dump.KindPanic, "panic"},
	{dump.KindOops, "oops report"},
	{dump.KindHardLockup, "hard lockup"},
	{dump.KindSoftLockup, "soft lockup"},
	{dump.KindRCUStall, "RCU stall"},
	{dump.KindWorkLockup, "workqueue lockup"},
	{dump.KindHungTask, "hung-task report"},
	{dump.KindLockdep, "lockdep report"},
	{dump.KindWarning, "warning"},
	{dump.KindOOM, "OOM report"},
	{dump.KindAllocation, "failed allocation"},
	{dump.KindTask, "task"},
	{dump.KindStack, "stack without a head"},
	{dump.KindCPU, "processor"},
	{dump.KindMemory, "memory dump"},
	{dump.KindLocks, "list of locks"},
	{dump.KindWorkqueues, "list of workqueues"},
	{dump.KindSched, "scheduler dump"},
	{dump.KindTimers, "timer dump"},
	{dump.KindTrace, "ftrace dump"},
	{dump.KindHelp, "HELP line"},
}

// inventory is what the log holds, in words.
func inventory(r *diagnose.Report, c dump.Counts) string {
	var words []string
	if r.Dumps > 0 {
		words = append(words, plural(r.Dumps, "SysRq dump"))
	}
	for _, k := range kindNames {
		if n := r.Kinds[k.kind]; n > 0 {
			words = append(words, plural(n, k.name))
		}
	}
	text := strings.Join(words, ", ")
	if text == "" {
		text = "no dump and no alarm"
	}
	if c.Lines > 0 {
		text = plural(int(c.Lines), "line") + ": " + text
	}
	return text
}

// machine is what is known of the machine, in words; empty where nothing is.
func machine(m diagnose.Machine) string {
	var words []string
	if m.Release != "" {
		words = append(words, "Linux "+oneLine(m.Release))
	}
	if m.Hardware != "" {
		words = append(words, oneLine(m.Hardware))
	}
	if m.Taint != "" {
		words = append(words, "tainted "+oneLine(m.Taint))
	}
	if m.Boots > 1 {
		words = append(words, plural(m.Boots, "boot"))
	}
	return strings.Join(words, "; ")
}
