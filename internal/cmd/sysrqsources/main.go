// Command sysrqsources reads the archive of a kernel tree on its standard input
// and writes the SysRq commands in it as a table: one line for each key that a
// file binds, with the name, the mask bit and the header that the kernel prints.
//
// The tables in testdata/sources were made by it, out of Debian's packages:
//
//	apt-get download linux-source-6.12
//	dpkg-deb --fsys-tarfile linux-source-6.12_*.deb |
//		tar -xO --wildcards '*/linux-source-6.12.tar.xz' | xz -dc |
//		go run ./internal/cmd/sysrqsources -from 'linux-source-6.12 6.12.117-1~deb12u1'
//
// Nothing is unpacked to the disk. It reads C with regular expressions, which
// is enough for a structure that the whole kernel writes in one way; whatever
// it can not read is an error, never a row left out.
package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func main() {
	from := flag.String("from", "", "the package that the archive came from, for the header line")
	flag.Parse()
	tree, err := read(bufio.NewReaderSize(os.Stdin, 1<<20))
	if err == nil {
		err = tree.write(os.Stdout, *from)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sysrqsources:", err)
		os.Exit(1)
	}
}

// op is one struct sysrq_key_op.
type op struct {
	name, action, mask string
}

// binding ties a key to an op of the same file.
type binding struct {
	key  byte
	op   string
	file string
}

type tree struct {
	version  string
	masks    map[string]int64
	ops      map[string]op // by file and C name
	bindings []binding
}

var (
	comment  = regexp.MustCompile(`(?s)/\*.*?\*/|//[^\n]*`)
	opDef    = regexp.MustCompile(`(?s)struct\s+sysrq_key_op\s+(\w+)\s*=\s*\{(.*?)\}\s*;`)
	helpMsg  = regexp.MustCompile(`(?s)\.help_msg\s*=\s*((?:"(?:[^"\\]|\\.)*"\s*)+)`)
	actMsg   = regexp.MustCompile(`(?s)\.action_msg\s*=\s*((?:"(?:[^"\\]|\\.)*"\s*)+)`)
	mask     = regexp.MustCompile(`\.enable_mask\s*=\s*(\w+)`)
	maskDef  = regexp.MustCompile(`(?m)^#define\s+(SYSRQ_ENABLE_\w+)\s+(0x[0-9a-fA-F]+)`)
	slots    = regexp.MustCompile(`(?s)\bsysrq_key_table\[\w+\]\s*=\s*\{(.*?)\}\s*;`)
	register = regexp.MustCompile(`\bregister_sysrq_key\s*\(\s*('(?:[^'\\]|\\.)'|\w+)\s*,\s*&?\s*(\w+)\s*\)`)
	cString  = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	makeVar  = regexp.MustCompile(`(?m)^(VERSION|PATCHLEVEL|SUBLEVEL)\s*=\s*(\d+)`)
)

func read(r io.Reader) (*tree, error) {
	t := &tree{masks: map[string]int64{}, ops: map[string]op{}}
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return t, t.check()
		}
		if err != nil {
			return nil, err
		}
		_, file, _ := strings.Cut(path.Clean(h.Name), "/")
		switch ext := path.Ext(file); {
		case h.Typeflag != tar.TypeReg:
		case file == "Makefile", ext == ".c", ext == ".h":
			b, err := io.ReadAll(tr)
			if err != nil {
				return nil, err
			}
			if err := t.add(file, b); err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
		}
	}
}

