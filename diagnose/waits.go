package diagnose

import (
	_ "embed"
	"fmt"
	"hash/maphash"
	"strconv"
	"strings"
	"sync"

	"github.com/sysrq/sysrq/dump"
)

//go:embed waits.txt
var waitsText string

// waits is the table of waits.txt, read once, when it is first asked for. What
// is wrong with it is found by this package's tests.
var waits = sync.OnceValue(func() *table {
	w, err := readWaits("waits.txt", waitsText)
	if err != nil {
		panic(err)
	}
	return w
})

// table is a table of waits. It may be used by several goroutines at a time.
type table struct {
	rows []row
	// plumb and quiet are the functions by which everything waits, and those
	// that say nothing at all.
	plumb, quiet index[struct{}]
	patterns     index[hit]
	memo         memo
}

// row is one kind of waiting with what it is known by.
type row struct {
	Wait
	line     int
	priority int
	// within is how deep, below the plumbing, a frame of any may stand; -1 is
	// anywhere.
	within  int
	modules []modulePattern
	// callers are what may stand right below the frame of any.
	callers []pattern
	// need has a bit for each of the patterns of all.
	need    uint16
	samples []sample
}

type modulePattern struct {
	not bool
	pattern
}

// sample is a stack that the row must win.
type sample struct {
	line  int
	stack []dump.Frame
}

// kind says what a pattern is for.
type kind uint8

const (
	kindAny kind = iota
	kindAll
	kindNot
)

// hit is a pattern of a row that a name fits.
type hit struct {
	row  int16
	kind kind
	n    uint8 // which of all
}

// name is what is known of a function's name.
type name struct {
	plumbing, noise bool
	hits            []hit
}

// pattern is a name in which "*" stands for any number of bytes.
type pattern string

func (p pattern) match(s string) bool {
	before, rest, star := strings.Cut(string(p), "*")
	if !star {
		return s == string(p)
	}
	if !strings.HasPrefix(s, before) {
		return false
	}
	s = s[len(before):]
	for {
		part, more, star := strings.Cut(rest, "*")
		if !star {
			return strings.HasSuffix(s, part)
		}
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s, rest = s[i+len(part):], more
	}
}

// index finds the patterns that a name fits.
type index[V any] struct {
	exact map[string][]V
	// begin has the patterns with a star by their first bytes, other those
	// that have too few.
	begin map[string][]glob[V]
	other []glob[V]
}

type glob[V any] struct {
	pattern
	v V
}

// headLen is how many bytes tell patterns with a star apart.
const headLen = 3

func (x *index[V]) add(p string, v V) {
	if x.exact == nil {
		x.exact, x.begin = map[string][]V{}, map[string][]glob[V]{}
	}
	switch star := strings.IndexByte(p, '*'); {
	case star < 0:
		x.exact[p] = append(x.exact[p], v)
	case star >= headLen:
		x.begin[p[:headLen]] = append(x.begin[p[:headLen]], glob[V]{pattern(p), v})
	default:
		x.other = append(x.other, glob[V]{pattern(p), v})
	}
}

func (x *index[V]) find(s string) []V {
	vs := x.exact[s]
	vs = vs[:len(vs):len(vs)]
	for _, g := range x.begin[s[:min(headLen, len(s))]] {
		if g.match(s) {
			vs = append(vs, g.v)
		}
	}
	for _, g := range x.other {
		if g.match(s) {
			vs = append(vs, g.v)
		}
	}
	return vs
}

func (w *table) find(fn string) name {
	return name{
		plumbing: len(w.plumb.find(fn)) > 0,
		noise:    len(w.quiet.find(fn)) > 0,
		hits:     w.patterns.find(fn),
	}
}

// categories are those that a row may have.
var categories = map[string]bool{
	"lock": true, "io": true, "memory": true, "server": true, "fs": true,
	"device": true, "rcu": true, "process": true, "event": true,
}

// What a row has that says nothing of it.
const (
	defaultPriority = 50
	defaultWithin   = 3
)

// stanza is a group of lines "key: value" in one of the tables.
type stanza struct {
	line   int
	fields []field
}

type field struct {
	line       int
	key, value string
}

// readStanzas reads the form that both tables have: lines "key: value", groups
// of them apart by empty lines, values that go on in lines that begin with a
// blank, and comments behind "#" at a line's beginning.
func readStanzas(file, text string) ([]stanza, error) {
	var all []stanza
	open := false
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimRight(line, " \t\r\n")
		switch {
		case line == "":
			open = false
		case line[0] == '#':
		case line[0] == ' ' || line[0] == '\t':
			if !open {
				return nil, fmt.Errorf("%s:%d: a line that goes on, and nothing before it", file, n)
			}
			s := &all[len(all)-1]
			s.fields[len(s.fields)-1].value += " " + strings.TrimSpace(line)
		default:
			key, value, ok := strings.Cut(line, ":")
			if !ok {
				return nil, fmt.Errorf("%s:%d: no colon: want \"key: value\"", file, n)
			}
			if !open {
				all = append(all, stanza{line: n})
				open = true
			}
			s := &all[len(all)-1]
			s.fields = append(s.fields, field{n, key, strings.TrimSpace(value)})
		}
	}
	return all, nil
}

