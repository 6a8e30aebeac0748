package diagnose

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestShow prints what is said of the files in SYSRQ_SHOW, for a developer.
func TestShow(t *testing.T) {
	for _, file := range strings.Fields(os.Getenv("SYSRQ_SHOW")) {
		r := analyze(t, file)
		fmt.Printf("=== %s: %d blocked, kinds %v\n", file, len(r.Blocked), r.Kinds)
		for _, f := range r.Findings[:min(8, len(r.Findings))] {
			fmt.Printf("- [%s %s %s] %s\n    suspect: %s\n    detail: %s\n", f.ID, f.Severity, f.Confidence, f.Title, f.Suspect, f.Detail)
		}
	}
}
