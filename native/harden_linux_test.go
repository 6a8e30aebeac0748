package native

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestFileBacked(t *testing.T) {
	for line, want := range map[string]bool{
		"00400000-0052b000 r-xp 00000000 fe:00 1234                       /usr/bin/sysrq\n": true,
		"00400000-0052b000 ---p 00000000 fe:00 1234                       /usr/bin/sysrq\n": false,
		"c000000000-c004000000 rw-p 00000000 00:00 0 \n":                                    false,
		"7ffc1d9f2000-7ffc1da13000 rw-p 00000000 00:00 0                  [stack]\n":        false,
		"": false,
	} {
		start, end, ok := fileBacked(line)
		if ok != want || ok && (start != 0x400000 || end != 0x52b000) {
			t.Errorf("%q: %x-%x %v", line, start, end, ok)
		}
	}
}

func TestMountFlags(t *testing.T) {
	for _, tc := range []struct {
		m    Mount
		want uintptr
	}{
		{Mount{Options: []string{"rw", "nosuid", "nodev", "noexec", "noatime"}}, unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME},
		{Mount{Options: []string{"rw", "relatime"}, Super: []string{"rw", "sync"}}, unix.MS_RELATIME | unix.MS_SYNCHRONOUS},
		{Mount{Options: []string{"rw"}}, unix.MS_STRICTATIME},
	} {
		if got := mountFlags(tc.m); got != tc.want {
			t.Errorf("%v: %#x, want %#x", tc.m, got, tc.want)
		}
	}
}

// TestOpenHere looks for the file systems that are mounted here.
func TestOpenHere(t *testing.T) {
	fss, err := Proc("/proc").FileSystems()
	if err != nil {
		t.Fatal(err)
	}
	for _, fs := range Writable(fss) {
		fd, at, err := open(fs)
		if err != nil {
			t.Logf("%s: %v", fs, err)
			continue
		}
		unix.Close(fd)
		t.Logf("%s is reached by %s", fs, at.Point)
	}
}
