package dump_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/sysrq/sysrq/dump"
)

var update = flag.Bool("update", false, "write what was read to testdata")

// outline writes a block as a golden file has it: a line for each field, and
// one for each element of a list.
func outline(w *bytes.Buffer, b *dump.Block) {
	fmt.Fprintf(w, "%s %d-%d", b.Kind, b.First, b.Last)
	for _, s := range b.Spans {
		fmt.Fprintf(w, " %d-%d", s.First, s.Last)
	}
	for _, d := range b.Unsure {
		fmt.Fprintf(w, " %s", d)
	}
	w.WriteByte('\n')
	fields(w, "  ", reflect.ValueOf(b.Body).Elem())
}

func fields(w *bytes.Buffer, indent string, v reflect.Value) {
	for i := range v.NumField() {
		f, t := v.Field(i), v.Type().Field(i)
		name, _, _ := strings.Cut(t.Tag.Get("json"), ",")
		if name == "" {
			name = t.Name
		}
		switch {
		case t.Anonymous:
			fields(w, indent, f)
		case f.IsZero() || f.Kind() == reflect.Slice && f.Len() == 0:
		case f.Kind() == reflect.Pointer && name == "memory":
			fmt.Fprintf(w, "%s%s:\n", indent, name)
			fields(w, indent+"  ", f.Elem())
		case f.Kind() == reflect.Slice && f.Type().Elem() != reflect.TypeFor[dump.Counter]():
			fmt.Fprintf(w, "%s%s:\n", indent, name)
			for j := range f.Len() {
				fmt.Fprintf(w, "%s  %s\n", indent, compact(f.Index(j)))
			}
		default:
			fmt.Fprintf(w, "%s%s: %s\n", indent, name, compact(f))
		}
	}
}

var counter = regexp.MustCompile(`\{"name":("[^"]*"),"value":(-?\d+)\}`)

// compact is JSON with counters as "name":value.
func compact(v reflect.Value) string {
	b, _ := json.Marshal(v.Interface())
	b = counter.ReplaceAll(b, []byte("$1:$2"))
	return strings.NewReplacer(`\u0026`, "&", `\u003e`, ">", `\u003c`, "<").Replace(string(b))
}

// TestSections holds what is read of recorded dumps against testdata.
func TestSections(t *testing.T) {
	files, _ := filepath.Glob("testdata/sections/*.txt")
	if len(files) == 0 {
		t.Fatal("no testdata")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			in, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			p := dump.NewParser(bytes.NewReader(in))
			p.Log = func(n int64, line []byte) { fmt.Fprintf(&got, "log %d %s\n", n, line) }
			for p.Scan() {
				outline(&got, p.Block())
			}
			golden := strings.TrimSuffix(file, ".txt") + ".golden"
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != string(want) {
				t.Errorf("differs from %s (go test ./dump -run TestSections -update writes it):\n%s", golden, firstDifference(got.String(), string(want)))
			}
		})
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		a, b := "(end)", "(end)"
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			return fmt.Sprintf("line %d\n got  %s\n want %s", i+1, a, b)
		}
	}
	return ""
}

// bodies reads all blocks of a text, and the lines that are in none.
func bodies(t testing.TB, in string) (blocks []*dump.Block, log []string) {
	t.Helper()
	p := dump.NewParser(strings.NewReader(in))
	p.Log = func(_ int64, line []byte) { log = append(log, string(line)) }
	for p.Scan() {
		blocks = append(blocks, p.Block().Clone())
	}
	if p.Err() != nil {
		t.Error(p.Err())
	}
	return blocks, log
}

// stamped puts a kernel's mark before each line.
func stamped(in string) string {
	var b strings.Builder
	for i, line := range strings.Split(strings.TrimSuffix(in, "\n"), "\n") {
		if strings.HasPrefix(line, "~") { // a piece of the line above
			b.WriteString(line[1:] + "\n")
			continue
		}
		fmt.Fprintf(&b, "[%5d.%06d] %s\n", 100+i, i, line)
	}
	return b.String()
}

