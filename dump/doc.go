// Package dump reads what SysRq commands and the kernel's own alarms print, as
// typed blocks: tasks and their stacks, processors, memory, locks, workqueues,
// timers, traces; hung tasks, lockups, stalls, oopses, panics, OOM kills. It
// does not know why something was printed, nor what it means: that is package
// diagnose.
//
// A [Parser] takes any text that holds a kernel's log ([kmsg.Log] takes the
// prefixes off) and yields one [Block] after the other, in the order in which
// they end. Each block says from which lines of the source it was read. Text
// that looks like a part of a dump and could not be read is a block as well, of
// kind [KindUnread]: nothing is dropped silently.
//
// Memory is bounded by the largest block, however long the input is. A block is
// valid until the next Scan; [Block.Clone] keeps it.
package dump
