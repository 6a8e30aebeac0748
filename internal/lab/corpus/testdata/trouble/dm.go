package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What of the device mapper's interface is used (include/uapi/linux/dm-ioctl.h).
const (
	dmHeader = 312
	dmIoctl  = 0xc138fd00 // _IOWR(0xfd, 0, struct dm_ioctl)

	dmCreate  = 3
	dmSuspend = 6 // and resume
	dmLoad    = 9

	dmFlagSuspend = 1 << 1
	dmSkipLockFS  = 1 << 10
	dmNoFlush     = 1 << 11
)

// mapDevice creates a device, or suspends it.
func mapDevice(verb, name, rest string) error {
	control, err := os.OpenFile("/dev/mapper/control", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer control.Close()
	switch verb {
	case "create":
		return createDevice(control, name, rest)
	case "suspend":
		flags := uint32(dmFlagSuspend)
		if strings.Contains(rest, "nolockfs") {
			flags |= dmSkipLockFS
		}
		if strings.Contains(rest, "noflush") {
			flags |= dmNoFlush
		}
		return dm(control, dmSuspend, name, flags, nil)
	}
	return fmt.Errorf("can not %s", verb)
}

func createDevice(control *os.File, name, over string) error {
	f, err := os.Open(over)
	if err != nil {
		return err
	}
	size, err := f.Seek(0, 2)
	f.Close()
	if err != nil {
		return err
	}
	if err := dm(control, dmCreate, name, 0, nil); err != nil {
		return err
	}
	// One target over all of it: start, length, status, next, kind, words.
	target := make([]byte, 40)
	binary.NativeEndian.PutUint64(target[8:], uint64(size/512))
	copy(target[24:], "linear")
	target = append(target, over+" 0"...)
	target = append(target, make([]byte, 8-len(target)%8)...)
	if err := dm(control, dmLoad, name, 0, target); err != nil {
		return err
	}
	return dm(control, dmSuspend, name, 0, nil) // which here is to resume
}

func dm(control *os.File, command uintptr, name string, flags uint32, target []byte) error {
	buf := make([]byte, dmHeader, dmHeader+len(target))
	copy(buf[48:], name)
	buf = append(buf, target...)
	binary.NativeEndian.PutUint32(buf[0:], 4) // the interface's version
	binary.NativeEndian.PutUint32(buf[12:], uint32(len(buf)))
	binary.NativeEndian.PutUint32(buf[16:], dmHeader)
	if target != nil {
		binary.NativeEndian.PutUint32(buf[20:], 1)
	}
	binary.NativeEndian.PutUint32(buf[28:], flags)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, control.Fd(), dmIoctl|command, uintptr(unsafe.Pointer(&buf[0])))
	if errno != 0 {
		return fmt.Errorf("device mapper, command %d on %s: %w", command, name, errno)
	}
	return nil
}
