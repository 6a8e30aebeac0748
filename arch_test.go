package sysrq

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The walls of the house, held by a test. A rule that has to give way gets an
// exception here, with its reason; a new package gets a floor.

const module = "github.com/sysrq/sysrq"

// floors says how high each package stands. A package imports only packages
// that stand lower; those that stand equally high know nothing of each other.
// "x/*" is every package right below x that has no line of its own. A package
// that is not there yet may have its floor already.
var floors = map[string]int{
	"internal/unix":   5, // raw system calls
	"internal/golden": 5, // test helper

	".":    10, // the vocabulary
	"kmsg": 10,

	"dump":    20,
	"native":  20,
	"trigger": 20,
	"host":    20,
	"layout":  20,

	"diagnose":                30,
	"transport":               30, // the interface and the registry
	"transport/transporttest": 31, // the conformance suite
	"transport/*":             32, // one way each: they don't know each other
	"transport/all":           33, // registers them
	"rescue":                  40,
	"redact":                  30,
	"render":                  40,
	"internal/logfile":        45,
	"render/pprof":            41, // a profile of it
	"bundle":                  45, // what render makes, in one archive; links zstd
	"internal/agent":          50,
	"internal/lab":            50,
	"internal/lab/guest":      48, // runs inside the machines
	"internal/lab/*":          51, // what is played on them
	"internal/fleet":          51,
	"internal/web":            51,
	"internal/cli":            52,
	"internal/cmd/*":          60, // programs that only the project's makers run
	"cmd/*":                   60,
}

// onlyStd are packages that import the standard library and nothing else, and
// onlySys those that add golang.org/x/sys at most. A monitoring agent that
// imports kmsg pays for nothing else.
var (
	onlyStd = []string{"."}
	onlySys = []string{
		"kmsg", "native", "dump", "trigger", "host", "layout", "diagnose", "render", "render/pprof", "redact", "rescue",
		"transport", "transport/transporttest", "transport/local", "transport/qmp",
	}
)

// mayExec start other programs. An emergency tool that forks needs memory when
// there is none.
var mayExec = map[string]string{
	"internal/lab":   "QEMU, UML and Debian's tools are programs",
	"internal/lab/*": "likewise",
	"internal/cmd/*": "never shipped",
	"internal/cli":   "sysrq lab rescues from outside with the sysrq program itself, as a person would",
}

// mayPrint talk to a person, or end the process.
var mayPrint = map[string]string{
	"internal/cli":   "words and lines are its one idea",
	"cmd/*":          "main ends with an exit status",
	"internal/cmd/*": "programs",
	"internal/lab/*": "the programs that run inside the disposable machines",
}

// maxMain is how many lines a main package may have: enough to call cli.
const maxMain = 60

// in finds a package's line in a table that may have "x/*".
func in[V any](table map[string]V, pkg string) (V, bool) {
	if v, ok := table[pkg]; ok {
		return v, true
	}
	v, ok := table[path.Dir(pkg)+"/*"]
	return v, ok
}

// source is one Go file of the project, tests left out.
type source struct {
	name  string // path from the root
	pkg   string // directory, "." for the root
	file  *ast.File
	lines int
}

// sources parses every file, whatever system it is built for.
func sources(t *testing.T) (*token.FileSet, []source) {
	t.Helper()
	fset := token.NewFileSet()
	var all []source
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); name != "." && (base == "testdata" || name == "bin" || name == "tools" || base[0] == '.' || base[0] == '_') {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(fset, name, b, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		all = append(all, source{filepath.ToSlash(name), path.Dir(filepath.ToSlash(name)), f, bytes.Count(b, []byte("\n"))})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("only %d files: the walls would prove nothing", len(all))
	}
	return fset, all
}

func TestImportsPointDown(t *testing.T) {
	_, all := sources(t)
	for _, s := range all {
		floor, ok := in(floors, s.pkg)
		if !ok {
			t.Errorf("%s: package %s has no floor: give it one in arch_test.go", s.name, s.pkg)
			continue
		}
		for _, spec := range s.file.Imports {
			imp, _ := strconv.Unquote(spec.Path.Value)
			rest, ours := strings.CutPrefix(imp, module)
			switch {
			case ours:
				pkg := path.Clean("." + rest)
				below, ok := in(floors, pkg)
				if !ok {
					t.Errorf("%s imports %s, which has no floor", s.name, pkg)
				} else if below >= floor {
					t.Errorf("%s (floor %d) imports %s (floor %d): imports point down only", s.name, floor, pkg, below)
				}
				if slices.Contains(onlyStd, s.pkg) || s.pkg == "kmsg" {
					t.Errorf("%s imports %s: it stands alone", s.name, pkg)
				}
			case !strings.Contains(strings.SplitN(imp, "/", 2)[0], "."): // the standard library
				if imp == "os/exec" {
					if _, ok := in(mayExec, s.pkg); !ok {
						t.Errorf("%s imports os/exec", s.name)
					}
				}
				if imp == "C" || imp == "unsafe" && slices.Contains(onlyStd, s.pkg) {
					t.Errorf("%s imports %s", s.name, imp)
				}
			default:
				if slices.Contains(onlyStd, s.pkg) {
					t.Errorf("%s imports %s: only the standard library is allowed there", s.name, imp)
				}
				if slices.Contains(onlySys, s.pkg) && !strings.HasPrefix(imp, "golang.org/x/sys/") {
					t.Errorf("%s imports %s: only golang.org/x/sys is allowed there", s.name, imp)
				}
			}
		}
	}
}

