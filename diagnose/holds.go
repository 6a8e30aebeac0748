package diagnose

import (
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

//go:embed holds.txt
var holdsText string

// holds is the table of holds.txt, read once, when it is first asked for. What
// is wrong with it is found by this package's tests.
var holds = sync.OnceValue(func() *holdTable {
	h, err := readHolds("holds.txt", holdsText)
	if err != nil {
		panic(err)
	}
	return h
})

// holdRow is one thing that tasks hold and wait for.
type holdRow struct {
	id, label string
	within    int
	by, also  index[struct{}]
	own       index[struct{}]
	anyAlso   bool
	anyBy     bool
	lock      bool
	likely    bool
	comms     []pattern
}

// holdTable finds the rows by functions' names.
type holdTable struct {
	rows   []holdRow
	wants  index[int]
	inside index[int]
	not    index[int]
	known  sync.Map // name to holdName
}

type holdName struct{ wants, inside, not []int }

func (h *holdTable) name(fn string) holdName {
	if n, ok := h.known.Load(fn); ok {
		return n.(holdName)
	}
	n := holdName{h.wants.find(fn), h.inside.find(fn), h.not.find(fn)}
	h.known.Store(fn, n)
	return n
}

func readHolds(file, text string) (*holdTable, error) {
	stanzas, err := readStanzas(file, text)
	if err != nil {
		return nil, err
	}
	h := &holdTable{}
	seen := map[string]bool{}
	for _, s := range stanzas {
		r := holdRow{within: 3, anyBy: true, anyAlso: true}
		n := len(h.rows)
		want, in := false, false
		for _, f := range s.fields {
			words := strings.FieldsSeq(f.value)
			switch f.key {
			case "id":
				r.id = f.value
			case "label":
				r.label = f.value
			case "within":
				if r.within, err = strconv.Atoi(f.value); err != nil {
					return nil, fmt.Errorf("%s:%d: %w", file, f.line, err)
				}
			case "by":
				r.anyBy = false
				for w := range words {
					r.by.add(w, struct{}{})
				}
			case "also":
				r.anyAlso = false
				for w := range words {
					r.also.add(w, struct{}{})
				}
			case "own":
				for w := range words {
					r.own.add(w, struct{}{})
				}
			case "lock":
				r.lock = f.value == "yes"
			case "likely":
				r.likely = f.value == "yes"
			case "wants":
				want = true
				for w := range words {
					h.wants.add(w, n)
				}
			case "inside":
				in = true
				for w := range words {
					h.inside.add(w, n)
				}
			case "not":
				for w := range words {
					h.not.add(w, n)
				}
			case "comm":
				for w := range words {
					r.comms = append(r.comms, pattern(w))
				}
			default:
				return nil, fmt.Errorf("%s:%d: no key %q", file, f.line, f.key)
			}
		}
		if r.id == "" || r.label == "" || !want || !in || seen[r.id] {
			return nil, fmt.Errorf("%s:%d: a row has an id of its own, label, wants and inside", file, s.line)
		}
		seen[r.id] = true
		h.rows = append(h.rows, r)
	}
	return h, nil
}

// want is the row of what a stack waits for, and the name that says so; -1 where
// no row fits. The nearest to the top wins.
func (h *holdTable) want(s *stack) (row, at int) {
	s.about()
	if s.site.at >= len(s.fn) {
		return -1, -1
	}
	for i := s.site.at; i < len(s.fn) && i < s.site.at+6; i++ {
		for _, n := range h.name(s.fn[i]).wants {
			r := &h.rows[n]
			if i-s.site.at >= r.within || r.lock && s.site.kind == noLock {
				continue
			}
			if !r.anyBy && (i == 0 || len(r.by.find(s.fn[i-1])) == 0) {
				continue
			}
			if !r.anyAlso && !slices.ContainsFunc(s.fn[i:], func(f string) bool { return len(r.also.find(f)) > 0 }) {
				continue
			}
			return n, i
		}
	}
	return -1, -1
}

// has reports whether a task is inside what row n is about: the name that says
// so, or -1. from is the first name that is looked at.
func (h *holdTable) has(s *stack, comm string, n, from int) int {
	for i := from; i < len(s.fn); i++ {
		for _, m := range h.name(s.fn[i]).not {
			if m == n {
				return -1
			}
		}
	}
	for i := from; i < len(s.fn); i++ {
		for _, m := range h.name(s.fn[i]).inside {
			if m == n {
				return i
			}
		}
	}
	for _, p := range h.rows[n].comms {
		if p.match(comm) {
			return s.site.at
		}
	}
	return -1
}
