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
	return debian(ctx, "systemd", progress, func(tree string) error {
		if err := debootstrap(ctx, tree, "--include=systemd,systemd-sysv,udev,dbus"); err != nil {
			return err
		}
		const wants = "etc/systemd/system/sysinit.target.wants"
		return errors.Join(
			os.MkdirAll(filepath.Join(tree, wants), 0o755),
			os.Symlink("../sysrq-lab.service", filepath.Join(tree, wants, "sysrq-lab.service")),
		)
	}, systemdFiles())
}

// OpenRCImage is the same with OpenRC, below the init of sysvinit, which does
// what [OpenRCInittab] says.
func OpenRCImage(ctx context.Context, progress func(string)) (string, error) {
	return debian(ctx, "openrc", progress, func(tree string) error {
		if err := debootstrap(ctx, tree); err != nil {
			return err
		}
		// debootstrap takes the first of alternatives, which is not OpenRC.
		cmd := exec.CommandContext(ctx, "chroot", tree, "apt-get", "-y", "--no-install-recommends", "install",
			"sysvinit-core", "openrc", "udev")
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get install openrc: %w: %s", err, lastLine(string(out)))
		}
		return nil
	}, openRCFiles())
}

// debian is a cached image of a whole Debian: install makes its tree, and files
// make it one of the lab's.
func debian(ctx context.Context, name string, progress func(string), install func(tree string) error, files map[string]string) (string, error) {
	if progress == nil {
		progress = func(string) {}
	}
	dir, err := cached(ctx, name, func(dir string) error {
		progress("installing a small Debian with " + name)
		tree := filepath.Join(dir, "tree")
		if err := install(tree); err != nil {
			return err
		}
		return makeImage(ctx, dir, tree, name, files)
	})
	if err != nil {
		return "", fmt.Errorf("make an image with %s: %w", name, err)
	}
	return filepath.Join(dir, "root.img"), nil
}

func debootstrap(ctx context.Context, tree string, more ...string) error {
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
	args := append([]string{"--variant=minbase"}, more...)
	cmd := exec.CommandContext(ctx, path, append(args, suite, tree, mirror)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("debootstrap: %w: %s", err, lastLine(string(out)))
	}
	return nil
}

// makeImage makes root.img of a tree, with what the lab needs in it, and
// removes the tree.
func makeImage(ctx context.Context, dir, tree, label string, files map[string]string) error {
	// What a machine like this has no use for.
	for _, d := range []string{"var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale", "usr/share/man"} {
		if err := os.RemoveAll(filepath.Join(tree, d)); err != nil {
			return err
		}
	}
	plan, err := json.Marshal(guest.Plan{Control: machines["amd64"].control})
	if err != nil {
		return err
	}
	files[guest.PlanPath] = string(plan)
	files["/etc/hostname"] = "lab\n"
	for name, text := range files {
		file := filepath.Join(tree, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return err
		}
	}
	image := filepath.Join(dir, "root.img")
	if _, err := e2fs(ctx, "mkfs.ext4", "-q", "-F", "-L", label,
		"-E", "lazy_itable_init=0,lazy_journal_init=0", "-d", tree, image, "700M"); err != nil {
		return err
	}
	return os.RemoveAll(tree)
}

// systemdFiles are what the lab needs of systemd: the service that answers on
// the control channel, started again when a SysRq has killed it, and a login.
func systemdFiles() map[string]string {
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
	return map[string]string{
		"/etc/systemd/system/sysrq-lab.service": unit,
		"/etc/fstab":                            "",
		"/etc/systemd/system/serial-getty@.service.d/login.conf": "[Service]\nExecStart=\nExecStart=-/sbin/agetty -o '-p -f -- \\\\u' --autologin root --keep-baud 115200 - $TERM\n",
	}
}

// OpenRCInittab has the lab's service and a login started whenever there is
// none.
const OpenRCInittab = `id:2:initdefault:
si::sysinit:/etc/init.d/rcS
l2:2:wait:/etc/init.d/rc 2
lab:2:respawn:/bin/bash -c "exec -a /init /usr/local/bin/sysrq lab-serve"
tty:2:respawn:/sbin/agetty -o '-p -f -- \u' --autologin root --keep-baud 115200 ttyS0 linux
`

// openRCFiles are what the lab needs of OpenRC.
func openRCFiles() map[string]string {
	return map[string]string{
		"/etc/inittab": OpenRCInittab,
		"/etc/fstab":   "/dev/nvme0n1 / ext4 defaults 0 0\n",
	}
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
