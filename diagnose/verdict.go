package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sysrq/sysrq/dump"
)

// verdicts are what is said when there is nothing to accuse: that nothing is
// wrong, or that the log does not say enough.
func (a *Analyzer) verdicts(fs []*finding) []*finding {
	for _, f := range fs {
		if f.Severity != Info {
			return nil
		}
	}
	f := &finding{boot: 1, weight: 1}
	f.Severity = Info
	f.Confidence = Likely
	seen, harmless, missing := a.looked()
	switch {
	case harmless && len(seen) > 0:
		f.ID = "nothing-wrong"
		f.Title = "Nothing is wrong here: " + strings.Join(seen, "; ") + "."
		f.Next = "if the machine is slow or hangs: sysrq observe while it does"
		f.Refute = "the dump was taken after the trouble had passed"
		if len(missing) > 0 && len(seen) < 3 {
			f.Confidence = Possible
			f.Next += " (not captured: " + strings.Join(missing, ", ") + ")"
		}
	case len(a.kinds) == 0 && a.counts != nil && a.counts.Kernel == 0:
		f.ID = "not-enough"
		f.Title = "This is no kernel's log: none of its lines has a mark of the kernel's, and there is no dump in it."
		if a.counts.Lines == 0 {
			f.Title = "This log is empty."
		}
		f.Confidence = Certain
		f.Next = "dmesg >hang.log (as root), or journalctl -k >hang.log; then: sysrq report hang.log"
		f.Refute = "the file is a kernel's log in a form that sysrq does not know: tell us"
	case len(a.kinds) == 0:
		f.ID = "nothing-wrong"
		f.Title = "Nothing is wrong here: an ordinary log, without a hang, a crash or an error that matters."
		f.Next = "if the machine hangs: sysrq observe while it does"
		f.Refute = "the log does not reach to the time of the trouble"
	case slices.ContainsFunc(fs, func(g *finding) bool { return g.ID == "bug" || g.ID == "oom-by-hand" }):
		return nil // what can be said is said
	default:
		f.ID = "not-enough"
		f.Title = "This log does not say enough to tell what is wrong"
		if len(seen) > 0 {
			f.Title += ": " + strings.Join(seen, "; ")
		}
		f.Title += "."
		f.Next = "sysrq observe"
		if len(missing) > 0 {
			f.Next += " (what is missing most: " + missing[0] + ")"
		}
		f.Refute = "a second dump says more"
	}
	for _, h := range a.headers[:min(len(a.headers), 16)] {
		f.Lines = append(f.Lines, h.lines)
	}
	f.Lines = spans(f.Lines)
	return []*finding{f}
}

// looked says which dumps were looked at and what they show, whether they are
// whole and harmless, and which are missing.
func (a *Analyzer) looked() (seen []string, harmless bool, missing []string) {
	asked := map[string]bool{}
	for _, h := range a.headers {
		if !h.refused {
			asked[h.key] = true
		}
	}
	blocked := 0
	all := 0
	for _, t := range a.tasks.all {
		all++
		if t.blocked {
			blocked++
		}
	}
	harmless = true
	torn := a.heads > 0
	switch {
	case asked["t"] && all >= 20 && blocked == 0:
		seen = append(seen, fmt.Sprintf("of %d tasks none is blocked", all))
	case asked["t"] && blocked == 0 && !asked["w"]:
		harmless = false
		if all > 0 {
			seen = append(seen, fmt.Sprintf("only %s of the list of all tasks are left, and none of them is blocked", count(all, "task")))
		}
		missing = append(missing, "t, whole")
	case asked["w"] && blocked == 0:
		seen = append(seen, "no task was blocked")
	case blocked > 0:
		seen = append(seen, fmt.Sprintf("%s blocked, as some always are", count(blocked, "task")))
	default:
		missing = append(missing, "w: the blocked tasks")
	}
	switch cpus := a.alarms[dump.KindCPU]; {
	case len(cpus) > 0:
		others := slices.ContainsFunc(cpus, func(c alarm) bool { return !c.hasFn(handler) })
		busy, user, first := 0, "", ""
		for i := range cpus {
			c := &cpus[i]
			if !c.Idle && !c.User && !c.hasFn(handler) && !c.hasFn(idling) && c.PID != 0 {
				busy++
				if first == "" && c.who() != "" && c.where() != "" {
					first = fmt.Sprintf(" (%s in %s)", c.who(), c.where())
				}
			}
			if c.User && user == "" && !c.hasFn(handler) {
				user = fmt.Sprintf("processor %d ran %s in userspace", c.CPU.CPU, orWord(c.who(), "a program"))
			}
		}
		switch {
		case !others:
			harmless = harmless && len(seen) > 0
			seen = append(seen, "of the processors only the one that was asked is there")
			missing = append(missing, "l from the console, for the other processors")
		case busy == 0 && user != "":
			harmless = harmless && len(seen) > 0
			seen = append(seen, user)
		case busy == 0:
			seen = append(seen, "the processors are idle")
		default:
			harmless = false
			seen = append(seen, count(busy, "processor")+" at work in the kernel, once"+first+"; that can be ordinary")
			missing = append(missing, "l once more: do they stay there?")
		}
	default:
		missing = append(missing, "l: what the processors do")
	}
	switch {
	case a.kinds[dump.KindMemory]+a.kinds[dump.KindOOM] > 0:
		whole := slices.ContainsFunc(a.mems, func(m mem) bool { return managedKB(m.info) > 0 })
		if whole {
			seen = append(seen, "memory is not short")
		} else {
			seen = append(seen, "the report about memory is cut")
			harmless = harmless && len(seen) > 1
		}
	default:
		missing = append(missing, "m: memory")
	}
	if len(a.locks) > 0 {
		seen = append(seen, "no lock is waited for, as far as the list of held locks tells")
		if len(seen) == 1 {
			harmless = false
		}
	}
	if a.kinds[dump.KindOops] > 0 && len(seen) < 2 {
		harmless = false
	}
	if torn && all == 0 {
		harmless = false
	}
	if len(a.oomStack) > 0 {
		harmless = false
		seen = append(seen, "the OOM killer was at work, but its report is not there")
		missing = slices.Insert(missing, 0, "the whole report of the OOM killer (dmesg)")
	}
	return seen, harmless, missing
}
