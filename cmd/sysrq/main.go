// Command sysrq triggers Magic SysRq and proves what it did.
package main

import (
	"os"

	"github.com/sysrq/sysrq/internal/cli"
	"github.com/sysrq/sysrq/transport/all"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], all.Registry()))
}
