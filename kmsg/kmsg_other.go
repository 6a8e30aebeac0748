//go:build !linux

package kmsg

import (
	"errors"
	"os"
)

// Nobody else has a /dev/kmsg, so nobody returns these but tests.
var (
	errOverrun = errors.New("records were overwritten")
	errTooBig  = errors.New("record too big")
)

// OpenAt is [Open] with a choice of where to begin.
func OpenAt(path string, _ Start) (*Reader, error) {
	return nil, &os.PathError{Op: "open", Path: path, Err: errors.ErrUnsupported}
}

// OpenWriter opens the kernel's log for writing.
func OpenWriter(path string) (*Writer, error) {
	return nil, &os.PathError{Op: "open", Path: path, Err: errors.ErrUnsupported}
}
