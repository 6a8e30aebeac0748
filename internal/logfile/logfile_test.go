package logfile

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
	"go.uber.org/goleak"
)

// text is a log, n lines long, that does not pack to nothing.
func text(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for range n {
		b.WriteString("[    1.000000] ")
		for range 6 {
			b.WriteString([]string{"ata1: ", "reset ", "usb ", "link up ", "task:"}[r.IntN(5)])
			b.WriteByte(byte('0' + r.IntN(75)))
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

func pack(t testing.TB, format string, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	var err error
	switch format {
	case "gzip":
		w = gzip.NewWriter(&out)
	case "xz":
		w, err = xz.NewWriter(&out)
	case "zstd":
		w, err = zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func join(all ...[]byte) []byte { return bytes.Join(all, nil) }

func TestNew(t *testing.T) {
	defer goleak.VerifyNone(t)
	a, b := text(3000), text(10)
	type test struct {
		name     string
		in, want []byte
	}
	tests := []test{
		{"empty", nil, nil},
		{"short", []byte("a"), []byte("a")},
		{"the beginning of a magic", []byte("\x1f\x8b"), []byte("\x1f\x8b")},
		{"almost a magic", []byte("\xfd7zXY\x00 x"), []byte("\xfd7zXY\x00 x")},
		{"plain", a, a},
		{"a third layer stays", pack(t, "xz", pack(t, "gzip", pack(t, "zstd", b))), pack(t, "zstd", b)},
		{"zstd with a frame to skip", join([]byte("\x50\x2a\x4d\x18\x03\x00\x00\x00xyz"), pack(t, "zstd", a)), a},
		{"gzip, filled up", join(pack(t, "gzip", a), make([]byte, 1000)), a},
		{"xz, filled up", join(pack(t, "xz", a), make([]byte, 1000)), a},
	}
	for _, f := range []string{"gzip", "xz", "zstd"} {
		tests = append(tests,
			test{f, pack(t, f, a), a},
			test{f + " of nothing", pack(t, f, nil), nil},
			test{f + " twice", join(pack(t, f, a), pack(t, f, b)), join(a, b)},
			test{f + " in gzip", pack(t, "gzip", pack(t, f, a)), a},
			test{f + " in xz", pack(t, "xz", pack(t, f, a)), a},
			test{f + " in zstd", pack(t, "zstd", join(pack(t, f, a), pack(t, f, b))), join(a, b)},
		)
	}
	for _, c := range tests {
		for how, r := range map[string]io.Reader{
			"":                    bytes.NewReader(c.in),
			", byte by byte":      iotest.OneByteReader(bytes.NewReader(c.in)),
			", with EOF at once":  iotest.DataErrReader(bytes.NewReader(c.in)),
			", half of each Read": iotest.HalfReader(bytes.NewReader(c.in)),
		} {
			f := New(r)
			got, err := io.ReadAll(f)
			if err != nil || !bytes.Equal(got, c.want) {
				t.Errorf("%s%s: %d bytes and %v, want %d", c.name, how, len(got), err, len(c.want))
			}
			if err := f.Close(); err != nil {
				t.Errorf("%s: Close: %v", c.name, err)
			}
			if _, err := f.Read(make([]byte, 1)); err == nil {
				t.Errorf("%s: read after Close", c.name)
			}
		}
	}
}

// What came before the damage stays usable.
func TestDamaged(t *testing.T) {
	defer goleak.VerifyNone(t)
	a := text(30000)
	for _, f := range []string{"gzip", "xz", "zstd"} {
		whole := pack(t, f, a)
		flipped := bytes.Clone(whole)
		flipped[len(whole)*3/4] ^= 0x55
		for name, c := range map[string]struct {
			in   []byte
			most bool // most of the text comes
		}{
			"cut":             {whole[:len(whole)*3/4], true},
			"flipped":         {flipped, true},
			"cut at the end":  {whole[:len(whole)-1], true},
			"cut in its head": {whole[:7], false},
			"then something":  {join(whole, []byte("something")), true},
			"then half":       {join(whole, whole[:len(whole)/2]), true},
		} {
			r := New(bytes.NewReader(c.in))
			got, err := io.ReadAll(r)
			r.Close()
			var d *DamagedError
			if !errors.As(err, &d) {
				t.Errorf("%s, %s: error %v", f, name, err)
				continue
			}
			if d.Format != f || d.Good != int64(len(got)) || d.At > int64(len(c.in)) || d.At < int64(len(c.in))/8 {
				t.Errorf("%s, %s: %+v of %d bytes, and %d came", f, name, d, len(c.in), len(got))
			}
			if c.most && len(got) < len(a)/2 || !bytes.HasPrefix(join(a, a), got) && name != "flipped" {
				t.Errorf("%s, %s: only %d of %d bytes came, or others: %v", f, name, len(got), len(a), err)
			}
			if name == "flipped" && !bytes.HasPrefix(got, a[:len(a)/2]) {
				t.Errorf("%s, %s: the beginning is not what it was", f, name)
			}
		}
		// In another.
		r := New(bytes.NewReader(pack(t, "gzip", whole[:len(whole)/2])))
		if got, err := io.ReadAll(r); !errors.As(err, new(*DamagedError)) || len(got) == 0 {
			t.Errorf("%s in gzip: %d bytes and %v", f, len(got), err)
		}
		r.Close()
	}
}

// An error of the source is not the archive's.
func TestSourceFails(t *testing.T) {
	broken := errors.New("broken")
	for _, f := range []string{"", "gzip", "xz", "zstd"} {
		in := text(3000)
		if f != "" {
			in = pack(t, f, in)
		}
		r := New(io.MultiReader(bytes.NewReader(in[:len(in)/2]), iotest.ErrReader(broken)))
		_, err := io.ReadAll(r)
		r.Close()
		if err != broken {
			t.Errorf("%q: %v", f, err)
		}
	}
}

// An archive can not have as much memory as it likes.
func TestMemory(t *testing.T) {
	small := pack(t, "xz", text(10))
	greedy := bytes.Clone(small)
	i := bytes.Index(greedy[:24], []byte{0x21, 1})
	greedy[i+2] = 39 // 3 GiB
	w, err := zstd.NewWriter(nil, zstd.WithWindowSize(512<<20), zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	var z bytes.Buffer
	w.Reset(&z)
	for range 100 {
		w.Write(make([]byte, 1<<20))
		w.Flush()
	}
	w.Close()
	for name, in := range map[string][]byte{"xz": greedy, "zstd": z.Bytes()} {
		r := New(bytes.NewReader(in))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := io.ReadAll(r)
		runtime.ReadMemStats(&after)
		r.Close()
		if err == nil || !strings.Contains(err.Error(), "MiB of memory") {
			t.Errorf("%s: %v", name, err)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 64<<20 {
			t.Errorf("%s: took %d MiB", name, grown>>20)
		}
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	a := text(3000)
	name := filepath.Join(dir, "messages.1")
	if err := os.WriteFile(name, pack(t, "zstd", a), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, a) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	bad := filepath.Join(dir, "bad")
	if err := os.WriteFile(bad, pack(t, "gzip", a)[:1000], 0o600); err != nil {
		t.Fatal(err)
	}
	if f, err = Open(bad); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(f); err == nil || !strings.HasPrefix(err.Error(), "unpack "+bad+": gzip archive is damaged near byte 1000, ") {
		t.Errorf("error %v", err)
	}
	f.Close()
	if _, err := Open(filepath.Join(dir, "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	if f, err = Open(dir); err == nil {
		if _, err := f.Read(make([]byte, 1)); err == nil {
			t.Error("a directory was read")
		}
		f.Close()
	}
}

func FuzzNew(f *testing.F) {
	for _, format := range []string{"gzip", "xz", "zstd"} {
		f.Add(pack(f, format, text(3)))
		f.Add(pack(f, "gzip", pack(f, format, text(3))))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r := New(bytes.NewReader(in))
		defer r.Close()
		io.Copy(io.Discard, io.LimitReader(r, 16<<20))
	})
}

// TestUTF16: what PowerShell writes is a log as well, and a mark that nothing
// stands behind is none.
func TestUTF16(t *testing.T) {
	const want = "[    1.000000] task:bäckup\n[    1.000001] \U0001f600 Call Trace:\n"
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		b := order.AppendUint16(nil, 0xfeff)
		for _, u := range utf16.Encode([]rune(strings.Repeat(want, 500))) {
			b = order.AppendUint16(b, u)
		}
		for _, src := range []io.Reader{bytes.NewReader(b), iotest.OneByteReader(bytes.NewReader(b)), bytes.NewReader(pack(t, "gzip", b))} {
			got, err := io.ReadAll(New(src))
			if err != nil || string(got) != strings.Repeat(want, 500) {
				t.Errorf("%v: %v, %d bytes", order, err, len(got))
			}
		}
		if got, err := io.ReadAll(New(bytes.NewReader(b[:7]))); err != nil || string(got) != "[ " {
			t.Errorf("cut: %q, %v", got, err)
		}
	}
	for _, same := range []string{"\xff", "\xfe", "\xff[  1.000000] x", "\xfe\xfd"} {
		if got, err := io.ReadAll(New(strings.NewReader(same))); err != nil || string(got) != same {
			t.Errorf("%q became %q, %v", same, got, err)
		}
	}
}
