package guest

import "encoding/binary"

// Pattern is pseudo-random data of which any part can be computed without what
// comes before it, so that a byte in the middle of a file can be judged alone.
// It is splitmix64 in counter mode.
type Pattern uint64

// Fill writes the data that stands at offset off into p. off and len(p) are
// multiples of 8.
func (s Pattern) Fill(p []byte, off int64) {
	x := uint64(s) + uint64(off/8)*0x9e3779b97f4a7c15
	for ; len(p) >= 8; p = p[8:] {
		x += 0x9e3779b97f4a7c15
		z := x
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		binary.LittleEndian.PutUint64(p, z^z>>31)
	}
}
