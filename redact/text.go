package redact

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
)

var (
	uuid  = lazy(`\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b`)
	id    = lazy(`\b[0-9a-f]{32,}\b`)
	mac   = lazy(`\b[0-9a-fA-F]{2}(?:[:-][0-9a-fA-F]{2}){5,19}\b`)
	v4    = lazy(`\b\d{1,3}(?:\.\d{1,3}){3}\b`)
	v6    = lazy(`[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7}(?:\.\d{1,3}){0,3}`)
	mail  = lazy(`[A-Za-z0-9_.+-]+@[A-Za-z0-9][A-Za-z0-9.-]*[A-Za-z0-9]`)
	fqdn  = lazy(`\b(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+(?i:com|org|net|edu|gov|mil|int|io|dev|cloud|local|localdomain|lan|internal|intranet|corp|home|arpa|example|test|invalid)\b`)
	iqn   = lazy(`\b(?:iqn|nqn|eui|naa)\.[A-Za-z0-9.:_-]+`)
	unc   = lazy(`\\\\[A-Za-z0-9._$\\-]+`)
	path  = lazy(`(^|[\s"'=(,:@|\[])(/[A-Za-z0-9_.@%+~#-][^\s"'<>(),;\]|]*)`)
	parts = lazy(`(?:^|/)((?:arch|block|crypto|drivers|fs|include|init|io_uring|ipc|kernel|lib|mm|net|rust|security|sound|virt)/[A-Za-z0-9_./-]+\.(?:[chS]|rs)(?::\d+)?\S*)$`)

	// What stands behind these is a number of one piece of hardware.
	serial = lazy(`(?i)(\b(?:serial(?: ?number)?|s/n|sn|asset tag|wwn|wwid|service tag)\b ?[:=#] ?)"?([A-Za-z0-9][A-Za-z0-9_.:-]*)`)
	// The name of the hardware itself stays; the numbers of boards and of
	// machines in it don't.
	hardware = lazy(`(?:Hardware name|DMI|Machine model): .*`)
	board    = lazy(`/[A-Za-z0-9_-]*\d[A-Za-z0-9_-]*`)
	number7  = lazy(`\b[A-Z0-9-]{7,}\b`)

	userIs    = lazy(`(?i)\b((?:user|acct|username|logname)[=:] ?"?)([A-Za-z_][A-Za-z0-9_.-]*)`)
	wellKnown = lazy(`^(?:autogroup-\d+|user-\d+\.slice|session-c?\d+\.scope|user@\d+\.service)$`)
	groupIs   = lazy(`\b(cpuset=)([^/,\s][^,\s]*)`)
	devName   = lazy(`^(?:sd[a-z]+\d*|nvme\d+.*|md\d+.*|dm-\d+|loop\d+.*|vd[a-z]+\d*|xvd[a-z]+\d*|hd[a-z]\d*|mmcblk\d+.*|sr\d+|nbd\d+.*|zd\d+|rbd\d+|drbd\d+|ram\d+|tty\w*|null|zero|console|kmsg|mem|shm|pts|ptmx|fuse|mapper|disk|by-\w+|block|char|watchdog\d*|vcs\w*|mqueue|hugepages|input|event\d+|dri|card\d+|renderD\d+|snd)$`)
)