// sectionForms are the odd and the old forms of each section. What is wanted is
// a piece of the blocks' outline; log is how many lines are in none.
var sectionForms = []struct {
	name, in string
	want     []string
	not      []string
	log      int
}{
	{
		name: "memory without NUMA",
		in: "Mem-Info:\nactive_anon:1 inactive_anon:2 isolated_anon:0\n active_file:3 free:4\n" +
			"DMA free:4kB min:1kB low:2kB high:3kB\nlowmem_reserve[]: 0 5\nDMA: 1*4kB (U) 0*8kB = 4kB\n" +
			"5 total pagecache pages\nFree swap  = 6kB\nTotal swap = 7kB\n8 pages RAM\n9 pages reserved\n",
		want: []string{
			"memory 1-11\n", `"active_anon":1`, `"active_file":3`, `"free":4`, `{"node":-1,"name":"DMA"`, `"lowmem_reserve":[0,5]`,
			`"orders":[{"kb":4,"count":1,"types":"U"},{"kb":8,"count":0}],"free_kb":4`, "swap_free_kb: 6", "swap_total_kb: 7", "ram_pages: 8", "reserved_pages: 9", "pagecache_pages: 5",
		},
	},
	{
		name: "memory of 2.6.32",
		in: "Mem-Info:\nNode 0 DMA per-cpu:\nCPU    0: hi:    0, btch:   1 usd:   0\n" +
			"Active:12 inactive:34 dirty:5 writeback:0 unstable:0\n free:77 slab:8 mapped:9 pagetables:1 bounce:0\n" +
			"Node 0 DMA free:15680kB min:20kB low:24kB high:28kB active_anon:0kB present:15336kB pages_scanned:0 all_unreclaimable? yes\n" +
			"lowmem_reserve[]: 0 2991 4001\nNode 0 DMA: 4*4kB 2*8kB 1*16kB = 48kB\n1000 total pagecache pages\n0 pages in swap cache\n" +
			"Swap cache stats: add 0, delete 0, find 0/0\nFree swap  = 2097144kB\nTotal swap = 2097144kB\n1048576 pages RAM\n34177 pages reserved\n11 pages shared\n22 pages non-shared\n",
		want: []string{"memory 1-17\n", `"active":12`, `"slab":8`, `"free":15680`, `"pages_scanned":0`, `"lowmem_reserve":[0,2991,4001]`, "ram_pages: 1048576", `"shared":11`, `"non_shared":22`},
	},
	{
		name: "memory of 2.4",
		in: "Mem-info:\nFree pages:      811288kB (     0kB HighMem)\n( Active: 927, inactive_dirty: 9604, inactive_clean: 0, free: 202822 (383 766 1149) )\n" +
			"1*4kB 1*8kB = 12kB)\n2*4kB = 8kB)\n= 0kB)\nSwap cache: add 0, delete 0, find 0/0\nFree swap:       265032kB\n229376 pages of RAM\n" +
			"0 pages of HIGHMEM\n4378 reserved pages\n22056 pages shared\n0 pages swap cached\n0 pages in page table cache\nBuffer memory:     6576kB\n",
		want: []string{
			"memory 1-15\n", `"active":927`, `"free":202822`, `"name":"DMA","orders":[{"kb":4,"count":1},{"kb":8,"count":1}],"free_kb":12`,
			`"name":"Normal","orders":[{"kb":4,"count":2}],"free_kb":8`, `"name":"HighMem","free_kb":0`, "swap_free_kb: 265032", "ram_pages: 229376", "reserved_pages: 4378",
		},
	},
	{
		name: "memory wrapped by a mailer",
		in: stamped("Mem-Info:\nNode 0 active_anon:1kB inactive_anon:2kB shmem_thp:\n~3kB kernel_stack:4kB all_unreclaimable?\n~yes\n" +
			"Node 0 DMA free:5kB\n~min:6kB\nlowmem_reserve[]: 0 7 8\nNode 0 DMA: 1*4kB (U)\n~2*8kB (UM) =\n~20kB\n9 pages RAM\n"),
		want: []string{
			"memory 1-11\n", `"shmem_thp":3`, `"kernel_stack":4`, `"all_unreclaimable":true`, `"min":6`, `"lowmem_reserve":[0,7,8]`, `{"kb":8,"count":2,"types":"UM"}],"free_kb":20`,
		},
	},
	{
		name: "memory wrapped without marks",
		in: "Mem-Info:\nNode 0 active_anon:1kB inactive_anon:2kB\nshmem_thp: 3kB all_unreclaimable?\nyes\n" +
			"Node 0 DMA free:5kB\nmin:6kB\nNode 0 DMA: 1*4kB\n(U) 2*8kB\n1*16kB = 36kB\n9 pages RAM\n",
		want: []string{"memory 1-10\n", `"shmem_thp":3`, `"all_unreclaimable":true`, `"min":6`, `{"kb":4,"count":1,"types":"U"},{"kb":8,"count":2},{"kb":16,"count":1}],"free_kb":36`},
	},
	{
		name: "memory allocations, slabs and huge pages",
		in: "Mem-Info:\nNode 0 DMA free:5kB\nNode 0 hugepages_total=1 hugepages_free=2 hugepages_surp=3 hugepages_size=2048kB\n9 pages RAM\nUnreclaimable slab info:\n" +
			"Name                      Used          Total\nkmalloc rcl 8k            33KB         63KB\nhugetlbfs_inode_cache         15KB         15KB\nMemory allocations:\n" +
			"    48.0 MiB    12288 mm/slub.c:3059 func:alloc_slab_page\nunrelated: words\n",
		want: []string{"memory 1-10\n", `{"node":0,"total":1,"free":2,"surplus":3,"kb":2048}`, `{"name":"kmalloc rcl 8k","used_kb":33,"total_kb":63}`},
		log:  1,
	},
	{
		name: "two dumps of memory in one",
		in:   "Mem-Info:\nNode 0 DMA free:5kB\nNode 0 DMA free:6kB\n9 pages RAM\n",
		want: []string{`"free":5`},
		not:  []string{`"free":6`},
		log:  1,
	},
	{
		name: "oom of 3.10",
		in: "java invoked oom-killer: gfp_mask=0x201da, order=0, oom_score_adj=0\njava cpuset=/ mems_allowed=0-1\n" +
			"CPU: 1 PID: 5 Comm: java Not tainted 3.10.0 #1\nCall Trace:\n [<ffffffff8163654b>] dump_stack+0x19/0x1b\nMem-Info:\nNode 0 DMA free:5kB\n9 pages RAM\n" +
			"[ pid ]   uid  tgid total_vm      rss nr_ptes swapents oom_score_adj name\n[  401]     0   401     9204        1      21       55             0 a name\n[  429]     0   429    11128        2      22      149         -1000 sh\n" +
			"Out of memory: Kill process 429 (sh) score 961 or sacrifice child\nKilled process 430 (sh (1)) total-vm:4kB, anon-rss:3kB, file-rss:2kB\n",
		want: []string{
			"oom 1-13\n", "invoker: \"java\"", `gfp: "0x201da"`, `{"pid":401,"uid":0,"tgid":401,"total_vm":9204,"rss":1,"pgtables":21,"swapents":55,"oom_score_adj":0,"name":"a name"}`,
			`"oom_score_adj":-1000,"name":"sh"`, `victim: {"comm":"sh (1)","pid":430,"uid":-1,"total_vm_kb":4,"anon_rss_kb":3,"file_rss_kb":2,"shmem_rss_kb":-1,"score":-1}`, `release: "3.10.0"`,
		},
	},
	{
		name: "oom of 4.4 with page directories, and 6.12",
		in: "[ pid ]   uid  tgid total_vm      rss nr_ptes nr_pmds swapents oom_score_adj name\n[ 1]     2   3     4        5       6     7      8         9 x\nOut of memory: Kill process 1 (x) score 7 or sacrifice child\nKilled process 1 (x) total-vm:1kB, anon-rss:1kB, file-rss:0kB, shmem-rss:0kB\n" +
			"Tasks state (memory values in pages):\n[  pid  ]   uid  tgid total_vm      rss rss_anon rss_file rss_shmem pgtables_bytes swapents oom_score_adj name\n[ 1]     2   3     4        5       6     7      8    9  10  -11 3 x\n",
		want: []string{
			`{"pid":1,"uid":2,"tgid":3,"total_vm":4,"rss":5,"pgtables":6,"swapents":8,"oom_score_adj":9,"name":"x"}`, `"score":7`,
			"oom 5-7 torn", `"rss":5,"pgtables":9,"swapents":10,"oom_score_adj":-11,"name":"3 x"`,
		},
	},
	{
		name: "oom of 2.6.18",
		in:   "oracle invoked oom-killer: gfp_mask=0x201d2, order=0, oomkilladj=0\n\nCall Trace:\n [<ffffffff800c5fb6>] out_of_memory+0x8e/0x2f3\n\nMem-info:\nNode 0 DMA free:1kB\n1 pages RAM\nOut of memory: Killed process 3456, UID 500, (oracle).\n",
		want: []string{"oom 1-9\n", `"comm":"oracle","pid":3456,"uid":500`},
	},
	{
		name: "oom of a control group, 4.x",
		in: "a invoked oom-killer: gfp_mask=0x14000c0(GFP_KERNEL), nodemask=(null), order=0, oom_score_adj=0\na cpuset=/ mems_allowed=0\n" +
			"Task in /docker/x killed as a result of limit of /docker\nmemory: usage 1024kB, limit 2048kB, failcnt 24\nmemory+swap: usage 1024kB, limit 9007199254740988kB, failcnt 0\nkmem: usage 0kB, limit 9kB, failcnt 0\n" +
			"Memory cgroup stats for /docker: cache:0KB rss:1016KB\n[ pid ]   uid  tgid total_vm      rss nr_ptes nr_pmds swapents oom_score_adj name\n[ 1]     2   3     4        5       6     7      8         9 x\n" +
			"Memory cgroup out of memory: Kill process 1 (x) score 1 or sacrifice child\nKilled process 1 (x) total-vm:1kB, anon-rss:1kB, file-rss:0kB, shmem-rss:0kB\noom_reaper: reaped process 1 (x), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB\n",
		want: []string{"oom 1-12\n", `memcg: "/docker"`, `task_memcg: "/docker/x"`, "usage_kb: 1024", "limit_kb: 2048", `"pid":1`, "reaped: true"},
	},
	{
		name: "oom of a control group, 6.x",
		in: "a b invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=-5\nmemory: usage 10240kB, limit 10240kB, failcnt 30\nswap: usage 0kB, limit 0kB, failcnt 0\nMemory cgroup stats for /x:\nanon 9842688\nfile 0\nTasks state (memory values in pages):\n" +
			"[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name\n[    323]     0   323     9458     2766    77824        0          -250 x\n" +
			"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/x,task_memcg=/x/y,task=x,pid=323,uid=7\n" +
			"Memory cgroup out of memory: Killed process 323 (x) total-vm:1kB, anon-rss:1kB, file-rss:0kB, shmem-rss:0kB, UID:7 pgtables:1kB oom_score_adj:-250\nTasks in /x are going to be killed due to memory.oom.group set\n" +
			"Memory cgroup out of memory: Killed process 324 (y) total-vm:1kB, anon-rss:1kB, file-rss:0kB, shmem-rss:0kB, UID:8 pgtables:1kB oom_score_adj:0\n",
		want: []string{"oom 1-12\n", `invoker: "a b"`, "oom_score_adj: -5", `constraint: "CONSTRAINT_MEMCG"`, `memcg: "/x"`, `task_memcg: "/x/y"`, `"uid":7`, "oom 13-13\n", `"pid":324,"uid":8`},
	},
	{
		name: "oom with rows wrapped",
		in: stamped("a invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0,\n~oom_score_adj=3\n[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents\n~oom_score_adj name\n" +
			"[    323]     0   323     9458     2766    77824        0          -250\n~systemd-journal\nOut of memory and no killable processes...\n"),
		want: []string{"oom 1-7\n", "oom_score_adj: 3", `"oom_score_adj":-250,"name":"systemd-journal"`, "none_killable: true"},
	},
	{
		name: "oom whose end is a panic",
		in:   "a invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=3\nMem-Info:\nNode 0 DMA free:1kB\n1 pages RAM\nKernel panic - not syncing: Out of memory: compulsory panic_on_oom is enabled\n",
		want: []string{"oom 1-4\n", "panic 5-5"},
	},
	{
		name: "allocation that failed",
		in: "x y: page allocation failure: order:4, mode:0x40dc0(GFP_KERNEL|__GFP_COMP|__GFP_ZERO), nodemask=(null),cpuset=/,mems_allowed=0\nCPU: 1 PID: 5 Comm: x y Not tainted 6.1.0 #1\nCall Trace:\n <TASK>\n dump_stack_lvl+0x34/0x48\n </TASK>\n" +
			"Mem-Info:\nNode 0 DMA free:1kB\n1 pages RAM\nz: page allocation stalls for 10000ms, order:0, mode:0x24000c0(GFP_KERNEL)\nw: page allocation failure. order:1, mode:0x20\n",
		want: []string{"allocation 1-9\n", `invoker: "x y"`, `gfp: "0x40dc0(GFP_KERNEL|__GFP_COMP|__GFP_ZERO)"`, "order: 4", "allocation 10-10 torn\n", `invoker: "z"`, "allocation 11-11 torn\n", `gfp: "0x20"`},
	},
	{
		name: "oom interleaved with a warning",
		in: "a invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=3\nTasks state (memory values in pages):\n[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name\n" +
			"INFO: task b:7 blocked for more than 120 seconds.\n[    323]     0   323     9458     2766    77824        0          -250 x\nOut of memory: Killed process 323 (x) total-vm:1kB, anon-rss:1kB, file-rss:0kB, shmem-rss:0kB\n",
		want: []string{"oom 1-6 1-3 5-6 interleaved\n", `"pid":323`},
	},
	{
		name: "locks",
		in: "\nShowing all locks held in the system:\n1 lock held by khungtaskd/38:\n #0: ffffffff8274b3a0 (rcu_read_lock){....}-{1:2}, at: debug_show_all_locks+0x15/0xf9\n" +
			"2 locks held by kworker/u8:2/4:\n #0: ffff888100052138 ((work_completion)(&ctx->exit_work)){+.+.}-{0:0}, at: process_one_work+0x199/0x3c0 [m]\n #1: <RELEASED>\n" +
			"1 lock held by a/b/c/9:\n2 locks held by old/5:\n #0:  (&sb->s_type->i_mutex_key#8/1){+.+.}, at: [<00000000c74202b6>] __sock_release+0x89/0x2b0\n #1:  (rtnl_mutex){+.+.+.}, at: [<c0a>] rtnl_lock\n" +
			"\n=============================================\n\nno more\n",
		want: []string{
			"locks 2-13\n", `{"comm":"khungtaskd","pid":38,"count":1,"held":[{"addr":"ffffffff8274b3a0","name":"rcu_read_lock","usage":"{....}-{1:2}","at":{"func":"debug_show_all_locks","offset":21,"size":249}}]}`,
			`"name":"(work_completion)(&ctx->exit_work)","usage":"{+.+.}-{0:0}","at":{"func":"process_one_work","offset":409,"size":960,"module":"m"}`, `"name":"<RELEASED>"`,
			`{"comm":"a/b/c","pid":9,"count":1}`, `{"name":"&sb->s_type->i_mutex_key#8/1","usage":"{+.+.}"`, `"at":{"func":"rtnl_lock"}`,
		},
		log: 1,
	},
	{
		name: "locks wrapped",
		in:   stamped("Showing all locks held in the system:\n1 lock held by x/56:\n #0: ffff8cfb41e0c948\n~((wq_completion)writeback){+.+.}-{0:0}, at:\n~process_one_work+0x21f/0x610\n1 lock held by y/57:\n #0: ffff8cfb47108838 (&mm->mmap_lock#2){++++}-{3:3},\n~at: do_user_addr_fault+0x149/0x6b0\n=============================================\n"),
		want: []string{"locks 1-9\n", `"name":"(wq_completion)writeback","usage":"{+.+.}-{0:0}","at":{"func":"process_one_work","offset":543,"size":1552}`, `"name":"&mm->mmap_lock#2","usage":"{++++}-{3:3}","at":{"func":"do_user_addr_fault"`},
	},
	{
		name: "locks turned off",
		in:   "INFO: lockdep is turned off.\n",
		want: []string{"locks 1-1\n", "off: true"},
	},
	{
		name: "locks of one task, behind its stack and in a report",
		in: "INFO: task a:7 blocked for more than 120 seconds.\na               D ffff8803a09c7cd8     0   7      2 0x00000000\nCall Trace:\n [<ffffffff8163654b>] schedule+0x19/0x1b\n [<ffffffff8163654c>] ret_from_fork+0x7c/0xb0\n2 locks held by a/7:\n #0:  (x){+.+.+.}, at: [<ffffffff8163654b>] f+0x1/0x2\n #1:  (y){+.+.+.}, at: [<ffffffff8163654b>] f+0x1/0x2\n" +
			"1 lock held by b/8:\n #0:  (z){+.+.+.}, at: [<ffffffff8163654b>] f+0x1/0x2\n" +
			"BUG: sleeping function called from invalid context at kernel/mutex.c:1\nin_atomic(): 1, irqs_disabled(): 0, pid: 9, name: c\n1 lock held by c/9:\n #0:  (z){+.+.+.}, at: [<ffffffff8163654b>] f+0x1/0x2\nCPU: 0 PID: 9 Comm: c Not tainted 4.4.0 #1\nCall Trace:\n [<ffffffff8163654b>] dump_stack+0x19/0x1b\n [<ffffffff8163654c>] ret_from_fork+0x7c/0xb0\n",
		want: []string{"hung-task 1-5\n", "locks 6-8\n", `{"comm":"a","pid":7,"count":2,"held":[{"name":"x"`, "locks 9-10\n", "oops 11-18\n"},
	},
	{
		name: "a prompt behind each section",
		in: stamped("Mem-Info:\nNode 0 DMA free:5kB\n9 pages RAM\n0 pages hwpoisoned\n~/ # \n~/ # echo w\nShowing busy workqueues and worker pools:\npool 1: cpus=0 flags=0x0 nice=0 hung=0s workers=3 idle: 19\n~/ # \n" +
			"a invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0\n[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name\n[    323]     0   323     9458     2766    77824        0          -250 x\n~/ # \n" +
			"Out of memory: Killed process 323 (x) total-vm:1kB, anon-rss:1kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:1kB oom_score_adj:0\n~/ # \n~/ # \n"),
		want: []string{"memory 1-4\n", `"hwpoisoned":0`, `"name":"x"}`, `"pid":323`, `"idle":[19]`},
		log:  6,
	},
	{
		name: "locks interleaved",
		in:   "Showing all locks held in the system:\n1 lock held by x/56:\nsysrq: Show Memory\n #0: ffff8cfb41e0c948 (a){+.+.}-{0:0}, at: f+0x21f/0x610\n=============================================\n",
		want: []string{"locks 1-5 1-2 4-5 interleaved\n", `"name":"a"`},
	},
	{
		name: "workqueues",
		in: "Showing busy workqueues and worker pools:\nworkqueue a: b: flags=0x2\n  pwq 4: cpus=2-3 node=0 flags=0x4 nice=-20 active=2/256 refcnt=3 MAYDAY\n" +
			"    in-flight: 980:hub_event [usbcore] for 7s ,188(RESCUER):f1 BAR(160), 12:g h\n    pending: 3*psi_avgs_work, BAR(160), x\n    inactive: y\n  pwq 5: cpus=0 flags=0x0 nice=0 active=1 refcnt=2\n    delayed: z\n" +
			"pool 4: cpus=2 node=0 flags=0x0 nice=-20 hung=29s workers=4 manager: 77 idle: 28 3084 53\nShowing backtraces of running workers in stalled CPU-bound worker pools:\nother\n",
		want: []string{
			"workqueues 1-10\n", `{"name":"a: b","flags":2,"pools":[{"pool":4,"cpus":"2-3","active":2,"max":256,"mayday":true,"in_flight":[{"pid":980,"func":"hub_event","seconds":7},{"pid":188,"func":"f1","rescuer":true},{"pid":188,"func":"BAR(160)","rescuer":true},{"pid":12,"func":"g"},{"pid":12,"func":"h"}],"pending":["3*psi_avgs_work","BAR(160)","x"],"inactive":["y"]},{"pool":5,"cpus":"0","active":1,"inactive":["z"]}]}`,
			`{"id":4,"cpus":"2","nice":-20,"hung_seconds":29,"workers":4,"manager":77,"idle":[28,3084,53]}`,
		},
		log: 1,
	},
	{
		name: "workqueues wrapped",
		in:   stamped("Showing busy workqueues and worker pools:\nworkqueue a: flags=0x2\n  pwq 4: cpus=2 node=0 flags=0x0 nice=0\n~active=2/256 refcnt=3\n    pending: x,\n~y\npool 512: cpus=0-255 flags=0x4 nice=0 hung=302s\n~workers=5 idle: 395\n"),
		want: []string{"workqueues 1-8\n", `"active":2,"max":256,"pending":["x","y"]`, `"hung_seconds":302,"workers":5,"idle":[395]`},
	},
	{
		name: "timers of 3.x, on whole lines",
		in: "Timer List Version: v0.6\nHRTIMER_MAX_CLOCK_BASES: 3\nnow at 123456 nsecs\n\ncpu: 3\n clock 1:\n  .base:       ffff88003fd0e4a0\n  .get_time:   ktime_get_real\nactive timers:\n" +
			" #0: <ffff88003fd0e580>, hrtimer_wakeup, S:01, futex_wait_queue_me, chrome/1234\n # expires at 150-200 nsecs [in -27 to 23 nsecs]\n  .expires_next   : 150 nsecs\n  .iowait_sleeptime: 5 nsecs\njiffies: 7\n\n" +
			"Tick Device: mode:     1\nPer CPU device: 3\nClock Event Device: lapic\n max_delta_ns:   1\n set_mode:       lapic_timer_setup\n event_handler:  hrtimer_interrupt\n retries:        0\nother: 1\n",
		want: []string{
			"timers 1-22\n", `version: "v0.6"`, "now_ns: 123456", `{"cpu":3,"timers":[{"clock":1,"func":"hrtimer_wakeup","state":1,"expires_ns":150,"in_ns":-27}],"values":["expires_next":150,"iowait_sleeptime":5]}`,
			`{"cpu":3,"name":"lapic","mode":1,"handler":"hrtimer_interrupt"}`,
		},
		log: 1,
	},
	{
		name: "timers broken up and wrapped",
		in: stamped("Timer List Version: v0.9\nnow at 5 nsecs\ncpu: 0\n clock 0:\nactive timers:\n #0: <(____ptrval____)>, tick_sched_timer\n, S:03\n\n # expires at 18116000000-18116000000 nsecs\n~[in 1791961 to\n~1791961 nsecs]\n" +
			"Tick Device: mode:     0\nBroadcast device\nClock Event Device: \npit\n event_handler:  tick_handle_periodic_broadcast\n"),
		want: []string{"timers 1-16\n", `{"clock":0,"func":"tick_sched_timer","state":3,"expires_ns":18116000000,"in_ns":1791961}`, `{"cpu":-1,"name":"pit","mode":0,"handler":"tick_handle_periodic_broadcast"}`},
	},
	{
		name: "sched of 3.10",
		in: "Sched Debug Version: v0.10, 3.10.0 #1\nktime                                   : 1.5\ncpu#0\n  .nr_running                    : 2\n  .curr->pid                     : 77\n\ncfs_rq[0]:/autogroup-1\n  .nr_running                    : 9\n\nrunnable tasks:\n" +
			"            task   PID         tree-key  switches  prio     exec-runtime         sum-exec        sum-sleep\n----------------------------------------------------------------------------------------------------------\n" +
			"R    my prog (1)    77      1234.000000        12   101     1.000000       2.000000      3.000000 /a\n    ksoftirqd/0     3       -34.100000        52    98     1.000000       2.000000      3.000000 /\nlast\n",
		want: []string{`version: "v0.10, 3.10.0 #1"`, `{"cpu":0,"nr_running":2,"current":77,"tasks":[{"state":"R","current":true,"comm":"my prog (1)","pid":77,"prio":101},{"comm":"ksoftirqd/0","pid":3,"prio":98}]}`},
		log:  1,
	},
	{
		name: "sched wrapped, with names that hold numbers",
		in: stamped("Sched Debug Version: v0.11, 6.12 #1\ncpu#1, 2000.000 MHz\nrunnable tasks:\n S            task   PID       vruntime   eligible    deadline             slice          sum-exec      switches  prio         wait-time        sum-sleep\n" +
			">R         a 12 b    20      1553.801979   E        1555.137412\n~1.400000        41.631959        19     110\n~0.000000\n D     \u00fc    24      1010.823309   N        1012.016374           1.400000        15.920164         9     -1         0.0\n"),
		want: []string{`"tasks":[{"state":"R","current":true,"comm":"a 12 b","pid":20,"prio":110},{"state":"D","comm":"ü","pid":24,"prio":-1}]`},
	},
	{
		name: "trace",
		in: "Dumping ftrace buffer:\n---------------------------------\nCPU:0 [LOST 12 EVENTS]\n a - b c-9       0d..2   12us+: __schedule <-schedule\n  <idle>-0       1dNh3. 13413291us : sched_switch: prev_comm=x us : y\n   <...>-12345  15.....   13us : <stack trace>\n => f\n => g\n" +
			"---------------------------------\n  <idle>-0       1dNh3. 13413291us : too late\n",
		want: []string{
			"ftrace 1-9\n", `{"comm":"a - b c","pid":9,"cpu":0,"time_us":12,"text":"__schedule <-schedule"}`, `{"comm":"<idle>","pid":0,"cpu":1,"time_us":13413291,"name":"sched_switch","text":"prev_comm=x us : y"}`,
			`{"comm":"<...>","pid":12345,"cpu":15,"time_us":13,"text":"<stack trace> => f => g"}`,
		},
		log: 1,
	},
	{
		name: "trace cut off, and an empty one",
		in:   "Dumping ftrace buffer:\n---------------------------------\n  sh-1  0d..2   12us : x: y\nDumping ftrace buffer:\n   (ftrace buffer empty)\n",
		want: []string{"ftrace 1-3 torn\n", "ftrace 4-5\n  empty: true"},
	},
}

