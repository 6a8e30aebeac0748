package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var _ interface {
	error
	Timeout() bool
} = (*OpError)(nil)

func TestOpError(t *testing.T) {
	if err := NewOpError("open", "x:", nil); err != nil {
		t.Errorf("of nothing: %v", err)
	}
	err := NewOpError("trigger", "qmp:/run/vm.qmp", io.ErrClosedPipe)
	if got, want := err.Error(), "trigger qmp:/run/vm.qmp: io: read/write on closed pipe"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("%v does not wrap its cause", err)
	}
	// One that is an OpError already stays what it is, wrapped or not.
	for _, inner := range []error{err, fmt.Errorf("outer: %w", err)} {
		if again := NewOpError("open", "other:", inner); again != inner { //nolint:errorlint // identity is meant
			t.Errorf("%v became %v", inner, again)
		}
	}
}

func TestOpErrorTimeout(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want bool
	}{
		{context.DeadlineExceeded, true},
		{fmt.Errorf("dial: %w", &net.DNSError{IsTimeout: true}), true},
		{context.Canceled, false},
		{io.EOF, false},
	} {
		var oe *OpError
		if !errors.As(NewOpError("open", "x:", tc.err), &oe) || oe.Timeout() != tc.want {
			t.Errorf("%v: Timeout() = %v, want %v", tc.err, oe.Timeout(), tc.want)
		}
	}
}
