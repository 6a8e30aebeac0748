package render

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sysrq/sysrq/diagnose"
	"github.com/sysrq/sysrq/dump"
)

// TestRealLogs writes every form of a report of every log of our corpus, and of
// those that SYSRQ_CORPUS names. The JSON must be what the schema says, the
// pictures XML, and every line that a finding rests on a line of the page.
func TestRealLogs(t *testing.T) {
	files, _ := filepath.Glob("../diagnose/testdata/corpus/*.txt")
	if len(files) == 0 {
		t.Fatal("the corpus is not there")
	}
	if dir := os.Getenv("SYSRQ_CORPUS"); dir != "" {
		more, _ := filepath.Glob(filepath.Join(dir, "*.log"))
		files = append(files, more...)
	}
	schema := compileSchema(t)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			log, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			p := dump.NewParser(bytes.NewReader(log))
			var a diagnose.Analyzer
			var blocks []*dump.Block
			for p.Scan() {
				a.Add(p.Block())
				blocks = append(blocks, p.Block().Clone())
			}
			if err := p.Err(); err != nil {
				t.Fatal(err)
			}
			lines, fail := Lines(bytes.NewReader(log))
			in := Input{Title: filepath.Base(file), Report: a.Report(), Blocks: slices.Values(blocks), Counts: p.Counts(), Lines: lines}
			for name := range formats {
				out := written(t, name, in)
				switch {
				case name == "json":
					if err := validate(t, schema, out); err != nil {
						e := err.Error()
						t.Errorf("JSON: %s", e[:min(len(e), 1500)])
					}
				case strings.HasSuffix(name, ".svg"):
					wellFormed(t, name, out)
				case name == "html":
					balanced(t, string(out))
				}
			}
			if err := fail(); err != nil {
				t.Error(err)
			}
		})
	}
}