// Text is a text without what was learnt, and without what is known by its
// form. It is for what does not stand in the log itself: a file's name, a fact
// about the machine.
func (r *Redactor) Text(s string) string {
	if s == "" {
		return s
	}
	if len(r.paths) > 0 && strings.Contains(s, "/") {
		s = r.pathNames(s)
	}
	// What has a name is replaced first: the rules by form leave pseudonyms alone.
	s = r.names(s)
	// Each rule is asked only where its first sign is there: most lines of a dump
	// are frames, and have none.
	if strings.Count(s, "-") >= 4 {
		s = r.all(uuid, s, "uuid")
	}
	if longWord(s) {
		s = id.ReplaceAllStringFunc(s, func(m string) string {
			if number(m) {
				return m
			}
			return r.name("id", m)
		})
	}
	if strings.Contains(s, "@") {
		s = mail.ReplaceAllStringFunc(s, func(m string) string {
			user, host, _ := strings.Cut(m, "@")
			if isUnit(host) {
				return m // a unit of systemd's
			}
			if !r.isName(user) {
				user = r.name("user", user)
			}
			if !r.isName(host) {
				host = r.name("host", host)
			}
			return user + "@" + host
		})
	}
	if strings.Count(s, ":") >= 5 || strings.Count(s, "-") >= 5 {
		s = r.all(mac, s, "mac")
	}
	if strings.Contains(s, "::") || strings.Count(s, ":") >= 7 {
		s = v6.ReplaceAllStringFunc(s, func(m string) string {
			lead := ""
			a, err := netip.ParseAddr(m)
			if err != nil {
				// It may begin or end with a colon of the sentence's.
				t := strings.TrimSuffix(m, ":")
				if a, err = netip.ParseAddr(t); err != nil {
					return m
				}
				lead, m = m[len(t):], t
			}
			if !a.Is6() || a.IsUnspecified() || len(m) < 3 {
				return m + lead
			}
			return r.name("addr", m) + lead
		})
	}
	if containsAny(s, "erial", "ERIAL", "s/n", "S/N", "SN", "sn", "WW", "ww", "sset", "SSET", "ervice") {
		s = serial.ReplaceAllStringFunc(s, func(m string) string {
			g := serial.FindStringSubmatch(m)
			return g[1] + r.name("serial", g[2])
		})
	}
	if containsAny(s, "Hardware name", "DMI", "Machine model") {
		s = hardware.ReplaceAllStringFunc(s, func(m string) string {
			m = board.ReplaceAllStringFunc(m, func(b string) string {
				if len(b) <= 5 && number(b[1:]) {
					return b // a date's
				}
				return "/" + r.name("board", b[1:])
			})
			return number7.ReplaceAllStringFunc(m, func(w string) string {
				digits := 0
				for _, c := range w {
					if c >= '0' && c <= '9' {
						digits++
					}
				}
				if digits < 4 || digits == len(w) && len(w) < 9 {
					return w
				}
				return r.name("serial", w)
			})
		})
	}
	if strings.Count(s, ".") >= 3 {
		s = v4.ReplaceAllStringFunc(s, func(m string) string {
			if a, err := netip.ParseAddr(m); err != nil || m == "127.0.0.1" || a.IsUnspecified() {
				return m
			}
			return r.name("addr", m)
		})
	}
	if containsAny(s, "iqn.", "nqn.", "eui.", "naa.") {
		s = r.all(iqn, s, "target")
	}
	if dotted(s) && containsAny(strings.ToLower(s), domains...) {
		s = r.all(fqdn, s, "host")
	}
	if strings.Contains(s, `\\`) {
		s = unc.ReplaceAllStringFunc(s, func(m string) string { return `\\` + r.name("share", m) })
	}
	if rooted(s) {
		s = path.ReplaceAllStringFunc(s, func(m string) string {
			i := strings.IndexByte(m, '/')
			return m[:i] + r.path(m[i:])
		})
	}
	if containsAny(s, "user", "User", "USER", "acct", "logname", "LOGNAME") {
		s = userIs.ReplaceAllStringFunc(s, func(m string) string {
			g := userIs.FindStringSubmatch(m)
			if g[2] == "root" || r.isName(g[2]) {
				return m
			}
			return g[1] + r.name("user", g[2])
		})
	}
	if strings.Contains(s, "cpuset=") {
		s = groupIs.ReplaceAllStringFunc(s, func(m string) string {
			g := groupIs.FindStringSubmatch(m)
			return g[1] + r.component(g[2])
		})
	}
	if len(r.tricky) > 0 && r.mentions(s) {
		s = r.inPlace(s)
	}
	return s
}

// domains are the ends that fqdn looks for.
var domains = []string{
	".com", ".org", ".net", ".edu", ".gov", ".mil", ".int", ".io", ".dev", ".cloud", ".local", ".lan", ".corp", ".home", ".arpa", ".example", ".test", ".invalid",
}

