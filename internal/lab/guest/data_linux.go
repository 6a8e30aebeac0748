package guest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
)

const blockSize = 1 << 18

// dirty writes pattern data and leaves it to the kernel.
func dirty(d Dirty) (*Dirtied, error) {
	if d.Hold {
		if err := holdBack(); err != nil {
			return nil, err
		}
	}
	began := time.Now()
	f, err := os.Create(d.Path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	block := make([]byte, blockSize)
	for off := int64(0); off < d.Bytes; off += blockSize {
		Pattern(d.Seed).Fill(block, off)
		if _, err := f.Write(block[:min(blockSize, d.Bytes-off)]); err != nil {
			return nil, err
		}
	}
	return &Dirtied{TookMS: time.Since(began).Milliseconds(), Unsaved: unsaved()}, nil
}

// holdBack takes away the kernel's reasons to write back by itself.
func holdBack() error {
	var errs []error
	for name, value := range map[string]int{
		"dirty_writeback_centisecs": 0,
		"dirty_expire_centisecs":    360000,
		"dirty_ratio":               95,
		"dirty_background_ratio":    90,
	} {
		_, err := sysctl("vm/"+name, &value)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// verify compares a file with pattern data, byte by byte.
func verify(v Verify) (*Verified, error) {
	got := &Verified{Size: -1, Wrong: 0}
	f, err := os.Open(v.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return got, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	got.Size, got.Wrong = info.Size(), -1
	want, have := make([]byte, blockSize), make([]byte, blockSize)
	for off := int64(0); off < v.Bytes; off += blockSize {
		Pattern(v.Seed).Fill(want, off)
		w := want[:min(blockSize, v.Bytes-off)]
		n, err := io.ReadFull(f, have[:len(w)])
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return nil, err
		}
		if n == len(w) && bytes.Equal(w, have[:n]) {
			got.Right += int64(n)
			continue
		}
		for i := range w {
			if i < n && w[i] == have[i] {
				got.Right++
			} else if got.Wrong < 0 {
				got.Wrong = off + int64(i)
			}
		}
	}
	return got, nil
}

// unsaved is how many bytes wait to be written to a disk.
func unsaved() int64 { return meminfo("Dirty") + meminfo("Writeback") }

// meminfo reads one field of /proc/meminfo, in bytes.
func meminfo(field string) int64 {
	data, _ := os.ReadFile("/proc/meminfo")
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			var kib int64
			_, _ = fmt.Sscan(rest, &kib)
			return kib << 10
		}
	}
	return 0
}
