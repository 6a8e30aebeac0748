// Command sysrq triggers Magic SysRq and proves what it did.
package main

import (
	"os"

	"github.com/sysrq/sysrq/internal/cli"
	"github.com/sysrq/sysrq/internal/lab/guest"
	"github.com/sysrq/sysrq/transport/all"
)

func main() {
	if guest.IsInit() { // process 1 of one of the lab's machines
		guest.Main()
	}
	os.Exit(cli.Main(os.Args[1:], all.Registry()))
}
