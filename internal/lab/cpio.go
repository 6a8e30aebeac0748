package lab

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// archive writes an initramfs: a newc cpio archive. The first error sticks,
// and Close returns it.
type archive struct {
	gz   *gzip.Writer // nil when not compressed
	w    *bufio.Writer
	dirs map[string]bool
	ino  int
	err  error
}

// newArchive compresses when the machine is slower at reading than at
// unpacking; with a level of 0 it does not.
func newArchive(w io.Writer, level int) *archive {
	a := &archive{dirs: map[string]bool{"": true, ".": true, "/": true}}
	if level != 0 {
		a.gz, a.err = gzip.NewWriterLevel(w, level)
		w = a.gz
	}
	a.w = bufio.NewWriterSize(w, 1<<20)
	return a
}

// Unix file types, as cpio wants them.
const (
	typeDir     = 0o040000
	typeFile    = 0o100000
	typeLink    = 0o120000
	typeCharDev = 0o020000
)

// Dir adds a directory and those above it, once.
func (a *archive) Dir(name string) {
	name = strings.Trim(path.Clean("/"+name), "/")
	if a.dirs[name] {
		return
	}
	a.dirs[name] = true
	a.Dir(path.Dir(name))
	a.entry(name, typeDir|0o755, 0, 0, 0)
}

// File adds a file with size bytes from r.
func (a *archive) File(name string, mode fs.FileMode, r io.Reader, size int64) {
	a.Dir(path.Dir(name))
	a.entry(name, typeFile|int(mode.Perm()), size, 0, 0)
	if a.err != nil {
		return
	}
	n, err := io.Copy(a.w, r)
	if err == nil && n != size {
		err = fmt.Errorf("%s: %d bytes instead of %d", name, n, size)
	}
	a.keep(err)
	a.pad(size)
}

// Link adds a symbolic link.
func (a *archive) Link(name, target string) {
	a.Dir(path.Dir(name))
	a.entry(name, typeLink|0o777, int64(len(target)), 0, 0)
	_, err := a.w.WriteString(target)
	a.keep(err)
	a.pad(int64(len(target)))
}

// Device adds a character device.
func (a *archive) Device(name string, mode fs.FileMode, major, minor int) {
	a.Dir(path.Dir(name))
	a.entry(name, typeCharDev|int(mode.Perm()), 0, major, minor)
}

// Close ends the archive.
func (a *archive) Close() error {
	a.ino = -1 // becomes 0
	a.entry("TRAILER!!!", 0, 0, 0, 0)
	a.keep(a.w.Flush())
	if a.gz != nil {
		a.keep(a.gz.Close())
	}
	return a.err
}

func (a *archive) entry(name string, mode int, size int64, major, minor int) {
	if a.err != nil {
		return
	}
	name = strings.TrimPrefix(name, "/")
	a.ino++
	links := 1
	if mode&typeDir != 0 && mode&typeFile != typeFile {
		links = 2
	}
	// magic ino mode uid gid nlink mtime size dev(2) rdev(2) namelen check
	_, err := fmt.Fprintf(a.w, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\x00",
		a.ino, mode, 0, 0, links, 0, size, 0, 0, major, minor, len(name)+1, 0, name)
	a.keep(err)
	a.pad(int64(110 + len(name) + 1))
}

// pad brings n up to a multiple of four.
func (a *archive) pad(n int64) {
	if a.err == nil {
		_, err := a.w.WriteString("\x00\x00\x00"[:(4-n%4)%4])
		a.keep(err)
	}
}

func (a *archive) keep(err error) {
	if a.err == nil {
		a.err = err
	}
}
