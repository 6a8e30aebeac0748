package guest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Superblock is what an ext4 superblock says about how the file system was
// left.
type Superblock struct {
	Clean    bool   `json:"clean"`    // unmounted or remounted read-only in order
	Recovery bool   `json:"recovery"` // the journal must be replayed
	Errors   uint32 `json:"errors"`   // errors that the kernel has noted
	Label    string `json:"label,omitempty"`
}

// ErrNotExt4 is returned for something that has no ext4 superblock.
var ErrNotExt4 = errors.New("no ext4 superblock")

// ParseSuperblock reads the primary superblock of the device or image r.
func ParseSuperblock(r io.ReaderAt) (Superblock, error) {
	var b [1024]byte
	if _, err := r.ReadAt(b[:], 1024); err != nil {
		return Superblock{}, fmt.Errorf("read superblock: %w", err)
	}
	le := binary.LittleEndian
	if le.Uint16(b[0x38:]) != 0xef53 {
		return Superblock{}, ErrNotExt4
	}
	state := le.Uint16(b[0x3a:]) // 1: clean, 2: errors, 4: orphans are being recovered
	label := b[0x78:0x88]
	for i, c := range label {
		if c == 0 {
			label = label[:i]
			break
		}
	}
	return Superblock{
		Clean:    state&1 != 0 && state&2 == 0,
		Recovery: le.Uint32(b[0x60:])&4 != 0,
		Errors:   le.Uint32(b[0x194:]),
		Label:    string(label),
	}, nil
}
