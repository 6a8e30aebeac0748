package diagnose

import (
	"github.com/sysrq/sysrq/dump"
)

// Severity is how bad it is if the finding is right.
type Severity string

// The severities, from the worst.
const (
	Critical Severity = "critical" // the machine, or a part of it, will not come back by itself
	Warning  Severity = "warning"  // something is wrong, or was
	Info     Severity = "info"     // worth knowing; nothing is wrong
)

// Confidence is how sure the finding is.
type Confidence string

// The confidences.
const (
	Certain  Confidence = "certain"  // the kernel says so itself
	Likely   Confidence = "likely"   // the evidence fits nothing else that we know
	Possible Confidence = "possible" // the evidence fits, and fits other things too
)

// Finding is one thing that a person should know, with what it rests on.
type Finding struct {
	// ID is the finding's stable name: "superblock-freeze", "deadlock",
	// "nothing-wrong", "not-enough".
	ID string `json:"id"`
	// Title is one sentence that a tired person understands.
	Title      string     `json:"title"`
	Severity   Severity   `json:"severity"`
	Confidence Confidence `json:"confidence"`
	// Suspect is the likely culprit in a few words: a task, a device, a lock, a
	// server; empty where nobody is accused.
	Suspect string `json:"suspect,omitempty"`
	// Detail says why, in sentences.
	Detail string `json:"detail,omitempty"`
	// Lines are the lines of the source on which it rests.
	Lines []dump.Span `json:"lines"`
	// Next is what to do or to capture now; Refute what would show that the
	// finding is wrong.
	Next   string `json:"next"`
	Refute string `json:"refute,omitempty"`
	// Tasks are those concerned, the culprit first.
	Tasks []TaskRef `json:"tasks,omitempty"`
}

// TaskRef names a task.
type TaskRef struct {
	Comm string `json:"comm"`
	PID  int    `json:"pid"`
}

// Blocked is a task in state D, once, however often it was printed.
type Blocked struct {
	Comm string `json:"comm"`
	PID  int    `json:"pid"`
	// Wait is the kind of what it waits for, by the table of waits; "unknown"
	// where no row fits.
	Wait string `json:"wait"`
	// For is a few words more: the lock's function, the module, the device.
	For string `json:"for,omitempty"`
	// Seconds is the longest that a hung-task report has told.
	Seconds int `json:"seconds,omitempty"`
	// Seen is in how many dumps it stood; Moved whether its stack differed
	// between them.
	Seen  int  `json:"seen"`
	Moved bool `json:"moved,omitempty"`
	// Lines are where it stands.
	Lines []dump.Span `json:"lines"`
}

// Group is tasks with like stacks.
type Group struct {
	Wait  string       `json:"wait,omitempty"`
	State string       `json:"state,omitempty"`
	Count int          `json:"count"`
	Tasks []TaskRef    `json:"tasks"`
	Stack []dump.Frame `json:"stack"`
	// Workqueue is that of the first, where they are workers.
	Workqueue string      `json:"workqueue,omitempty"`
	Lines     []dump.Span `json:"lines"`
}

// Edge says that one waits for another: From and To are indices into
// [Graph.Nodes].
type Edge struct {
	From int `json:"from"`
	To   int `json:"to"`
	// Why is the reason in a few words; Confidence how sure that is.
	Why        string     `json:"why"`
	Confidence Confidence `json:"confidence"`
}

// NodeKind is what a node of the graph is.
type NodeKind string

// The kinds of node.
const (
	NodeTasks  NodeKind = "tasks"  // one task, or several that wait alike
	NodeLock   NodeKind = "lock"   // a lock, known by address, class or function
	NodeDevice NodeKind = "device" // a device, a server, a file system: the end of a chain
)

// GraphNode is a node of the wait graph.
type GraphNode struct {
	Kind  NodeKind    `json:"kind"`
	Label string      `json:"label"`
	Tasks []TaskRef   `json:"tasks,omitempty"`
	Wait  string      `json:"wait,omitempty"`
	Lines []dump.Span `json:"lines,omitempty"`
	// Root marks the end of the chains: what all others wait for in the end.
	Root bool `json:"root,omitempty"`
	// Cycle marks a member of a deadlock.
	Cycle bool `json:"cycle,omitempty"`
}

// Graph is who waits for whom.
type Graph struct {
	Nodes []GraphNode `json:"nodes"`
	Edges []Edge      `json:"edges"`
}

// Machine is what the log says about where it comes from.
type Machine struct {
	Release  string `json:"release,omitempty"`
	Hardware string `json:"hardware,omitempty"`
	Taint    string `json:"taint,omitempty"`
	Boots    int    `json:"boots"`
}

// Report is everything that was found in one log. Its slices are never nil.
type Report struct {
	Machine  Machine   `json:"machine"`
	Findings []Finding `json:"findings"`
	Blocked  []Blocked `json:"blocked_tasks"`
	Groups   []Group   `json:"groups"`
	Graph    Graph     `json:"graph"`
	// Dumps is how many SysRq headers there are; Kinds counts the blocks.
	Dumps int               `json:"dumps"`
	Kinds map[dump.Kind]int `json:"kinds"`
}
