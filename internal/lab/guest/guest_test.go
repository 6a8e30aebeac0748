package guest

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPattern(t *testing.T) {
	all := make([]byte, 4096)
	Pattern(42).Fill(all, 0)
	// The first outputs of splitmix64 with seed 42, as others give them.
	for i, want := range []uint64{0xbdd732262feb6e95, 0x28efe333b266f103, 0x47526757130f9f52} {
		if got := binary.LittleEndian.Uint64(all[8*i:]); got != want {
			t.Errorf("word %d is %#x, want %#x", i, got, want)
		}
	}
	part := make([]byte, 1024)
	Pattern(42).Fill(part, 2048)
	if !bytes.Equal(part, all[2048:3072]) {
		t.Error("a part differs from the whole")
	}
	Pattern(43).Fill(part, 2048)
	if bytes.Equal(part, all[2048:3072]) {
		t.Error("seeds make no difference")
	}
}

func TestDirtyAndVerify(t *testing.T) {
	const size = 3*blockSize + 1001
	path := filepath.Join(t.TempDir(), "data")
	if _, err := dirty(Dirty{Path: path, Bytes: size, Seed: 7}); err != nil {
		t.Fatal(err)
	}
	check := func(what string, want Verified) {
		t.Helper()
		got, err := verify(Verify{Path: path, Bytes: size, Seed: 7})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, *got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	check("whole", Verified{Size: size, Right: size, Wrong: -1})
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[blockSize+5] ^= 1
	data[size-1] ^= 1
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	check("two bytes changed", Verified{Size: size, Right: size - 2, Wrong: blockSize + 5})
	if err := os.WriteFile(path, data[:blockSize], 0o644); err != nil {
		t.Fatal(err)
	}
	check("cut off", Verified{Size: blockSize, Right: blockSize, Wrong: blockSize})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	check("gone", Verified{Size: -1})
}

func TestParseSuperblock(t *testing.T) {
	image := func(change func(sb []byte)) *bytes.Reader {
		b := make([]byte, 2048)
		sb := b[1024:]
		binary.LittleEndian.PutUint16(sb[0x38:], 0xef53)
		binary.LittleEndian.PutUint16(sb[0x3a:], 1)
		copy(sb[0x78:], "slow\x00junk")
		change(sb)
		return bytes.NewReader(b)
	}
	for _, c := range []struct {
		name   string
		change func(sb []byte)
		want   Superblock
	}{
		{"clean", func([]byte) {}, Superblock{Clean: true, Label: "slow"}},
		{"in use", func(sb []byte) { sb[0x60] = 0xc6 }, Superblock{Clean: true, Recovery: true, Label: "slow"}},
		{"no journal", func(sb []byte) { sb[0x3a] = 0 }, Superblock{Label: "slow"}},
		{"errors", func(sb []byte) { sb[0x3a] = 3; sb[0x194] = 9 }, Superblock{Errors: 9, Label: "slow"}},
	} {
		got, err := ParseSuperblock(image(c.change))
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", c.name, got, err, c.want)
		}
	}
	if _, err := ParseSuperblock(image(func(sb []byte) { sb[0x38] = 0 })); !errors.Is(err, ErrNotExt4) {
		t.Errorf("no magic: %v", err)
	}
	if _, err := ParseSuperblock(bytes.NewReader(nil)); err == nil {
		t.Error("an empty device has a superblock")
	}
}

// TestOpJSON keeps the wire small: an op is nothing but its name and what was
// set.
func TestOpJSON(t *testing.T) {
	line, err := json.Marshal(Op{ID: 3, Freeze: &Freeze{Target: "/x"}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(line), `{"id":3,"freeze":{"target":"/x"}}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestNotInit(t *testing.T) {
	if IsInit() {
		t.Error("a test is taken for a guest's init")
	}
	if !Able() {
		t.Error("a program that asked is not able")
	}
}
