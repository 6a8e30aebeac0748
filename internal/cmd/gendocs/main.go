// Command gendocs writes the man pages from the program's own help. It is a
// program apart, so that what it links does not weigh on sysrq.
//
//	go run ./internal/cmd/gendocs docs/man
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/sysrq/sysrq/internal/cli"
	"github.com/sysrq/sysrq/transport/all"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gendocs DIRECTORY")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "gendocs:", err)
		os.Exit(1)
	}
}

func write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root := cli.Command(all.Registry())
	quiet(root)
	// A fixed date: the pages change when the program does, not when they are
	// made.
	day := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	return doc.GenManTree(root, &doc.GenManHeader{
		Title: "SYSRQ", Section: "1", Date: &day, Source: "sysrq", Manual: "User Commands",
	}, dir)
}

// quiet leaves out the line that says who made the page.
func quiet(c *cobra.Command) {
	c.DisableAutoGenTag = true
	for _, sub := range c.Commands() {
		quiet(sub)
	}
}
