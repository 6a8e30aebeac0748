package native

import (
	"reflect"
	"strings"
	"testing"
)

// mountinfo is made of real lines: a Debian desktop, a btrfs machine, an NFS
// client, a container.
const mountinfo = `22 28 0:21 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw
23 28 0:22 / /proc rw,nosuid,nodev,noexec,relatime shared:14 - proc proc rw
25 28 0:6 / /dev rw,nosuid,relatime shared:2 - devtmpfs udev rw,size=8085468k,nr_inodes=2021367,mode=755,inode64
28 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw,errors=remount-ro
31 22 0:27 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
36 23 0:32 / /proc/sys/fs/binfmt_misc rw,relatime shared:16 - autofs systemd-1 rw,fd=29,pgrp=1,timeout=0,minproto=5,maxproto=5,direct,pipe_ino=14470
46 28 7:0 / /snap/core20/1974 ro,nodev,relatime shared:25 - squashfs /dev/loop0 ro,errors=continue
92 28 259:1 / /boot/efi rw,relatime shared:50 - vfat /dev/nvme0n1p1 rw,fmask=0077,dmask=0077,codepage=437
94 28 0:40 /@home /home rw,noatime,nosuid shared:55 - btrfs /dev/mapper/luks rw,compress=zstd:3,space_cache=v2,subvol=/@home
95 28 0:40 / /mnt/btrfs rw,noatime shared:56 - btrfs /dev/mapper/luks rw,compress=zstd:3,space_cache=v2,subvol=/
120 28 0:51 / /mnt/my\040disk\011x rw,relatime shared:60 - nfs4 server:/export/my\040disk rw,vers=4.2,hard
130 28 0:60 / /run/user/1000/gvfs rw,nosuid,nodev,relatime - fuse.gvfsd-fuse gvfsd-fuse rw,user_id=1000,group_id=1000
140 28 8:17 / /media/usb rw,nosuid,nodev - fuseblk /dev/sdb1 rw,user_id=0
150 28 0:70 / /var/lib/docker/overlay2/x/merged rw,relatime - overlay overlay rw,lowerdir=/l,upperdir=/u
160 28 0:71 / /tmp rw,nosuid,nodev - tmpfs  rw,size=4k
170 28 8:33 / /ro-view ro,relatime - xfs /dev/sdc1 rw,attr2
180 28 8:49 / /data rw,relatime - ext4 /dev/sdd1 ro
190 170 8:33 / /elsewhere rw,relatime - xfs /dev/sdc1 rw,attr2
`

func TestParseMountinfo(t *testing.T) {
	ms := ParseMountinfo([]byte(mountinfo))
	if n := strings.Count(mountinfo, "\n"); len(ms) != n {
		t.Fatalf("%d mounts of %d lines", len(ms), n)
	}
	want := Mount{
		ID: 120, Parent: 28, Minor: 51, Root: "/", Point: "/mnt/my disk\tx",
		Options: []string{"rw", "relatime"}, Type: "nfs4", Source: "server:/export/my disk",
		Super: []string{"rw", "vers=4.2", "hard"},
	}
	if got := ms[10]; !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := ms[14]; got.Source != "" || got.Type != "tmpfs" {
		t.Errorf("an empty source: %+v", got)
	}
}

func TestParseMountinfoSkipsNonsense(t *testing.T) {
	ms := ParseMountinfo([]byte("\nnonsense\n1 2 x:y / / rw - a b c\n" +
		"28 1 259:2 / / rw - ext4 /dev/sda rw\n1 2 3:4 / /x rw - short\n"))
	if len(ms) != 1 || ms[0].ID != 28 {
		t.Errorf("got %+v", ms)
	}
}

func TestFileSystems(t *testing.T) {
	fss := FileSystems(ParseMountinfo([]byte(mountinfo)))
	var writable, local []string
	for _, fs := range Writable(fss) {
		writable = append(writable, fs.Point)
	}
	for _, fs := range WritableLocal(fss) {
		local = append(local, fs.Point)
	}
	// btrfs once, by its whole and not by a subvolume; a read-only view of a
	// writable file system counts, a read-only file system does not.
	if want := []string{"/", "/boot/efi", "/mnt/btrfs", "/mnt/my disk\tx", "/run/user/1000/gvfs", "/media/usb", "/ro-view"}; !reflect.DeepEqual(writable, want) {
		t.Errorf("writable: %q\nwant      %q", writable, want)
	}
	if want := []string{"/", "/boot/efi", "/mnt/btrfs", "/media/usb", "/ro-view"}; !reflect.DeepEqual(local, want) {
		t.Errorf("local: %q\nwant   %q", local, want)
	}
}

func TestFileSystemsAvoidHiddenPlaces(t *testing.T) {
	fss := FileSystems(ParseMountinfo([]byte(`1 0 8:1 / / rw - ext4 /dev/sda1 rw
2 1 8:2 / /a rw - ext4 /dev/sda2 rw
3 2 0:9 / /a rw - tmpfs tmpfs rw
4 1 8:2 / /long/way rw - ext4 /dev/sda2 rw
`)))
	if got := fss[1]; got.Point != "/long/way" || len(got.Others) != 1 || got.Others[0].Point != "/a" {
		t.Errorf("got %+v", got)
	}
}

func TestFileSystemString(t *testing.T) {
	fss := FileSystems(ParseMountinfo([]byte(mountinfo)))
	if got := fss[3].String(); got != "/ (ext4, /dev/nvme0n1p2)" {
		t.Error(got)
	}
	if got := (FileSystem{Mount: Mount{Point: "/x", Type: "9p", Source: "none"}}).String(); got != "/x (9p)" {
		t.Error(got)
	}
}

func FuzzParseMountinfo(f *testing.F) {
	f.Add([]byte(mountinfo))
	f.Add([]byte(`1 2 3:4 \ \1 rw - a \040\999\ c`))
	f.Fuzz(func(t *testing.T, b []byte) {
		ms := ParseMountinfo(b)
		n := 0
		for _, fs := range FileSystems(ms) {
			n += 1 + len(fs.Others)
			if fs.Point == "" {
				t.Errorf("no mount point: %+v", fs)
			}
		}
		if n != len(ms) {
			t.Errorf("%d mounts, %d in file systems", len(ms), n)
		}
	})
}
