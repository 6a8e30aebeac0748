package native

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cgroupDir is an open directory of a control group hierarchy. It is used
// through its descriptor: the hierarchy may be mounted nowhere.
type cgroupDir struct {
	fd   int
	name string // for errors: "cgroup v2 /init.scope"
	v1   bool
}

func (c cgroupDir) close() { unix.Close(c.fd) }

func (c cgroupDir) open(rel string) (cgroupDir, error) {
	rel = strings.Trim(rel, "/")
	if rel == "" {
		rel = "."
	}
	fd, err := unix.Openat(c.fd, rel, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return cgroupDir{}, fmt.Errorf("%s: open %s: %w", c.name, rel, err)
	}
	name, _, _ := strings.Cut(c.name, " /")
	return cgroupDir{fd: fd, name: name + " " + path.Join("/", rel), v1: c.v1}, nil
}

func (c cgroupDir) write(file, text string) error {
	fd, err := unix.Openat(c.fd, file, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		_, err = unix.Write(fd, []byte(text))
		unix.Close(fd)
	}
	if err != nil {
		return fmt.Errorf("%s: write %s to %s: %w", c.name, text, file, err)
	}
	return nil
}

func (c cgroupDir) read(file string) (string, error) {
	fd, err := unix.Openat(c.fd, file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("%s: open %s: %w", c.name, file, err)
	}
	defer unix.Close(fd)
	buf := make([]byte, 4096) // longer ones are of no interest here
	n, err := unix.Read(fd, buf)
	if err != nil {
		return "", fmt.Errorf("%s: read %s: %w", c.name, file, err)
	}
	return string(buf[:n]), nil
}

// only reports whether pid is all that there is in c and below.
func (c cgroupDir) only(pid int) bool {
	procs, err := c.read("cgroup.procs")
	if err != nil || !slices.Equal(strings.Fields(procs), []string{strconv.Itoa(pid)}) {
		return false
	}
	fd, err := unix.Openat(c.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	dir := os.NewFile(uintptr(fd), c.name)
	defer dir.Close()
	entries, err := dir.ReadDir(-1)
	return err == nil && !slices.ContainsFunc(entries, os.DirEntry.IsDir)
}

// cgroupV2 opens the root of the unified hierarchy, mounted or not: a mount of
// our own is made by fsopen(2) and attached nowhere. It exists since 5.2, as
// the freezer of that hierarchy does.
func cgroupV2() (cgroupDir, error) {
	const name = "cgroup v2 /"
	fs, err := unix.Fsopen("cgroup2", unix.FSOPEN_CLOEXEC)
	if err == nil {
		defer unix.Close(fs)
		if err = unix.FsconfigCreate(fs); err == nil {
			var fd int
			if fd, err = unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0); err == nil {
				return cgroupDir{fd: fd, name: name}, nil
			}
		}
	}
	// Forbidden, perhaps, to a container or by a filter. A mount does as well.
	ms, e := selfMounts()
	if e != nil {
		return cgroupDir{}, errors.Join(fmt.Errorf("cgroup v2: %w", err), e)
	}
	for _, m := range ms {
		if m.Type == "cgroup2" && m.Root == "/" {
			if fd, e := unix.Open(m.Point, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); e == nil {
				return cgroupDir{fd: fd, name: name}, nil
			}
		}
	}
	return cgroupDir{}, fmt.Errorf("cgroup v2: %w", err)
}

// cgroupsV1 opens the roots of the old hierarchies that are mounted, those
// with the given controller, or all for "".
func cgroupsV1(controller string) ([]cgroupDir, error) {
	ms, err := selfMounts()
	if err != nil {
		return nil, err
	}
	var dirs []cgroupDir
	seen := make(map[uint32]bool)
	for _, m := range ms {
		if m.Type != "cgroup" || m.Root != "/" || seen[m.Minor] ||
			controller != "" && !slices.Contains(m.Super, controller) {
			continue
		}
		fd, err := unix.Open(m.Point, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		seen[m.Minor] = true
		what := strings.TrimPrefix(strings.Join(m.Super, ","), "rw,")
		dirs = append(dirs, cgroupDir{fd: fd, name: "cgroup v1 (" + what + ") /", v1: true})
	}
	return dirs, nil
}

func selfMounts() ([]Mount, error) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	return ParseMountinfo(b), err
}

// cgroupOf is the path of pid's group in the unified hierarchy, or, in the
// old ones, in that of a controller.
func cgroupOf(pid int, controller string) (string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return "", err
	}
	return parseCgroup(string(b), controller)
}

var errNoCgroup = errors.New("no such control group hierarchy")

// parseCgroup reads lines like "0::/init.scope" and "4:freezer:/".
func parseCgroup(text, controller string) (string, error) {
	for line := range strings.Lines(text) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(f) == 3 && (controller == "" && f[0] == "0" && f[1] == "" ||
			controller != "" && slices.Contains(strings.Split(f[1], ","), controller)) {
			return f[2], nil
		}
	}
	return "", errNoCgroup
}

// freeze stops everything in c, and waits until it stands still.
func (c cgroupDir) freeze(ctx context.Context) error {
	file, word := "cgroup.freeze", "1"
	if c.v1 {
		file, word = "freezer.state", "FROZEN"
	}
	if err := c.write(file, word); err != nil {
		return err
	}
	return c.await(ctx, true)
}

func (c cgroupDir) thaw() error {
	if c.v1 {
		return c.write("freezer.state", "THAWED")
	}
	return c.write("cgroup.freeze", "0")
}

// frozen reads back what the kernel says, not what was asked of it.
func (c cgroupDir) frozen() (bool, error) {
	if c.v1 {
		s, err := c.read("freezer.state") // FREEZING until all stand still
		return strings.TrimSpace(s) == "FROZEN", err
	}
	s, err := c.read("cgroup.events")
	return slices.Contains(strings.Split(s, "\n"), "frozen 1"), err
}

// await waits until c is frozen, or is not.
func (c cgroupDir) await(ctx context.Context, want bool) error {
	for wait := time.Millisecond; ; wait = min(2*wait, 20*time.Millisecond) {
		is, err := c.frozen()
		if err != nil || is == want {
			return err
		}
		select {
		case <-ctx.Done():
			return ErrUnconfirmed
		case <-time.After(wait):
		}
	}
}
