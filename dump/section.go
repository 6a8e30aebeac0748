package dump

// section says which builder reads the blocks that a class of line begins: one
// for each part of a dump that has a grammar of its own. Its take is offered
// every line of its lane and refuses what is not its own; the first line that
// it is offered is the one that it was made for, while head.First is still 0.
// take copies what it keeps, by p.names.of, and reuses its body's slices.
func section(c class) (Kind, func() builder) {
	switch c {
	default:
		return "", nil
	}
}
