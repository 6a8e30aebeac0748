// Package guest is the inside of a disposable machine: process 1 of its
// kernel, which does what the lab asks.
//
// The sysrq program itself is that process, so that a machine needs nothing
// but a kernel and one file. This package is therefore linked into the
// production binary, and does nothing there: it has no initialisers, and
// [IsInit] is one comparison.
package guest
