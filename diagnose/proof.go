package diagnose

import (
	"fmt"
	"strings"

	"github.com/sysrq/sysrq/dump"
)

// proof is a wait that the kernel itself tells of: who waits for which lock,
// and who has it.
type proof struct {
	waiter, holder *task
	lock           string // its key: an address, or what stands for it
	label          string
	conf           Confidence
	why            string
	lines          []dump.Span
}

// lockList is the last list of locks of one boot.
type lockList struct {
	boot    int
	holders []dump.Holder
	lines   dump.Span
	mixed   bool
}

// addLocks keeps the newest list that has anything.
func (a *Analyzer) addLocks(b *dump.Block, d *dump.Locks) {
	if d.Off {
		a.lockdepOff = append(a.lockdepOff, dump.Span{First: b.First, Last: b.Last})
	}
	if len(d.Holders) == 0 {
		return
	}
	c := b.Clone().Body.(*dump.Locks)
	n := lockList{b.Boot, c.Holders, dump.Span{First: b.First, Last: b.Last}, mixed(b)}
	if k := len(a.locks); k > 0 && a.locks[k-1].boot == b.Boot {
		a.locks[k-1] = n
		return
	}
	if len(a.locks) < 64 {
		a.locks = append(a.locks, n)
	}
}

// has says how one task stands to a lock.
type lockUse struct {
	task *task
	// wants: it waits for the lock. maybe: it may, or may have it, since its
	// stack is not there.
	wants, maybe bool
	at           string // where it took it
	name         string
}

// maxProofs bounds what a list of locks may claim.
const maxProofs = 1 << 14

// proofs are the waits that lists of locks and khungtaskd tell of.
func (a *Analyzer) proofs() []proof {
	var out []proof
	for i := range a.locks {
		out = append(out, a.lockProofs(&a.locks[i])...)
	}
	for _, t := range a.tasks.all {
		if t.blocker == nil || !t.blocker.Known || !t.blocked {
			continue
		}
		h := a.tasks.of(t.blocker.PID, t.blocker.Comm, true)
		if h == nil || h == t {
			continue
		}
		label := "a " + t.blocker.Lock
		conf := Certain
		if t.blocker.Lock != "mutex" {
			// Semaphores have no owner: the kernel names the last to take it.
			conf = Likely
		}
		out = append(out, proof{
			waiter: t, holder: h, label: label, conf: conf, lines: []dump.Span{t.blockerAt},
			lock: fmt.Sprintf("%s of %s/%d", t.blocker.Lock, h.Comm, h.PID),
			why:  "the kernel says that it owns it",
		})
	}
	return out
}

func (a *Analyzer) lockProofs(l *lockList) []proof {
	uses := map[string][]lockUse{}
	order := []string{}
	for _, h := range l.holders {
		if h.PID == 0 || len(h.Held) == 0 {
			continue
		}
		t := a.tasks.of(h.PID, h.Comm, true)
		if t == nil {
			continue
		}
		waits, known := t.lockWait()
		for i := range h.Held {
			lock := &h.Held[i]
			key := lock.Addr
			if lock.Name == "<RELEASED>" || common(lock.Name) {
				continue
			}
			if key == "" {
				if key = only(lock.Name); key == "" {
					continue
				}
			}
			last := i == len(h.Held)-1 && len(h.Held) >= h.Count
			u := lockUse{task: t, wants: last && waits, maybe: last && !known, name: lock.Name, at: plain(lock.At.Func)}
			if uses[key] == nil {
				order = append(order, key)
			}
			uses[key] = append(uses[key], u)
		}
	}
	var out []proof
	for _, key := range order {
		us := uses[key]
		if len(us) < 2 {
			continue
		}
		holders := 0
		for _, u := range us {
			if !u.wants && !u.maybe {
				holders++
			}
		}
		for _, w := range us {
			if !w.wants && (!w.maybe || holders == 0) {
				continue
			}
			n := 0
			for _, h := range us {
				if h.task == w.task || h.wants || h.maybe && (holders > 0 || w.maybe) || n == 4 {
					continue
				}
				n++
				p := proof{
					waiter: w.task, holder: h.task, lock: key, label: "the lock " + w.name, conf: Certain,
					lines: []dump.Span{l.lines}, why: "the list of held locks has it there",
				}
				if h.at != "" {
					p.why += ", taken in " + h.at
				}
				switch {
				case w.maybe || h.maybe || l.mixed:
					p.conf = Likely
				case holders > 1 && !h.task.blocked:
					// One of several readers.
					p.conf = Likely
				}
				if len(out) < maxProofs {
					out = append(out, p)
				}
			}
		}
	}
	return out
}

// only is the name of a lock of which there is one: a variable's own, such as
// rtnl_mutex. Kernels before 4.18 print no addresses that could be compared.
func only(name string) string {
	name, _, _ = strings.Cut(name, "#")
	name, _, _ = strings.Cut(name, "/")
	for _, r := range name {
		if r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return ""
		}
	}
	if has(name, "sb_", "sk_lock", "slock", "key") {
		return ""
	}
	return name
}

// held are the locks that the newest list has a task hold.
func (a *Analyzer) held(t *task) []dump.HeldLock {
	var out []dump.HeldLock
	for i := range a.locks {
		for _, h := range a.locks[i].holders {
			if h.PID == t.PID && h.Comm == t.Comm {
				out = h.Held
			}
		}
	}
	return out
}

// common reports locks that everybody has: they are no locks of the kind that
// one waits for.
func common(name string) bool {
	return has(name, "rcu_read_lock", "rcu_callback", "(wq_completion)", "(work_completion)", "srcu")
}

// lockWait reports whether a task waits for a lock of the kernel's lock code,
// and whether that is known: its stack is there.
func (t *task) lockWait() (waits, known bool) {
	if t.stack == nil {
		return false, false
	}
	t.stack.about()
	if !t.blocked && t.state != "D" {
		return false, true
	}
	return t.stack.site.kind != noLock, true
}
