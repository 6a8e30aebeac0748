package diagnose

import (
	"fmt"

	"github.com/sysrq/sysrq/dump"
)

// schedTask is a task with real-time priority that was running.
type schedTask struct {
	dump.SchedTask
	boot, cpu int
	waiting   int // ordinary tasks that were ready to run there
	n         int
	lines     dump.Span
}

// addSched keeps what has real-time priority and runs.
func (a *Analyzer) addSched(b *dump.Block, d *dump.Sched) {
	for i := range d.CPUs {
		c := &d.CPUs[i]
		waiting := 0
		for j := range c.Tasks {
			if t := &c.Tasks[j]; t.State == "R" && t.Prio >= 100 && t.PID != c.Current {
				waiting++
			}
		}
		for j := range c.Tasks {
			t := &c.Tasks[j]
			if t.Prio >= 100 || t.State != "R" && !t.Current || kernelRealtime(t.Comm) {
				continue
			}
			again := false
			for k := range a.sched {
				o := &a.sched[k]
				if o.boot == b.Boot && o.PID == t.PID && o.Comm == t.Comm {
					o.n++
					o.waiting = max(o.waiting, waiting)
					again = true
				}
			}
			if !again && len(a.sched) < 256 {
				a.sched = append(a.sched, schedTask{*t, b.Boot, c.CPU, waiting, 1, dump.Span{First: b.First, Last: b.Last}})
			}
		}
	}
}

// kernelRealtime are threads of the kernel's that have real-time priority and
// run for short.
func kernelRealtime(comm string) bool {
	return has(comm, "migration/", "watchdog", "irq/", "rcu", "ksoftirqd/", "cpuhp/", "idle_inject/", "sugov:", "ktimers/", "stopper/", "napi/", "posixcputmr/", "kcompactd", "irq_work/", "sched_fifo", "dl_server", "kthreadd", "psimon")
}

// realtime are the findings about tasks that take a processor for themselves.
func (a *Analyzer) realtime() []*finding {
	var out []*finding
	for i := range a.sched {
		t := &a.sched[i]
		who := (&task{TaskRef: TaskRef{Comm: t.Comm, PID: t.PID}}).name()
		f := &finding{boot: t.boot, weight: 1 + t.waiting}
		f.ID, f.Severity, f.Confidence = "realtime-task", Warning, Possible
		f.Title = fmt.Sprintf("%s runs with real-time priority on processor %d", who, t.cpu)
		if t.waiting > 0 {
			f.Title += fmt.Sprintf("; %s ready to run behind it", count(t.waiting, "ordinary task"))
			f.Confidence = Likely
			if t.waiting == 1 {
				f.Title += " and is not let in"
			} else {
				f.Title += " and are not let in"
			}
		}
		if t.n > 1 {
			f.Confidence = Likely
			f.Detail = fmt.Sprintf("It ran in %d dumps.", t.n)
		}
		f.Title += "."
		f.Suspect = who
		f.Lines = []dump.Span{t.lines}
		f.Next = fmt.Sprintf("sysrq nice-all-RT-tasks (SysRq n) makes it an ordinary task; or chrt -o -p 0 %d", t.PID)
		f.Refute = "it sleeps in a second t: real-time tasks that work for short are as they should be"
		f.Tasks = []TaskRef{{Comm: t.Comm, PID: t.PID}}
		out = append(out, f)
	}
	return out
}
