package sysrq

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// OnTimeout says what a run does after a step whose deadline passed.
type OnTimeout uint8

const (
	// GoOn: the next step is sent all the same. It is the default, because in
	// a rescue a dead disk must not keep the machine down.
	GoOn OnTimeout = iota
	// StopThere: nothing more is sent.
	StopThere
)

// String is the word that the configuration uses.
func (o OnTimeout) String() string {
	if o == StopThere {
		return "stop"
	}
	return "go-on"
}

// Step is one key to be sent, and what to expect of it.
type Step struct {
	Command Command
	// Deadline bounds the wait for evidence; 0 takes the command's own.
	Deadline time.Duration
	// OnTimeout is read when the outcome is Timeout.
	OnTimeout OnTimeout
	// Grace is the time that programs get to react before the next step. A
	// transport that can see that none is left ends it early.
	Grace time.Duration
	// Of names the sequence that the step came from; empty for a lone key.
	Of string
}

// Wait is the deadline in force.
func (s Step) Wait() time.Duration {
	if s.Deadline > 0 {
		return s.Deadline
	}
	return s.Command.Completion.Deadline
}

// Sequence is a named row of steps.
type Sequence struct {
	Name    string
	Summary string // one clause
	Steps   []Step
}

// Danger is the highest class among the steps.
func (s Sequence) Danger() Danger { return DangerOf(s.Steps) }

// DangerOf is the highest class among steps; 0 for none.
func DangerOf(steps []Step) Danger {
	var d Danger
	for _, st := range steps {
		d = max(d, st.Command.Danger)
	}
	return d
}

// grace is what programs get between SIGTERM and SIGKILL.
const grace = 2 * time.Second

// Sequences are the sequences that everybody knows. The slice is the caller's
// own.
func Sequences() []Sequence {
	return []Sequence{
		sequence("reisub", "end every program, save what can be saved, reboot"),
		sequence("reisuo", "end every program, save what can be saved, switch off"),
		sequence("sub", "save what can be saved and reboot, without ending programs first"),
		{
			Name: "observe", Summary: "say who is stuck, what runs, and where memory went; change nothing",
			Steps: keySteps("observe", "wlmt"),
		},
	}
}

func sequence(keys, summary string) Sequence {
	return Sequence{Name: keys, Summary: summary, Steps: keySteps(keys, keys)}
}

func keySteps(name, keys string) []Step {
	steps := make([]Step, len(keys))
	for i, k := range []byte(keys) {
		steps[i] = Step{Command: ForKeyOn(Key(k), ""), Of: name}
		// Programs that were asked to end get time to; the ones that are
		// killed next, or that a reboot ends, would lose their work otherwise.
		if k == 'e' && i+1 < len(keys) {
			steps[i].Grace = grace
		}
	}
	return steps
}

// ErrNothingToDo is returned for an empty row of words.
var ErrNothingToDo = errors.New("no step was given")

// UnknownError is returned for a word that names nothing.
type UnknownError struct {
	Word string
	// Nearest are words that it may have been meant for, best first. They can
	// be typed as they are.
	Nearest []string
	// Ambiguous is set when the word begins several names, which are then in
	// Nearest.
	Ambiguous bool
}

func (e *UnknownError) Error() string {
	what := fmt.Sprintf("%q is not a key, a command or a sequence", e.Word)
	if e.Ambiguous {
		what = fmt.Sprintf("%q may be several commands", e.Word)
	}
	if len(e.Nearest) == 0 {
		return what
	}
	return what + ": " + strings.Join(e.Nearest, ", ") + "?"
}

// Lookup finds the command that one word names: a key, a kernel name, or the
// unique beginning of one. arch (as GOARCH writes it) decides for keys that
// mean different things; it may be empty. The error is an [*UnknownError].
func Lookup(word, arch string) (Command, error) {
	if len(word) == 1 {
		if k := Key(word[0]); k.HasSlot() {
			return ForKeyOn(k, arch), nil
		}
		return Command{}, &UnknownError{Word: word, Nearest: []string{"h"}}
	}
	lower := strings.ToLower(word)
	if d, ok := strings.CutPrefix(lower, "loglevel"); ok {
		d = strings.TrimLeft(d, "-=:")
		if len(d) == 1 && d[0] >= '0' && d[0] <= '9' {
			return ForKeyOn(Key(d[0]), arch), nil
		}
		return Command{}, &UnknownError{Word: word, Nearest: []string{"0", "4", "7", "9"}, Ambiguous: true}
	}
	var exact, begins []Command
	for _, c := range table {
		if c.Name == "loglevel" {
			continue // named by its key only
		}
		name := strings.ToLower(c.Name)
		switch {
		case name == lower:
			exact = append(exact, c)
		case len(lower) > 1 && strings.HasPrefix(name, lower):
			begins = append(begins, c)
		}
	}
	if arch != "" && len(begins) > 1 {
		// "show-t" is ambiguous only where there are TLBs to show.
		here := slices.DeleteFunc(slices.Clone(begins), func(c Command) bool { return !c.OnArch(arch) })
		if len(here) > 0 {
			begins = here
		}
	}
	switch {
	case len(exact) > 0:
		return exact[0], nil
	case len(begins) == 1:
		return begins[0], nil
	case len(begins) > 1:
		e := &UnknownError{Word: word, Ambiguous: true}
		for _, c := range begins {
			e.Nearest = append(e.Nearest, c.Name)
		}
		return Command{}, e
	}
	return Command{}, &UnknownError{Word: word, Nearest: nearest(lower, nil)}
}

