// Package corpus makes golden files (see package golden): it boots a real
// kernel, brings it into a state that is known because it was made, triggers
// commands, and writes down what the kernel said together with the truth.
//
// The truth is never read from the dump. Which tasks are blocked is asked of
// /proc before and after it, and a dump that was made while that changed is
// made again.
package corpus