// speaks are what prints, or ends the process, by package.
var speaks = map[string][]string{
	"fmt": {"Print", "Printf", "Println"},
	"log": {"Print", "Printf", "Println", "Fatal", "Fatalf", "Fatalln", "Panic", "Panicf", "Panicln"},
	"os":  {"Exit", "Stdout", "Stderr", "Stdin"},
}

func TestOnlyTheTopSpeaks(t *testing.T) {
	fset, all := sources(t)
	for _, s := range all {
		if _, ok := in(mayPrint, s.pkg); ok {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && slices.Contains(speaks[x.Name], n.Sel.Name) {
					t.Errorf("%s: %s.%s: only internal/cli and cmd print, read the terminal, or exit", fset.Position(n.Pos()), x.Name, n.Sel.Name)
				}
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.Ident); ok && (f.Name == "print" || f.Name == "println") {
					t.Errorf("%s: %s", fset.Position(n.Pos()), f.Name)
				}
			}
			return true
		})
	}
}

func TestMainsHaveNoLogic(t *testing.T) {
	_, all := sources(t)
	lines := map[string]int{}
	for _, s := range all {
		if path.Dir(s.pkg) == "cmd" {
			lines[s.pkg] += s.lines
		}
	}
	for pkg, n := range lines {
		if n > maxMain {
			t.Errorf("%s has %d lines, and %d are enough to call internal/cli", pkg, n, maxMain)
		}
	}
}

func TestOnePackageComment(t *testing.T) {
	_, all := sources(t)
	docs := map[string][]string{}
	for _, s := range all {
		docs[s.pkg] = append(docs[s.pkg], "")
		if s.file.Doc != nil {
			docs[s.pkg][len(docs[s.pkg])-1] = s.name
			text := s.file.Doc.Text()
			want := "Package " + s.file.Name.Name + " "
			if s.file.Name.Name == "main" {
				want = "Command "
			}
			if !strings.HasPrefix(text, want) {
				t.Errorf("%s: the comment should begin with %q", s.name, want)
			}
		}
	}
	for pkg, files := range docs {
		files = slices.DeleteFunc(files, func(f string) bool { return f == "" })
		if len(files) != 1 {
			t.Errorf("package %s has %d package comments: %v", pkg, len(files), files)
		}
	}
}

// rowModule is a module named in the first cells of docs/dependencies.md.
var rowModule = regexp.MustCompile("(?m)^\\|[^|]*\\| `([^` ]+) v[^`]+` \\| ([^|]+) \\|")

// licences that may be linked.
var licences = regexp.MustCompile(`^(Apache-2\.0|BSD-2-Clause|BSD-3-Clause|MIT)$`)

func TestDependenciesHaveReasons(t *testing.T) {
	doc, err := os.ReadFile("docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	linkedPart, _, found := strings.Cut(string(doc), "## Tests only")
	if !found {
		t.Fatal(`docs/dependencies.md has no part "Tests only"`)
	}
	licence := map[string]string{}
	for _, m := range rowModule.FindAllStringSubmatch(linkedPart, -1) {
		licence[m[1]] = strings.TrimSpace(m[2])
	}
	if len(licence) == 0 {
		t.Fatal("docs/dependencies.md has no row that can be read")
	}
	for mod, l := range licence {
		if !licences.MatchString(l) {
			t.Errorf("%s: licence %q may not be linked", mod, l)
		}
	}
	mains, err := filepath.Glob("cmd/*/*.go")
	if err != nil || len(mains) == 0 {
		t.Log("there is no program yet, so nothing is linked")
		return
	}
	cmd := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}", "./cmd/...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.Bytes())
	}
	linked := strings.Fields(string(out))
	slices.Sort(linked)
	for _, mod := range slices.Compact(linked) {
		if licence[mod] == "" {
			t.Errorf("the programs link %s, which has no row in docs/dependencies.md", mod)
		}
	}
}

// The words are put together here, so that this file may be committed itself.
var foreign = []string{
	"/" + "work/", "/" + "farm/", // paths of a machine that built this
	"proxy.golang" + ".org", "sum.golang" + ".org", "registry.npmjs" + ".org", "pypi" + ".org",
	"pythonhosted" + ".org", "crates" + ".io", "rubygems" + ".org", "deb.debian" + ".org",
	"packages.cloud.google" + ".com", "deb.nodesource" + ".com",
}

func TestNothingNamesThisMachine(t *testing.T) {
	out, err := exec.Command("git", "ls-files", "-co", "--exclude-standard", "-z").Output()
	if err != nil {
		// An archive without its history: every file in it was committed.
		var names []string
		err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				names = append(names, name)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		out = []byte(strings.Join(names, "\x00"))
	}
	for name := range strings.SplitSeq(string(out), "\x00") {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // deleted, but not committed yet; or a directory's link
		}
		for _, w := range foreign {
			if i := bytes.Index(b, []byte(w)); i >= 0 {
				t.Errorf("%s:%d names %q", name, 1+bytes.Count(b[:i], []byte("\n")), w)
			}
		}
	}
}
