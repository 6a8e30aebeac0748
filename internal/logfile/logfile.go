// Package logfile opens the files that logs are kept in, and unpacks them.
package logfile

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

const (
	// maxLayers is how many archives may be in each other. Two happen: a tool
	// packs what logrotate has packed.
	maxLayers = 2
	// maxWindow is how much of what they have unpacked the programs may have to
	// remember. xz -9 needs 64 MiB, zstd --ultra -22 128.
	maxWindow = 128 << 20
	readAhead = 64 << 10
)

// Open opens a file and unpacks what gzip, xz or zstd have packed, which it
// tells from the first bytes and not from the name.
//
// Where an archive is damaged, all that could be unpacked comes first, and then
// a [*DamagedError].
func Open(path string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &file{name: path, source: f, r: New(f)}, nil
}

// file names the file in errors.
type file struct {
	name   string
	source io.Closer
	r      io.ReadCloser
}

func (f *file) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if d, ok := err.(*DamagedError); ok {
		err = &os.PathError{Op: "unpack", Path: f.name, Err: d}
	}
	return n, err
}

func (f *file) Close() error {
	f.r.Close()
	return f.source.Close()
}

// New unpacks what r has, like Open. Close frees memory, and does not close r.
// Nothing is read before the first Read.
func New(r io.Reader) io.ReadCloser {
	var top io.ReadCloser = &layer{in: r}
	for range maxLayers - 1 {
		top = &layer{in: top, below: top}
	}
	return top
}

// DamagedError says how far an archive could be unpacked.
type DamagedError struct {
	Format string // "gzip", "xz" or "zstd"
	At     int64  // bytes of the archive that were read
	Good   int64  // bytes that it gave
	Err    error
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("%s archive is damaged near byte %d, %d bytes of text came before that: %v", e.Format, e.At, e.Good, e.Err)
}

func (e *DamagedError) Unwrap() error { return e.Err }

// errWindow is the limit of memory.
var errWindow = fmt.Errorf("it needs more than %d MiB of memory", maxWindow>>20)

// layer unpacks one archive, or passes on what is none.
type layer struct {
	in     io.Reader
	below  io.Closer
	buf    *bufio.Reader
	count  counter
	format string
	out    io.Reader
	free   func()
	good   int64
	err    error
}

func (l *layer) Read(p []byte) (int, error) {
	if l.err != nil {
		return 0, l.err
	}
	if l.out == nil {
		if err := l.open(); err != nil {
			l.err = l.damaged(err)
			return 0, l.err
		}
	}
	n, err := l.out.Read(p)
	l.good += int64(n)
	if err != nil {
		l.err = l.damaged(err)
	}
	return n, l.err
}

// damaged makes an error of the archive's a DamagedError. Those of what it is
// read from stay what they are.
func (l *layer) damaged(err error) error {
	var inner *DamagedError
	switch {
	case l.format == "" || err == io.EOF:
		return err
	case l.count.err != nil && l.count.err != io.EOF:
		return l.count.err
	case errors.As(err, &inner):
		return err
	case err == zstd.ErrWindowSizeExceeded || err == zstd.ErrDecoderSizeExceeded:
		err = errWindow
	}
	return &DamagedError{Format: l.format, At: l.count.n - int64(l.buf.Buffered()), Good: l.good, Err: err}
}

// counter counts what was read, and keeps the error that ended it.
type counter struct {
	r   io.Reader
	n   int64
	err error
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if err != nil {
		c.err = err
	}
	return n, err
}

// formats by their first bytes: RFC 1952 with deflate, the only method; the .xz
// file format, 2.1.1.1; RFC 8878, a frame, and one to skip that zstd's tools put
// before it.
var formats = []struct {
	magic string
	name  string
	open  func(*layer) (io.Reader, error)
}{
	{"\x1f\x8b\x08", "gzip", openGzip},
	{"\xfd7zXZ\x00", "xz", openXz},
	{"\x28\xb5\x2f\xfd", "zstd", openZstd},
	{"\x50\x2a\x4d\x18", "zstd", openZstd},
}

// open finds out what there is. It waits for no more bytes than it needs for
// that, so that a terminal's first line is not held up.
func (l *layer) open() error {
	l.count.r = l.in
	l.buf = bufio.NewReaderSize(&l.count, readAhead)
	for n := 1; ; n++ {
		head, err := l.buf.Peek(n)
		if len(head) < n {
			l.out = l.buf
			if err == io.EOF {
				return nil // it is no archive, be it that short
			}
			return err
		}
		may := false
		for _, f := range formats {
			if f.magic == string(head) {
				l.format = f.name
				l.out, err = f.open(l)
				return err
			}
			may = may || len(f.magic) > n && f.magic[:n] == string(head)
		}
		if n == 2 && (string(head) == "\xff\xfe" || string(head) == "\xfe\xff") {
			l.out = &utf16Reader{r: l.buf, big: head[0] == 0xfe}
			return nil
		}
		if !may && !(n == 1 && (head[0] == 0xff || head[0] == 0xfe)) {
			// What is no archive is not copied twice.
			l.out = io.MultiReader(io.LimitReader(l.buf, int64(l.buf.Buffered())), &l.count)
			return nil
		}
	}
}

