package diagnose_test

import (
	"fmt"
	"strings"

	"github.com/sysrq/sysrq/diagnose"
	"github.com/sysrq/sysrq/dump"
)

const stuck = `[  120.000001] sysrq: Show Blocked State
[  120.000100] task:touch           state:D stack:0     pid:102   ppid:101    flags:0x00000000
[  120.000101] Call Trace:
[  120.000102]  <TASK>
[  120.000103]  __schedule+0x34d/0x9e0
[  120.000104]  schedule+0x5a/0xd0
[  120.000105]  request_wait_answer+0x112/0x130 [fuse]
[  120.000106]  fuse_simple_request+0x1c5/0x2f0 [fuse]
[  120.000107]  entry_SYSCALL_64_after_hwframe+0x6e/0xd8
[  120.000108]  </TASK>
`

// What is wrong, and who is to blame?
func Example() {
	var a diagnose.Analyzer
	p := dump.NewParser(strings.NewReader(stuck))
	p.Log = a.Log // what stands around the dump can name the cause
	for p.Scan() {
		a.Add(p.Block())
	}
	a.Counts(p.Counts())
	r := a.Report()
	fmt.Println(r.Findings[0].ID, r.Findings[0].Lines)
	for _, b := range r.Blocked {
		fmt.Println(b.Comm, b.PID, b.Wait)
	}
	// Output:
	// fuse-server [{2 10}]
	// touch 102 fuse-server
}
