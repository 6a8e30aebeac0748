package redact

import (
	"bytes"
	"strings"
	"unicode"

	"github.com/sysrq/sysrq/dump"
)

// block learns the names of tasks in a block.
func (r *Redactor) block(b *dump.Block) {
	clone := strings.Clone // a block's strings may not outlive it
	cpu := func(c *dump.CPU) {
		r.comm(clone(c.Comm), orNone(c.PID, c.Comm), -1)
	}
	switch t := b.Body.(type) {
	case *dump.Task:
		r.comm(clone(t.Comm), t.PID, t.PPID)
		if t.Blocker != nil {
			r.comm(clone(t.Blocker.Comm), t.Blocker.PID, -1)
		}
	case *dump.CPU:
		cpu(t)
	case *dump.Report:
		cpu(&t.CPU)
	case *dump.OOM:
		r.comm(clone(t.Invoker), -1, -1)
		cpu(&t.CPU)
		for _, o := range t.Tasks {
			r.comm(clone(o.Name), o.PID, -1)
		}
		if t.Victim != nil {
			r.comm(clone(t.Victim.Comm), t.Victim.PID, -1)
		}
	case *dump.Locks:
		for _, h := range t.Holders {
			r.comm(clone(h.Comm), h.PID, -1)
		}
	case *dump.Sched:
		for _, c := range t.CPUs {
			for _, s := range c.Tasks {
				r.comm(clone(s.Comm), s.PID, -1)
			}
		}
	case *dump.Trace:
		for _, e := range t.Events {
			r.comm(clone(e.Comm), orNone(e.PID, e.Comm), -1)
		}
	}
}

// orNone is a pid that says something: of an idle task, 0 does.
func orNone(pid int, comm string) int {
	if pid == 0 && !strings.HasPrefix(comm, "swapper") && comm != "<idle>" {
		return -1
	}
	return pid
}

// rule is a place where a name stands, and what must be in a line for it.
type rule struct {
	sign string
	re   *pattern
}

func (r *rule) may(s string) bool { return strings.Contains(s, r.sign) }

// comms are places where the kernel prints a task's name, beside those that the
// parser reads. The name is the first group; the second, if there is one, its
// number.
var comms = []rule{
	{"Comm:", lazy(`\bComm: ?(.+?)(?: Not tainted| Tainted:| Kdump:|$)`)},
	{"task", lazy(`\btask:? ?(\S.{0,14}?)(?:/|:)(\d+)\b`)},
	{"task:", lazy(`\btask:(\S.{0,14}?) *(?:state:|$)`)},
	{"[", lazy(`\[([^\[\]:/ ][^\[\]:/]{0,14}):(\d+)\]`)},
	{"(", lazy(`\(([^() ][^()]{0,14})\)(?:,? total-vm| score| UID:|,? now anon)`)},
	{"rocess ", lazy(`[Pp]rocess (?:\d+ )?\(?([^\s():,]{1,15})\)?(?:,| \(pid| invoked)`)},
	{"]: ", lazy(`(?:^|[\]:>;] ?)([^\s:\[]{1,15})\[(\d+)\]: `)},
	{"(", lazy(`(?:^|[\]:>;] ?)([^\s:\[(]{1,15})\((\d+)\)`)},
	{"invoked oom-killer", lazy(`(\S{1,15}) invoked oom-killer`)},
	{"CPU#", lazy(`\bCPU#\d+: (\S{1,15})/(\d+)`)},
	{"comm", lazy(`\bcomm[ =:]+"?([^\s",:]{1,15})`)},
	{"omm: ", lazy(`\b[Pp](?:id|ID): ?\d+,? comm: ?(\S{1,15})`)},
	{"/", lazy(`(?:locks? held by|swapper|process|by task|by) (\S{1,15})/(\d+)\b`)},
	{"] ", lazy(`(?:^|[\]:>;]) *(\S.{0,14}?)-(\d+) +(?:\([ \d-]+\) +)?\[\d{3}\]`)},
}

