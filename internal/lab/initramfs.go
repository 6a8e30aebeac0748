package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"github.com/sysrq/sysrq/internal/lab/guest"
)

// File is one that the guest finds in its first file system.
type File struct {
	Path string // in the guest
	From string // a file of the host, or
	Link string // where a symbolic link points, or
	Data []byte // what is in it
	Mode fs.FileMode
}

// busyboxNames are the applets that a person, or a test's shell script, looks
// for.
var busyboxNames = strings.Fields(`sh ash ls cat echo ps top kill killall dmesg mount umount mkdir rm cp mv ln
	grep sed awk head tail less more vi sleep sync free df du find id uname uptime date dd hexdump od
	chmod chown touch true false test wc sort tr cut env printf seq watch which xargs stty reset clear
	reboot poweroff halt init sysctl lsmod insmod ip ping nc mknod setsid nohup timeout fsfreeze chrt`)

// initramfs writes the guest's first file system.
func (c *Config) initramfs(ctx context.Context, m machine, plan guest.Plan, dir string, progress func(string)) (string, error) {
	program, err := c.program(ctx, m.goarch, dir)
	if err != nil {
		return "", err
	}
	files := append([]File{
		{Path: "/init", From: program, Mode: 0o755},
		{Path: "/bin/sysrq", Link: "/init"},
	}, c.Files...)
	for _, name := range []string{"serve", "hang", "vfork", "squeeze", "spin"} {
		files = append(files, File{Path: path.Join(guest.BinDir, "lab-"+name), Link: "/init"})
	}
	if c.Shell || c.Busybox {
		box, err := busybox(ctx, m, progress)
		if err != nil {
			return "", err
		}
		files = append(files, File{Path: "/bin/busybox", From: box, Mode: 0o755})
		for _, name := range busyboxNames {
			files = append(files, File{Path: "/bin/" + name, Link: "busybox"})
		}
		files = append(files, File{Path: "/etc/passwd", Data: []byte("root:x:0:0:root:/:/bin/sh\n")})
	}
	modules, err := c.Kernel.withDependencies(ctx, c.Modules, dir)
	if err != nil {
		return "", err
	}
	for _, file := range modules {
		name := moduleName(file)
		files = append(files, File{Path: path.Join(guest.ModulesDir, name+".ko"), From: file})
		plan.Modules = append(plan.Modules, name)
	}
	text, err := json.Marshal(plan)
	if err != nil {
		return "", err
	}
	files = append(files, File{Path: guest.PlanPath, Data: text})

	out, err := os.Create(filepath.Join(dir, "initramfs"))
	if err != nil {
		return "", err
	}
	defer out.Close()
	// Emulated processors take longer to unpack than the emulator to read.
	a := newArchive(out, 0)
	for _, d := range []string{"/dev", "/proc", "/sys", "/tmp", "/run", "/mnt", "/root", "/etc"} {
		a.Dir(d)
	}
	a.Device("/dev/console", 0o600, 5, 1)
	a.Device("/dev/null", 0o666, 1, 3)
	for _, f := range files {
		if err := a.add(f); err != nil {
			return "", fmt.Errorf("initramfs: %w", err)
		}
	}
	if err := a.Close(); err != nil {
		return "", fmt.Errorf("initramfs: %w", err)
	}
	return out.Name(), nil
}

// add adds one file of any kind.
func (a *archive) add(f File) error {
	mode := f.Mode
	if mode == 0 {
		mode = 0o644
	}
	switch {
	case f.Link != "":
		a.Link(f.Path, f.Link)
	case f.From != "":
		from, err := os.Open(f.From)
		if err != nil {
			return err
		}
		defer from.Close()
		info, err := from.Stat()
		if err != nil {
			return err
		}
		a.File(f.Path, mode, from, info.Size())
	default:
		a.File(f.Path, mode, bytes.NewReader(f.Data), int64(len(f.Data)))
	}
	return nil
}

// withDependencies gives the files of modules in an order in which they can be
// loaded. Those that are built in need none. A name may be the path of a file
// as well, for a module that is not the kernel's own. What is compressed is
// unpacked into dir.
func (k Kernel) withDependencies(ctx context.Context, names []string, dir string) ([]string, error) {
	if len(names) == 0 {
		return nil, nil
	}
	var all []string
	err := filepath.WalkDir(k.modules(), func(p string, d fs.DirEntry, err error) error {
		if err == nil && (strings.HasSuffix(p, ".ko") || strings.HasSuffix(p, ".ko.xz")) {
			all = append(all, p)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	byName := make(map[string]string, len(all))
	for _, p := range all {
		byName[moduleName(p)] = p
	}
	builtin, noList := os.ReadFile(filepath.Join(k.modules(), "modules.builtin"))
	inside := make(map[string]bool)
	for p := range strings.Lines(string(builtin)) {
		inside[moduleName(strings.TrimSpace(p))] = true
	}
	var order []string
	seen := make(map[string]bool)
	var visit func(name string) error
	visit = func(name string) error {
		file := name
		if !strings.Contains(name, "/") {
			name = strings.ReplaceAll(name, "-", "_")
			file = byName[name]
		}
		if seen[name] || inside[name] {
			return nil
		}
		seen[name] = true
		if file == "" && noList != nil {
			return nil // since 7.x; what needs it will tell if it is not there
		}
		if file == "" {
			return fmt.Errorf("kernel %s has no module %s", k.Release, name)
		}
		file, err := unpacked(ctx, file, dir)
		if err != nil {
			return err
		}
		needs, err := moduleNeeds(file)
		if err != nil {
			return err
		}
		for _, n := range needs {
			if err := visit(n); err != nil {
				return err
			}
		}
		order = append(order, file)
		return nil
	}
	for _, n := range names {
		if err := visit(n); err != nil {
			return nil, err
		}
	}
	return order, nil
}

// unpacked gives a file that is not compressed: the modules of 6.12 and later
// are, and not every kernel would do it itself.
func unpacked(ctx context.Context, file, dir string) (string, error) {
	if !strings.HasSuffix(file, ".xz") {
		return file, nil
	}
	if _, err := exec.LookPath("xz"); err != nil {
		return "", missing("xz", "xz-utils")
	}
	data, err := exec.CommandContext(ctx, "xz", "-dc", file).Output()
	if err != nil {
		return "", fmt.Errorf("unpack %s: %w", file, err)
	}
	plain := filepath.Join(dir, moduleName(file)+".ko")
	return plain, os.WriteFile(plain, data, 0o644)
}

// moduleNeeds reads a module's own list: modules.dep is made by depmod when a
// package is installed, which ours never is.
func moduleNeeds(file string) ([]string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	_, after, ok := bytes.Cut(data, []byte("\x00depends="))
	if !ok {
		return nil, nil
	}
	list, _, _ := bytes.Cut(after, []byte{0})
	return strings.FieldsFunc(string(list), func(r rune) bool { return r == ',' }), nil
}

func moduleName(file string) string {
	base := strings.TrimSuffix(filepath.Base(file), ".xz")
	return strings.ReplaceAll(strings.TrimSuffix(base, ".ko"), "-", "_")
}
