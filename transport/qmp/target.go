package qmp

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sysrq/sysrq"
)

// config is what a target's URL says.
type config struct {
	monitor string        // address, as Dial takes it
	console string        // likewise, or empty
	via     via           //
	chardev string        // the console's chardev, for BREAKs
	hold    time.Duration // how long send-key holds each key; 0: no send-key
	arch    string        // as GOARCH writes it, or empty: ask QEMU
}

// via is how keys get into the guest.
type via string

const (
	viaKeyboard via = "keyboard" // Alt+SysRq+key on the machine's keyboard
	viaSerial   via = "serial"   // BREAK and the key on the console's line
	viaHVC      via = "hvc"      // Ctrl-O and the key on a hypervisor console
)

var ways = []string{string(viaKeyboard), string(viaSerial), string(viaHVC)}

// maxHold is the longest hold: six keys of it are twelve times as long.
const maxHold = 2 * time.Second

// archOf is GOARCH for what query-target says (qapi/machine.json,
// SysEmuTarget). Endianness is the guest's choice on some, and the table of
// commands makes no difference there.
var archOf = map[string]string{
	"aarch64": "arm64", "alpha": "alpha", "arm": "arm", "i386": "386",
	"loongarch64": "loong64", "mips": "mips", "mips64": "mips64",
	"mips64el": "mips64le", "mipsel": "mipsle", "ppc": "ppc", "ppc64": "ppc64",
	"riscv32": "riscv", "riscv64": "riscv64", "s390x": "s390x",
	"sparc": "sparc", "sparc64": "sparc64", "x86_64": "amd64",
}

// params read one query parameter each.
var params = map[string]func(*config, string) error{
	"console": func(c *config, s string) error {
		c.console = s
		return checkAddress(s)
	},
	"via": func(c *config, s string) error {
		c.via = via(s)
		return oneOf(s, ways)
	},
	"chardev": func(c *config, s string) error {
		c.chardev = s
		if s == "" {
			return fmt.Errorf("is empty")
		}
		return nil
	},
	"hold": func(c *config, s string) error {
		ms, err := strconv.Atoi(strings.TrimSuffix(s, "ms"))
		c.hold = time.Duration(ms) * time.Millisecond
		if err != nil || ms < 0 || ms > int(maxHold/time.Millisecond) {
			return fmt.Errorf("%q is not a number of milliseconds up to %d", s, maxHold/time.Millisecond)
		}
		return nil
	},
	"arch": func(c *config, s string) error {
		c.arch = s
		return oneOf(s, append(slices.Sorted(maps.Values(archOf)), "ppc64le"))
	},
}

func parseTarget(u *url.URL) (config, error) {
	c := config{via: viaKeyboard, chardev: "serial0"}
	path := u.Path
	if u.Opaque != "" { // qmp:vm.qmp, a relative path
		var err error
		if path, err = url.PathUnescape(u.Opaque); err != nil {
			return c, err
		}
	}
	switch {
	case u.User != nil:
		return c, fmt.Errorf("a monitor knows no users and no passwords")
	case u.Fragment != "":
		return c, fmt.Errorf("nothing can stand behind #; write %%23 in a path")
	case u.Host != "" && path != "" && path != "/":
		return c, fmt.Errorf("it names a host and a socket: write qmp:/path or qmp://host:port")
	case u.Host != "":
		c.monitor = "tcp:" + u.Host
	case path != "":
		c.monitor = path
	default:
		return c, fmt.Errorf("the monitor's socket is missing")
	}
	if err := checkAddress(c.monitor); err != nil {
		return c, err
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return c, err
	}
	for _, name := range slices.Sorted(maps.Keys(q)) {
		set := params[name]
		if set == nil {
			return c, unknown("parameter", name, slices.Sorted(maps.Keys(params)))
		}
		if len(q[name]) > 1 {
			return c, fmt.Errorf("%s is given twice", name)
		}
		if err := set(&c, q[name][0]); err != nil {
			return c, fmt.Errorf("%s: %w", name, err)
		}
	}
	switch {
	case c.via != viaKeyboard && c.console == "":
		return c, fmt.Errorf("via=%s needs console=, the socket of that line", c.via)
	case c.via != viaSerial && q.Has("chardev"):
		return c, fmt.Errorf("chardev is where BREAKs go: it needs via=serial")
	case c.via != viaKeyboard && q.Has("hold"):
		return c, fmt.Errorf("hold is for keys of a keyboard, not for via=%s", c.via)
	}
	return c, nil
}

// sends says in words how a key gets into the guest.
func (c config) sends(k sysrq.Key) string {
	switch c.via {
	case viaSerial:
		return fmt.Sprintf("a BREAK to chardev %s and '%s' to %s", c.chardev, k, c.console)
	case viaHVC:
		return fmt.Sprintf("Ctrl-O and '%s' to %s", k, c.console)
	}
	keys := "Alt+SysRq+" + strings.ToLower(k.String())
	if k.IsUpper() {
		keys = "Shift+" + keys
	}
	return keys + " on the machine's keyboard, by " + c.monitor
}

// checkAddress finds what is wrong with an address without touching it.
func checkAddress(s string) error {
	hostport, tcp := strings.CutPrefix(s, "tcp:")
	switch {
	case strings.TrimPrefix(s, "unix:") == "":
		return fmt.Errorf("the path of a socket is missing")
	case !tcp:
		return nil
	}
	_, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return fmt.Errorf("%q is not host:port", hostport)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("%q is not a port", port)
	}
	return nil
}

func oneOf(s string, all []string) error {
	if slices.Contains(all, s) {
		return nil
	}
	return unknown("value", s, all)
}

func unknown(what, s string, all []string) error {
	hint := "there are " + strings.Join(all, ", ")
	if near := sysrq.Nearest(s, all); len(near) > 0 {
		hint = "did you mean " + near[0] + "?"
	}
	return fmt.Errorf("no such %s: %q; %s", what, s, hint)
}