func containsAny(s string, words ...string) bool {
	for _, w := range words {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}

// longWord reports whether there are 32 letters and digits in a row.
func longWord(s string) bool {
	n := 0
	for i := range len(s) {
		if c := s[i]; c >= '0' && c <= '9' || c >= 'a' && c <= 'z' {
			if n++; n == 32 {
				return true
			}
		} else {
			n = 0
		}
	}
	return false
}

// dotted reports whether a point stands before a letter, as in a domain's name.
func dotted(s string) bool {
	for i := 0; i+1 < len(s); i++ {
		if s[i] == '.' && (s[i+1]|0x20) >= 'a' && (s[i+1]|0x20) <= 'z' {
			return true
		}
	}
	return false
}

// rooted reports whether a path may begin somewhere.
func rooted(s string) bool {
	for i := range len(s) {
		if s[i] == '/' && (i == 0 || strings.IndexByte(" \t\"'=(,:@|[", s[i-1]) >= 0) {
			return true
		}
	}
	return false
}

func (r *Redactor) all(re *pattern, s, kind string) string {
	return re.ReplaceAllStringFunc(s, func(m string) string { return r.name(kind, m) })
}

// isName reports whether a word is a pseudonym of ours.
func (r *Redactor) isName(w string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.used[w] != ""
}

// path takes the names out of a path. Where a file of the kernel's source is
// meant, the part that all trees share stays.
func (r *Redactor) path(p string) string {
	if g := parts.FindStringSubmatchIndex(p); g != nil {
		return r.dirs(p[:g[2]]) + p[g[2]:]
	}
	return r.dirs(p)
}

func (r *Redactor) dirs(p string) string {
	tail := ""
	if i := strings.LastIndexByte(p, ':'); i > 0 { // "/path:" or "/path:12"
		if rest := p[i+1:]; number(rest) {
			p, tail = p[:i], p[i:]
		}
	}
	t := strings.TrimRight(p, ".")
	p, tail = t, p[len(t):]+tail
	if strings.HasPrefix(p, "/proc/sys/") || strings.HasPrefix(p, "/sys/kernel/") || strings.HasPrefix(p, "/sys/module/") || strings.HasPrefix(p, "/proc/sysrq") {
		return p + tail
	}
	list := strings.Split(p, "/")
	for i, c := range list {
		before := ""
		if i > 0 {
			before = list[i-1]
		}
		switch {
		case c == "" || number(c) || wellKnown.MatchString(c) || common(c) && before != "home" || r.isName(c):
		case before == "home" || before == "Users":
			list[i] = r.name("user", c)
		case i > 0 && list[1] == "dev" && devName.MatchString(c):
		case i > 1 && (list[1] == "proc" || list[1] == "sys") && !strings.ContainsAny(c, "0123456789:"):
		default:
			list[i] = r.component(c)
		}
	}
	return strings.Join(list, "/") + tail
}

// component is a pseudonym for a name in a path: the one that it has elsewhere,
// if it has one.
func (r *Redactor) component(c string) string {
	switch {
	case common(c) || r.isName(c):
		return c
	case r.words[c] != "":
		return r.words[c]
	case r.tricky[c] != "":
		return r.tricky[c]
	}
	return r.name("name", c)
}

// names replaces the words that were learnt, wherever they stand by themselves.
func (r *Redactor) names(s string) string {
	if len(r.words) == 0 {
		return s
	}
	var out []byte
	from := 0
	for i := 0; i < len(s); i++ {
		if !r.heads[s[i]] || i > 0 && inWord(s[i-1]) {
			continue
		}
		best := find(s, i, r.words)
		if best == 0 {
			continue
		}
		out = append(out, s[from:i]...)
		out, from = place(out, s, i+best, r.words[s[i:i+best]], best)
		i = from - 1
	}
	if out == nil {
		return s
	}
	return string(append(out, s[from:]...))
}

// find is how long the longest name is that stands at i; a name may have blanks
// in it.
func find(s string, i int, names map[string]string) int {
	for n := min(maxName, len(s)-i); n > 0; n-- {
		if i+n < len(s) && inWord(s[i+n]) && !ends(s[i+n:]) {
			continue
		}
		if names[s[i:i+n]] != "" && !function(s[i+n:]) {
			return n
		}
	}
	return 0
}

// mentions reports whether one of the names that are words as well stands
// anywhere.
func (r *Redactor) mentions(s string) bool {
	for i := range len(s) {
		if r.heads[s[i]] && (i == 0 || !inWord(s[i-1])) && find(s, i, r.tricky) > 0 {
			return true
		}
	}
	return false
}

// pathNames replaces tasks' names that look like paths.
func (r *Redactor) pathNames(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] != '/' || i > 0 && inWord(s[i-1]) {
			continue
		}
		n := strings.IndexAny(s[i:], " :(),]\"")
		if n < 0 {
			n = len(s) - i
		}
		if p := r.paths[s[i:i+n]]; p != "" {
			out, next := place([]byte(s[:i]), s, i+n, p, n)
			s = string(out) + s[next:]
			i = len(out) - 1
		}
	}
	return s
}

