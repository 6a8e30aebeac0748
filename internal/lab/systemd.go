package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/sysrq/sysrq/internal/lab/guest"
)

// SystemdImage returns the image of a whole small Debian with systemd, for
// Disk.Copy. Making it takes root and the better part of a minute, once; after
// that anybody can use it.
func SystemdImage(ctx context.Context, progress func(string)) (string, error) {
	if progress == nil {
		progress = func(string) {}
	}
	dir, err := cached(ctx, "systemd", func(dir string) error { return makeSystemd(ctx, dir, progress) })
	if err != nil {
		return "", fmt.Errorf("make an image with systemd: %w", err)
	}
	return filepath.Join(dir, "root.img"), nil
}

func makeSystemd(ctx context.Context, dir string, progress func(string)) error {
	path, err := exec.LookPath("debootstrap")
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/debootstrap"); err != nil {
			return missing("debootstrap", "debootstrap")
		}
	}
	if os.Getuid() != 0 {
		return fmt.Errorf("debootstrap needs root, once: run this as root with SYSRQ_LAB_CACHE=%s", CacheDir())
	}
	mirror, suite, err := mainArchive()
	if err != nil {
		return err
	}
	progress("installing a small Debian with systemd")
	tree := filepath.Join(dir, "tree")
	cmd := exec.CommandContext(ctx, path, "--variant=minbase",
		"--include=systemd,systemd-sysv,udev,dbus", suite, tree, mirror)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("debootstrap: %w: %s", err, lastLine(string(out)))
	}
	// What a machine like this has no use for.
	for _, d := range []string{"var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale", "usr/share/man"} {
		if err := os.RemoveAll(filepath.Join(tree, d)); err != nil {
			return err
		}
	}
	if err := furnish(tree); err != nil {
		return err
	}
	image := filepath.Join(dir, "root.img")
	if _, err := e2fs(ctx, "mkfs.ext4", "-q", "-F", "-L", "systemd",
		"-E", "lazy_itable_init=0,lazy_journal_init=0", "-d", tree, image, "700M"); err != nil {
		return err
	}
	return os.RemoveAll(tree)
}

// furnish prepares the tree for a lab: the service that answers on the control
// channel, which systemd starts again when a SysRq has killed it.
func furnish(tree string) error {
	plan, err := json.Marshal(guest.Plan{Control: machines["amd64"].control})
	if err != nil {
		return err
	}
	const unit = `[Unit]
Description=The lab's control channel
DefaultDependencies=no
After=local-fs.target

[Service]
ExecStart=@/usr/local/bin/sysrq /init lab-serve
Restart=always
RestartSec=0
StartLimitIntervalSec=0
KillMode=process
OOMScoreAdjust=-1000
`
	const wants = "etc/systemd/system/sysinit.target.wants"
	for name, text := range map[string]string{
		strings.TrimPrefix(guest.PlanPath, "/"):                 string(plan),
		"etc/systemd/system/sysrq-lab.service":                  unit,
		"etc/hostname":                                          "lab\n",
		"etc/fstab":                                             "",
		"etc/systemd/system/serial-getty@.service.d/login.conf": "[Service]\nExecStart=\nExecStart=-/sbin/agetty -o '-p -f -- \\\\u' --autologin root --keep-baud 115200 - $TERM\n",
	} {
		file := filepath.Join(tree, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return errors.Join(
		os.MkdirAll(filepath.Join(tree, wants), 0o755),
		os.Symlink("../sysrq-lab.service", filepath.Join(tree, wants, "sysrq-lab.service")),
	)
}

// mainArchive is the machine's own mirror and release.
func mainArchive() (mirror, suite string, err error) {
	sources, err := readSources("/")
	if err != nil {
		return "", "", err
	}
	for _, s := range sources {
		for _, suite := range s.Suites {
			if uris := strings.Fields(s.URIs); len(uris) > 0 && !strings.ContainsAny(suite, "-/") {
				return uris[0], suite, nil
			}
		}
	}
	return "", "", errors.New("no release's main archive in /etc/apt")
}

// copyImage copies a disk and puts files on its ext4 file system, without
// mounting it.
func copyImage(ctx context.Context, from, to string, files []File) error {
	if out, err := exec.CommandContext(ctx, "cp", "--sparse=always", "--reflink=auto", from, to).CombinedOutput(); err != nil {
		return fmt.Errorf("copy %s: %w: %s", from, err, lastLine(string(out)))
	}
	if len(files) == 0 {
		return nil
	}
	var script strings.Builder
	for i, f := range files {
		source := f.From
		if source == "" && f.Link == "" {
			source = fmt.Sprintf("%s.file%d", to, i)
			if err := os.WriteFile(source, f.Data, 0o644); err != nil {
				return err
			}
			defer os.Remove(source)
		}
		for d, rest, ok := strings.Cut(strings.TrimPrefix(f.Path, "/"), "/"); ok; {
			fmt.Fprintf(&script, "mkdir /%s\n", d)
			var next string
			if next, rest, ok = strings.Cut(rest, "/"); ok {
				d += "/" + next
			}
		}
		if f.Link != "" {
			fmt.Fprintf(&script, "symlink %s %s\n", f.Path, f.Link)
			continue
		}
		mode := f.Mode
		if mode == 0 {
			mode = 0o644
		}
		fmt.Fprintf(&script, "rm %s\nwrite %s %s\nset_inode_field %s mode 0%o\n",
			f.Path, source, f.Path, f.Path, typeFile|int(mode.Perm()))
	}
	commands := to + ".debugfs"
	if err := os.WriteFile(commands, []byte(script.String()), 0o644); err != nil {
		return err
	}
	defer os.Remove(commands)
	_, err := e2fs(ctx, "debugfs", "-w", "-f", commands, to)
	return err
}