// utf16Reader makes UTF-8 of UTF-16, as PowerShell and some terminals on Windows
// write what a serial line says. What is no text there becomes U+FFFD.
type utf16Reader struct {
	r   *bufio.Reader
	big bool
	out []byte
	buf [4096]byte
}

// Read reads.
func (u *utf16Reader) Read(p []byte) (int, error) {
	for len(u.out) == 0 {
		var err error
		if u.out, err = u.some(u.buf[:0]); len(u.out) == 0 && err != nil {
			return 0, err
		}
	}
	n := copy(p, u.out)
	u.out = u.out[n:]
	return n, nil
}

// some decodes what there is, at least one character, until out is nearly full.
func (u *utf16Reader) some(out []byte) ([]byte, error) {
	for len(out) < cap(out)-2*utf8.UTFMax {
		c, err := u.unit()
		if err != nil {
			return out, err
		}
		r := rune(c)
		if utf16.IsSurrogate(r) {
			next, err := u.unit()
			if err != nil {
				return utf8.AppendRune(out, utf8.RuneError), err
			}
			r = utf16.DecodeRune(r, rune(next))
		}
		if r != '\ufeff' { // the mark of the byte order
			out = utf8.AppendRune(out, r)
		}
		if u.r.Buffered() < 2 {
			break // wait for no more than there is
		}
	}
	return out, nil
}

// unit is the next two bytes; a lone one at the end is nothing.
func (u *utf16Reader) unit() (uint16, error) {
	var b [2]byte
	if _, err := io.ReadFull(u.r, b[:]); err != nil {
		if err == io.ErrUnexpectedEOF {
			err = io.EOF
		}
		return 0, err
	}
	if u.big {
		return uint16(b[0])<<8 | uint16(b[1]), nil
	}
	return uint16(b[1])<<8 | uint16(b[0]), nil
}

// Close frees what the layers hold.
func (l *layer) Close() error {
	if l.free != nil {
		l.free()
		l.free = nil
	}
	if l.err == nil {
		l.err = os.ErrClosed
	}
	if l.below != nil {
		return l.below.Close()
	}
	return nil
}

// openGzip reads all members. What is behind them and is none is an error, and
// NULs are not: tapes and block devices fill up with them.
func openGzip(l *layer) (io.Reader, error) {
	z, err := gzip.NewReader(l.buf)
	if err != nil {
		return nil, unexpected(err)
	}
	z.Multistream(false)
	return &members{z: z, buf: l.buf}, nil
}

type members struct {
	z   *gzip.Reader
	buf *bufio.Reader
}

func (m *members) Read(p []byte) (int, error) {
	for {
		n, err := m.z.Read(p)
		if err != io.EOF {
			return n, err
		}
		if n > 0 {
			return n, nil
		}
		for {
			c, err := m.buf.ReadByte()
			if err != nil {
				return 0, err
			}
			if c != 0 {
				break
			}
		}
		if err := m.buf.UnreadByte(); err != nil {
			return 0, err
		}
		if err := m.z.Reset(m.buf); err != nil {
			return 0, unexpected(err)
		}
		m.z.Multistream(false)
	}
}

// unexpected: an archive that ends in its header has no good end.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// openXz reads all streams. The library takes as much memory as the archive asks
// for, so that this is looked at before: the first block has to name it.
func openXz(l *layer) (io.Reader, error) {
	if head, _ := l.buf.Peek(12 + 1024); xzWindow(head) > maxWindow {
		return nil, errWindow
	}
	z, err := xz.NewReader(l.buf)
	if err != nil {
		return nil, unexpected(err)
	}
	return z, nil
}

// xzWindow finds the size of the dictionary in the first block's header (3.1 and
// 5.3.1 of the format), or says 0.
func xzWindow(head []byte) uint64 {
	if len(head) < 14 || head[12] == 0 {
		return 0
	}
	flags := head[13]
	if flags&3 != 0 {
		return 0 // several filters, which the library refuses
	}
	b := head[14:min(len(head), 12+(int(head[12])+1)*4)]
	for bit := byte(0x40); bit != 0; bit <<= 1 {
		if flags&bit != 0 {
			_, n := binary.Uvarint(b)
			if n <= 0 {
				return 0
			}
			b = b[n:]
		}
	}
	if !bytes.HasPrefix(b, []byte{0x21, 1}) || len(b) < 3 || b[2] > 40 {
		return 0
	}
	if b[2] == 40 {
		return 1<<32 - 1
	}
	return uint64(2|b[2]&1) << (b[2]/2 + 11)
}

// openZstd reads all frames, in the caller's goroutine.
func openZstd(l *layer) (io.Reader, error) {
	z, err := zstd.NewReader(l.buf, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	l.free = z.Close
	return z, nil
}
