package dump_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/sysrq/sysrq/dump"
)

// form is a way in which kernels print tasks.
type form struct {
	name           string
	stamps, caller bool
	tags, old      bool
	hung           bool
}

var forms = []form{
	{name: "6.12", stamps: true, tags: true},
	{name: "6.12 with callers", stamps: true, caller: true, tags: true},
	{name: "6.12 without stamps", tags: true},
	{name: "5.10", stamps: true},
	{name: "4.19", stamps: true, old: true},
	{name: "4.19 hung tasks", stamps: true, old: true, hung: true},
	{name: "6.12 hung tasks", stamps: true, tags: true, hung: true},
}

// piece is a line of a made dump. task is whose it is, mark whether it tells
// where one task ends and the next begins.
type piece struct {
	task int
	text string
	mark bool
}

// made is a dump in which each function's name says whose stack it stands on.
func made(f form, first, tasks, frames int, caller string) (all []piece) {
	usec := first * 1000
	add := func(task int, mark bool, format string, args ...any) {
		prefix := ""
		if f.stamps {
			usec += 7
			prefix = fmt.Sprintf("[%5d.%06d]", 100+usec/1e6, usec%1e6)
			if f.caller {
				prefix += fmt.Sprintf("[%6s]", caller)
			}
			prefix += " "
		}
		all = append(all, piece{task, prefix + fmt.Sprintf(format, args...), mark})
	}
	for i := range tasks {
		k := first + i
		comm, pid := fmt.Sprintf("task%d", k), 1000+k
		if f.hung {
			add(k, true, "INFO: task %s:%d blocked for more than 120 seconds.", comm, pid)
			add(k, false, "      Not tainted 6.12.1 #1")
			add(k, false, `"echo 0 > /proc/sys/kernel/hung_task_timeout_secs" disables this message.`)
		}
		if f.old {
			add(k, true, "%-15.15s D %5d %5d %6d 0x%08x", comm, 0, pid, 2, 0x80000000)
		} else {
			add(k, true, "task:%-15.15s state:D stack:%-5d pid:%-5d ppid:%-6d flags:0x%08x", comm, 0, pid, 2, 0x4000)
		}
		add(k, true, "Call Trace:")
		if f.tags {
			add(k, true, " <TASK>")
		}
		add(k, true, " __schedule+0x2d1/0x830")
		for j := range frames {
			q := ""
			if j%4 == 3 {
				q = "? "
			}
			add(k, false, " %sfn_%d_%d+0x%x/0x200", q, k, j, 16+j)
		}
		add(k, true, " ret_from_fork+0x22/0x30")
		if f.tags {
			add(k, true, " </TASK>")
		}
	}
	return all
}

func text(all []piece) string {
	var b strings.Builder
	for _, p := range all {
		b.WriteString(p.text)
		b.WriteByte('\n')
	}
	return b.String()
}

// read parses a text and holds that every line of it became something once.
func read(t tester, in string) (blocks []*dump.Block) {
	t.Helper()
	lines := strings.Split(in, "\n")
	seen := make([]int, len(lines)+1)
	p := dump.NewParser(strings.NewReader(in))
	p.Log = func(n int64, _ []byte) { seen[n]++ }
	for p.Scan() {
		b := p.Block().Clone()
		spans := b.Spans
		if len(spans) == 0 {
			spans = []dump.Span{{First: b.First, Last: b.Last}}
		}
		last := int64(0)
		for _, s := range spans {
			if s.First <= last || s.Last < s.First || s.First < b.First || s.Last > b.Last || int(s.Last) > len(lines) {
				t.Fatalf("span %v of a block of lines %d to %d, after line %d", s, b.First, b.Last, last)
			}
			last = s.Last
			for n := s.First; n <= s.Last; n++ {
				seen[n]++
			}
		}
		blocks = append(blocks, b)
	}
	if p.Err() != nil {
		t.Fatal(p.Err())
	}
	for i, l := range lines {
		if strings.TrimSpace(l) != "" && seen[i+1] == 0 {
			t.Fatalf("line %d is lost: %q", i+1, l)
		}
	}
	return blocks
}

// owner is whose the frame is, or -1.
func owner(f dump.Frame) int {
	var k, j int
	if n, _ := fmt.Sscanf(f.Func, "fn_%d_%d", &k, &j); n == 2 {
		return k
	}
	return -1
}

// pairings holds that no block that is sure has another's frames.
func pairings(t tester, blocks []*dump.Block, in string) {
	t.Helper()
	for _, b := range blocks {
		task, ok := b.Body.(*dump.Task)
		if !ok || !b.Sure() {
			continue
		}
		who := -1
		fmt.Sscanf(task.Comm, "task%d", &who)
		for _, f := range task.Stack {
			if k := owner(f); k >= 0 && k != who {
				t.Fatalf("lines %d to %d: %s was surely given %s\n%s", b.First, b.Last, task.Comm, f.Func, in)
			}
		}
	}
}