// hosts and users are where else their names are told.
var hosts = []*pattern{
	lazy(`(?i)\bhost ?name(?: set)?(?: to|=|:)? ?<?"?([A-Za-z0-9][A-Za-z0-9._-]*)`),
	lazy(`(?i)\bserver ([A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9])(?: not responding|,| OK| is not| timed| still)`),
	lazy(`\\\\([A-Za-z0-9][A-Za-z0-9._-]*)`),
	lazy(`\bnodename[=:] ?([A-Za-z0-9][A-Za-z0-9._-]*)`),
}

var users = []*pattern{
	lazy(`(?i)\b(?:user|acct|username|login|logname)(?:name)?[=:] ?"?([A-Za-z_][A-Za-z0-9_.-]*)`),
	lazy(`\b(?:of|for) user ([A-Za-z_][A-Za-z0-9_.-]*)`),
	lazy(`/(?:home|Users|export/home|var/home)/([A-Za-z0-9_][A-Za-z0-9_.@-]*)`),
}

// learnText learns from what the kernel printed.
func (r *Redactor) learnText(b []byte) {
	// Most lines of a dump are frames, and tell nothing.
	if t := bytes.TrimLeft(b, " ?"); len(t) == 0 || bytes.Contains(t, []byte("+0x")) && !bytes.ContainsAny(t, ":=") {
		return
	}
	s := string(b)
	for _, rule := range comms {
		if !rule.may(s) {
			continue
		}
		for _, m := range rule.re.FindAllStringSubmatch(s, -1) {
			n := strings.TrimSpace(m[1])
			if number(n) || n == "null" || n == "unknown" || n == "BAR" {
				continue
			}
			r.comm(n, -1, -1)
		}
	}
	if containsAny(s, "ost", "OST", "erver", `\\`, "nodename") {
		r.learnHosts(s)
	}
	if containsAny(s, "ser", "SER", "acct", "login", "logname", "/home/", "@") {
		r.learnUsers(s)
	}
}

func (r *Redactor) learnHosts(s string) {
	for _, re := range hosts {
		for _, m := range re.FindAllStringSubmatch(s, -1) {
			r.host(strings.TrimRight(m[1], "."))
		}
	}
}

func (r *Redactor) learnUsers(s string) {
	if strings.Contains(s, "@") {
		for _, m := range mail.FindAllStringSubmatch(s, -1) {
			if user, host, _ := strings.Cut(m[0], "@"); !isUnit(host) && user != "root" && !number(user) {
				r.word("user", user)
			}
		}
	}
	for _, re := range users {
		for _, m := range re.FindAllStringSubmatch(s, -1) {
			if m[1] != "root" && !number(m[1]) {
				r.word("user", m[1])
			}
		}
	}
}

// isUnit reports whether what stands behind an @ ends a unit of systemd's.
func isUnit(s string) bool {
	i := strings.LastIndexByte(s, '.')
	switch s[i+1:] {
	case "service", "slice", "socket", "mount", "target", "scope", "timer", "device", "path", "swap", "localhost":
		return true
	}
	return false
}

func number(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// host learns a machine's name, and its first part.
func (r *Redactor) host(h string) {
	if len(h) < 2 || h == "localhost" || number(strings.ReplaceAll(h, ".", "")) || h == "kernel" || h == "set" || h == "to" || h == "name" {
		return
	}
	r.word("host", h)
	if first, _, ok := strings.Cut(h, "."); ok && len(first) > 1 {
		r.word("host", first)
	}
}

// inPrefix finds the machine's name behind a system log's time.
var inPrefix = lazy(`(?:\d\d:\d\d:\d\d[^\s\]]*|\d{4}-\d\d-\d\d[T ][^\s\]]+) +(?:(?:emerg|alert|crit|err|error|warn|warning|notice|info|debug) +)?([A-Za-z0-9][A-Za-z0-9._-]*) +\S`)

func hostIn(prefix []byte) string {
	if len(prefix) < 10 || !bytes.ContainsFunc(prefix, unicode.IsLetter) {
		return ""
	}
	if m := inPrefix.FindSubmatch(prefix); m != nil {
		return string(m[1])
	}
	// journalctl -o short-monotonic: "[ 12.3] HOST kernel: ".
	if m := monotonic.FindSubmatch(prefix); m != nil {
		return string(m[1])
	}
	return ""
}

var monotonic = lazy(`\] +([A-Za-z0-9][A-Za-z0-9._-]*) kernel: ?$`)
