package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sysrq/sysrq"
	"github.com/sysrq/sysrq/transport"
	"github.com/sysrq/sysrq/transport/transporttest"
)

// machine is a QEMU on two sockets, m its monitor and c its console, around
// transporttest's kernel. What it hears of the program are real bytes, and so
// is what it answers.
type machine struct {
	dir       string
	kernel    *transporttest.Fake
	listeners []net.Listener
	stop      context.CancelFunc
	wg        sync.WaitGroup

	mu      sync.Mutex
	monitor net.Conn
	console net.Conn
	unread  []byte // printed before anybody was connected
	paused  bool
	hangUp  sysrq.Key // the key at which the monitor's socket closes
	keys    []byte
}

// soon is how long after its key a thing happens that takes the machine time.
const soon = 20 * time.Millisecond

// startMachine starts one in dir. Each word says how it differs from a healthy
// one:
//
//	mask=N      its kernel.sysrq, as the keyboard sees it
//	quiet       its console's level is 4
//	lacks=KEYS  keys that its kernel does not have
//	drops=KEYS  keys whose first press never arrives
//	dead        no key has an answer
//	stuck=KEYS  announced, and never done
//	reboots=KEY it comes up anew at that key, whatever it was for
//	panics=KEY  it panics at that key
//	half=KEY    half a line, and then both sockets close
//	closes=KEY  both sockets close, before the key has an answer
//	hangs-up=KEY the monitor closes instead of answering; the console lives
//	floods=KEY  ten thousand lines before the answer
//	hostile=KEY what proves the key's end has escape sequences in it
//	paused      it does not run
func startMachine(dir string, words ...string) (*machine, error) {
	ctx, stop := context.WithCancel(context.Background())
	m := &machine{dir: dir, kernel: transporttest.NewFake(transport.Properties{
		Door: sysrq.DoorKeyboard, Arch: "amd64", Filtered: true,
	}), stop: stop}
	for _, k := range []sysrq.Key("bc") { // at once, as far as a person can tell
		m.kernel.On(k, rebooting(transporttest.Header(k)))
	}
	for _, w := range words {
		if err := m.set(w); err != nil {
			return nil, err
		}
	}
	for name, serve := range map[string]func(net.Conn){"m": m.serveMonitor, "c": m.serveConsole} {
		l, err := net.Listen("unix", filepath.Join(dir, name))
		if err != nil {
			m.close()
			return nil, err
		}
		m.listeners = append(m.listeners, l)
		m.wg.Go(func() {
			for { // one client after the other, as QEMU does
				conn, err := l.Accept()
				if err != nil {
					return
				}
				serve(conn)
				conn.Close()
			}
		})
	}
	m.wg.Go(func() { m.hear(ctx) })
	return m, nil
}

func rebooting(first ...transporttest.Reply) []transporttest.Reply {
	return append(first,
		transporttest.Reply{After: soon, Saw: transport.SawReset},
		transporttest.Reply{After: soon + time.Millisecond, Text: "Linux version 6.1.0 (fake)\n", Level: 5, Reboot: true})
}

func (m *machine) set(word string) error {
	name, value, _ := strings.Cut(word, "=")
	k, all := sysrq.Key(0), []sysrq.Key(value)
	if len(all) > 0 {
		k = all[0]
	}
	end := transporttest.Reply{End: io.EOF}
	switch name {
	case "mask":
		n, err := strconv.Atoi(value)
		if err != nil {
			return err
		}
		m.kernel.SetMask(sysrq.Mask(n))
		for _, k := range []sysrq.Key("bc") { // the script would pass the mask by
			if !sysrq.Mask(n).Allows(sysrq.ForKeyOn(k, "amd64")) {
				m.kernel.On(k, []transporttest.Reply{transporttest.Refusal})
			}
		}
	case "quiet":
		m.kernel.SetLevel(4)
	case "lacks":
		for _, k := range all {
			m.kernel.On(k, []transporttest.Reply{transporttest.Help})
		}
	case "drops":
		for _, k := range all {
			m.kernel.On(k, transporttest.Drop)
		}
	case "dead":
		for k := range sysrq.Key(128) {
			if k.HasSlot() {
				m.kernel.On(k, make([][]transporttest.Reply, 100)...)
			}
		}
	case "stuck":
		for _, k := range all {
			m.kernel.On(k, []transporttest.Reply{transporttest.Header(k)})
		}
	case "reboots":
		m.kernel.On(k, rebooting())
	case "panics":
		m.kernel.On(k, []transporttest.Reply{{Text: "Kernel panic - not syncing: Attempted to kill init!\n", Level: 0}})
	case "half":
		m.kernel.On(k, []transporttest.Reply{transporttest.Header(k), {Text: "Emergency Sy", Level: 0}, end})
	case "closes":
		m.kernel.On(k, []transporttest.Reply{end})
	case "hangs-up":
		m.hangUp = k
	case "floods":
		flood := transporttest.Reply{Text: strings.Repeat("nf: IN=eth0 OUT= SRC=192.0.2.1 DST=192.0.2.2 PROTO=UDP\n", 10000), Level: 0}
		m.kernel.On(k, append([]transporttest.Reply{flood}, transporttest.Usual(k)...))
	case "hostile":
		line := sysrq.ForKeyOn(k, "amd64").Completion.Lines[0] + "\x1b]0;owned\a\x1b[2J\n"
		m.kernel.On(k, []transporttest.Reply{transporttest.Header(k), {Text: line, Level: 0}})
	case "paused":
		m.paused = true
	default:
		return fmt.Errorf("no such machine: %s", word)
	}
	return nil
}

