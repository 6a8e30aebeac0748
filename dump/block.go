package dump

import (
	"slices"
	"time"
)

// Kind says what a block holds. The names are stable: they are JSON's.
type Kind string

// The kinds of block, and the type of their Body.
const (
	KindHeader     Kind = "sysrq"       // a command's own line: *Header
	KindHelp       Kind = "help"        // the keys that a kernel has: *Help
	KindTask       Kind = "task"        // one task of t or w: *Task
	KindHungTask   Kind = "hung-task"   // khungtaskd's report: *Task
	KindCPU        Kind = "cpu"         // one processor of l, or of an NMI: *CPU
	KindMemory     Kind = "memory"      // m: *Memory
	KindOOM        Kind = "oom"         // the OOM killer's report: *OOM
	KindAllocation Kind = "allocation"  // 'page allocation failure': *OOM
	KindTimers     Kind = "timers"      // q: *Timers
	KindLocks      Kind = "locks"       // d, and the end of t: *Locks
	KindWorkqueues Kind = "workqueues"  // the end of t: *Workqueues
	KindSched      Kind = "sched-debug" // t: *Sched
	KindTrace      Kind = "ftrace"      // z: *Trace
	KindSoftLockup Kind = "soft-lockup" // *Report
	KindHardLockup Kind = "hard-lockup" // *Report
	KindRCUStall   Kind = "rcu-stall"   // *Report
	KindWorkLockup Kind = "workqueue-lockup"
	KindOops       Kind = "oops"    // *Report
	KindPanic      Kind = "panic"   // *Report
	KindWarning    Kind = "warning" // *Report
	KindLockdep    Kind = "lockdep" // *Report
	KindStack      Kind = "stack"   // a stack whose head is lost: *Task without a name
	KindUnread     Kind = "unread"  // *Unread
)

// Span is a range of lines of the source, from 1, both ends included.
type Span struct {
	First int64 `json:"first"`
	Last  int64 `json:"last"`
}

// Block is one thing that the kernel printed.
type Block struct {
	Kind Kind
	// First and Last are the lines of the source between which the block
	// stands. Where lines of others stand in between, Spans has its own.
	First, Last int64
	Spans       []Span
	// Boot counts the kernels that speak in one source, from 1.
	Boot int
	// Dump is the ordinal of the SysRq header under which the block stands,
	// from 1, and 0 before the first one. Command is that header's command, by
	// the kernel's name.
	Dump    int
	Command string
	// Time is the kernel's own of the block's first line, where HasTime is set.
	Time    time.Duration
	HasTime bool
	// Unsure says why the block may not be what was printed; empty for a block
	// that was read without doubt.
	Unsure []Doubt
	// Body is what was printed; its type depends on Kind.
	Body Body
}

// Doubt is a reason not to trust a block wholly.
type Doubt string

// The doubts.
const (
	// DoubtInterleaved: two reports stand in each other without caller ids.
	// Their lines were told apart by the best consistent reading.
	DoubtInterleaved Doubt = "interleaved"
	// DoubtTorn: its beginning, its end or a part of it is missing.
	DoubtTorn Doubt = "torn"
	// DoubtWrapped: lines were joined that a mailer or a terminal had broken,
	// where that could be done in more than one way.
	DoubtWrapped Doubt = "wrapped"
	// DoubtLost: the source says that records were lost in its midst.
	DoubtLost Doubt = "lost"
)

// Body is what a block holds: *Header, *Help, *Task, *CPU, *Memory, *OOM,
// *Timers, *Locks, *Workqueues, *Sched, *Trace, *Report or *Unread.
type Body interface{ clone() Body }

// Clone is a copy of b that stays valid.
func (b *Block) Clone() *Block {
	c := *b
	c.Spans, c.Unsure = slices.Clone(b.Spans), slices.Clone(b.Unsure)
	if b.Body != nil {
		c.Body = b.Body.clone()
	}
	return &c
}

