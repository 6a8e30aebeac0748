package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestManPages: what is committed is what the program's help makes.
func TestManPages(t *testing.T) {
	const committed, again = "../../../docs/man", "; go run ./internal/cmd/gendocs docs/man"
	fresh := t.TempDir()
	if err := write(fresh); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, dir := range []string{fresh, committed} {
		pages, err := filepath.Glob(dir + "/*.1")
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range pages {
			names[filepath.Base(p)] = true
		}
	}
	for name := range names {
		want, err := os.ReadFile(filepath.Join(fresh, name))
		if err != nil {
			t.Errorf("%s is of no command: delete it", name)
			continue
		}
		if got, err := os.ReadFile(filepath.Join(committed, name)); err != nil || string(got) != string(want) {
			t.Errorf("%s is old%s", name, again)
		}
	}
}
