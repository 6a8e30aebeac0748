package guest

// Op is one thing that the guest is asked to do: exactly one field besides ID
// is set. Ops travel as JSON, one a line.
type Op struct {
	ID int `json:"id,omitempty"`

	Run        *Run        `json:"run,omitempty"`
	Signal     *Signal     `json:"signal,omitempty"`
	WriteFile  *WriteFile  `json:"write_file,omitempty"`
	ReadFile   *ReadFile   `json:"read_file,omitempty"`
	Mount      *Mount      `json:"mount,omitempty"`
	Unmount    *Unmount    `json:"unmount,omitempty"`
	Freeze     *Freeze     `json:"freeze,omitempty"`
	Dirty      *Dirty      `json:"dirty,omitempty"`
	Verify     *Verify     `json:"verify,omitempty"`
	Superblock *ReadSuper  `json:"superblock,omitempty"`
	Hang       *Hang       `json:"hang,omitempty"`
	Squeeze    *Squeeze    `json:"squeeze,omitempty"`
	Spin       *Spin       `json:"spin,omitempty"`
	Mask       *Mask       `json:"mask,omitempty"`
	Level      *Level      `json:"level,omitempty"`
	Kmsg       *Kmsg       `json:"kmsg,omitempty"`
	Insmod     *Insmod     `json:"insmod,omitempty"`
	Status     *Status     `json:"status,omitempty"`
	Tasks      *Tasks      `json:"tasks,omitempty"`
	Replace    *Replace    `json:"replace,omitempty"`
	Reboot     *RebootPlan `json:"reboot,omitempty"`
}

// Reply answers the Op with the same ID. Error is set when it failed; what
// else is set depends on the op.
type Reply struct {
	ID    int    `json:"id,omitempty"`
	Error string `json:"error,omitempty"`
	// Boot is set in the greeting that opens a control channel, and for Status.
	Boot *Boot `json:"boot,omitempty"`

	Run    *Ran        `json:"run,omitempty"`
	Data   []byte      `json:"data,omitempty"`
	Dirty  *Dirtied    `json:"dirty,omitempty"`
	Verify *Verified   `json:"verify,omitempty"`
	Super  *Superblock `json:"super,omitempty"`
	PIDs   []int       `json:"pids,omitempty"`
	Value  int         `json:"value,omitempty"`
	Kmsg   []string    `json:"kmsg,omitempty"`
	Status *State      `json:"status,omitempty"`
	Tasks  []Task      `json:"tasks,omitempty"`
}

// Boot is one life of the guest's kernel.
type Boot struct {
	ID      string  `json:"id"`
	Release string  `json:"release"`
	Uptime  float64 `json:"uptime"` // seconds, when the guest became ready
}

// Run starts a program.
type Run struct {
	Path  string   `json:"path"`
	Args  []string `json:"args,omitempty"` // without the program's own name
	Env   []string `json:"env,omitempty"`  // added to PATH, HOME and TERM
	Stdin []byte   `json:"stdin,omitempty"`
	Dir   string   `json:"dir,omitempty"`
	// TimeoutMS kills the program and its process group; 0 waits for ever.
	TimeoutMS int `json:"timeout_ms,omitempty"`
	// Detach answers as soon as the program runs, in a session of its own.
	Detach bool `json:"detach,omitempty"`
	// Repeat runs it so many times and returns each duration; the output is
	// the last one's.
	Repeat int `json:"repeat,omitempty"`
}

// Ran is what came of Run.
type Ran struct {
	PID    int    `json:"pid"`
	Exit   int    `json:"exit"`             // the exit status, or -1
	Signal int    `json:"signal,omitempty"` // what killed it
	Stdout []byte `json:"stdout,omitempty"`
	Stderr []byte `json:"stderr,omitempty"`
	// TookNS has the time from exec to exit of each repetition.
	TookNS []int64 `json:"took_ns,omitempty"`
}

// Signal sends one to processes, or to the console's shell, which is then not
// started again.
type Signal struct {
	Sig   int   `json:"sig"`
	PIDs  []int `json:"pids,omitempty"`
	Shell bool  `json:"shell,omitempty"`
}

// WriteFile writes or appends Data in one write(2).
type WriteFile struct {
	Path   string `json:"path"`
	Data   []byte `json:"data"`
	Mode   uint32 `json:"mode,omitempty"` // 0 means 0644
	Append bool   `json:"append,omitempty"`
	// Existing neither creates nor truncates: for files that are doors, such
	// as /proc/sysrq-trigger.
	Existing bool `json:"existing,omitempty"`
}

// ReadFile reads at most Max bytes; 0 means 1 MiB.
type ReadFile struct {
	Path string `json:"path"`
	Max  int    `json:"max,omitempty"`
}

// Mount mounts Source at Target, which it creates.
type Mount struct {
	Source   string `json:"source"`
	Target   string `json:"target"`
	Type     string `json:"type"`
	Options  string `json:"options,omitempty"`
	ReadOnly bool   `json:"read_only,omitempty"`
}

// Unmount unmounts Target.
type Unmount struct {
	Target string `json:"target"`
	Lazy   bool   `json:"lazy,omitempty"`
}

