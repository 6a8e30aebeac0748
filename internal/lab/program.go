package lab

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/sysrq/sysrq/internal/lab/guest"
)

// Program is the sysrq program itself, for the test or the machine that wants
// it in its guest.
const Program = "github.com/sysrq/sysrq/cmd/sysrq"

// program is the guest's init.
func (c *Config) program(ctx context.Context, goarch, dir string) (string, error) {
	if c.Init != "" {
		return c.Init, nil
	}
	return initFor(ctx, goarch, dir)
}

// initFor finds a program that can be init on an architecture: this very
// process's when it can, or one that is built.
func initFor(ctx context.Context, goarch, dir string) (string, error) {
	if goarch == runtime.GOARCH && guest.Able() {
		if self, err := os.Executable(); err == nil && static(self) {
			return self, nil
		}
	}
	path := filepath.Join(dir, "init")
	return path, Build(ctx, goarch, Program, path)
}

// static reports whether a 64-bit program needs no other files: its header
// names no interpreter. Package debug/elf would tell as well, at the price of
// all that it links into every start of the program.
func static(path string) bool {
	const interpreter = 3 // PT_INTERP
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	var h [64]byte
	if _, err := f.ReadAt(h[:], 0); err != nil || string(h[:5]) != "\x7fELF\x02" {
		return false
	}
	var order binary.ByteOrder = binary.LittleEndian
	if h[5] == 2 {
		order = binary.BigEndian
	}
	at, size, count := int64(order.Uint64(h[32:])), int64(order.Uint16(h[54:])), int64(order.Uint16(h[56:]))
	for i := range count {
		var kind [4]byte
		if _, err := f.ReadAt(kind[:], at+i*size); err != nil || order.Uint32(kind[:]) == interpreter {
			return false
		}
	}
	return true
}

var builds struct {
	sync.Mutex
	done map[string][]byte // by architecture and package
}

// Build compiles a static program of this module into path. Within one process
// it compiles each only once.
func Build(ctx context.Context, goarch, pkg, path string) error {
	builds.Lock()
	defer builds.Unlock()
	key := goarch + " " + pkg
	if data, ok := builds.done[key]; ok {
		return os.WriteFile(path, data, 0o755)
	}
	goTool, err := exec.LookPath("go")
	if err != nil {
		return fmt.Errorf("build %s for %s: %w", pkg, goarch, err)
	}
	cmd := exec.CommandContext(ctx, goTool, "build", "-trimpath", "-ldflags=-s -w", "-o", path, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+goarch, "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s for %s: %w\n%s", pkg, goarch, err, strings.TrimSpace(string(out)))
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if builds.done == nil {
		builds.done = make(map[string][]byte)
	}
	builds.done[key] = data
	return nil
}

// busybox finds a static busybox for an architecture: the machine's own, or
// one from the archive.
func busybox(ctx context.Context, m machine, progress func(string)) (string, error) {
	if m.goarch == runtime.GOARCH {
		if path, err := exec.LookPath("busybox"); err == nil && static(path) {
			return path, nil
		}
	}
	dir, err := cached(ctx, "busybox/"+m.debian, func(dir string) error {
		a, unlock, err := index(ctx, m.debian, "", progress)
		if err != nil {
			return err
		}
		defer unlock()
		_, err = a.unpack(ctx, "busybox-static", dir)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("find busybox: %w", err)
	}
	for _, at := range []string{"bin/busybox", "usr/bin/busybox"} {
		if path := filepath.Join(dir, at); static(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("no static busybox in %s: delete it to fetch it again", dir)
}
