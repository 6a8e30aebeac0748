package lab

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"
)

func buildArchive(t *testing.T, level int) []byte {
	t.Helper()
	var out bytes.Buffer
	a := newArchive(&out, level)
	a.Device("/dev/null", 0o666, 1, 3)
	a.File("/a/b/file", 0o755, strings.NewReader("hello"), 5)
	a.File("a/b/empty", 0o600, strings.NewReader(""), 0)
	a.Link("/a/link", "b/file")
	a.Dir("/a/b/")
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestArchive(t *testing.T) {
	const want = "070701" + "00000001" + "000041ED" + "00000000" + "00000000" + "00000002" +
		"00000000" + "00000000" + "00000000" + "00000000" + "00000000" + "00000000" + "00000004" + "00000000" + "dev\x00"
	plain := buildArchive(t, 0)
	if !bytes.HasPrefix(plain, []byte(want)) {
		t.Errorf("begins with %q, want %q", plain[:len(want)], want)
	}
	if len(plain)%4 != 0 || !bytes.Contains(plain, []byte("TRAILER!!!\x00")) {
		t.Error("does not end as it should")
	}
	gz, err := gzip.NewReader(bytes.NewReader(buildArchive(t, gzip.BestSpeed)))
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := io.ReadAll(gz)
	if err != nil || !bytes.Equal(plain, unpacked) {
		t.Errorf("compressed, it is another: %v", err)
	}
}

func TestArchiveWrongSize(t *testing.T) {
	a := newArchive(io.Discard, 0)
	a.File("/f", 0o644, strings.NewReader("abc"), 5)
	if err := a.Close(); err == nil || !strings.Contains(err.Error(), "/f: 3 bytes instead of 5") {
		t.Errorf("a file that shrank: %v", err)
	}
	a = newArchive(io.Discard, 0)
	a.File("/f", 0o644, failing{}, 5)
	if err := a.Close(); !errors.Is(err, errFailing) {
		t.Errorf("a file that cannot be read: %v", err)
	}
}

var errFailing = errors.New("failing")

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errFailing }
