package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// CacheDir is where kernels are kept: $SYSRQ_LAB_CACHE, or the user's cache
// directory, or, where there is no home, one below the temporary directory.
func CacheDir() string {
	if dir := os.Getenv("SYSRQ_LAB_CACHE"); dir != "" {
		return dir
	}
	if dir, err := os.UserCacheDir(); err == nil {
		return filepath.Join(dir, "sysrq", "lab")
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("sysrq-lab-cache-%d", os.Getuid()))
}

// cached returns the directory name in the cache, and calls make to fill it
// when it is not there. Any number of processes may ask at once: one makes it,
// and it appears whole or not at all.
func cached(ctx context.Context, name string, make func(dir string) error) (string, error) {
	final := filepath.Join(CacheDir(), name)
	if _, err := os.Stat(final); err == nil {
		return final, nil
	}
	if err := os.MkdirAll(filepath.Dir(final), 0o755); err != nil {
		return "", fmt.Errorf("%w; set SYSRQ_LAB_CACHE to a directory that you may write", err)
	}
	unlock, err := lock(ctx, final+".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(final); err == nil {
		return final, nil
	}
	part := final + ".part" // whoever holds the lock owns it
	if err := os.RemoveAll(part); err != nil {
		return "", err
	}
	if err := os.MkdirAll(part, 0o755); err != nil {
		return "", err
	}
	if err := make(part); err != nil {
		return "", errors.Join(err, os.RemoveAll(part))
	}
	return final, os.Rename(part, final)
}

// lock takes a lock that ends with the process.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("wait for another process at %s: %w", path, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}
