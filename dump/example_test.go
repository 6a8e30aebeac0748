package dump_test

import (
	"fmt"
	"strings"

	"github.com/sysrq/sysrq/dump"
)

const blocked = `Nov  5 12:00:00 web1 kernel: [  120.000001] sysrq: Show Blocked State
Nov  5 12:00:00 web1 kernel: [  120.000100] task:touch           state:D stack:0     pid:102   ppid:101    flags:0x00000000
Nov  5 12:00:00 web1 kernel: [  120.000101] Call Trace:
Nov  5 12:00:00 web1 kernel: [  120.000102]  <TASK>
Nov  5 12:00:00 web1 kernel: [  120.000103]  __schedule+0x34d/0x9e0
Nov  5 12:00:00 web1 kernel: [  120.000104]  schedule+0x5a/0xd0
Nov  5 12:00:00 web1 kernel: [  120.000105]  request_wait_answer+0x112/0x130 [fuse]
Nov  5 12:00:00 web1 kernel: [  120.000106]  entry_SYSCALL_64_after_hwframe+0x6e/0xd8
Nov  5 12:00:00 web1 kernel: [  120.000107]  </TASK>
`

// Who is blocked, and in which function of which module?
func ExampleParser() {
	p := dump.NewParser(strings.NewReader(blocked))
	for p.Scan() {
		b := p.Block()
		task, ok := b.Body.(*dump.Task)
		if !ok {
			continue
		}
		f := task.Stack[2]
		fmt.Printf("lines %d-%d: %s (%d) in state %s, in %s of %s\n", b.First, b.Last, task.Comm, task.PID, task.State, f.Func, f.Module)
	}
	if err := p.Err(); err != nil {
		fmt.Println(err)
	}
	// Output: lines 2-9: touch (102) in state D, in request_wait_answer of fuse
}