func (t *tree) add(file string, src []byte) error {
	if file == "Makefile" {
		v := map[string]string{}
		for _, m := range makeVar.FindAllSubmatch(src, -1) {
			v[string(m[1])] = string(m[2])
		}
		t.version = v["VERSION"] + "." + v["PATCHLEVEL"] + "." + v["SUBLEVEL"]
		return nil
	}
	if !bytes.Contains(src, []byte("sysrq_key")) {
		return nil
	}
	text := comment.ReplaceAllString(string(src), " ")
	for _, m := range maskDef.FindAllStringSubmatch(text, -1) {
		n, err := strconv.ParseInt(m[2], 0, 32)
		if err != nil {
			return err
		}
		t.masks[m[1]] = n
	}
	found := 0
	for _, m := range opDef.FindAllStringSubmatch(text, -1) {
		o, err := parseOp(m[2])
		if err != nil {
			return fmt.Errorf("%s: %w", m[1], err)
		}
		if o != (op{}) { // some files have an empty one for a kernel without SysRq
			t.ops[file+" "+m[1]] = o
			found++
		}
	}
	if n := strings.Count(text, ".help_msg"); n != found {
		return fmt.Errorf("it has %d help_msg in %d readable structures", n, found)
	}
	if m := slots.FindStringSubmatch(text); m != nil {
		if err := t.addSlots(file, m[1]); err != nil {
			return err
		}
	}
	for _, m := range register.FindAllStringSubmatch(text, -1) {
		if m[1][0] != '\'' {
			if m[1] == "int" || m[1] == "u8" {
				continue // the declaration itself
			}
			return fmt.Errorf("%s: the key is not a character", m[0])
		}
		t.bindings = append(t.bindings, binding{m[1][1], m[2], file})
	}
	return nil
}

func parseOp(body string) (op, error) {
	help := helpMsg.FindStringSubmatch(body)
	if help == nil {
		if strings.TrimSpace(body) == "" {
			return op{}, nil
		}
		return op{}, errors.New("it has no help_msg")
	}
	act := actMsg.FindStringSubmatch(body)
	if act == nil {
		return op{}, errors.New("it has no action_msg")
	}
	o := op{name: literal(help[1]), action: literal(act[1]), mask: "0"}
	if m := mask.FindStringSubmatch(body); m != nil {
		o.mask = m[1]
	}
	return o, nil
}

// literal joins adjacent C strings.
func literal(s string) string {
	var all strings.Builder
	for _, q := range cString.FindAllString(s, -1) {
		u, err := strconv.Unquote(q)
		if err != nil {
			u = q
		}
		all.WriteString(u)
	}
	return all.String()
}

const slotKeys = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

func (t *tree) addSlots(file, body string) error {
	entries := strings.Split(strings.TrimSuffix(strings.TrimSpace(body), ","), ",")
	if len(entries) > len(slotKeys) {
		return fmt.Errorf("the key table has %d slots", len(entries))
	}
	for i, e := range entries {
		e = strings.TrimSpace(e)
		if e == "NULL" {
			continue
		}
		name, ok := strings.CutPrefix(e, "&")
		if !ok {
			return fmt.Errorf("slot %c reads %q", slotKeys[i], e)
		}
		t.bindings = append(t.bindings, binding{slotKeys[i], name, file})
	}
	return nil
}

func (t *tree) check() error {
	if t.version == "" || len(t.bindings) == 0 {
		return errors.New("this is not the archive of a kernel tree")
	}
	bound := map[string]bool{}
	for _, b := range t.bindings {
		id := b.file + " " + b.op
		o, ok := t.ops[id]
		if !ok {
			return fmt.Errorf("%s: key %c is bound to %s, which is not there", b.file, b.key, b.op)
		}
		if _, ok := t.masks[o.mask]; !ok && o.mask != "0" {
			return fmt.Errorf("%s: %s: mask %s is not defined", b.file, b.op, o.mask)
		}
		bound[id] = true
	}
	for id := range t.ops {
		if !bound[id] {
			return fmt.Errorf("%s is bound to no key", id)
		}
	}
	return nil
}

func (t *tree) write(w io.Writer, from string) error {
	slices.SortFunc(t.bindings, func(a, b binding) int {
		return cmp.Or(
			strings.IndexByte(slotKeys, a.key)-strings.IndexByte(slotKeys, b.key),
			cmp.Compare(a.file, b.file), cmp.Compare(a.op, b.op),
		)
	})
	var out bytes.Buffer
	fmt.Fprintf(&out, "# Linux %s (%s), read by internal/cmd/sysrqsources; do not edit\n", t.version, from)
	fmt.Fprintf(&out, "# key\thelp\tmask\taction\tfile\n")
	for _, b := range t.bindings {
		o := t.ops[b.file+" "+b.op]
		fmt.Fprintf(&out, "%c\t%s\t0x%x\t%s\t%s\n", b.key, o.name, t.masks[o.mask], o.action, b.file)
	}
	_, err := out.WriteTo(w)
	return err
}
