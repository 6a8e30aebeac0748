package dump

import (
	"encoding/binary"
	"strings"
)

// names gives one string for equal bytes, so that a stack costs no allocation
// per frame. It forgets all when it has too many: strings handed out stay.
type names struct {
	known map[string]name
	// recent has those that were asked for last, by a few of their bytes.
	recent [1 << recentBits]name
}

const recentBits = 10

type name struct {
	s string
	// root: nothing stands below a function of this name.
	root bool
	// top: nothing stands above it on a sleeping task's stack but the switch.
	top bool
	// sched: a sleeping task's stack has one of these near its top.
	sched bool
}

// maxNames bounds the memory: a kernel has some ten thousand functions that can
// stand on a stack.
const maxNames = 1 << 16

// longName is the longest string worth keeping.
const longName = 128

func (n *names) of(b []byte) string { return n.info(b).s }

func (n *names) info(b []byte) name {
	if len(b) == 0 {
		return name{}
	}
	e := &n.recent[slot(b)]
	if e.s == string(b) {
		return *e
	}
	if v, ok := n.known[string(b)]; ok {
		*e = v
		return v
	}
	s := strings.ToValidUTF8(string(b), "\ufffd")
	v := name{s, isRoot(s), s == "__schedule", strings.Contains(s, "sched") || strings.Contains(s, "switch")}
	if len(b) > longName {
		return v
	}
	if n.known == nil || len(n.known) >= maxNames {
		n.known = make(map[string]name, 1024)
	}
	n.known[string(b)] = v
	return v
}

// slot is where a name is looked for first: kernels repeat themselves, and a map
// costs more than a comparison.
func slot(b []byte) uint64 {
	n := len(b)
	var h uint64
	if n >= 8 {
		h = binary.LittleEndian.Uint64(b) ^ binary.LittleEndian.Uint64(b[n-8:])*0xff51afd7ed558ccd
	} else {
		for _, c := range b {
			h = h<<8 | uint64(c)
		}
	}
	return (h + uint64(n)) * 0x9e3779b97f4a7c15 >> (64 - recentBits)
}

// roots begin the names of the functions at a stack's bottom: the entry of a
// system call, of a kernel thread, of a processor. Below them nothing is
// printed that the unwinder is sure of.
var roots = []string{
	"ret_from_fork", "ret_from_kernel_thread", "ret_from_kernel_user_thread", "kernel_thread_helper", "kernel_thread_starter", "child_rip",
	"entry_SYSCALL", "entry_SYSENTER", "entry_INT80", "entry_sysenter", "system_call", "sysenter_do_call", "sysenter_dispatch",
	"syscall_call", "syscall_common", "ia32_sys", "ia64_ret_from_syscall", "ret_from_syscall",
	"ret_fast_syscall", "__sys_trace_return", "el0t_64_sync", "el0t_32_sync", "el0_sync", "el0_svc_naked", "linux_sparc_syscall",
	"secondary_startup", "__secondary_switch", "start_secondary_prolog", "x86_64_start_kernel", "i386_start_kernel", "common_startup_64",
	"handle_sys", "handle_exception", "fork_handler", "new_thread_handler", "kernel_thread_entry", "start_here_common", "smp_start_secondary",
}

func isRoot(s string) bool {
	for _, r := range roots {
		if strings.HasPrefix(s, r) {
			return s != "system_call_exception" && s != "handle_syscall" && s != "el0t_64_sync_handler" && s != "el0t_32_sync_handler" && s != "el0_sync_handler"
		}
	}
	return false
}
