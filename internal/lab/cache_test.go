package lab

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

func TestCached(t *testing.T) {
	t.Setenv("SYSRQ_LAB_CACHE", t.TempDir())
	boom := errors.New("boom")
	if _, err := cached(t.Context(), "a/b", func(string) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
	var made atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			dir, err := cached(t.Context(), "a/b", func(dir string) error {
				made.Add(1)
				return os.WriteFile(filepath.Join(dir, "f"), nil, 0o644)
			})
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := os.Stat(filepath.Join(dir, "f")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if made.Load() != 1 {
		t.Errorf("made %d times", made.Load())
	}
}

func TestCacheDirWithoutHome(t *testing.T) {
	t.Setenv("SYSRQ_LAB_CACHE", "")
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("HOME", "")
	if dir := CacheDir(); !filepath.IsAbs(dir) {
		t.Errorf("cache in %q", dir)
	}
}