func (m *machine) close() {
	m.stop()
	m.kernel.Close()
	for _, l := range m.listeners {
		l.Close()
	}
	m.drop()
	m.wg.Wait()
}

// drop closes both connections.
func (m *machine) drop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range []net.Conn{m.monitor, m.console} {
		if c != nil {
			c.Close()
		}
	}
}

// received are the keys that were pressed since the last call.
func (m *machine) received() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	keys := string(m.keys)
	m.keys = nil
	return keys
}

// hear carries what the kernel says to the console.
func (m *machine) hear(ctx context.Context) {
	for {
		h, err := m.kernel.Hear(ctx)
		switch {
		case errors.Is(err, io.EOF):
			m.drop()
			return
		case err != nil:
			return
		case h.What == transport.SawReset:
			m.tell(`{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "RESET", "data": {"guest": true, "reason": "guest-reset"}}`)
			continue
		}
		r := &h.Record
		line := fmt.Sprintf("[%5d.%06d] %s", r.Time/time.Second, r.Time%time.Second/time.Microsecond, r.Text)
		if !r.Torn {
			line += "\r\n"
		}
		m.print(line)
	}
}

// print writes to the console. QEMU keeps some for a client that is not there
// yet; so does this.
func (m *machine) print(text string) {
	m.mu.Lock()
	conn := m.console
	if conn == nil {
		m.unread = append(m.unread, text...)
	}
	m.mu.Unlock()
	if conn != nil {
		io.WriteString(conn, text)
	}
}

func (m *machine) tell(json string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.monitor != nil {
		io.WriteString(m.monitor, json+"\r\n")
	}
}

func (m *machine) serveConsole(conn net.Conn) {
	m.mu.Lock()
	m.console = conn
	unread := m.unread
	m.unread = nil
	m.mu.Unlock()
	conn.Write(unread)
	io.Copy(io.Discard, conn)
	m.mu.Lock()
	m.console = nil
	m.mu.Unlock()
}

func (m *machine) serveMonitor(conn net.Conn) {
	m.mu.Lock()
	m.monitor = conn
	m.mu.Unlock()
	m.tell(`{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}, "package": ""}, "capabilities": []}}`)
	d := json.NewDecoder(conn)
	for {
		var req struct {
			Execute   string
			ID        uint64
			Arguments struct {
				Events []struct {
					Data struct {
						Down bool
						Key  struct{ Data string }
					}
				}
			}
		}
		if d.Decode(&req) != nil {
			return
		}
		result := "{}"
		switch req.Execute {
		case "query-status":
			result = `{"running": true, "status": "running"}`
			if m.paused {
				result = `{"running": false, "status": "paused"}`
			}
		case "query-target":
			result = `{"arch": "x86_64"}`
		case "input-send-event":
			shift := false
			for _, e := range req.Arguments.Events {
				name := e.Data.Key.Data
				shift = shift && name != "shift" || name == "shift" && e.Data.Down
				if len(name) != 1 || !e.Data.Down {
					continue
				}
				if shift {
					name = strings.ToUpper(name)
				}
				if !m.press(sysrq.Key(name[0])) {
					return
				}
			}
		}
		m.tell(fmt.Sprintf(`{"return": %s, "id": %d}`, result, req.ID))
	}
}

// press reports whether the monitor is still there.
func (m *machine) press(k sysrq.Key) bool {
	m.mu.Lock()
	m.keys = append(m.keys, byte(k))
	m.mu.Unlock()
	if k == m.hangUp {
		m.hangUp = 0
		_ = m.kernel.Trigger(context.Background(), k)
		return false
	}
	_ = m.kernel.Trigger(context.Background(), k) // a machine that is gone answers nobody
	return true
}