// ParseSteps turns words into steps: a key ("s"), a kernel name or its unique
// beginning ("sync", "show-bl"), a sequence ("reisub"), or keys behind an
// underscore, the kernel's own bulk prefix ("_lmw"). known are the sequences
// to choose from, later ones winning over earlier ones of the same name; nil
// means [Sequences].
//
// Behind the underscore, too, every key is a step of its own, with its own
// evidence: what the kernel does with "_sub" in one write is to reset before
// it has synced.
//
// Nothing is returned unless every word is good. The error wraps
// [ErrNothingToDo] or is an [*UnknownError].
func ParseSteps(words []string, known []Sequence, arch string) ([]Step, error) {
	if known == nil {
		known = Sequences()
	}
	var steps []Step
	for _, w := range words {
		if w == "" {
			return nil, &UnknownError{Word: w}
		}
		if keys, ok := strings.CutPrefix(w, "_"); ok && keys != "" {
			for _, b := range []byte(keys) {
				if k := Key(b); !k.HasSlot() {
					return nil, &UnknownError{Word: w}
				}
			}
			bulk := keySteps(w, keys)
			for i := range bulk {
				bulk[i].Command = ForKeyOn(bulk[i].Command.Key, arch)
			}
			steps = append(steps, bulk...)
			continue
		}
		if len(w) > 1 {
			if i := lastSequence(known, w); i >= 0 {
				for _, st := range known[i].Steps {
					// It was written down without an architecture in mind: x is
					// another command on MIPS than on PowerPC.
					if arch != "" && !st.Command.OnArch(arch) {
						st.Command = ForKeyOn(st.Command.Key, arch)
					}
					steps = append(steps, st)
				}
				continue
			}
		}
		c, err := Lookup(w, arch)
		if err != nil {
			var unknown *UnknownError
			if errors.As(err, &unknown) && !unknown.Ambiguous && len(w) > 1 {
				unknown.Nearest = nearest(strings.ToLower(w), known)
			}
			return nil, err
		}
		steps = append(steps, Step{Command: c})
	}
	if len(steps) == 0 {
		return nil, ErrNothingToDo
	}
	return steps, nil
}

func lastSequence(known []Sequence, name string) int {
	for i, s := range slices.Backward(known) {
		if strings.EqualFold(s.Name, name) {
			return i
		}
	}
	return -1
}

// nearest lists up to three names close to word, or else the bulk form of a
// word that is nothing but keys.
func nearest(word string, known []Sequence) []string {
	var names []string
	for _, s := range known {
		names = append(names, s.Name)
	}
	for _, c := range table {
		if c.Name != "loglevel" {
			names = append(names, c.Name)
		}
	}
	near := Nearest(word, names)
	if len(near) == 0 && word != "" && len(word) <= 6 && !strings.ContainsFunc(word, func(r rune) bool {
		return r > 0x7f || len(forKey(Key(r))) == 0
	}) {
		near = append(near, "_"+word)
	}
	return near
}

// Nearest lists up to three of names that word may have been meant for, best
// first: few typing mistakes away, or containing it.
func Nearest(word string, names []string) []string {
	type near struct {
		name string
		d    int
	}
	word = strings.ToLower(word)
	var all []near
	for _, name := range names {
		l := strings.ToLower(name)
		d := distance(word, l)
		switch {
		case strings.Contains(l, word) && len(word) >= 3:
			d = 1 // a word out of the middle: "blocked"
		case len(word) >= 5:
			for part := range strings.SplitSeq(l, "-") { // the same with a slip: "blokced"
				d = min(d, 1+distance(word, part))
			}
		}
		if d <= max(2, len(word)/3) && !slices.ContainsFunc(all, func(n near) bool { return n.name == name }) {
			all = append(all, near{name, d})
		}
	}
	slices.SortStableFunc(all, func(a, b near) int { return a.d - b.d })
	var best []string
	for _, n := range all[:min(len(all), 3)] {
		best = append(best, n.name)
	}
	return best
}

// distance is the number of edits (insert, delete, replace, swap neighbours)
// between two words.
func distance(a, b string) int {
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}
