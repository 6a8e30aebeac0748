//go:build !linux

package local

import (
	"os"

	"github.com/sysrq/sysrq"
	"github.com/sysrq/sysrq/native"
)

type trigger struct{}

func openTrigger(string) (*trigger, os.FileMode, error) { return nil, 0, native.ErrOnlyLinux }

func (*trigger) write(sysrq.Key) error { return native.ErrOnlyLinux }

func (*trigger) close() error { return nil }
