// Package golden reads the golden files of kernel dumps: what a real kernel
// said in a state that somebody had put it into, and what that state was. They
// are made by `make corpus` and lie in diagnose/testdata/corpus.
//
// A file is a header, an empty line, and the body as the machine gave it:
//
//	kernel: 6.12.117+deb12-cloud-amd64
//	arch: amd64
//	state: frozen
//	commands: w
//	source: kmsg
//	blocked: 4
//	pids: 131 132 133 134
//	root: superblock-freeze
//	culprit: nvme0n1
//	note: four tasks create a file each on a frozen ext4
//
//	6,655,5123456,-;sysrq: Show Blocked State
//	…
//
// The fields of [File] say what the keys mean. Where there is nothing to say, a
// key is left out.
package golden

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Where a body comes from.
const (
	// Kmsg is what /dev/kmsg gave, record by record: PRIO,SEQ,USEC,FLAGS;TEXT,
	// with the record's dictionary behind it.
	Kmsg = "kmsg"
	// Console is what came out of the serial line, byte by byte.
	Console = "console"
)

// Roots are the words for what a machine suffers from, as its maker knows it.
var Roots = []string{
	"none", // nothing: an idle machine

	"superblock-freeze", "fuse-server", "device-mapper-suspend", "nfs-server", "block-device",
	"mutex", "rwsem", "spinlock", "completion", "deadlock", "workqueue", "vfork",
	"slab", "tmpfs", "cgroup-limit", "memory",
	"realtime-task", "soft-lockup", "rcu", "crash", "bug",
}

// File is one golden file. What its header says is the truth about the machine,
// and was not read from the body.
type File struct {
	Name string // the file's, without directory and .txt

	Kernel string // as uname -r says it
	Arch   string // as GOARCH writes it, or "uml"
	State  string // what the machine was brought into
	// Commands are the SysRq commands that were triggered, in this order, one
	// byte each. It is empty for what the kernel said by itself.
	Commands string
	Source   string // Kmsg or Console
	// Blocked is how many distinct tasks were in state D while the dump was
	// made, by /proc before and after it. It is -1 where the body has no dump
	// that lists them.
	Blocked int
	// PIDs are those tasks (threads have numbers of their own), where Blocked
	// is not -1.
	PIDs []int
	Root string // one of Roots
	// Seen is the most that this dump can tell of the root, where that is less
	// than the truth: a word like Root's.
	Seen string
	// Culprit is who is to blame, where there is somebody: a task's name and
	// number ("lab-fuse 117"), a device ("dm-0"), a slab cache. Not every dump
	// shows it.
	Culprit string
	Note    string // for people
	Body    []byte // unchanged
}

// ErrSyntax is wrapped by every error of [Parse].
var ErrSyntax = errors.New("not a golden file")

// Parse reads a file's bytes. Name stays empty; Body is part of data.
func Parse(data []byte) (File, error) {
	f := File{Blocked: -1}
	seen := map[string]bool{}
	for {
		line, rest, ok := bytes.Cut(data, []byte("\n"))
		if !ok {
			return f, fmt.Errorf("%w: no empty line after the header", ErrSyntax)
		}
		data = rest
		if len(line) == 0 {
			break
		}
		key, value, ok := strings.Cut(string(line), ": ")
		if !ok || seen[key] {
			return f, fmt.Errorf("%w: header line %q", ErrSyntax, line)
		}
		seen[key] = true
		if err := f.set(key, value); err != nil {
			return f, fmt.Errorf("%w: header line %q: %w", ErrSyntax, line, err)
		}
	}
	f.Body = data
	return f, f.check()
}

func (f *File) set(key, value string) (err error) {
	switch key {
	case "kernel":
		f.Kernel = value
	case "arch":
		f.Arch = value
	case "state":
		f.State = value
	case "commands":
		f.Commands = value
	case "source":
		f.Source = value
	case "blocked":
		f.Blocked, err = strconv.Atoi(value)
	case "pids":
		for word := range strings.FieldsSeq(value) {
			pid, err := strconv.Atoi(word)
			if err != nil {
				return err
			}
			f.PIDs = append(f.PIDs, pid)
		}
	case "root":
		f.Root = value
	case "seen":
		f.Seen = value
	case "culprit":
		f.Culprit = value
	case "note":
		f.Note = value
	default:
		return errors.New("unknown key")
	}
	return err
}

// check says what is wrong with a file as a whole.
func (f *File) check() error {
	switch {
	case f.Kernel == "" || f.Arch == "" || f.State == "":
		return fmt.Errorf("%w: kernel, arch and state are needed", ErrSyntax)
	case f.Source != Kmsg && f.Source != Console:
		return fmt.Errorf("%w: source %q", ErrSyntax, f.Source)
	case !slices.Contains(Roots, f.Root) || f.Seen != "" && !slices.Contains(Roots, f.Seen):
		return fmt.Errorf("%w: root %q, seen %q", ErrSyntax, f.Root, f.Seen)
	case f.Blocked < -1 || f.Blocked != len(f.PIDs) && !(f.Blocked == -1 && f.PIDs == nil):
		return fmt.Errorf("%w: %d blocked, and %d pids", ErrSyntax, f.Blocked, len(f.PIDs))
	case len(f.Body) == 0:
		return fmt.Errorf("%w: no body", ErrSyntax)
	}
	return nil
}

// Bytes is the file as Parse reads it.
func (f File) Bytes() []byte {
	var b bytes.Buffer
	line := func(key, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\n", key, value)
		}
	}
	line("kernel", f.Kernel)
	line("arch", f.Arch)
	line("state", f.State)
	line("commands", f.Commands)
	line("source", f.Source)
	if f.Blocked >= 0 {
		line("blocked", strconv.Itoa(f.Blocked))
		line("pids", strings.Trim(fmt.Sprint(f.PIDs), "[]"))
	}
	line("root", f.Root)
	line("seen", f.Seen)
	line("culprit", f.Culprit)
	line("note", f.Note)
	b.WriteByte('\n')
	b.Write(f.Body)
	return b.Bytes()
}

// Read reads all files of a directory, in the order of their names.
func Read(dir string) ([]File, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		return nil, err
	}
	files := make([]File, 0, len(names))
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return files, err
		}
		f, err := Parse(data)
		if err != nil {
			return files, fmt.Errorf("%s: %w", name, err)
		}
		f.Name = strings.TrimSuffix(filepath.Base(name), ".txt")
		files = append(files, f)
	}
	return files, nil
}
