package cli

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/sysrq/sysrq/transport"
)

// TestReadmeReport: what README.md shows of a report is what the program prints.
func TestReadmeReport(t *testing.T) {
	t.Chdir("../..")
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, shown, ok := strings.Cut(string(readme), "\n$ sysrq report ")
	file, shown, _ := strings.Cut(shown, "\n")
	shown, _, ended := strings.Cut(shown, "```")
	if !ok || !ended {
		t.Fatal("README.md shows no report")
	}
	var out, errs bytes.Buffer
	p := &program{stdout: &out, stderr: &errs, registry: transport.NewRegistry(), isTerminal: func(any) bool { return false }}
	if status := p.main([]string{"report", file}); status != exitOK || errs.Len() > 0 {
		t.Fatalf("status %d: %s", status, errs.String())
	}
	if out.String() != shown {
		t.Errorf("README.md shows\n%s\nand sysrq report %s prints\n%s", shown, file, out.String())
	}
}
