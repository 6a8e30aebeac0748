// Package qmp reaches a QEMU guest through its machine's monitor: keys go in
// as a keyboard's or as a BREAK on a serial line, the console's socket brings
// back what the kernel prints, and the monitor's events tell of a reset.
//
// [Monitor] is a client for the machine protocol that can be used alone.
package qmp