// Sure reports whether nothing speaks against the block.
func (b *Block) Sure() bool { return len(b.Unsure) == 0 }

// Frame is one line of a stack.
type Frame struct {
	// Func is the function's name, without its offset; a bare address where
	// the kernel knew no name.
	Func string `json:"func"`
	// Offset and Size are those of "+0xOFFSET/0xSIZE", in bytes; 0 where they
	// were not printed.
	Offset uint32 `json:"offset,omitempty"`
	Size   uint32 `json:"size,omitempty"`
	// Module is the module's name; empty for the kernel itself.
	Module string `json:"module,omitempty"`
	// Guess marks a frame that the kernel was not sure of ('?', 'unreliable'):
	// an address that lay on the stack.
	Guess bool `json:"guess,omitempty"`
	// Inline marks a line that scripts/decode_stacktrace.sh added for an
	// inlined function.
	Inline bool `json:"inline,omitempty"`
	// Context is the stack it stands on: empty for the task's own, else irq,
	// softirq, nmi, and the other names that the kernel prints in angles.
	Context string `json:"context,omitempty"`
	// Source is "file:line", where a script has added it.
	Source string `json:"source,omitempty"`
}

// Blocker is what newer kernels say of a hung task: who likely holds what it
// waits for (kernel/hung_task.c, debug_show_blocker; 6.16 and later).
type Blocker struct {
	// Lock is "mutex", "semaphore", "rw-semaphore", …
	Lock string `json:"lock"`
	Comm string `json:"comm"`
	PID  int    `json:"pid"`
	// Known is false where the kernel said that it does not know the owner.
	Known bool `json:"known"`
}

// Task is one task: of t or w, or of a hung-task report.
type Task struct {
	Comm string `json:"comm"`
	// State is the kernel's letter: R, S, D, T, t, X, Z, P, I; empty where it
	// was not printed.
	State string `json:"state,omitempty"`
	// PID is -1 where it was not printed; so are TGID and PPID.
	PID       int    `json:"pid"`
	TGID      int    `json:"tgid,omitempty"`
	PPID      int    `json:"ppid,omitempty"`
	Flags     uint64 `json:"flags,omitempty"`
	TaskFlags uint64 `json:"task_flags,omitempty"`
	// HasFlags: a header that was cut has none.
	HasFlags bool `json:"-"`
	// Running is set by "running task".
	Running bool `json:"running,omitempty"`
	// Workqueue is what a worker works on: "NAME FUNC (DESCRIPTION)".
	Workqueue string  `json:"workqueue,omitempty"`
	Stack     []Frame `json:"stack,omitempty"`
	// SameAs is the pid of the task whose stack this one's is equal to, where
	// the kernel printed that instead of it (Android's 4.4).
	SameAs int `json:"same_stack_as,omitempty"`
	// Syscall is the number of the system call that the task is in, where its
	// registers were printed (orig_rax on x86); -1 otherwise.
	Syscall int `json:"-"`

	// For a hung-task report: how long it is blocked, in seconds, and what the
	// kernel says of the reason.
	HungSeconds int      `json:"hung_seconds,omitempty"`
	Blocker     *Blocker `json:"blocker,omitempty"`
	// System has the kernel's release and the machine's name, where the report
	// says them.
	System
}

// System is what a report says about the machine itself.
type System struct {
	Release  string `json:"release,omitempty"`
	Hardware string `json:"hardware,omitempty"`
	// Taint is the letters of "Tainted:", without blanks.
	Taint string `json:"taint,omitempty"`
}

// CPU is one processor at one moment.
type CPU struct {
	CPU  int    `json:"cpu"` // -1 where it is not told
	Comm string `json:"comm,omitempty"`
	PID  int    `json:"pid"` // -1 where it is not told
	// Idle is set where the kernel skipped the processor as idle.
	Idle bool `json:"idle,omitempty"`
	// IP is where it was, of RIP, pc, NIP, epc, …
	IP *Frame `json:"ip,omitempty"`
	// User is set where it was in userspace.
	User bool `json:"user,omitempty"`
	// IRQsOff: interrupts were off (x86: EFLAGS without IF; arm64: PSTATE's I).
	IRQsOff   bool    `json:"irqs_off,omitempty"`
	Workqueue string  `json:"workqueue,omitempty"`
	Stack     []Frame `json:"stack,omitempty"`
	System
}