// Freeze freezes the file system mounted at Target, or thaws it.
type Freeze struct {
	Target string `json:"target"`
	Thaw   bool   `json:"thaw,omitempty"`
}

// Dirty writes Bytes of [Pattern] data to Path and leaves them in the page
// cache.
type Dirty struct {
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"`
	Seed  uint64 `json:"seed"`
	// Hold first tells the kernel not to write back by itself, so that all of
	// it is still dirty when the test begins.
	Hold bool `json:"hold,omitempty"`
}

// Dirtied is what came of Dirty.
type Dirtied struct {
	TookMS int64 `json:"took_ms"`
	// Unsaved is what /proc/meminfo had as Dirty and Writeback afterwards.
	Unsaved int64 `json:"unsaved"`
}

// Verify compares Path with Bytes of [Pattern] data.
type Verify struct {
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"`
	Seed  uint64 `json:"seed"`
}

// Verified is what came of Verify. A missing file has Size -1.
type Verified struct {
	Size  int64 `json:"size"`
	Right int64 `json:"right"`
	Wrong int64 `json:"wrong_at"` // first byte that differs or is missing; -1 for none
}

// ReadSuper reads an ext4 superblock from a block device as it stands.
type ReadSuper struct {
	Device string `json:"device"`
}

// Hang makes tasks that are stuck in D state, and answers once they are.
type Hang struct {
	Tasks int `json:"tasks"`
	// Path is a directory on a frozen file system: each task writes a file
	// there. When it is empty, each task waits for a vforked child that never
	// calls exec.
	Path string `json:"path,omitempty"`
}

// Squeeze starts a process that takes and locks memory.
type Squeeze struct {
	MiB int `json:"mib,omitempty"`
	// LeaveMiB, when MiB is 0, takes all free memory but so much.
	LeaveMiB int `json:"leave_mib,omitempty"`
	// Killable lets the kernel's OOM killer have it.
	Killable bool `json:"killable,omitempty"`
	// NoWait answers before it has what it wants: it may be killed on the way.
	NoWait bool `json:"no_wait,omitempty"`
	// CgroupMiB puts it into a control group that may have no more than so
	// much.
	CgroupMiB int `json:"cgroup_mib,omitempty"`
}

// Spin starts processes that use up CPUs.
type Spin struct {
	Tasks int `json:"tasks"`
	// FIFO is a real-time priority of 1 to 99, or 0 for an ordinary process.
	FIFO int `json:"fifo,omitempty"`
}

// Mask reads kernel.sysrq, after setting it when Set is there.
type Mask struct {
	Set *int `json:"set,omitempty"`
}

// Level reads the console log level, after setting it when Set is there.
type Level struct {
	Set *int `json:"set,omitempty"`
}

// Kmsg writes Text as one record when it is there, and otherwise reads all
// records from sequence number Since on, as /dev/kmsg gives them.
type Kmsg struct {
	Text  string `json:"text,omitempty"` // with its <priority>
	Since uint64 `json:"since,omitempty"`
}

// Insmod loads a module that was carried along.
type Insmod struct {
	Name   string `json:"name"`
	Params string `json:"params,omitempty"`
}

// Status asks how the guest is.
type Status struct{}

// State is the guest's answer to Status.
type State struct {
	Uptime  float64        `json:"uptime"`
	Unsaved int64          `json:"unsaved"` // bytes not yet on a disk
	Free    int64          `json:"free"`
	Tasks   map[string]int `json:"tasks"` // user processes by state letter, init not counted
}

// Tasks lists every thread there is, the kernel's among them.
type Tasks struct{}

// Task is one thread.
type Task struct {
	PID    int    `json:"pid"` // the thread's own number
	Group  int    `json:"group"`
	Parent int    `json:"parent"`
	Comm   string `json:"comm"`
	State  string `json:"state"` // the letter: D is what w shows
}

// Replace makes another program process 1.
type Replace struct {
	Argv []string `json:"argv"`
	// Serve leaves a process behind that answers on the control channel. It
	// is killed like any other by e and i.
	Serve bool `json:"serve,omitempty"`
}

// RebootPlan ends this boot: cleanly, unless Hard.
type RebootPlan struct {
	Off  bool `json:"off,omitempty"`
	Hard bool `json:"hard,omitempty"`
}

// Plan is what the lab leaves for the guest in the initramfs.
type Plan struct {
	// Control is the tty of the control channel, such as /dev/ttyS1; empty
	// for machines without one.
	Control string `json:"control,omitempty"`
	// Disks lists serial numbers; disk i appears as /dev/lab/disk<i>.
	Disks []string `json:"disks,omitempty"`
	// Modules are loaded in this order.
	Modules []string `json:"modules,omitempty"`
	// Shell gives the console a shell.
	Shell bool `json:"shell,omitempty"`
	// Script is done after the boot line, its replies printed on the console.
	Script []Op `json:"script,omitempty"`
}

// Where the lab puts things in the guest.
const (
	PlanPath   = "/lab/plan.json"
	ModulesDir = "/lab/modules"
	BinDir     = "/lab/bin" // the guest's own helpers, as symbolic links to /init
)
