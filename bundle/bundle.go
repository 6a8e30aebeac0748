// Package bundle puts what there is to know about a hang into one archive, to
// be sent to somebody else: the log itself, the report in three forms, the facts
// of the machine, and a list of all that with checksums.
//
// It is a tar archive compressed with zstd, so that it opens with what every
// distribution has: tar --zstd -xf FILE.
package bundle

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/sysrq/sysrq/diagnose"
	"github.com/sysrq/sysrq/dump"
	"github.com/sysrq/sysrq/render"
)

// Contents is what goes into a bundle.
type Contents struct {
	// Name is that of the directory in the archive, and of nothing else; empty:
	// "sysrq-report".
	Name string
	// Capture is the log as it was, or as it was redacted; nil leaves it out.
	Capture io.Reader
	// Input is the report. Where the log was redacted, it must have been made
	// from the redacted one.
	Input render.Input
	// Machine is what the caller knows of the machine itself, such as
	// {"uname": …, "os_release": …}; nil where the log is from elsewhere.
	Machine map[string]string
	// Redacted says that names were taken out. It is told in the manifest.
	Redacted bool
	// When is the time of the files; zero leaves it at 1970, and equal contents
	// give equal bundles.
	When time.Time
	// TempDir is where files are kept while their size is not known; the
	// system's where it is empty. At most one is there at a time, and it is
	// gone from the directory before anything is written to it.
	TempDir string
}

// Manifest is manifest.json: what is in the bundle.
type Manifest struct {
	Schema   int    `json:"schema"`
	Tool     string `json:"tool"`
	Title    string `json:"title"`
	Redacted bool   `json:"redacted"`
	Files    []File `json:"files"`
}

// File is one of the bundle's files.
type File struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
	// What it is, for a person.
	What string `json:"what"`
}

// Facts is facts.json: where the log comes from.
type Facts struct {
	// Log is what the log says about its machine.
	Log    diagnose.Machine  `json:"log"`
	Dumps  int               `json:"dumps"`
	Kinds  map[dump.Kind]int `json:"kinds"`
	Counts dump.Counts       `json:"counts"`
	// Machine is what the machine said about itself, where it was asked.
	Machine map[string]string `json:"machine,omitempty"`
}

// Write writes a bundle to w, file after file, the manifest last. Its memory
// does not depend on the log's size, but for what the page needs.
func Write(w io.Writer, c Contents) error {
	if c.Name == "" {
		c.Name = "sysrq-report"
	}
	if c.When.IsZero() {
		c.When = time.Unix(0, 0)
	}
	if c.Name != path.Base(c.Name) || strings.ContainsAny(c.Name, "/\\\x00") || c.Name == "." || c.Name == ".." {
		return fmt.Errorf("bundle: %q is no name of a directory", c.Name)
	}
	z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	b := &builder{tar: tar.NewWriter(z), c: &c}
	err = b.write()
	// Both have something to say at the end, and to free.
	return errors.Join(err, b.tar.Close(), z.Close())
}

type builder struct {
	tar      *tar.Writer
	c        *Contents
	manifest Manifest
}

func (b *builder) write() error {
	in := b.c.Input
	report := in.Report
	if report == nil {
		report = &diagnose.Report{}
	}
	b.manifest = Manifest{Schema: 1, Tool: strings.TrimSpace("sysrq " + in.Version), Title: in.Title, Redacted: b.c.Redacted}
	// What a person opens first comes first.
	err := b.add("findings.txt", "the findings as text", func(w io.Writer) error {
		return render.Text(w, in, render.TextOptions{Width: 100, Details: true})
	})
	if err != nil {
		return err
	}
	if err := b.add("report.html", "the report as a page: open it in a browser", func(w io.Writer) error {
		return render.HTML(w, in, render.HTMLOptions{})
	}); err != nil {
		return err
	}
	if err := b.add("report.json", "everything that was read, for programs (docs/schema/report.schema.json)", func(w io.Writer) error {
		return render.JSON(w, in)
	}); err != nil {
		return err
	}
	facts := Facts{Log: report.Machine, Dumps: report.Dumps, Kinds: report.Kinds, Counts: in.Counts, Machine: b.c.Machine}
	if err := b.add("facts.json", "where the log comes from", indented(facts)); err != nil {
		return err
	}
	if b.c.Capture != nil {
		what := "the log as it was"
		if b.c.Redacted {
			what = "the log, with names taken out"
		}
		if err := b.add("capture.log", what, func(w io.Writer) error {
			_, err := io.Copy(w, b.c.Capture)
			return err
		}); err != nil {
			return err
		}
	}
	return b.add("manifest.json", "", indented(b.manifest))
}

func indented(v any) func(io.Writer) error {
	return func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	}
}

// add writes one file. A tar archive says a file's size before the file, so it
// goes through a temporary one, which has no name any more when it is filled.
func (b *builder) add(name, what string, fill func(io.Writer) error) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("bundle: %s: %w", name, err)
		}
	}()
	tmp, err := os.CreateTemp(b.c.TempDir, "sysrq-bundle-*")
	if err != nil {
		return err
	}
	defer tmp.Close()
	if err := os.Remove(tmp.Name()); err != nil {
		return err
	}
	sum := sha256.New()
	if err := fill(io.MultiWriter(tmp, sum)); err != nil {
		return err
	}
	size, err := tmp.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if _, err := tmp.Seek(0, io.SeekStart); err != nil {
		return err
	}
	err = b.tar.WriteHeader(&tar.Header{
		Name: b.c.Name + "/" + name, Mode: 0o644, Size: size, ModTime: b.c.When.UTC().Truncate(time.Second), Format: tar.FormatPAX, Typeflag: tar.TypeReg,
	})
	if err != nil {
		return err
	}
	if _, err := io.CopyN(b.tar, tmp, size); err != nil {
		return err
	}
	b.manifest.Files = append(b.manifest.Files, File{Name: name, Bytes: size, SHA256: hex.EncodeToString(sum.Sum(nil)), What: what})
	return nil
}
