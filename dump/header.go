package dump

import "bytes"

// rawTask is a task's header that still lies in its line.
type rawTask struct {
	comm            []byte
	state           byte
	running         bool
	pid, tgid, ppid int // -1: not printed
	flags, taskFlag uint64
	hasFlags        bool
	// counter: a program counter stood behind the state. Such kernels leave the
	// scheduler's own frames out of the stack (before 4.10).
	counter bool
	// whole: nothing of it is missing.
	whole bool
}

var (
	taskWord  = []byte("task:")
	stateWord = []byte(" state:")
)

// newTask reads the header of Linux 5.10 and later (kernel/sched/core.c,
// sched_show_task):
//
//	task:bash            state:D stack:0     pid:12    tgid:12    ppid:1      task_flags:0x400100 flags:0x00004002
//
// A cut one is read as far as it goes.
func newTask(t []byte) (h rawTask, ok bool) {
	h.pid, h.tgid, h.ppid = -1, -1, -1
	t, ok = bytes.CutPrefix(t, taskWord)
	if !ok || len(t) == 0 {
		return h, false
	}
	// A name has 15 columns, and can hold anything.
	i := len("123456789012345")
	if !at(t, i, ' ') || !bytes.HasPrefix(t[i:], stateWord) {
		if i = bytes.LastIndex(t[:min(len(t), 80)], stateWord); i < 0 {
			h.comm = bytes.TrimRight(t, " ")
			return h, len(h.comm) <= 16 // the beginning of a header, if anything
		}
	}
	h.comm = bytes.TrimRight(t[:i], " ")
	t = t[i+len(stateWord):]
	if len(t) == 0 {
		return h, true
	}
	h.state, t = t[0], t[1:]
	for len(t) > 0 {
		if t[0] == ' ' {
			t = t[1:]
			continue
		}
		word, rest, _ := bytes.Cut(t, blank)
		key, value, colon := bytes.Cut(word, []byte(":"))
		if colon && len(value) == 0 { // "pid:  123"
			rest = bytes.TrimLeft(rest, " ")
			value, rest, _ = bytes.Cut(rest, blank)
		}
		t = rest
		if !colon {
			h.running = h.running || string(word) == "running"
			continue
		}
		switch string(key) {
		case "pid":
			h.pid = decimal(value)
		case "tgid":
			h.tgid = decimal(value)
		case "ppid":
			h.ppid = decimal(value)
		case "task_flags":
			h.taskFlag, _ = hexAt(value)
		case "flags":
			v, n := hexAt(value)
			h.flags, h.hasFlags = v, n > 2
			h.whole = n == len(value) && n >= len("0x00000000")
		}
	}
	return h, true
}

// decimal reads a number that is all of b, or says -1.
func decimal(b []byte) int {
	v := 0
	for _, c := range b {
		if c-'0' > 9 || v > 1<<40 {
			return -1
		}
		v = v*10 + int(c-'0')
	}
	if len(b) == 0 {
		return -1
	}
	return v
}

// taskState are the letters of a state (fs/proc/array.c and
// include/trace/events/sched.h; W, x and K are those of older kernels).
var taskState = func() (ok [256]bool) {
	for _, c := range []byte("RSDTtXZPIWxK") {
		ok[c] = true
	}
	return ok
}()

// readOld reads the headers before 5.10:
//
//	bash            D    0  910      2 0x80004000            4.10 to 5.9
//	bash            D ffff8803a09c7cd8     0   922      2 0x00000000
//	bash          S a0000001000d8cf0     0  1143   1104  1156   (NOTLB)   2.4, 2.6
//	bash            R  running task        0   12      2 0x00000008
//
// Free stack may touch the state's letter, flags may be missing, blanks may
// have been squeezed, and a column may stand behind.
func (h *rawTask) readOld(t []byte) bool {
	n := len(t)
	for n > 0 && (t[n-1] == ' ' || t[n-1] == '\t') {
		n--
	}
	t = t[:n]
	if n < len("x D 0 1 2 0x0") || !hexByte[t[n-1]] && t[n-1] != ')' {
		return false
	}
	// The letter stands in column 16 or 14, or behind fewer blanks.
	for i := 1; i <= 18 && i+2 < n; i++ {
		if t[i-1] != ' ' || !taskState[t[i]] || t[i+1] != ' ' && t[i+1]-'0' > 9 {
			continue
		}
		*h = rawTask{comm: bytes.TrimRight(t[:i], " "), state: t[i], pid: -1, tgid: -1, ppid: -1}
		if len(h.comm) > 0 && t[0] != ' ' && h.columns(t[i+1:], i == 16 || i == 14) {
			return true
		}
	}
	return false
}

// columns reads what stands behind the state. fixed says that the state stands
// where the kernel prints it.
func (h *rawTask) columns(b []byte, fixed bool) bool {
	var numbers [8]int
	n, pc := 0, false
	for len(b) > 0 {
		if b[0] == ' ' || b[0] == '\t' {
			b = b[1:]
			continue
		}
		end := bytes.IndexAny(b, " \t")
		if end < 0 {
			end = len(b)
		}
		word := b[:end]
		b = b[end:]
		switch v := decimal(word); {
		case string(word) == "running", string(word) == "current":
			h.running = true
		case string(word) == "task" && h.running:
		case n == 0 && !pc && isAddress(word):
			pc, h.counter = true, true
		case v >= 0 && h.hasFlags: // a column that some kernels add
		case v >= 0 && n < len(numbers):
			numbers[n] = v
			n++
		case word[0] == '(' && (string(word) == "(NOTLB)" || string(word) == "(L-TLB)"):
			h.hasFlags = true
		default:
			f, m := hexAt(word)
			if m != len(word) || h.hasFlags {
				return false
			}
			h.flags, h.hasFlags = f, true
		}
	}
	if n < 3 || !h.hasFlags && !fixed {
		return false
	}
	if n > 3 && !h.hasFlags && !fixed {
		return false
	}
	h.pid, h.ppid = numbers[1], numbers[2]
	h.whole = true
	return true
}

// isAddress tells a program counter from the free stack: 8 or 16 digits.
func isAddress(b []byte) bool {
	if len(b) != 8 && len(b) != 16 {
		return false
	}
	for _, c := range b {
		if !hexByte[c] {
			return false
		}
	}
	return true
}