// Report is an alarm of the kernel's: a lockup, a stall, an oops, a panic, a
// warning, a finding of lockdep's.
type Report struct {
	// Title is the sentence that opens it.
	Title string `json:"title"`
	// Seconds is how long it lasts, where that is told.
	Seconds int `json:"seconds,omitempty"`
	// CPUs and Tasks are those that a stall is waiting for.
	CPUs  []int `json:"cpus,omitempty"`
	Tasks []int `json:"tasks,omitempty"`
	// Starved: the stall's own kthread gets no processor.
	Starved bool `json:"starved,omitempty"`
	// Location is where a BUG or WARNING stands in the source: "FILE:LINE" or a
	// function.
	Location string `json:"location,omitempty"`
	// Locks are, of lockdep's, what is asked for and what is held.
	Locks []string `json:"locks,omitempty"`
	CPU
}

// Header is SysRq's own line.
type Header struct {
	Action string `json:"action"`
	// Key is the command's key, or empty for an action that is not known.
	Key string `json:"key,omitempty"`
	// Refused: the mask forbids it.
	Refused bool `json:"refused,omitempty"`
}

// Help is the keys that a kernel has.
type Help struct {
	Keys []HelpKey `json:"keys"`
}

// HelpKey is one of them.
type HelpKey struct {
	Name string `json:"name"`
	Key  string `json:"key"`
}

// Counter is a name with a number.
type Counter struct {
	Name  string `json:"name"`
	Value int64  `json:"value"`
}

// Memory is what m prints: Mem-Info.
type Memory struct {
	// Pages are the counters of the whole machine, in pages.
	Pages []Counter `json:"pages,omitempty"`
	Nodes []Node    `json:"nodes,omitempty"`
	Zones []Zone    `json:"zones,omitempty"`
	// SwapFree and SwapTotal are in kB, RAM and Reserved in pages; -1 where
	// they were not printed.
	SwapFree  int64  `json:"swap_free_kb"`
	SwapTotal int64  `json:"swap_total_kb"`
	RAM       int64  `json:"ram_pages"`
	Reserved  int64  `json:"reserved_pages"`
	PageCache int64  `json:"pagecache_pages"`
	Slabs     []Slab `json:"slabs,omitempty"`
	// Huge are the huge pages, by node and size.
	Huge []HugePages `json:"huge,omitempty"`
}

// Node is a NUMA node's counters, in kB.
type Node struct {
	Node     int       `json:"node"`
	Counters []Counter `json:"counters"`
	// Unreclaimable is "all_unreclaimable? yes".
	Unreclaimable bool `json:"all_unreclaimable,omitempty"`
}

// Zone is a zone's counters, in kB, and its free lists.
type Zone struct {
	Node     int       `json:"node"` // -1 on kernels without NUMA
	Name     string    `json:"name"`
	Counters []Counter `json:"counters,omitempty"`
	// Lowmem is lowmem_reserve[], in pages.
	Lowmem []int64 `json:"lowmem_reserve,omitempty"`
	// Orders are the free blocks by size, FreeKB their sum.
	Orders []Order `json:"orders,omitempty"`
	FreeKB int64   `json:"free_kb"`
}

// Order is how many free blocks of one size there are.
type Order struct {
	KB    int64  `json:"kb"`
	Count int64  `json:"count"`
	Types string `json:"types,omitempty"` // of "(UMEHCI)"
}

// Slab is a row of the table of unreclaimable slabs.
type Slab struct {
	Name    string `json:"name"`
	UsedKB  int64  `json:"used_kb"`
	TotalKB int64  `json:"total_kb"`
}