// maxName is the longest word that is looked for: a machine's name.
const maxName = 64

// inWord reports whether a character belongs to the word beside it.
func inWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c >= 0x80
}

// ends reports whether a text that begins with a dash ends the word before it
// after all: what follows is a number, as behind a task's name in a trace.
func ends(s string) bool {
	return s[0] == '-' && (len(s) == 1 || !inWord(s[1]) || digitsThenBlank(s[1:]))
}

func digitsThenBlank(s string) bool {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return i > 0 && (i == len(s) || s[i] == ' ')
}

// function reports whether what stands before s is a function's name, or its
// beginning: "main.part.0+0x12/0x34".
func function(s string) bool {
	i := 0
	for i < len(s) && (s[i] == '.' || inWord(s[i])) {
		i++
	}
	return strings.HasPrefix(s[i:], "+0x") || strings.HasPrefix(s[i:], "()")
}

// place appends a pseudonym to out for a name that ends at end of s. Old dumps
// have columns: blanks beside a name give way, or fill up.
func place(out []byte, s string, end int, pseudonym string, was int) (_ []byte, next int) {
	diff := len(pseudonym) - was
	blanks := 0
	for end+blanks < len(s) && s[end+blanks] == ' ' {
		blanks++
	}
	before := 0
	for before < len(out) && out[len(out)-1-before] == ' ' {
		before++
	}
	switch {
	case blanks > 1:
		out = append(out, pseudonym...)
		for range max(blanks-diff, 1) {
			out = append(out, ' ')
		}
		return out, end + blanks
	case before > 1:
		out = out[:len(out)-before]
		for range max(before-diff, 1) {
			out = append(out, ' ')
		}
	}
	return append(out, pseudonym...), end
}

// inPlace replaces names that are ordinary words as well, where they stand as
// names.
func (r *Redactor) inPlace(s string) string {
	// A frame names no task.
	if strings.Contains(s, "+0x") && strings.Contains(s, "/0x") && !containsAny(s, "omm", "ask", "PID", "CPU#") {
		return s
	}
	for _, rules := range [][]rule{comms, columns} {
		for _, rule := range rules {
			if !rule.may(s) {
				continue
			}
			for _, m := range slices.Backward(rule.re.FindAllStringSubmatchIndex(s, -1)) {
				s = r.tricked(s, m[2], m[3])
			}
		}
	}
	return s
}

func (r *Redactor) tricked(s string, from, to int) string {
	for from < to && s[to-1] == ' ' {
		to--
	}
	p := r.tricky[s[from:to]]
	if p == "" {
		return s
	}
	out, next := place([]byte(s[:from]), s, to, p, to-from)
	return string(out) + s[next:]
}

// columns are places of names that the parser reads, and that comms has not:
// those in tables.
var columns = []rule{
	{":", inPrefix}, // a machine
	{"kernel:", lazy(`\] +([A-Za-z0-9][A-Za-z0-9._-]*) kernel:`)},
	{"  ", lazy(`(?:^|[\]:] |[;,] ?|  )(\S+) {2,}[RSDTtXZPIxKWN] `)},                // an old task's head
	{".", lazy(`(?:^|[\]:>;] ?)[> ]?[RSDTtXZPI ] +(\S{1,15}) +\d+ +-?\d+\.\d+`)},    // sched-debug
	{"] ", lazy(`\[ *\d+\] +\d+ +\d+ .* -?\d+ (\S{1,16})$`)},                        // the OOM killer's table
	{"task=", lazy(`task=([^,\s]+),pid=`)},                                          // oom-kill:
	{"rocess ", lazy(`[Kk]ill(?:ed)? process \d+,? (?:\(|UID \d+ \()?([^\s(),]+)`)}, // Killed process
	{"reaped process", lazy(`oom_reaper: reaped process \d+ \(([^)]+)\)`)},
	{"owned by task", lazy(`owned by task ([^:\s]+):\d+`)},
}

