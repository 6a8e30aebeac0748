package diagnose

import (
	"cmp"
	"slices"
	"strings"

	"github.com/sysrq/sysrq/dump"
)

// Groups are made in two steps: tasks with one stack first, then stacks that
// wait at the same place, called by the same few functions, for the same thing.
// What stands further down is how they came there.

// near is how many names below the site have to be equal for two stacks to be
// alike.
const near = 4

// likeness is the key under which stacks are alike.
func (s *stack) likeness() string {
	if s.like != "" {
		return s.like
	}
	s.about()
	var b strings.Builder
	if s.wait != nil {
		b.WriteString(s.wait.ID)
	}
	from := s.site.at
	if from >= len(s.fn) {
		from = 0
	}
	b.WriteByte(' ')
	b.WriteByte('0' + byte(s.site.kind))
	for _, f := range s.fn[from:min(from+near, len(s.fn))] {
		b.WriteByte(' ')
		b.WriteString(f)
	}
	s.like = b.String()
	return s.like
}

// maxGroupTasks and maxGroupLines bound what a group lists; Count counts all.
const (
	maxGroupTasks = 1 << 12
	maxGroupLines = 256
)

type groupKey struct {
	like  string
	state string
}

func (a *Analyzer) groupList() []Group {
	at := map[groupKey]int{}
	groups := []Group{}
	ids := []int{} // of the group's stack
	for _, t := range a.tasks.all {
		k := t.stack
		if k == nil {
			continue
		}
		key := groupKey{k.likeness(), t.state}
		i, ok := at[key]
		if !ok {
			i = len(groups)
			at[key] = i
			g := Group{State: t.state, Stack: slices.Clone(k.frames), Tasks: []TaskRef{}, Lines: []dump.Span{}, Workqueue: t.workqueue}
			if k.wait != nil && t.blocked {
				g.Wait = k.wait.ID
			} else if t.blocked {
				g.Wait = "unknown"
			}
			groups = append(groups, g)
			ids = append(ids, t.n)
		}
		g := &groups[i]
		g.Count++
		if len(g.Tasks) < maxGroupTasks {
			g.Tasks = append(g.Tasks, t.TaskRef)
		}
		if len(g.Lines) < maxGroupLines && len(t.lines) > 0 {
			g.Lines = append(g.Lines, t.lines[len(t.lines)-1])
		}
	}
	order := make([]int, len(groups))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		return cmp.Or(
			cmp.Compare(rankState(groups[i].State), rankState(groups[j].State)),
			cmp.Compare(groups[j].Count, groups[i].Count),
			cmp.Compare(ids[i], ids[j]),
		)
	})
	sorted := make([]Group, len(groups))
	for i, j := range order {
		sorted[i] = groups[j]
	}
	return sorted
}

// rankState puts first what a person looks for: the blocked, then the running.
func rankState(s string) int {
	switch s {
	case "D":
		return 0
	case "R":
		return 1
	case "":
		return 2
	}
	return 3
}
