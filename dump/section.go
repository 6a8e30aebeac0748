package dump

// section says which builder reads the blocks that a class of line begins: one
// for each part of a dump that has a grammar of its own. Its take is offered
// every line of its lane and refuses what is not its own; the first line that
// it is offered is the one that it was made for, while head.First is still 0.
// take copies what it keeps, by p.names.of, and reuses its body's slices.
func section(c class) (Kind, func() builder) {
	switch c {
	case cMemory:
		return KindMemory, func() builder { return new(memoryBuilder) }
	case cOOM, cOOMPart:
		return KindOOM, func() builder { return new(oomBuilder) }
	case cAlloc:
		return KindAllocation, func() builder { return new(oomBuilder) }
	case cLocks:
		return KindLocks, func() builder { return new(locksBuilder) }
	case cTimers:
		return KindTimers, func() builder { return new(timersBuilder) }
	case cSched:
		return KindSched, func() builder { return new(schedBuilder) }
	case cFtrace:
		return KindTrace, func() builder { return new(traceBuilder) }
	case cWorkqueues:
		return KindWorkqueues, func() builder { return new(workqueueBuilder) }
	}
	return "", nil
}

// isSection tells the builders of sections, which know themselves how their
// lines wrap, from those of stacks and of single lines.
func isSection(b builder) bool {
	switch b.(type) {
	case *taskBuilder, *reportBuilder, *headerBuilder, *helpBuilder, *unreadBuilder:
		return false
	}
	return true
}

// resumes gives a line to a section that another block began in the midst of.
// Their lines say by themselves what they belong to, or belong to nothing.
func (p *Parser) resumes(ln *lane, l *line) bool {
	for i := len(ln.left) - 1; i >= 0; i-- {
		b := ln.left[i]
		if !isSection(b) || !b.take(p, l) {
			continue
		}
		p.mixed(ln, b, DoubtInterleaved)
		p.took(b, l)
		return true
	}
	return false
}