// HugePages is a node's huge pages of one size.
type HugePages struct {
	Node    int   `json:"node"`
	Total   int64 `json:"total"`
	Free    int64 `json:"free"`
	Surplus int64 `json:"surplus"`
	KB      int64 `json:"kb"`
}

// OOM is the OOM killer's report, or that of an allocation that failed.
type OOM struct {
	// Invoker is the task whose allocation failed; empty where the report has
	// lost its beginning.
	Invoker     string `json:"invoker,omitempty"`
	GFP         string `json:"gfp,omitempty"` // "0xcc0(GFP_KERNEL)"
	Order       int    `json:"order"`         // -1: asked for by SysRq f
	OOMScoreAdj int    `json:"oom_score_adj"`
	// Constraint is CONSTRAINT_NONE, CONSTRAINT_MEMCG, …
	Constraint string `json:"constraint,omitempty"`
	// Memcg is the control group whose limit was hit; TaskMemcg the victim's.
	Memcg     string `json:"memcg,omitempty"`
	TaskMemcg string `json:"task_memcg,omitempty"`
	// UsageKB and LimitKB are the control group's; -1 where not printed.
	UsageKB int64 `json:"usage_kb"`
	LimitKB int64 `json:"limit_kb"`
	// Tasks is the table of candidates.
	Tasks []OOMTask `json:"tasks,omitempty"`
	// Victim is nil where nobody was killed.
	Victim *Victim `json:"victim,omitempty"`
	// NoneKillable: "no killable processes".
	NoneKillable bool `json:"none_killable,omitempty"`
	// Reaped is what the reaper has said.
	Reaped bool    `json:"reaped,omitempty"`
	Memory *Memory `json:"memory,omitempty"`
	CPU
}

// OOMTask is a row of the OOM killer's table. Sizes are in pages but
// PageTables, which is in bytes (in page-table pages before 4.16).
type OOMTask struct {
	PID         int    `json:"pid"`
	UID         int    `json:"uid"`
	TGID        int    `json:"tgid"`
	TotalVM     int64  `json:"total_vm"`
	RSS         int64  `json:"rss"`
	PageTables  int64  `json:"pgtables"`
	Swap        int64  `json:"swapents"`
	OOMScoreAdj int    `json:"oom_score_adj"`
	Name        string `json:"name"`
}

// Victim is who was killed; sizes are in kB, and -1 where not printed.
type Victim struct {
	Comm    string `json:"comm"`
	PID     int    `json:"pid"`
	UID     int    `json:"uid"`
	TotalVM int64  `json:"total_vm_kb"`
	AnonRSS int64  `json:"anon_rss_kb"`
	FileRSS int64  `json:"file_rss_kb"`
	Shmem   int64  `json:"shmem_rss_kb"`
	Score   int    `json:"score"`
}

// Timers is what q prints.
type Timers struct {
	Version string     `json:"version,omitempty"`
	Now     int64      `json:"now_ns"`
	CPUs    []TimerCPU `json:"cpus,omitempty"`
	Devices []TickDev  `json:"devices,omitempty"`
}

// TimerCPU is one processor's timers.
type TimerCPU struct {
	CPU    int     `json:"cpu"`
	Timers []Timer `json:"timers,omitempty"`
	// Values are the lines "  .NAME : VALUE" behind them.
	Values []Counter `json:"values,omitempty"`
}

// Timer is one pending timer; times are in nanoseconds.
type Timer struct {
	Clock   int    `json:"clock"`
	Func    string `json:"func"`
	State   int    `json:"state"`
	Expires int64  `json:"expires_ns"`
	// In is how long from now; negative is overdue.
	In int64 `json:"in_ns"`
}

// TickDev is one clock event device.
type TickDev struct {
	CPU     int    `json:"cpu"` // -1: the broadcast device
	Name    string `json:"name"`
	Mode    int    `json:"mode"`
	Handler string `json:"handler,omitempty"`
}

