package sysrq

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// row is a line of testdata/sources, which internal/cmd/sysrqsources wrote.
type row struct {
	key          Key
	name, action string
	mask         Mask
	file         string
}

// readSources reads every table, by the kernel's series: "6.12".
func readSources(t *testing.T) map[string][]row {
	t.Helper()
	files, err := filepath.Glob("testdata/sources/v*.txt")
	if err != nil || len(files) < 3 {
		t.Fatalf("want at least three kernel trees, have %v (%v)", files, err)
	}
	trees := map[string][]row{}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		version := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "v"), ".txt")
		series := version[:strings.LastIndexByte(version, '.')]
		sc := bufio.NewScanner(f)
		for n := 1; sc.Scan(); n++ {
			if n == 1 && !strings.HasPrefix(sc.Text(), "# Linux "+version+" (Debian linux-source-"+series+" "+version) {
				t.Fatalf("%s is not about %s: %s", file, version, sc.Text())
			}
			if strings.HasPrefix(sc.Text(), "#") {
				continue
			}
			c := strings.Split(sc.Text(), "\t")
			if len(c) != 5 || len(c[0]) != 1 {
				t.Fatalf("%s:%d: not a row: %q", file, n, sc.Text())
			}
			mask, err := strconv.ParseInt(c[2], 0, 32)
			if err != nil {
				t.Fatalf("%s:%d: %v", file, n, err)
			}
			r := row{key: Key(c[0][0]), action: c[3], mask: Mask(mask), file: c[4]}
			item, ok := ParseHelp("sysrq: HELP : " + c[1])
			if !ok || len(item) != 1 || item[0].Key != r.key && c[1] != "loglevel(0-9)" {
				t.Fatalf("%s:%d: the name %q does not fit the key %s", file, n, c[1], r.key)
			}
			r.name = item[0].Name
			trees[series] = append(trees[series], r)
		}
		if err := sc.Err(); err != nil {
			t.Fatal(err)
		}
	}
	return trees
}

var series = regexp.MustCompile(`^(\d+\.\d+)(?:$|:)`)

// claims are the files and series in which a Source says that the command is
// bound to its key: "FILE, FILE, 6.1, 6.12; FILE". A file without a series only
// supports, with what the handler does.
func claims(source string) [][2]string {
	var all [][2]string
	for part := range strings.SplitSeq(source, ";") {
		var files []string
		for w := range strings.SplitSeq(part, ",") {
			w = strings.TrimSpace(w)
			if m := series.FindStringSubmatch(w); m != nil {
				for _, f := range files {
					all = append(all, [2]string{m[1], f})
				}
			} else {
				files = append(files, w)
			}
		}
	}
	return all
}

func TestTableIsWhatTheSourcesSay(t *testing.T) {
	for v, rows := range readSources(t) {
		for _, r := range rows {
			var known bool
			for _, c := range ForKey(r.key) {
				if c.Name != r.name {
					continue
				}
				known = slices.Contains(claims(c.Source), [2]string{v, r.file})
				if !known {
					t.Errorf("%s: %s(%s) is bound in %s, which the table's source does not name: %s", v, r.name, r.key, r.file, c.Source)
				}
				known = true
				if c.Action != r.action {
					t.Errorf("%s: %s(%s): header %q, the table has %q", v, r.name, r.key, r.action, c.Action)
				}
				if c.Mask != r.mask {
					t.Errorf("%s: %s(%s): mask %#x, the table has %#x", v, r.name, r.key, int(r.mask), int(c.Mask))
				}
			}
			if !known {
				t.Errorf("%s: %s has %s(%s), which the table lacks", v, r.file, r.name, r.key)
			}
		}
	}
}

func TestTableClaimsNothingMore(t *testing.T) {
	trees := readSources(t)
	for _, c := range Commands() {
		where := fmt.Sprintf("%s(%s)", c.Name, c.Key)
		if c.Completion.Kind == CompletesHelp {
			for v, rows := range trees {
				for _, r := range rows {
					if r.key == c.Key {
						t.Errorf("%s: key %s is no longer free for HELP: %s", v, r.key, r.name)
					}
				}
			}
			continue
		}
		have := map[string]bool{}
		for _, claim := range claims(c.Source) {
			v, file := claim[0], claim[1]
			have[v] = true
			if !slices.ContainsFunc(trees[v], func(r row) bool {
				return r.key == c.Key && r.name == c.Name && r.file == file
			}) {
				t.Errorf("%s: the table claims %s of %s, which does not bind it", where, file, v)
			}
		}
		for v := range trees {
			exists := (c.Since == "" || !older(v, c.Since)) && (c.Until == "" || older(v, c.Until))
			if have[v] != exists {
				t.Errorf("%s: since %q until %q, yet its source claims %s: %v", where, c.Since, c.Until, v, have[v])
			}
		}
	}
}

// older reports whether series a comes before b.
func older(a, b string) bool {
	pa, pb := strings.Split(a, "."), strings.Split(b, ".")
	for i := range 2 {
		x, _ := strconv.Atoi(pa[i])
		y, _ := strconv.Atoi(pb[i])
		if x != y {
			return x < y
		}
	}
	return false
}

func TestClaims(t *testing.T) {
	got := claims("a.c, b.c, 6.1, 7.2: with a remark; c.c (f); d.c, 6.12")
	want := [][2]string{{"6.1", "a.c"}, {"6.1", "b.c"}, {"7.2", "a.c"}, {"7.2", "b.c"}, {"6.12", "d.c"}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if !older("6.1", "6.12") || older("6.12", "6.1") || older("7.2", "7.2") || !older("6.12", "7.2") {
		t.Error("series are not in order")
	}
}
