package diagnose

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/sysrq/sysrq/dump"
)

func TestRaw(t *testing.T) {
	for _, file := range strings.Fields(os.Getenv("SYSRQ_RAW")) {
		f, _ := os.Open(file)
		p := dump.NewParser(f)
		fmt.Println("===", file)
		top := func(fr []dump.Frame) string {
			s := ""
			for _, x := range fr {
				if !x.Guess && len(s) < 130 {
					s += x.Func + " "
				}
			}
			return s
		}
		for p.Scan() {
			b := p.Block()
			fmt.Printf("%d-%d %s boot%d dump%d %v ", b.First, b.Last, b.Kind, b.Boot, b.Dump, b.Unsure)
			switch d := b.Body.(type) {
			case *dump.Task:
				fmt.Println(d.Comm, d.PID, d.State, top(d.Stack))
			case *dump.Report:
				fmt.Printf("%q loc=%q sec=%d cpus=%v tasks=%v starved=%v locks=%q cpu=%d comm=%s pid=%d ip=%v user=%v irqsoff=%v wq=%q %s\n", d.Title, d.Location, d.Seconds, d.CPUs, d.Tasks, d.Starved, d.Locks, d.CPU.CPU, d.Comm, d.PID, d.IP, d.User, d.IRQsOff, d.Workqueue, top(d.Stack))
			case *dump.CPU:
				fmt.Printf("cpu=%d comm=%s pid=%d idle=%v ip=%v user=%v irqsoff=%v %s\n", d.CPU, d.Comm, d.PID, d.Idle, d.IP, d.User, d.IRQsOff, top(d.Stack))
			case *dump.OOM:
				fmt.Printf("inv=%s gfp=%s order=%d con=%s memcg=%s tmemcg=%s use=%d lim=%d tasks=%d victim=%+v none=%v\n", d.Invoker, d.GFP, d.Order, d.Constraint, d.Memcg, d.TaskMemcg, d.UsageKB, d.LimitKB, len(d.Tasks), d.Victim, d.NoneKillable)
			case *dump.Header:
				fmt.Println(*d)
			default:
				fmt.Printf("%.200s\n", fmt.Sprintf("%+v", d))
			}
		}
	}
}
