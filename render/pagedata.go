package render

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/sysrq/sysrq/diagnose"
	"github.com/sysrq/sysrq/dump"
)

// pageTasks is the table of tasks as a page carries it: columns of numbers,
// since a hundred thousand tasks have few names and few stacks that differ. The
// page's script draws the rows that are in sight.
type pageTasks struct {
	strings []string // names, waits, functions
	index   map[string]int32
	stacks  [][]int32 // each by its functions, innermost first
	stackOf map[string]int32
	rows    []pageTask
	buf     []byte
	sure    []dump.Frame
}

type pageTask struct {
	comm, wait, work, stack int32 // work is what a worker works on
	pid, parent             int32
	state                   byte // 0 where it is not known
	kind                    byte // 0: task, 1: hung-task report, 2: stack without a head
	unsure                  bool
	dump                    int32
	first, last             int64
}

func newPageTasks() *pageTasks {
	p := &pageTasks{index: map[string]int32{}, stackOf: map[string]int32{}}
	p.str("")
	return p
}

func (p *pageTasks) str(s string) int32 {
	i, ok := p.index[s]
	if !ok {
		i = int32(len(p.strings))
		s = strings.Clone(s)
		p.index[s] = i
		p.strings = append(p.strings, oneLine(s))
	}
	return i
}

func (p *pageTasks) add(b *dump.Block, t *dump.Task, w waits) {
	row := pageTask{
		comm: p.str(t.Comm), pid: int32(t.PID), parent: int32(t.PPID), first: b.First, last: b.Last,
		dump: int32(b.Dump), unsure: len(b.Unsure) > 0, work: p.str(t.Workqueue),
		wait: p.str(w[diagnose.TaskRef{Comm: t.Comm, PID: t.PID}]),
	}
	if t.State != "" && t.State[0] > ' ' && t.State[0] < 0x7f {
		row.state = t.State[0]
	}
	switch b.Kind {
	case dump.KindHungTask:
		row.kind = 1
	case dump.KindStack:
		row.kind = 2
	}
	p.sure = sureFrames(p.sure[:0], t.Stack)
	p.buf = p.buf[:0]
	for i := range p.sure {
		f := &p.sure[i]
		p.buf = append(p.buf, f.Func...)
		p.buf = append(p.buf, 0)
		p.buf = append(p.buf, f.Module...)
		p.buf = append(p.buf, 1)
	}
	id, ok := p.stackOf[string(p.buf)]
	if !ok {
		id = int32(len(p.stacks))
		p.stackOf[string(p.buf)] = id
		stack := make([]int32, len(p.sure))
		for i := range p.sure {
			stack[i] = p.str(frameName(&p.sure[i]))
		}
		p.stacks = append(p.stacks, stack)
	}
	row.stack = id
	p.rows = append(p.rows, row)
}

// write writes it as JSON that may stand in a script element.
func (p *pageTasks) write(o *output, kept []dump.Span, repeats bool) {
	var b []byte
	text := func(s string) {
		q, _ := json.Marshal(s) // escapes < and > and &
		b = append(b, q...)
	}
	flush := func() {
		if len(b) > 32<<10 {
			o.bytes(b)
			b = b[:0]
		}
	}
	comma := func(i int) {
		if i > 0 {
			b = append(b, ',')
		}
	}
	number := func(v int64) { b = strconv.AppendInt(b, v, 10) }
	b = append(b, `{"str":[`...)
	for i, s := range p.strings {
		comma(i)
		text(s)
		flush()
	}
	b = append(b, `],"stacks":[`...)
	for i, s := range p.stacks {
		comma(i)
		b = append(b, '[')
		for j, f := range s {
			comma(j)
			number(int64(f))
		}
		b = append(b, ']')
		flush()
	}
	b = append(b, ']')
	column := func(name string, of func(r *pageTask) int64) {
		b = append(b, `,"`...)
		b = append(b, name...)
		b = append(b, `":[`...)
		for i := range p.rows {
			comma(i)
			number(of(&p.rows[i]))
			flush()
		}
		b = append(b, ']')
	}
	column("comm", func(r *pageTask) int64 { return int64(r.comm) })
	column("pid", func(r *pageTask) int64 { return int64(r.pid) })
	column("parent", func(r *pageTask) int64 { return int64(r.parent) })
	column("state", func(r *pageTask) int64 { return int64(r.state) })
	column("wait", func(r *pageTask) int64 { return int64(r.wait) })
	column("work", func(r *pageTask) int64 { return int64(r.work) })
	column("stack", func(r *pageTask) int64 { return int64(r.stack) })
	column("kind", func(r *pageTask) int64 { return int64(r.kind) })
	column("unsure", func(r *pageTask) int64 {
		if r.unsure {
			return 1
		}
		return 0
	})
	if repeats {
		column("dump", func(r *pageTask) int64 { return int64(r.dump) })
	}
	// Lines grow, mostly: differences are shorter.
	last := int64(0)
	column("first", func(r *pageTask) int64 {
		d := r.first - last
		last = r.first
		return d
	})
	column("lines", func(r *pageTask) int64 { return r.last - r.first })
	b = append(b, `,"kept":[`...)
	for i, s := range kept {
		comma(i)
		b = append(b, '[')
		number(s.First)
		b = append(b, ',')
		number(s.Last)
		b = append(b, ']')
		flush()
	}
	b = append(b, "]}"...)
	o.bytes(b)
}
