package lab

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"
)

func TestCopyChanged(t *testing.T) {
	dir := t.TempDir()
	source := fstest.MapFS{"sub/one.c": {Data: []byte("one")}, "sub/two.c": {Data: []byte("two")}}
	if err := copyChanged(source, dir); err != nil {
		t.Fatal(err)
	}
	old := time.Unix(1, 0)
	for _, name := range []string{"one.c", "two.c"} {
		if err := os.Chtimes(filepath.Join(dir, name), old, old); err != nil {
			t.Fatal(err)
		}
	}
	source["sub/two.c"].Data = []byte("2")
	if err := copyChanged(source, dir); err != nil {
		t.Fatal(err)
	}
	for name, written := range map[string]bool{"one.c": false, "two.c": true} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.ModTime().Equal(old) == written {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

// TestCompressedModules: what is compressed is unpacked, and what a kernel
// without a list of what it has inside lacks may be inside.
func TestCompressedModules(t *testing.T) {
	if _, err := exec.LookPath("xz"); err != nil {
		if Wanted() {
			t.Fatal(err)
		}
		t.Skip("no xz")
	}
	k := Kernel{Arch: "amd64", Release: "1.0", dir: t.TempDir()}
	at := filepath.Join(k.dir, "lib/modules/1.0/kernel")
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, needs := range map[string]string{"upper-half": "lower_half", "lower-half": ""} {
		file := filepath.Join(at, name+".ko")
		if err := os.WriteFile(file, []byte("\x00depends="+needs+"\x00"), 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("xz", file).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	dir := t.TempDir()
	files, err := k.withDependencies(context.Background(), []string{"upper_half", "inside"}, dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{filepath.Join(dir, "lower_half.ko"), filepath.Join(dir, "upper_half.ko")}
	if len(files) != 2 || files[0] != want[0] || files[1] != want[1] {
		t.Errorf("%v, want %v", files, want)
	}
	list := filepath.Join(k.modules(), "modules.builtin")
	if err := os.WriteFile(list, []byte("kernel/other.ko\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := k.withDependencies(context.Background(), []string{"inside"}, dir); err == nil {
		t.Error("a module that is neither a file nor in the list of what is inside is not missed")
	}
}