// byTask are the blocks of tasks by their names.
func byTask(blocks []*dump.Block) map[string][]*dump.Block {
	all := map[string][]*dump.Block{}
	for _, b := range blocks {
		if task, ok := b.Body.(*dump.Task); ok && task.Comm != "" {
			all[task.Comm] = append(all[task.Comm], b)
		}
	}
	return all
}

var likeness = cmp.Options{
	cmpopts.IgnoreFields(dump.Block{}, "First", "Last", "Spans", "Boot"),
	cmpopts.EquateEmpty(),
}

// TestDamage loses, doubles and cuts lines at random. What was not touched is
// read as before; what was touched never passes for sure while it is wrong.
func TestDamage(t *testing.T) {
	for _, f := range forms {
		t.Run(f.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				clean := made(f, 0, rapid.IntRange(1, 8).Draw(t, "tasks"), rapid.IntRange(2, 9).Draw(t, "frames"), "T9")
				want := byTask(read(t, text(clean)))
				touched := map[int]bool{}
				var damaged []piece
				begin, end := 0, len(clean)
				if rapid.Bool().Draw(t, "cut") {
					begin = rapid.IntRange(0, end-1).Draw(t, "begin")
					end = rapid.IntRange(begin, end).Draw(t, "end")
				}
				rate := rapid.IntRange(0, 30).Draw(t, "percent")
				gone := 0 // marks of a seam that are gone in a row
				for i, p := range clean {
					if i < begin || i >= end {
						touched[p.task] = true
						continue
					}
					if !p.mark {
						gone = 0
					}
					switch n := rapid.IntRange(0, 99).Draw(t, "fate"); {
					case n < rate:
						// A seam of which no mark is left can not be seen.
						if gone++; p.mark && gone > 1 {
							damaged = append(damaged, p)
							gone = 0
							continue
						}
						touched[p.task] = true
					case n < rate+rate/3:
						touched[p.task] = true
						damaged = append(damaged, p, p)
					default:
						damaged = append(damaged, p)
					}
				}
				in := text(damaged)
				blocks := read(t, in)
				pairings(t, blocks, in)
				got := byTask(blocks)
				for name, w := range want {
					var k int
					fmt.Sscanf(name, "task%d", &k)
					if touched[k] {
						continue
					}
					if len(got[name]) != 1 {
						t.Fatalf("%s, untouched, was read %d times\n%s", name, len(got[name]), in)
					}
					// That it stands beside a damaged one may make it doubtful.
					near := likeness
					if len(touched) > 0 {
						near = append(cmp.Options{cmpopts.IgnoreFields(dump.Block{}, "Unsure")}, likeness...)
					}
					if d := cmp.Diff(w[0], got[name][0], near); d != "" {
						t.Fatalf("%s, untouched, was read otherwise:\n%s\n%s", name, d, in)
					}
				}
			})
		})
	}
}

// TestInterleaving mixes two dumps line by line. With callers both are read as
// if they stood alone; without, none that has the other's lines is sure.
func TestInterleaving(t *testing.T) {
	for _, f := range forms {
		t.Run(f.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				frames := rapid.IntRange(2, 6).Draw(t, "frames")
				a := made(f, 0, rapid.IntRange(1, 3).Draw(t, "a"), frames, "T9")
				b := made(f, 100, rapid.IntRange(1, 3).Draw(t, "b"), frames, "C1")
				var mixed []piece
				for i, j := 0, 0; i < len(a) || j < len(b); {
					n := rapid.IntRange(1, 6).Draw(t, "run")
					if j == len(b) || i < len(a) && rapid.Bool().Draw(t, "a's") {
						n = min(n, len(a)-i)
						mixed = append(mixed, a[i:i+n]...)
						i += n
					} else {
						n = min(n, len(b)-j)
						mixed = append(mixed, b[j:j+n]...)
						j += n
					}
				}
				in := text(mixed)
				blocks := read(t, in)
				pairings(t, blocks, in)
				if !f.caller {
					return
				}
				want := byTask(read(t, text(a)))
				for k, v := range byTask(read(t, text(b))) {
					want[k] = v
				}
				if d := cmp.Diff(want, byTask(blocks), likeness); d != "" {
					t.Fatalf("with callers, read otherwise than alone:\n%s\n%s", d, in)
				}
			})
		})
	}
}

// tester is what *testing.T and *rapid.T have in common.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}
