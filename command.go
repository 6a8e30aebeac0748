package sysrq

import (
	"fmt"
	"slices"
	"time"
)

// Danger classes what a command can cost, from nothing to everything.
type Danger uint8

// The classes. An SSH key's rights and a person's questions go by them.
const (
	Observe Danger = iota + 1 // prints; changes nothing
	Tune                      // changes a setting, or writes what should be written anyway
	Stop                      // ends programs, or makes file systems read-only
	Reboot                    // ends the running system
	Crash                     // stops the kernel itself
)

var dangerNames = [...]string{Observe: "observe", Tune: "tune", Stop: "stop", Reboot: "reboot", Crash: "crash"}

// String is the class's stable name.
func (d Danger) String() string {
	if d == 0 || int(d) >= len(dangerNames) {
		return fmt.Sprintf("danger(%d)", uint8(d))
	}
	return dangerNames[d]
}

// Asks reports whether a person should be asked before a command of this
// class is sent.
func (d Danger) Asks() bool { return d >= Stop }

// Completes says by what a command's end is known.
type Completes uint8

// The ways in which a command's end is known.
const (
	// CompletesUnseen: the header is all that the kernel prints. The best
	// outcome is Accepted, unless the transport can see the effect itself.
	CompletesUnseen Completes = iota + 1
	// CompletesLine: a line of Completion.Lines ends it.
	CompletesLine
	// CompletesDump: lines follow the header, and nothing ends them. They have
	// to be bracketed: by a marker of ours, or by the answer to a Ping.
	CompletesDump
	// CompletesReboot: the machine goes, and comes back as a new boot.
	CompletesReboot
	// CompletesHelp: the answer is the HELP line itself.
	CompletesHelp
)

// Completion is what a command's end looks like.
type Completion struct {
	Kind Completes
	// Lines are beginnings of lines. For CompletesLine any of them is the
	// proof; for CompletesDump any of them is the body's first sign, and a
	// dump whose Lines are empty may well be empty itself.
	Lines []string
	// Level is the printk level of what proves the end: it reaches a console
	// only while console_loglevel is above it. Headers and HELP always do.
	Level int8
	// Deadline is how long a healthy machine may need at worst.
	Deadline time.Duration
}

// Command is one command of the kernel's table.
type Command struct {
	Key    Key
	Name   string // the kernel's own, from its HELP line: "show-blocked-tasks"
	Action string // the kernel's header line: "Show Blocked State"
	Mask   Mask   // the bit that permits it; 0: no bit does, only [MaskAll]
	Danger Danger
	Effect string // what it does, in one clause
	Loses  string // what is lost by it, in one clause; empty where nothing is

	// Arch lists the architectures (as GOARCH writes them) whose kernels have
	// it; nil is all.
	Arch   []string
	Since  string // first kernel release that has it; empty: older than 3.0
	Until  string // first release that no longer has it; empty: still there
	Config string // what has to be built or switched on, beyond MAGIC_SYSRQ
	// Deferred commands only queue their work: when the trigger returns, or
	// the header appears, nothing has been done yet.
	Deferred bool

	Completion Completion
	Source     string // file in the kernel tree, and the versions it was read in
}

// Commands is the whole table, in the order of the kernel's slots: digits,
// lower case, upper case. A key that means different things on different
// architectures appears once for each. The slice is the caller's own.
func Commands() []Command { return slices.Clone(table) }

// ForKey lists what key k may mean, most common meaning first. It is empty for
// a key that no kernel known to us gives a meaning. The slice is the caller's
// own.
func ForKey(k Key) []Command { return slices.Clone(forKey(k)) }

func forKey(k Key) []Command {
	i, found := slices.BinarySearchFunc(table, k, func(c Command, k Key) int {
		return slot(c.Key) - slot(k)
	})
	if !found {
		return nil
	}
	j := i
	for j < len(table) && table[j].Key == k {
		j++
	}
	return table[i:j:j]
}

// ForKeyOn is what key k means on a kernel of architecture arch (as GOARCH
// writes it; empty for unknown). A key without a known meaning there yields a
// Command that has only its key, and whose best outcome is Unsupported or,
// where a module registered it, Accepted.
func ForKeyOn(k Key, arch string) Command {
	all := forKey(k)
	for _, c := range all {
		if len(c.Arch) > 0 && slices.Contains(c.Arch, arch) {
			return c
		}
	}
	for _, c := range all {
		if len(c.Arch) == 0 {
			return c
		}
	}
	if len(all) > 0 && arch == "" {
		return all[0]
	}
	return Command{
		Key: k, Name: "key-" + k.String(), Danger: Crash,
		Effect: "does whatever a module of that kernel registered it for",
		Loses:  "nobody knows what: no kernel known to sysrq has this key",
		Completion: Completion{
			Kind: CompletesUnseen, Deadline: defaultDeadline,
		},
		Source: "not in the kernel trees read",
	}
}

// OnArch reports whether kernels of architecture arch can have the command.
func (c Command) OnArch(arch string) bool { return len(c.Arch) == 0 || slices.Contains(c.Arch, arch) }

// IsZero reports whether c names no command at all.
func (c Command) IsZero() bool { return c.Key == 0 }

// slot orders keys as the kernel's table does.
func slot(k Key) int {
	switch {
	case k >= '0' && k <= '9':
		return int(k - '0')
	case k >= 'a' && k <= 'z':
		return int(k-'a') + 10
	case k >= 'A' && k <= 'Z':
		return int(k-'A') + 36
	}
	return 62 + int(k)
}
