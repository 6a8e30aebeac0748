package diagnose

import (
	"strconv"
	"strings"

	"github.com/sysrq/sysrq/dump"
)

// worker is a work item in flight.
type worker struct {
	pid     int
	fn      string
	queue   string
	seconds int
	rescuer bool
	bars    []int // pids of those that flush behind it
	pending int
}

// workList is one list of busy workqueues.
type workList struct {
	boot    int
	workers []worker
	hung    []dump.Pool // pools in which nothing moves
	lines   dump.Span
}

func (a *Analyzer) addWorks(b *dump.Block, d *dump.Workqueues) {
	l := workList{boot: b.Boot, lines: dump.Span{First: b.First, Last: b.Last}}
	for i := range d.Queues {
		q := &d.Queues[i]
		for j := range q.Pools {
			p := &q.Pools[j]
			waiting := append(append([]string{}, p.Pending...), p.Inactive...)
			bars := barriers(waiting)
			n := len(l.workers)
			for _, w := range p.InFlight {
				if pid, ok := bar(w.Func); ok {
					// A flush that is itself in flight behind the work before it.
					if len(l.workers) > n {
						l.workers[len(l.workers)-1].bars = append(l.workers[len(l.workers)-1].bars, pid)
					}
					continue
				}
				l.workers = append(l.workers, worker{
					pid: w.PID, fn: w.Func, queue: q.Name, seconds: w.Seconds, rescuer: w.Rescuer, bars: bars, pending: len(waiting),
				})
			}
			if len(l.workers) > 1<<12 {
				l.workers = l.workers[:1<<12]
			}
		}
	}
	for _, p := range d.Pools {
		if p.Hung > 0 && len(l.hung) < 64 {
			p.Idle = nil
			l.hung = append(l.hung, p)
		}
	}
	if len(l.workers) == 0 && len(l.hung) == 0 {
		return
	}
	if k := len(a.works); k > 0 && a.works[k-1].boot == b.Boot {
		a.works[k-1] = l
		return
	}
	if len(a.works) < 64 {
		a.works = append(a.works, l)
	}
}

// bar reads "BAR(160)".
func bar(s string) (pid int, ok bool) {
	i := strings.Index(s, "BAR(")
	if i < 0 {
		return 0, false
	}
	n, _, found := strings.Cut(s[i+4:], ")")
	pid, err := strconv.Atoi(n)
	return pid, found && err == nil
}

func barriers(list []string) []int {
	var out []int
	for _, s := range list {
		if pid, ok := bar(s); ok && len(out) < 256 {
			out = append(out, pid)
		}
	}
	return out
}
