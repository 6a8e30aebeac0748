package corpus

import (
	"context"
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sysrq/sysrq/internal/golden"
	"github.com/sysrq/sysrq/internal/lab"
	"github.com/sysrq/sysrq/internal/lab/guest"
)

// Kernel is one that captures are made on.
type Kernel struct{ Arch, Series string }

// String is the kernel as it stands in a file's name.
func (k Kernel) String() string { return k.Arch + "-" + k.Series }

// Kernels are all of them. User-mode Linux comes in one version only.
func Kernels() []Kernel {
	return []Kernel{
		{"amd64", "6.1"},
		{"amd64", "6.12"},
		{"amd64", "7.2"},
		{"arm64", "6.1"},
		{"ppc64le", "6.1"},
		{"s390x", "6.1"},
		{"mips64le", "6.1"},
		{"uml", "6.1"},
	}
}

// onPC reports whether a kernel is one of those that get every state. The
// others get the cheap ones: a state is a matter of the kernel's source, and a
// dump's form one of the architecture.
func (k Kernel) onPC() bool { return k.Arch == "amd64" }

// Session is one machine in one state, of which several files are made.
type Session struct {
	Kernel Kernel
	state  state
}

// Sessions lists everything that there is to make.
func Sessions() []Session {
	var all []Session
	for _, k := range Kernels() {
		for _, st := range states() {
			if (st.everywhere || k.onPC()) && (st.not == nil || !st.not(k)) {
				all = append(all, Session{k, st})
			}
		}
	}
	return all
}

// String is what the names of the session's files begin with.
func (s Session) String() string { return s.Kernel.String() + "-" + s.state.name }

// patience bounds one session. A healthy one takes a quarter of a minute.
const patience = 8 * time.Minute

// Make makes the session's files. tell is told what takes time.
func (s Session) Make(ctx context.Context, tell func(string)) ([]golden.File, error) {
	kernel, err := lab.Find(ctx, s.Kernel.Arch, s.Kernel.Series, tell)
	if err != nil {
		return nil, err
	}
	c := lab.Config{
		Kernel: kernel, Busybox: true, Channel: true, Progress: tell,
		// Nothing is lost, however long a dump is.
		Append: []string{"log_buf_len=4M"},
	}
	if s.state.config != nil {
		s.state.config(&c)
	}
	dir, err := os.MkdirTemp("", "sysrq-corpus-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := s.carry(ctx, &c, dir, tell); err != nil {
		return nil, err
	}
	ctx, cancel := lab.Within(ctx, patience, s.String())
	defer cancel()
	m, err := lab.Start(ctx, c)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	boot, err := m.WaitBoot(ctx)
	if err != nil {
		return nil, err
	}
	st := &stage{Machine: m, ctx: ctx, kernel: s.Kernel, release: boot.Release, state: s.state}
	if err := st.skipLog(); err != nil {
		return nil, err
	}
	if err := s.state.enter(st); err != nil {
		return nil, fmt.Errorf("enter the state: %w", err)
	}
	var files []golden.File
	for _, sh := range s.state.shots {
		if sh.not != nil && sh.not(s.Kernel) {
			continue
		}
		f, err := st.shoot(sh)
		if err != nil {
			return files, fmt.Errorf("%s: %w", sh.label(), err)
		}
		f.Name = s.String() + "-" + sh.label()
		files = append(files, f)
	}
	return files, nil
}

// moduleSource is labtrouble's.
//
//go:embed testdata/module
var moduleSource embed.FS

// troublePackage is the program that is what a machine suffers from, under the
// name that it has in the guest.
const troublePackage = "github.com/sysrq/sysrq/internal/lab/corpus/testdata/trouble"

// carry puts what the state needs into the guest's first file system.
func (s Session) carry(ctx context.Context, c *lab.Config, dir string, tell func(string)) error {
	if s.state.module {
		file, err := c.Kernel.BuildModule(ctx, moduleSource, "labtrouble", tell)
		if err != nil {
			return err
		}
		c.Files = append(c.Files, lab.File{Path: guest.ModulesDir + "/labtrouble.ko", From: file})
	}
	for _, name := range s.state.programs {
		file := filepath.Join(dir, name)
		if err := lab.Build(ctx, s.Kernel.Arch, troublePackage, file); err != nil {
			return err
		}
		c.Files = append(c.Files, lab.File{Path: guest.BinDir + "/" + name, From: file, Mode: 0o755})
	}
	return nil
}

// state is one that a machine can be brought into.
type state struct {
	name, root, note string
	seen             string // what of the root a dump can show, where that is less
	everywhere       bool   // not on amd64 only
	not              func(Kernel) bool
	module           bool // needs labtrouble, which enter loads
	programs         []string
	config           func(*lab.Config)
	enter            func(*stage) error
	shots            []shot
}

// shot is one file of a session.
type shot struct {
	keys   string // the commands, one after the other; none is what the kernel says by itself
	name   string // in the file's name; keys when empty
	source string // golden.Kmsg when empty
	// whole begins with the state's first record rather than with the command.
	whole bool
	// until is in the last record that the shot waits for, where a command
	// goes on after its write has returned.
	until string
	// before is done before the commands; what the kernel says meanwhile
	// belongs to the shot.
	before func(*stage) error
	// after sees that the state was still there.
	after func(*stage) error
	// last ends the machine: nothing can be asked afterwards.
	last bool
	not  func(Kernel) bool
}

func (sh shot) label() string {
	if sh.name != "" {
		return sh.name
	}
	return sh.keys
}

// lists reports whether the dump has all blocked tasks.
func (sh shot) lists() bool {
	return slices.ContainsFunc([]byte(sh.keys), func(k byte) bool { return k == 'w' || k == 't' })
}
