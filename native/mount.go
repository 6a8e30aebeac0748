package native

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Mount is one line of /proc/PID/mountinfo.
type Mount struct {
	ID, Parent   int
	Major, Minor uint32
	Root         string   // what of the file system is mounted: "/", a subvolume, a bound directory
	Point        string   // where
	Options      []string // of this mount: "rw", "nosuid", …
	Type         string   // "ext4", "fuse.sshfs", …
	Source       string   // "/dev/sda1", "server:/export", …
	Super        []string // options of the file system itself: "ro", "rw", …
}

var errMountinfo = errors.New("not a line of mountinfo")

// ParseMountinfo reads /proc/PID/mountinfo (fs/proc_namespace.c,
// show_mountinfo). Lines that make no sense are left out: on a machine in
// trouble the others still count.
func ParseMountinfo(b []byte) []Mount {
	var ms []Mount
	for line := range bytes.Lines(b) {
		if m, err := parseMount(strings.TrimSuffix(string(line), "\n")); err == nil {
			ms = append(ms, m)
		}
	}
	return ms
}

// parseMount reads
//
//	36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
//
// Fields are parted by one space each; a source can be empty.
func parseMount(line string) (Mount, error) {
	before, after, ok := strings.Cut(line, " - ")
	f := strings.Split(before, " ")
	g := strings.SplitN(after, " ", 3)
	if !ok || len(f) < 6 || len(g) < 3 {
		return Mount{}, errMountinfo
	}
	major, minor, ok := strings.Cut(f[2], ":")
	id, err1 := strconv.Atoi(f[0])
	parent, err2 := strconv.Atoi(f[1])
	maj, err3 := strconv.ParseUint(major, 10, 32)
	mnr, err4 := strconv.ParseUint(minor, 10, 32)
	if !ok || errors.Join(err1, err2, err3, err4) != nil || f[4] == "" {
		return Mount{}, errMountinfo
	}
	return Mount{
		ID: id, Parent: parent, Major: uint32(maj), Minor: uint32(mnr),
		Root: unescape(f[3]), Point: unescape(f[4]), Options: strings.Split(f[5], ","),
		Type: unescape(g[0]), Source: unescape(g[1]), Super: strings.Split(g[2], ","),
	}, nil
}

// unescape undoes mangle() of fs/seq_file.c: space, tab, newline, backslash
// and # as three octal digits.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b = append(b, byte(n))
				i += 3
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

// Storage says where a file system keeps what is written to it.
type Storage uint8

// The kinds of storage.
const (
	Nowhere Storage = iota // made up by the kernel, kept in memory, or stacked on others
	Local                  // devices of this machine
	Remote                 // a server, or a program
)

// localTypes have no block device of their own in the kernel's eyes, though
// they live on some: the kernel's u leaves them read-write
// (fs/super.c, do_emergency_remount asks for s_bdev).
var localTypes = []string{"bcachefs", "btrfs", "ubifs", "zfs"}

var remoteTypes = []string{
	"9p", "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "fuse", "gpfs", "lustre",
	"ncpfs", "nfs", "nfs4", "orangefs", "panfs", "pvfs2", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs",
}

// Storage is where m's file system keeps its data.
//
// Types nobody has heard of are taken as having none when they have no device:
// there are a few dozen such in the kernel, and a new one is rather a view of
// the kernel than a place for data.
func (m Mount) Storage() Storage {
	switch {
	case m.Major != 0, slices.Contains(localTypes, m.Type):
		return Local
	case slices.Contains(remoteTypes, m.Type), strings.HasPrefix(m.Type, "fuse."):
		return Remote
	}
	return Nowhere
}

// ReadOnly reports whether the file system as a whole is read-only, not only
// this view of it.
func (m Mount) ReadOnly() bool { return slices.Contains(m.Super, "ro") }

// FileSystem is one file system, mounted in one place or many.
type FileSystem struct {
	Mount // the best place to reach it by
	// Others are its other mounts, best first.
	Others []Mount
}

// String is "/home (ext4, /dev/sda2)".
func (fs FileSystem) String() string {
	if fs.Source == "" || fs.Source == "none" || fs.Source == fs.Type {
		return fmt.Sprintf("%s (%s)", fs.Point, fs.Type)
	}
	return fmt.Sprintf("%s (%s, %s)", fs.Point, fs.Type, fs.Source)
}

// FileSystems gathers mounts by the file system they show, in the order in
// which they were mounted first.
func FileSystems(ms []Mount) []FileSystem {
	type point struct {
		parent int
		path   string
	}
	type device struct{ major, minor uint32 }
	covers := make(map[point]bool, len(ms))
	for _, m := range ms {
		covers[point{m.Parent, m.Point}] = true
	}
	// Something mounted onto the very same place hides it. What hides a
	// directory further up is found out when the place is opened.
	hidden := func(m Mount) int {
		if covers[point{m.ID, m.Point}] {
			return 1
		}
		return 0
	}
	part := func(m Mount) int {
		if m.Root != "/" {
			return 1
		}
		return 0
	}
	index := make(map[device]int)
	var all [][]Mount
	for _, m := range ms {
		d := device{m.Major, m.Minor}
		i, ok := index[d]
		if !ok {
			i = len(all)
			index[d] = i
			all = append(all, nil)
		}
		all[i] = append(all[i], m)
	}
	fss := make([]FileSystem, len(all))
	for i, of := range all {
		slices.SortStableFunc(of, func(a, b Mount) int {
			return cmp.Or(hidden(a)-hidden(b), part(a)-part(b), len(a.Point)-len(b.Point))
		})
		fss[i] = FileSystem{Mount: of[0], Others: of[1:]}
	}
	return fss
}

// Writable selects the file systems that have data to save: stored somewhere,
// and not read-only.
func Writable(fss []FileSystem) []FileSystem {
	var w []FileSystem
	for _, fs := range fss {
		if fs.Storage() != Nowhere && !fs.ReadOnly() {
			w = append(w, fs)
		}
	}
	return w
}

// WritableLocal selects the file systems on this machine's devices that are
// not read-only: those that a reset would leave unclean.
func WritableLocal(fss []FileSystem) []FileSystem {
	return slices.DeleteFunc(Writable(fss), func(fs FileSystem) bool { return fs.Storage() != Local })
}
