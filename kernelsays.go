package sysrq

import "strings"

// Kernels introduced SysRq's own lines differently over time: "SysRq : X" up
// to 4.3, "sysrq: SysRq : X" up to 5.0, "sysrq: X" since
// (drivers/tty/sysrq.c, Documentation of 3.x to 7.2).
func unprefixed(line string) (rest string, ok bool) {
	rest, a := strings.CutPrefix(line, "sysrq: ")
	rest, b := strings.CutPrefix(rest, "SysRq : ")
	return strings.TrimRight(rest, " \r\n"), a || b
}

// Header is the action that the line announces: "Emergency Sync" of
// "sysrq: Emergency Sync". ok is false for a line that is not SysRq's own, and
// for HELP, refusals, level reports and the bodies of f and l, which announce
// nothing.
func Header(line string) (action string, ok bool) {
	rest, ok := unprefixed(line)
	if !ok || rest == "" || isRefusal(rest) {
		return "", false
	}
	for _, p := range notHeaders {
		if strings.HasPrefix(rest, p) {
			return "", false
		}
	}
	return rest, true
}

// notHeaders begin the lines that drivers/tty/sysrq.c prints with its prefix
// and that announce no command.
var notHeaders = []string{
	"HELP :",
	"Loglevel set to ",
	"OOM request ignored",   // f found nobody
	"CPU",                   // l, where there is no NMI: "CPU1:"
	"sysrq always enabled.", // at boot
}

// IsRefusal reports whether the line says that the mask forbids a command: the
// kernel's "This sysrq operation is disabled.", and the "disabled from
// userspace" of distributions whose lockdown patches guard the trigger file.
// The line does not say which key it is about.
func IsRefusal(line string) bool {
	rest, ok := unprefixed(line)
	return (ok || strings.HasPrefix(rest, "This sysrq operation")) && isRefusal(rest)
}

func isRefusal(rest string) bool {
	return strings.HasPrefix(rest, "This sysrq operation is disabled")
}

// ParseLoglevel reads "Loglevel set to 4".
func ParseLoglevel(line string) (level int, ok bool) {
	rest, _ := unprefixed(line)
	d, ok := strings.CutPrefix(rest, "Loglevel set to ")
	if !ok || len(d) != 1 || d[0] < '0' || d[0] > '9' {
		return 0, false
	}
	return int(d[0] - '0'), true
}

// HelpItem is one entry of a kernel's HELP line: a command that is registered
// in that kernel now.
type HelpItem struct {
	Name string
	Key  Key // '0' for loglevel(0-9)
}

// ParseHelp reads the HELP line, which is the inventory of a running kernel:
// modules come and go in it. ok is false for any other line. Items read NAME(K);
// kernels of the 3.x line wrote some as "reBoot", and kernels before 5.10, which
// had no upper-case keys, some as "force-fb(V)": both are understood where the
// table knows the name. Anything else, a torn item among it, is left out.
func ParseHelp(line string) (items []HelpItem, ok bool) {
	rest, ok := unprefixed(line)
	if !ok {
		return nil, false
	}
	rest, ok = strings.CutPrefix(rest, "HELP :")
	if !ok {
		return nil, false
	}
	for _, w := range strings.Fields(rest) {
		if it, ok := helpItem(w); ok {
			items = append(items, it)
		}
	}
	return items, true
}

func helpItem(w string) (HelpItem, bool) {
	name, key, cut := strings.Cut(w, "(")
	key, closed := strings.CutSuffix(key, ")")
	switch {
	case name == "", cut != closed:
		return HelpItem{}, false
	case cut && key == "0-9":
		return HelpItem{Name: name, Key: '0'}, true
	case cut && len(key) == 1 && Key(key[0]).HasSlot():
		it := HelpItem{Name: name, Key: Key(key[0])}
		if it.Key.IsUpper() && inTable(name, it.Key|0x20) {
			it.Key |= 0x20
		}
		return it, true
	case cut:
		return HelpItem{}, false
	}
	// reBoot, saK, Sync: the capital is the key.
	lower := strings.ToLower(name)
	for i, b := range []byte(name) {
		if Key(b).IsUpper() && i < len(lower) && inTable(lower, Key(b)|0x20) {
			return HelpItem{Name: lower, Key: Key(b) | 0x20}, true
		}
	}
	return HelpItem{}, false
}

func inTable(name string, k Key) bool {
	for _, c := range forKey(k) {
		if c.Name == name {
			return true
		}
	}
	return false
}

// IsHelp reports whether the line is a HELP line, without taking it apart.
func IsHelp(line string) bool {
	rest, ok := unprefixed(line)
	return ok && strings.HasPrefix(rest, "HELP :")
}

// InHelp reports whether a kernel with these items has key k.
func InHelp(items []HelpItem, k Key) bool {
	for _, it := range items {
		if it.Key == k || it.Key == '0' && k >= '0' && k <= '9' {
			return true
		}
	}
	return false
}
