package kmsg

import (
	"errors"
	"os"
	"testing"
	"time"
)

// TestDevKmsg reads the log of the machine that the test runs on, where it may.
func TestDevKmsg(t *testing.T) {
	r, err := OpenAt("/dev/kmsg", FromOldest)
	if err != nil {
		t.Skip(err)
	}
	defer r.Close()
	if err := r.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Skip(err) // not the kernel's
	}
	var rec Record
	n := 0
	for n < 1000 && err == nil {
		if err = r.Read(&rec); err == nil {
			n++
		}
	}
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after %d records: %v", n, err)
	}
	t.Logf("%d records", n)

	for _, start := range []Start{FromEnd, FromClear} {
		r, err := OpenAt("/dev/kmsg", start)
		if err != nil {
			t.Fatalf("start %d: %v", start, err)
		}
		r.Close()
	}
	if _, err := OpenAt("/dev/kmsg", 99); err == nil {
		t.Error("opened at no known start")
	}
}