// readWaits reads a table of waits. Its form is told at the head of waits.txt.
func readWaits(file, text string) (*table, error) {
	stanzas, err := readStanzas(file, text)
	if err != nil {
		return nil, err
	}
	w := &table{memo: memo{seed: maphash.MakeSeed(), stack: map[uint64]verdict{}, name: map[string]name{}}}
	ids := map[string]int{}
	for _, s := range stanzas {
		switch s.fields[0].key {
		case "plumbing", "noise":
			x := &w.plumb
			if s.fields[0].key == "noise" {
				x = &w.quiet
			}
			for _, f := range s.fields {
				if f.key != s.fields[0].key {
					return nil, fmt.Errorf("%s:%d: %q does not belong to %s", file, f.line, f.key, s.fields[0].key)
				}
				for p := range strings.FieldsSeq(f.value) {
					x.add(p, struct{}{})
				}
			}
			continue
		case "id":
		default:
			return nil, fmt.Errorf("%s:%d: a row begins with id, not with %q", file, s.line, s.fields[0].key)
		}
		r, err := w.readRow(file, s)
		if err != nil {
			return nil, err
		}
		if was := ids[r.ID]; was > 0 {
			return nil, fmt.Errorf("%s:%d: %q stands in line %d already", file, s.line, r.ID, was)
		}
		ids[r.ID] = s.line
		w.rows = append(w.rows, r)
	}
	return w, nil
}

func (w *table) readRow(file string, s stanza) (row, error) {
	r := row{line: s.line, priority: defaultPriority, within: defaultWithin}
	n := int16(len(w.rows))
	anyOf := false
	for _, f := range s.fields {
		var err error
		switch f.key {
		case "id":
			r.ID = f.value
		case "what":
			r.What = f.value
		case "category":
			r.Category = f.value
			if !categories[f.value] {
				err = fmt.Errorf("no category %q", f.value)
			}
		case "holder":
			r.Holder = f.value
		case "next":
			r.Next = f.value
		case "refute":
			r.Refute = f.value
		case "normal":
			r.Normal = f.value == "yes"
			if !r.Normal {
				err = fmt.Errorf("normal is \"yes\" or is left out, not %q", f.value)
			}
		case "priority":
			r.priority, err = strconv.Atoi(f.value)
		case "within":
			if f.value == "all" {
				r.within = -1
			} else if r.within, err = strconv.Atoi(f.value); err == nil && r.within < 0 {
				err = fmt.Errorf("within is a number of frames or \"all\", not %q", f.value)
			}
		case "any":
			for p := range strings.FieldsSeq(f.value) {
				w.patterns.add(p, hit{row: n, kind: kindAny})
				anyOf = true
			}
		case "not":
			for p := range strings.FieldsSeq(f.value) {
				w.patterns.add(p, hit{row: n, kind: kindNot})
			}
		case "all":
			for p := range strings.FieldsSeq(f.value) {
				i := 0
				for r.need>>i&1 != 0 {
					i++
				}
				if i == 16 {
					err = fmt.Errorf("more than 16 patterns of which all must stand")
					break
				}
				r.need |= 1 << i
				for alt := range strings.SplitSeq(p, "|") {
					w.patterns.add(alt, hit{row: n, kind: kindAll, n: uint8(i)})
				}
			}
		case "module":
			for p := range strings.FieldsSeq(f.value) {
				m, not := strings.CutPrefix(p, "!")
				r.modules = append(r.modules, modulePattern{not, pattern(m)})
			}
		case "caller":
			for p := range strings.FieldsSeq(f.value) {
				r.callers = append(r.callers, pattern(p))
			}
		case "sample":
			r.samples = append(r.samples, sample{f.line, readStack(f.value)})
		default:
			err = fmt.Errorf("no key %q", f.key)
		}
		if err != nil {
			return r, fmt.Errorf("%s:%d: %w", file, f.line, err)
		}
	}
	for _, f := range [...][2]string{
		{"what", r.What}, {"category", r.Category}, {"holder", r.Holder}, {"next", r.Next}, {"refute", r.Refute},
	} {
		if f[1] == "" {
			return r, fmt.Errorf("%s:%d: row %q has no %s", file, s.line, r.ID, f[0])
		}
	}
	if !kebab(r.ID) {
		return r, fmt.Errorf("%s:%d: id %q: want small letters, digits and single hyphens", file, s.line, r.ID)
	}
	if !anyOf {
		return r, fmt.Errorf("%s:%d: row %q has no pattern in any", file, s.line, r.ID)
	}
	if len(r.samples) == 0 {
		return r, fmt.Errorf("%s:%d: row %q has no sample", file, s.line, r.ID)
	}
	return r, nil
}

func kebab(s string) bool {
	for part := range strings.SplitSeq(s, "-") {
		if part == "" || strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
			return false
		}
	}
	return true
}

// readStack reads a sample: names from the top, "?name" for a guess, "name[mod]"
// for a module's, "<irq>name" for another stack's.
func readStack(s string) []dump.Frame {
	var stack []dump.Frame
	for word := range strings.FieldsSeq(s) {
		var f dump.Frame
		if rest, ok := strings.CutPrefix(word, "<"); ok {
			f.Context, word, _ = strings.Cut(rest, ">")
		}
		word, f.Guess = strings.CutPrefix(word, "?")
		f.Func, f.Module, _ = strings.Cut(strings.TrimSuffix(word, "]"), "[")
		stack = append(stack, f)
	}
	return stack
}

// row finds a row by its id; nil if there is none.
func (w *table) row(id string) *row {
	for i := range w.rows {
		if w.rows[i].ID == id {
			return &w.rows[i]
		}
	}
	return nil
}
