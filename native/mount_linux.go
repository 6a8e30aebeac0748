package native

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// FileSystems lists what the caller's mount namespace shows. It asks the
// kernel's table only; statfs(2) would ask the file systems, and hang with the
// first dead one.
func (p Proc) FileSystems() ([]FileSystem, error) { return p.fileSystems("self") }

func (p Proc) fileSystems(of string) ([]FileSystem, error) {
	b, err := os.ReadFile(filepath.Join(string(p), of, "mountinfo"))
	if err != nil {
		return nil, err
	}
	return FileSystems(ParseMountinfo(b)), nil
}

// SeesMountsOfInit reports whether the caller's mount namespace shows every
// file system that has data to save in init's. In a container that shares no
// more than the PID namespace it does not.
func (p Proc) SeesMountsOfInit() bool {
	ours, err1 := p.fileSystems("self")
	inits, err2 := p.fileSystems("1")
	if err1 != nil || err2 != nil {
		return false
	}
	return !slices.ContainsFunc(Writable(inits), func(i FileSystem) bool {
		return !slices.ContainsFunc(ours, func(o FileSystem) bool { return o.Major == i.Major && o.Minor == i.Minor })
	})
}

// Sync writes the data of each file system out with syncfs(2), all at once, so
// that a dead one holds up no other and can be named. Each result is told as
// it comes, from the calling goroutine.
//
// Since 5.8 an earlier write that failed is an error here, too.
func Sync(ctx context.Context, fss []FileSystem, tell func(Result)) []Result {
	return each(ctx, fss, syncOne, tell)
}

func syncOne(fs FileSystem) error {
	// Opening the place is part of the risk: it asks a dead server already.
	fd, _, err := open(fs)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Syncfs(fd); err != nil {
		return fmt.Errorf("syncfs: %w", err)
	}
	return nil
}

// errHidden says that another file system was mounted over all places where
// this one is.
var errHidden = errors.New("another file system hides it")

// open opens a place where fs can be seen.
func open(fs FileSystem) (fd int, at Mount, err error) {
	for _, m := range append([]Mount{fs.Mount}, fs.Others...) {
		// Not O_PATH, which syncfs refuses. O_NONBLOCK: a bound FIFO or device
		// must not wait for its other end.
		fd, err = unix.Open(m.Point, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
		if err != nil {
			err = fmt.Errorf("open %s: %w", m.Point, err)
			continue
		}
		var st unix.Statx_t
		e := unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, unix.STATX_MNT_ID, &st)
		if e != nil || st.Mask&unix.STATX_MNT_ID == 0 || st.Mnt_id == uint64(m.ID) {
			return fd, m, nil // before 5.8 nobody can tell; believe it
		}
		unix.Close(fd)
		err = errHidden
	}
	return -1, Mount{}, err
}

// RemountReadOnly makes each file system read-only, all at once. It asks
// politely, unlike the kernel's u: a file that is open for writing makes it
// fail with EBUSY.
func RemountReadOnly(ctx context.Context, fss []FileSystem, tell func(Result)) []Result {
	return each(ctx, fss, remountOne, tell)
}

func remountOne(fs FileSystem) error {
	fd, at, err := open(fs)
	if err != nil {
		return err
	}
	unix.Close(fd) // an open directory does no harm, but the next one may be in the way
	flags := unix.MS_REMOUNT | unix.MS_RDONLY | mountFlags(at)
	if err := unix.Mount("", at.Point, "", flags, ""); err != nil {
		return fmt.Errorf("remount read-only: %w", err)
	}
	return nil
}

// keptFlags are the options that mount(2) takes away on a remount that does
// not repeat them.
var keptFlags = map[string]uintptr{
	"nosuid": unix.MS_NOSUID, "nodev": unix.MS_NODEV, "noexec": unix.MS_NOEXEC,
	"noatime": unix.MS_NOATIME, "nodiratime": unix.MS_NODIRATIME, "relatime": unix.MS_RELATIME,
	"nosymfollow": unix.MS_NOSYMFOLLOW,
	"sync":        unix.MS_SYNCHRONOUS, "dirsync": unix.MS_DIRSYNC, "mand": unix.MS_MANDLOCK, "lazytime": unix.MS_LAZYTIME,
}

func mountFlags(m Mount) uintptr {
	var flags uintptr
	for _, o := range slices.Concat(m.Options, m.Super) {
		flags |= keptFlags[o]
	}
	if flags&(unix.MS_NOATIME|unix.MS_RELATIME) == 0 {
		flags |= unix.MS_STRICTATIME // neither is printed when it is strict
	}
	return flags
}
