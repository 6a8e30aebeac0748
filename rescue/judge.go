package rescue

import (
	"strings"

	"github.com/sysrq/sysrq"
)

// finding is what one line means for the step that is being judged.
type finding uint8

const (
	nothing      finding = iota
	foundHeader          // the kernel announced the command
	foundProof           // its work is done
	foundBody            // part of its dump
	foundEnd             // our marker behind its dump came back
	foundRefusal         // the mask forbids it
	foundHelp            // the kernel knows no such key, or answers a ping
	foundPanic           // the kernel panicked
)

// judge holds what the kernel prints against what one command promises. It
// knows nothing of time and of transports, so every case is a table in a test.
type judge struct {
	cmd     sysrq.Command
	names   []sysrq.Command // what its key may mean
	from    moment          // older lines prove nothing
	marker  string          // text of our marker, once it was written
	header  bool
	body    int  // lines behind the header
	sign    bool // one of them was the body's first sign
	kept    []sysrq.Evidence
	panicky bool // the panic is what was asked for
}

func newJudge(c sysrq.Command, from moment) *judge {
	names := sysrq.ForKey(c.Key)
	return &judge{cmd: c, names: names, from: from, panicky: c.Danger == sysrq.Crash}
}

// hear judges one line.
func (j *judge) hear(ev sysrq.Evidence) finding {
	if !j.from.after(ev) {
		return nothing // printed before the key was sent: a replay
	}
	line := strings.TrimSuffix(ev.Text, "\r")
	if j.marked(line) {
		j.keep(ev)
		return foundEnd
	}
	if hasAnyPrefix(line, "Kernel panic - not syncing: ") && !j.panicky {
		j.keep(ev)
		return foundPanic
	}
	if j.cmd.Completion.Kind == sysrq.CompletesLine && proves(j.cmd, line) {
		j.keep(ev)
		return foundProof
	}
	if sysrq.IsRefusal(line) && !j.header {
		j.keep(ev)
		return foundRefusal
	}
	if sysrq.IsHelp(line) {
		if !j.header {
			j.keep(ev)
		}
		return foundHelp
	}
	if action, ok := sysrq.Header(line); ok {
		if !j.header && j.announces(action) {
			j.header = true
			j.keep(ev)
			return foundHeader
		}
		return nothing // somebody else's command
	}
	if j.header && j.cmd.Completion.Kind == sysrq.CompletesDump {
		if hasAnyPrefix(strings.TrimLeft(line, "\n"), j.cmd.Completion.Lines...) || len(j.cmd.Completion.Lines) == 0 {
			if !j.sign {
				j.keep(ev)
			}
			j.sign = true
		}
		j.body++
		return foundBody
	}
	return nothing
}

// marked reports whether line is our marker.
func (j *judge) marked(line string) bool { return j.marker != "" && strings.Contains(line, j.marker) }

// announces reports whether a header is this command's. A key that no kernel
// tree of that architecture has belongs to a module, whose header can be
// anything.
func (j *judge) announces(action string) bool {
	if j.cmd.Action == "" && j.cmd.Completion.Kind == sysrq.CompletesUnseen {
		return true
	}
	for _, c := range j.names {
		if c.Action == action {
			return true
		}
	}
	return false
}

func (j *judge) keep(ev sysrq.Evidence) { j.kept = append(j.kept, ev) }

// proves reports whether line ends the command. The kernel says "Loglevel set
// to 1" with its prefix, and "Emergency Sync complete" without.
func proves(c sysrq.Command, line string) bool {
	switch {
	case c.Name == "loglevel":
		n, ok := sysrq.ParseLoglevel(line)
		return ok && n == int(c.Key-'0')
	case c.Name == "crash" && strings.Contains(line, "sysrq_handle_crash+"):
		// Kernels before 5.1 do not panic by name: the handler writes to
		// address 0, and the oops says where. Seen: logs of 4.19 and 4.20.
		return true
	}
	return hasAnyPrefix(line, c.Completion.Lines...)
}

func hasAnyPrefix(s string, prefixes ...string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}