// Locks is who holds which locks (CONFIG_LOCKDEP).
type Locks struct {
	Holders []Holder `json:"holders"`
	// Off: "lockdep is turned off".
	Off bool `json:"off,omitempty"`
}

// Holder is one task and its locks. Count is what the kernel says; Held can be
// shorter.
type Holder struct {
	Comm  string     `json:"comm"`
	PID   int        `json:"pid"`
	Count int        `json:"count"`
	Held  []HeldLock `json:"held,omitempty"`
}

// HeldLock is one lock of a holder.
type HeldLock struct {
	// Addr is the lock's address as printed: hashed or not, equal ones are the
	// same lock.
	Addr string `json:"addr,omitempty"`
	// Name is the lock's class, with "#n" and "/n".
	Name string `json:"name"`
	// Usage is what stands in braces behind it, braces included, with the wait
	// types of newer kernels: "{+.+.}-{3:3}".
	Usage string `json:"usage,omitempty"`
	At    Frame  `json:"at"`
}

// Workqueues is what is busy.
type Workqueues struct {
	Queues []Queue `json:"queues,omitempty"`
	Pools  []Pool  `json:"pools,omitempty"`
}

// Queue is one workqueue with work.
type Queue struct {
	Name  string     `json:"name"`
	Flags uint64     `json:"flags"`
	Pools []PoolWork `json:"pools,omitempty"`
}

// PoolWork is one queue's work in one pool.
type PoolWork struct {
	Pool     int      `json:"pool"`
	CPUs     string   `json:"cpus,omitempty"`
	Active   int      `json:"active"`
	Max      int      `json:"max,omitempty"`
	Mayday   bool     `json:"mayday,omitempty"`
	InFlight []Work   `json:"in_flight,omitempty"`
	Pending  []string `json:"pending,omitempty"`
	Inactive []string `json:"inactive,omitempty"`
}

// Work is one work item that a worker is at.
type Work struct {
	PID     int    `json:"pid"`
	Func    string `json:"func"`
	Rescuer bool   `json:"rescuer,omitempty"`
	// Seconds is how long it has been at it; 7.2 and later.
	Seconds int `json:"seconds,omitempty"`
}

// Pool is a pool of workers.
type Pool struct {
	ID   int    `json:"id"`
	CPUs string `json:"cpus,omitempty"`
	Nice int    `json:"nice"`
	// Hung is for how many seconds nothing has moved.
	Hung    int   `json:"hung_seconds,omitempty"`
	Workers int   `json:"workers"`
	Manager int   `json:"manager,omitempty"`
	Idle    []int `json:"idle,omitempty"`
}

// Sched is the scheduler's own dump.
type Sched struct {
	Version string     `json:"version,omitempty"`
	CPUs    []SchedCPU `json:"cpus,omitempty"`
}

// SchedCPU is one processor's runqueue.
type SchedCPU struct {
	CPU     int         `json:"cpu"`
	Running int         `json:"nr_running"` // -1 where not printed
	Current int         `json:"current"`    // pid; -1 where not printed
	Tasks   []SchedTask `json:"tasks,omitempty"`
}

// SchedTask is a row of "runnable tasks".
type SchedTask struct {
	State   string `json:"state,omitempty"`
	Current bool   `json:"current,omitempty"`
	Comm    string `json:"comm"`
	PID     int    `json:"pid"`
	Prio    int    `json:"prio"`
}

// Trace is what z prints.
type Trace struct {
	Empty  bool    `json:"empty,omitempty"`
	Events []Event `json:"events,omitempty"`
}

// Event is one line of a trace.
type Event struct {
	Comm string `json:"comm"`
	PID  int    `json:"pid"`
	CPU  int    `json:"cpu"`
	// Time is in microseconds, on the trace's own clock.
	Time int64  `json:"time_us"`
	Name string `json:"name,omitempty"`
	Text string `json:"text"`
}

// Unread is what looks like a part of a dump, and could not be read.
type Unread struct {
	Lines int `json:"lines"`
	// Text is its first line.
	Text string `json:"text"`
}