// keptFields are those of a journal's entry that say nothing of the machine but
// what is redacted like any text.
var keptFields = map[string]bool{
	"MESSAGE": true, "PRIORITY": true, "SYSLOG_FACILITY": true, "_TRANSPORT": true, "__REALTIME_TIMESTAMP": true, "__MONOTONIC_TIMESTAMP": true,
	"_SOURCE_MONOTONIC_TIMESTAMP": true, "_SOURCE_REALTIME_TIMESTAMP": true, "_SOURCE_BOOTTIME_TIMESTAMP": true, "SYSLOG_IDENTIFIER": true,
	"_BOOT_ID": true, "__CURSOR": false,
}

// exported is a line of journalctl -o export.
var exported = lazy(`^(_*[A-Z][A-Z0-9_]*)=(.*)$`)

// fields redacts a journal's entry, which has a machine's and a program's names
// in fields of their own. It reports false where the line is none.
func (r *Redactor) fields(line string, export bool) (string, bool) {
	if export {
		m := exported.FindStringSubmatch(line)
		switch {
		case m == nil:
			return "", false
		case !keptFields[m[1]]:
			return m[1] + "=withheld", true
		}
		return m[1] + "=" + r.Text(m[2]), true
	}
	if !strings.HasPrefix(line, "{") || !strings.Contains(line, `"MESSAGE"`) {
		return "", false
	}
	entry := map[string]json.RawMessage{}
	if err := json.Unmarshal([]byte(line), &entry); err != nil {
		return "", false
	}
	var transport string
	_ = json.Unmarshal(entry["_TRANSPORT"], &transport)
	for k, v := range entry {
		if !keptFields[k] {
			delete(entry, k)
			continue
		}
		var s string
		if json.Unmarshal(v, &s) != nil { // bytes, most likely
			var b []byte
			var list []int
			if json.Unmarshal(v, &list) != nil {
				delete(entry, k)
				continue
			}
			for _, c := range list {
				b = append(b, byte(c))
			}
			s = string(b)
		}
		switch {
		case k == "MESSAGE" && transport != "" && transport != "kernel":
			s = "(withheld)"
		case k == "SYSLOG_IDENTIFIER" && s != "kernel":
			s = "program"
		default:
			s = r.Text(s)
		}
		entry[k], _ = json.Marshal(s)
	}
	out, err := json.Marshal(entry)
	return string(out), err == nil
}

// said is a program's line without a mark of its source: what systemd and
// others write to /dev/kmsg, seen on a console.
var said = lazy(`^((?:<\d+>)?(?:\d+,\d+,\d+,[^;]*;|\[[^\]]*\](?:\[[^\]]*\])? ?)?)([A-Za-z0-9_(.@:-][^\s\[\]]{0,63})\[(\d+)\]: (.*)$`)

// told are words of the kernel's own about a program, in the same form.
var told = lazy(`segfault|trap|fault|unhandled|signal|syscall|bad frame|exception|oom|\+0x`)

// unmarked withholds what a program said, where only the line's form tells that
// it is one's.
func (r *Redactor) unmarked(line string) (string, bool) {
	if !strings.Contains(line, "]: ") {
		return "", false
	}
	m := said.FindStringSubmatch(line)
	if m == nil || told.MatchString(m[4]) {
		return "", false
	}
	return r.Text(m[1]+m[2]) + "[" + m[3] + "]: (withheld)", true
}

// program is the head of a line that a program wrote to a system log.
var program = lazy(`^((?:<\d+>)?(?:[A-Z][a-z]{2} +\d+ [\d:.]+|\d{4}-\d\d-\d\d[T ]\S+) +\S+ +)[^:]*:`)

// withheld is what is left of a program's line: when, on which machine.
func (r *Redactor) withheld(line string) string {
	if m := program.FindStringSubmatch(line); m != nil {
		return r.Text(m[1]) + "program: (withheld)"
	}
	return "<14>program: (withheld)"
}
