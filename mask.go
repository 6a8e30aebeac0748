package sysrq

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Mask is the value of kernel.sysrq. It says which commands the keyboard and
// the serial line may run; the trigger file ignores it altogether.
//
// Source: include/linux/sysrq.h and drivers/tty/sysrq.c (sysrq_on_mask), the
// same in 6.1, 6.12 and 7.2.
type Mask int32

// The bits of a mask, under the kernel's names without SYSRQ_ENABLE_.
const (
	MaskLog      Mask = 0x002 // 0-9: console log level
	MaskKeyboard Mask = 0x004 // k, r: keyboard control
	MaskDump     Mask = 0x008 // c, l, m, p, t, w, z, R: dumps, and the crash
	MaskSync     Mask = 0x010 // s
	MaskRemount  Mask = 0x020 // u
	MaskSignal   Mask = 0x040 // e, f, i and, less known, j
	MaskBoot     Mask = 0x080 // b, o
	MaskRTNice   Mask = 0x100 // n, and sched_ext's S and D
)

// MaskAll permits every command. Only the exact value 1 does: 3 (1|2) permits
// the log-level keys and nothing else, and -1, though it has every bit, still
// refuses the commands that no bit covers.
const MaskAll Mask = 1

var maskNames = []struct {
	bit  Mask
	name string
}{
	{MaskLog, "log"},
	{MaskKeyboard, "keyboard"},
	{MaskDump, "dump"},
	{MaskSync, "sync"},
	{MaskRemount, "remount"},
	{MaskSignal, "signal"},
	{MaskBoot, "boot"},
	{MaskRTNice, "rtnice"},
}

// On reports whether SysRq answers the keyboard and the serial line at all.
// Any value but 0 turns it on, even one whose bits mean nothing.
func (m Mask) On() bool { return m != 0 }

// Allows reports whether the mask permits c where the mask is asked.
func (m Mask) Allows(c Command) bool {
	switch {
	case m == MaskAll:
		return true
	case m == 0:
		return false
	case c.Completion.Kind == CompletesHelp:
		return true // HELP is printed before any mask is asked
	default:
		return m&c.Mask != 0
	}
}

// String decodes the mask: "438 (log, keyboard, sync, remount, boot, rtnice)".
func (m Mask) String() string {
	n := strconv.Itoa(int(m))
	switch m {
	case 0:
		return n + " (off)"
	case MaskAll:
		return n + " (everything)"
	}
	var names []string
	rest := m
	for _, b := range maskNames {
		if m&b.bit != 0 {
			names = append(names, b.name)
		}
		rest &^= b.bit
	}
	if len(names) == 0 {
		return n + " (on, but permits nothing)"
	}
	if rest != 0 && m > 0 {
		names = append(names, fmt.Sprintf("0x%x means nothing", int32(rest)))
	}
	return n + " (" + strings.Join(names, ", ") + ")"
}

// With is the smallest change of m that also permits c: a bit added, or
// MaskAll for a command that no bit covers.
func (m Mask) With(c Command) Mask {
	switch {
	case m.Allows(c):
		return m
	case c.Mask == 0 && c.Completion.Kind != CompletesHelp:
		return MaskAll
	case m|c.Mask == 0: // HELP: any bit will do, and this one is harmless
		return MaskLog
	default:
		return m | c.Mask
	}
}

// ErrMask is wrapped by every error of [ParseMask].
var ErrMask = errors.New("not a value of kernel.sysrq")

// ParseMask reads a mask as the kernel's sysctl does: decimal, hexadecimal
// with 0x, octal with a leading 0, a sign, and only the first word. Values
// outside a signed 32-bit integer are an error, as they are there (EINVAL).
func ParseMask(s string) (Mask, error) {
	w := strings.TrimLeft(s, " \t\n\v\f\r")
	if i := strings.IndexAny(w, " \t\n"); i >= 0 {
		w = w[:i]
	}
	if w == "" {
		return 0, fmt.Errorf("%w: it is empty", ErrMask)
	}
	base, sign := 10, ""
	if w[0] == '-' {
		w, sign = w[1:], "-"
	}
	switch {
	case strings.HasPrefix(w, "0x"), strings.HasPrefix(w, "0X"):
		w, base = w[2:], 16
	case len(w) > 1 && w[0] == '0':
		w, base = w[1:], 8
	}
	if w != "" && (w[0] == '+' || w[0] == '-') {
		return 0, fmt.Errorf("%w: %q", ErrMask, s)
	}
	n, err := strconv.ParseInt(sign+w, base, 32)
	if err != nil {
		return 0, fmt.Errorf("%w: %q is no 32-bit integer", ErrMask, s)
	}
	return Mask(n), nil
}

// Door is a way into the kernel's SysRq. What a key may do depends on it.
type Door uint8

const (
	// DoorTrigger is /proc/sysrq-trigger: no mask, rights are asked at open only.
	DoorTrigger Door = iota + 1
	// DoorKeyboard is Alt+SysRq+key on a console keyboard; also what a
	// hypervisor's send-key reaches.
	DoorKeyboard
	// DoorSerial is BREAK and a key on a console line, or Ctrl-O and a key on a
	// hypervisor console (hvc).
	DoorSerial
)

// String names the door in a person's words.
func (d Door) String() string {
	switch d {
	case DoorTrigger:
		return "trigger file"
	case DoorKeyboard:
		return "keyboard"
	case DoorSerial:
		return "serial line"
	}
	return "unknown door"
}

// Masked reports whether the kernel holds keys that come through d against the
// mask.
func (d Door) Masked() bool { return d != DoorTrigger }

// Permits reports whether a kernel whose mask is m runs c when it comes
// through d.
func (m Mask) Permits(c Command, d Door) bool { return !d.Masked() || m.Allows(c) }
