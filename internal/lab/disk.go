package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"

	"github.com/sysrq/sysrq/internal/lab/guest"
)

// Disk is one of a machine's disks. In the guest, disk i is /dev/lab/disk<i>,
// whatever the kernel calls it; a machine's only disk is /dev/nvme0n1.
type Disk struct {
	// Path is an image that exists. When it is empty, a new image is made and
	// thrown away with the machine.
	Path string
	// Copy is an image of which a new one is a copy.
	Copy string
	// MiB is a new image's size; 0 means 1024. It takes room as it is filled.
	MiB int
	// Ext4 puts an empty file system with this label on a new image.
	Ext4 string
	// BPSWrite limits writing, in bytes a second; see also Machine.Throttle.
	BPSWrite int64
}

// make creates the image.
func (d Disk) make(ctx context.Context, path string) error {
	if d.MiB == 0 {
		d.MiB = 1024
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	err = f.Truncate(int64(d.MiB) << 20)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil || d.Ext4 == "" {
		return err
	}
	// Nothing is left for the kernel to initialise later: its background
	// writes would take their share of a slow disk.
	_, err = e2fs(ctx, "mkfs.ext4", "-q", "-F", "-L", d.Ext4,
		"-E", "lazy_itable_init=0,lazy_journal_init=0", path)
	return err
}

// Superblock reads the ext4 superblock of an image as it stands.
func Superblock(path string) (guest.Superblock, error) {
	f, err := os.Open(path)
	if err != nil {
		return guest.Superblock{}, err
	}
	defer f.Close()
	return guest.ParseSuperblock(f)
}

// Check runs e2fsck over an image without changing it. An unclean or damaged
// file system is an error that has e2fsck's words.
func Check(ctx context.Context, path string) error {
	out, err := e2fs(ctx, "e2fsck", "-f", "-n", path)
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// e2fs runs one of e2fsprogs' tools, which are not in everybody's PATH.
func e2fs(ctx context.Context, tool string, args ...string) ([]byte, error) {
	path, err := exec.LookPath(tool)
	for _, dir := range []string{"/usr/sbin/", "/sbin/"} {
		if err == nil {
			break
		}
		path, err = exec.LookPath(dir + tool)
	}
	if err != nil {
		return nil, missing(tool, "e2fsprogs")
	}
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	if err != nil {
		return out, fmt.Errorf("%s: %w: %s", tool, err, lastLine(string(out)))
	}
	return out, nil
}

// missing says what to type.
func missing(tool, debianPackage string) error {
	return fmt.Errorf("%s is not installed: apt-get install %s", tool, debianPackage)
}
