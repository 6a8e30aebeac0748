package local

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/sysrq/sysrq/kmsg"
)

// The trigger of these is a regular file, whose write is about the cheapest
// that reaches a file system; the kernel's prints a line besides.

func benchTrigger(b *testing.B) *Transport {
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "sysrq-trigger"), nil, 0o600); err != nil {
		b.Fatal(err)
	}
	tr, err := Open(Options{Proc: dir, Kmsg: dir + "/none"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { tr.Close() })
	return tr
}

func BenchmarkTrigger(b *testing.B) {
	tr := benchTrigger(b)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	b.ReportAllocs()
	for b.Loop() {
		if err := tr.Trigger(ctx, 'h'); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTriggerRaw(b *testing.B) {
	tr := benchTrigger(b)
	key := []byte{'h'}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := syscall.Write(int(tr.trigger.file.Fd()), key); err != nil {
			b.Fatal(err)
		}
	}
}

// endless says the same record again and again.
type endless struct{ io.Reader }

func (endless) Read(b []byte) (int, error) {
	return copy(b, "6,500,1000,-;sysrq: Emergency Sync\n"), nil
}

func BenchmarkHear(b *testing.B) {
	tr := benchTrigger(b)
	tr.ears = &ears{log: kmsg.NewReader(endless{})}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tr.Hear(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}