func TestSectionForms(t *testing.T) {
	for _, test := range sectionForms {
		t.Run(test.name, func(t *testing.T) {
			blocks, log := bodies(t, test.in)
			var out bytes.Buffer
			for _, b := range blocks {
				outline(&out, b)
			}
			for _, want := range test.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("no %q in\n%s", want, out.String())
				}
			}
			for _, not := range test.not {
				if strings.Contains(out.String(), not) {
					t.Errorf("%q in\n%s", not, out.String())
				}
			}
			if len(log) != test.log {
				t.Errorf("%d lines are in no block, want %d: %q", len(log), test.log, log)
			}
		})
	}
}

// TestPublicSections counts what the labels of the public logs count.
func TestPublicSections(t *testing.T) {
	dir := corpusDir(t)
	rows := regexp.MustCompile(`(\d+) rows`)
	held := regexp.MustCompile(`(\d+) \\"locks held by\\" entries`)
	files, _ := filepath.Glob(filepath.Join(dir, "*.json"))
	for _, file := range files {
		label, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		count := func(r *regexp.Regexp) int {
			if m := r.FindSubmatch(label); m != nil {
				n, _ := strconv.Atoi(string(m[1]))
				return n
			}
			return -1
		}
		wantRows, wantHeld := count(rows), count(held)
		if wantRows < 0 && wantHeld < 0 {
			continue
		}
		in, err := os.ReadFile(file[:len(file)-len(".json")] + ".log")
		if err != nil {
			t.Fatal(err)
		}
		blocks, _ := bodies(t, string(in))
		gotRows, gotHeld := 0, 0
		for _, b := range blocks {
			switch body := b.Body.(type) {
			case *dump.OOM:
				gotRows += len(body.Tasks)
			case *dump.Locks:
				gotHeld += len(body.Holders)
				for _, h := range body.Holders {
					if len(h.Held) > h.Count {
						t.Errorf("%s: %s/%d holds %d locks, of %d", filepath.Base(file), h.Comm, h.PID, len(h.Held), h.Count)
					}
				}
			}
		}
		if wantRows >= 0 && gotRows != wantRows {
			t.Errorf("%s: %d rows, labelled %d", filepath.Base(file), gotRows, wantRows)
		}
		if wantHeld >= 0 && gotHeld != wantHeld {
			t.Errorf("%s: %d holders, labelled %d", filepath.Base(file), gotHeld, wantHeld)
		}
	}
}
