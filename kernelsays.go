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
// for HELP, refusals and level reports, which announce nothing.
func Header(line string) (action string, ok bool) {
	rest, ok := unprefixed(line)
	if !ok || strings.HasPrefix(rest, "HELP :") || isRefusal(rest) || strings.HasPrefix(rest, "Loglevel set to ") {
		return "", false
	}
	return rest, true
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
// modules come and go in it. ok is false for any other line. Items that do not
// read NAME(K) are left out.
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
		name, key, cut := strings.Cut(w, "(")
		key, closed := strings.CutSuffix(key, ")")
		switch {
		case !cut || !closed || name == "":
			continue
		case key == "0-9", len(key) == 1:
			items = append(items, HelpItem{Name: name, Key: Key(key[0])})
		}
	}
	return items, true
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
