// Package lab makes disposable machines on real kernels: for tests, and for
// people who want to practise.
//
// [Find] fetches a kernel, [Start] boots it with this project's own program as
// its init (see package guest), and [Machine] is the handle: what its console
// says, what it is asked to do from inside, what happens to its disks. Nothing
// needs root, and nothing is left behind, however the caller ends.
package lab
