package main

import (
	"encoding/binary"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// What of the FUSE protocol is answered (include/uapi/linux/fuse.h).
const (
	fuseLookup      = 1
	fuseForget      = 2
	fuseGetattr     = 3
	fuseOpen        = 14
	fuseRead        = 15
	fuseStatfs      = 17
	fuseRelease     = 18
	fuseFlush       = 25
	fuseInit        = 26
	fuseOpendir     = 27
	fuseAccess      = 34
	fuseInterrupt   = 36
	fuseBatchForget = 42
)

// serveFUSE serves a directory with one file, named "file", until somebody
// reads it. Who looks for "never" gets no answer. At the first read the process stops itself, as one that a debugger or an
// administrator has stopped.
func serveFUSE(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open /dev/fuse: %w", err)
	}
	options := fmt.Sprintf("fd=%d,rootmode=40755,user_id=0,group_id=0,allow_other", fd)
	if err := unix.Mount("lab-fuse", dir, "fuse", 0, options); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	buf := make([]byte, 1<<18) // more than the greatest write
	for {
		n, err := unix.Read(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		in := buf[:n]
		opcode, unique, node := binary.NativeEndian.Uint32(in[4:]), in[8:16], binary.NativeEndian.Uint64(in[16:])
		body := in[40:]
		var out words
		errno := unix.Errno(0)
		switch opcode {
		case fuseForget, fuseBatchForget, fuseInterrupt:
			continue
		case fuseInit:
			const asyncRead = 1
			out.u32(7, 31, 1<<17, binary.NativeEndian.Uint32(body[12:])&asyncRead, 12|9<<16, 1<<17, 1, 0)
			out.u32(0, 0, 0, 0, 0, 0, 0, 0)
			if err := ready(); err != nil {
				return err
			}
		case fuseLookup:
			if string(body) == "never\x00" {
				continue
			}
			if string(body) != "file\x00" {
				errno = unix.ENOENT
				break
			}
			out.u64(2, 0, 3600, 3600)
			out.u32(0, 0)
			out.attr(2)
		case fuseGetattr:
			out.u64(3600)
			out.u32(0, 0)
			out.attr(node)
		case fuseOpen, fuseOpendir:
			out.u64(1)
			out.u32(0, 0)
		case fuseRelease, fuseFlush, fuseAccess:
		case fuseStatfs:
			errno = unix.ENOSYS
		case fuseRead:
			return stop()
		default:
			errno = unix.ENOSYS
		}
		var head words
		head.u32(uint32(16+len(out)), uint32(-int32(errno)))
		head = append(append(head, unique...), out...)
		if errno != 0 {
			head = head[:16]
			binary.NativeEndian.PutUint32(head, 16)
		}
		if _, err := unix.Write(fd, head); err != nil && err != unix.ENOENT {
			return fmt.Errorf("answer %d: %w", opcode, err)
		}
	}
}

// stop stops the whole process. Who continues it finds that it has nothing
// more to say.
func stop() error {
	if err := unix.Kill(os.Getpid(), unix.SIGSTOP); err != nil {
		return err
	}
	return unix.Pause()
}

// words is a message under way, in the machine's own byte order.
type words []byte

func (w *words) u32(all ...uint32) {
	for _, v := range all {
		*w = binary.NativeEndian.AppendUint32(*w, v)
	}
}

func (w *words) u64(all ...uint64) {
	for _, v := range all {
		*w = binary.NativeEndian.AppendUint64(*w, v)
	}
}

// attr is struct fuse_attr.
func (w *words) attr(node uint64) {
	mode, size := uint32(unix.S_IFDIR|0o755), uint64(4096)
	if node != 1 {
		mode, size = unix.S_IFREG|0o644, 1<<20
	}
	w.u64(node, size, size/512, 0, 0, 0)
	w.u32(0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)
}
