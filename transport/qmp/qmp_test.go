package qmp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sysrq/sysrq"
	"github.com/sysrq/sysrq/transport"
	"github.com/sysrq/sysrq/transport/transporttest"
)

func TestMain(m *testing.M) {
	keyGap, keyHold, lineSettle = 2*time.Millisecond, time.Millisecond, time.Millisecond
	goleak.VerifyTestMain(m)
}

// qemu is a QEMU with a kernel in it that knows nothing but how it is called.
type qemu struct {
	dir       string
	listeners []net.Listener
	wg        sync.WaitGroup
	status    string
	refuse    map[string]string // command: why
	hangUpOn  string            // a command that ends QEMU before it answers

	mu       sync.Mutex
	conns    []net.Conn
	monitor  net.Conn
	console  net.Conn
	attached chan struct{} // closed when the console has its reader
	keys     []byte
	down     []string // keys of the keyboard
	armed    bool     // by a BREAK or Ctrl-O
	typed    []byte   // what reached the tty
	wrong    []string // what the kernel's keyboard would not have taken
}

func startQEMU(t *testing.T) *qemu {
	t.Helper()
	dir, err := os.MkdirTemp("", "qmp") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	q := &qemu{dir: dir, status: "running", attached: make(chan struct{}), refuse: map[string]string{}}
	q.listen(t, "qmp", q.serveMonitor)
	q.listen(t, "serial", q.serveConsole)
	t.Cleanup(func() {
		q.hangUp()
		q.wg.Wait()
		os.RemoveAll(dir)
		for _, w := range q.wrong {
			t.Error(w)
		}
	})
	return q
}

func (q *qemu) listen(t *testing.T, name string, serve func(net.Conn)) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(q.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	q.listeners = append(q.listeners, l)
	q.wg.Go(func() {
		for { // one client after the other, as QEMU does
			conn, err := l.Accept()
			if err != nil {
				return
			}
			q.mu.Lock()
			q.conns = append(q.conns, conn)
			q.mu.Unlock()
			serve(conn)
			conn.Close()
		}
	})
}

func (q *qemu) target(params string) string {
	return "qmp:" + filepath.Join(q.dir, "qmp") + "?console=" + filepath.Join(q.dir, "serial") + params
}

func (q *qemu) hangUp() {
	for _, l := range q.listeners {
		l.Close()
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, c := range q.conns {
		c.Close()
	}
}

func (q *qemu) received() []byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	return bytes.Clone(q.keys)
}

// say prints on the console, or nowhere while nobody is connected.
func (q *qemu) say(text string) {
	q.mu.Lock()
	open := len(q.conns) > 0
	q.mu.Unlock()
	if open {
		<-q.attached
		io.WriteString(q.console, text)
	}
}

// tell sends an event.
func (q *qemu) tell(event, data string) {
	fmt.Fprintf(q.monitor, `{"timestamp": {"seconds": 1, "microseconds": 2}, "event": %q, "data": %s}`+"\r\n", event, data)
}

func (q *qemu) serveConsole(conn net.Conn) {
	q.console = conn
	close(q.attached)
	b := make([]byte, 1)
	for {
		if _, err := conn.Read(b); err != nil {
			return
		}
		q.mu.Lock()
		switch c := b[0]; {
		case q.armed:
			q.armed = false
			if c != 0 {
				q.keys = append(q.keys, c)
			}
		case c == 0x0f:
			q.armed = true
		default:
			q.typed = append(q.typed, c)
		}
		q.mu.Unlock()
	}
}

func (q *qemu) serveMonitor(conn net.Conn) {
	q.monitor = conn
	io.WriteString(conn, greeting)
	d := json.NewDecoder(conn)
	for {
		var req struct {
			Execute   string
			ID        uint64
			Arguments struct {
				ID     string
				Keys   []qcode
				Events []keyEvent
			}
		}
		if d.Decode(&req) != nil {
			return
		}
		if req.Execute == q.hangUpOn {
			return
		}
		if why := q.refuse[req.Execute]; why != "" {
			fmt.Fprintf(conn, `{"error": {"class": "GenericError", "desc": %q}, "id": %d}`+"\r\n", why, req.ID)
			continue
		}
		result := "{}"
		switch req.Execute {
		case "query-status":
			result = fmt.Sprintf(`{"running": %v, "status": %q}`, q.status == "running", q.status)
		case "query-target":
			result = `{"arch": "x86_64"}`
		case "query-chardev":
			result = `[{"label": "compat_monitor0"}, {"label": "serial0"}]`
		case "input-send-event":
			for _, e := range req.Arguments.Events {
				q.key(e.Data.Key.Data, e.Data.Down)
			}
		case "send-key":
			for _, k := range req.Arguments.Keys {
				q.key(k.Data, true)
			}
			for _, k := range slices.Backward(req.Arguments.Keys) {
				q.key(k.Data, false)
			}
		case "chardev-send-break":
			q.mu.Lock()
			q.armed = !q.armed
			q.mu.Unlock()
		}
		fmt.Fprintf(conn, `{"return": %s, "id": %d}`+"\r\n", result, req.ID)
	}
}

// key is the kernel's keyboard: drivers/tty/sysrq.c, sysrq_filter.
func (q *qemu) key(name string, down bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.down, name)
	switch {
	case down && i >= 0, !down && i < 0:
		q.wrong = append(q.wrong, fmt.Sprintf("%s goes down=%v with %v down", name, down, q.down))
	case !down:
		q.down = slices.Delete(q.down, i, i+1)
	default:
		active := slices.Contains(q.down, "alt") && slices.Contains(q.down, "sysrq")
		if active && name != "shift" {
			c := name
			if slices.Contains(q.down, "shift") {
				c = strings.ToUpper(c)
			}
			q.keys = append(q.keys, c...)
		} else if !slices.Contains([]string{"alt", "shift", "sysrq"}, name) {
			q.wrong = append(q.wrong, name+" is typed into the guest")
		}
		q.down = append(q.down, name)
	}
}

func TestConformance(t *testing.T) {
	for _, params := range []string{"", "&via=serial", "&via=hvc", "&hold=1"} {
		t.Run("console"+params, func(t *testing.T) {
			transporttest.Run(t, transporttest.Suite{
				Factory: Factory(),
				Start: func(t *testing.T) (string, transporttest.Machine) {
					q := startQEMU(t)
					return q.target(params), transporttest.Machine{Received: q.received, Say: q.say, Hangup: q.hangUp}
				},
			})
		})
	}
	t.Run("deaf", func(t *testing.T) {
		transporttest.Run(t, transporttest.Suite{
			Factory: Factory(),
			Start: func(t *testing.T) (string, transporttest.Machine) {
				q := startQEMU(t)
				target, _, _ := strings.Cut(q.target(""), "?")
				return target, transporttest.Machine{Received: q.received, Hangup: q.hangUp}
			},
		})
	})
}

func TestTargets(t *testing.T) {
	r := transport.NewRegistry(Factory())
	for _, good := range []string{
		"qmp:/run/vm.qmp",
		"qmp:///run/vm.qmp",
		"qmp:vm.qmp",
		"qmp:/run/vm.qmp?console=/run/vm.serial&via=serial&chardev=con0",
		"qmp://host:4444?console=tcp:host:4445&via=hvc&arch=ppc64le",
		"qmp://[::1]:4444/?hold=20",
	} {
		if target, err := r.Parse(good); err != nil || target.String() != good {
			t.Errorf("%s: %v, %v", good, target, err)
		}
	}
	for bad, want := range map[string]string{
		"qmp":                                  "socket is missing",
		"qmp:?console=/run/vm.serial":          "socket is missing",
		"qmp://host":                           "not host:port",
		"qmp://host:http":                      "can not be read as a URL",
		"qmp://host:0":                         "not a port",
		"qmp://host:4444/run/vm.qmp":           "a host and a socket",
		"qmp://root:hunter2@host:4444":         "no users",
		"qmp:/run/vm.qmp#1":                    "behind #",
		"qmp:/run/vm.qmp?consol=/run/vm":       "did you mean console?",
		"qmp:/run/vm.qmp?console=":             "path of a socket",
		"qmp:/run/vm.qmp?console=tcp:host":     "not host:port",
		"qmp:/run/vm.qmp?via=serial":           "needs console=",
		"qmp:/run/vm.qmp?via=hvc":              "needs console=",
		"qmp:/run/vm.qmp?via=serail":           "did you mean serial?",
		"qmp:/run/vm.qmp?via=serial&via=hvc":   "given twice",
		"qmp:/run/vm.qmp?chardev=serial1":      "needs via=serial",
		"qmp:/run/vm.qmp?hold=soon":            "milliseconds",
		"qmp:/run/vm.qmp?hold=99999":           "milliseconds",
		"qmp:/r?console=/s&via=serial&hold=10": "hold is for keys",
		"qmp:/run/vm.qmp?arch=amd46":           "did you mean amd64?",
		"qmp:/run/vm.qmp?console=/a;b":         "semicolon",
	} {
		_, err := r.Parse(bad)
		if !errors.Is(err, transport.ErrTarget) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q", bad, err, want)
		}
	}
}

func open1(t *testing.T, q *qemu, params string) transport.Transport {
	t.Helper()
	tr, err := transport.NewRegistry(Factory()).Open(t.Context(), q.target(params))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.Close() })
	return tr
}

func TestProperties(t *testing.T) {
	q := startQEMU(t)
	want := transport.Properties{Target: q.target("&via=serial"), Door: sysrq.DoorSerial, Arch: "amd64", Filtered: true}
	if got := open1(t, q, "&via=serial").Properties(); got != want {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestOpenErrors(t *testing.T) {
	for _, tc := range []struct {
		name, params, want, hint string
		set                      func(*qemu)
	}{
		{"chardev", "&via=serial&chardev=serial1", "did you mean serial0?", "", func(*qemu) {}},
		{"no monitor", "", "monitor: ", ",server=on", func(q *qemu) { q.listeners[0].Close() }},
		{"no console", "", "console: ", "-serial unix:", func(q *qemu) { q.listeners[1].Close() }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			q := startQEMU(t)
			tc.set(q)
			_, err := transport.NewRegistry(Factory()).Open(t.Context(), q.target(tc.params))
			var oe *transport.OpError
			if !errors.As(err, &oe) || oe.Op != "open" || !strings.Contains(err.Error(), tc.want) || !strings.Contains(oe.Hint, tc.hint) {
				t.Errorf("got %+v", err)
			}
		})
	}
	t.Run("held", func(t *testing.T) {
		q := startQEMU(t)
		open1(t, q, "")
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_, err := transport.NewRegistry(Factory()).Open(ctx, q.target(""))
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "another may hold it") {
			t.Errorf("got %v", err)
		}
	})
}

func TestTriggerErrors(t *testing.T) {
	for _, tc := range []struct {
		name, params, want string
		set                func(*qemu)
		arrived            bool
	}{
		{"paused", "", "does not run: it is paused", func(q *qemu) { q.status = "paused" }, false},
		{"refused", "", "VM not running", func(q *qemu) { q.refuse["input-send-event"] = "VM not running" }, false},
		{"gone before", "", "not answered", func(q *qemu) { q.hangUpOn = "query-status" }, false},
		{"gone meanwhile", "", "not answered", func(q *qemu) { q.hangUpOn = "input-send-event" }, true},
		{"gone meanwhile, held", "&hold=5", "not answered", func(q *qemu) { q.hangUpOn = "send-key" }, true},
		{"gone at the BREAK", "&via=serial", "not answered", func(q *qemu) { q.hangUpOn = "chardev-send-break" }, false},
		{"no BREAK", "&via=serial", "cannot", func(q *qemu) { q.refuse["chardev-send-break"] = "cannot" }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			q := startQEMU(t)
			tc.set(q)
			tr := open1(t, q, tc.params)
			err := tr.Trigger(t.Context(), 'b')
			var oe *transport.OpError
			if !errors.As(err, &oe) || oe.Op != "trigger" || oe.MayHaveArrived != tc.arrived || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %+v", err)
			}
			if got := q.received(); len(got) > 0 {
				t.Errorf("%q arrived", got)
			}
		})
	}
}

// A BREAK that somebody left unanswered would turn ours into its opposite.
func TestArmedLine(t *testing.T) {
	q := startQEMU(t)
	q.armed = true
	tr := open1(t, q, "&via=serial")
	for _, k := range []sysrq.Key{'s', 'u'} {
		if err := tr.Trigger(t.Context(), k); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(5 * time.Second); len(q.received()) < 2 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if got := string(q.received()); got != "su" {
		t.Errorf("arrived: %q", got)
	}
	if len(q.typed) > 0 {
		t.Errorf("typed into the guest: %q", q.typed)
	}
}

func TestEvents(t *testing.T) {
	q := startQEMU(t)
	tr := open1(t, q, "")
	for i, tc := range []struct {
		event, data string
		what        transport.Saw
		text        string
	}{
		{"RESET", `{"guest": true, "reason": "guest-reset"}`, transport.SawReset, "QEMU: RESET (guest-reset)"},
		{"RESET", `{"guest": false}`, transport.SawReset, "QEMU: RESET"},
		{"SHUTDOWN", `{"guest": true, "reason": "guest-reset"}`, transport.SawReset, "QEMU: SHUTDOWN (guest-reset)"},
		{"SHUTDOWN", `{"guest": true, "reason": "guest-shutdown"}`, transport.SawPowerOff, "QEMU: SHUTDOWN (guest-shutdown)"},
		{"SHUTDOWN", `{"guest": false, "reason": "host-qmp-quit"}`, transport.SawPowerOff, "QEMU: SHUTDOWN (host-qmp-quit)"},
		{"GUEST_PANICKED", `{"action": "pause"}`, transport.SawPanic, "QEMU: GUEST_PANICKED (pause)"},
		{"POWERDOWN", `{}`, transport.SawRecord, ""},
		{"STOP", `{}`, transport.SawRecord, ""},
	} {
		before := fmt.Sprint("before ", i)
		q.say(before + "\n")
		q.tell(tc.event, tc.data)
		h, err := tr.Hear(t.Context())
		if err != nil || string(h.Record.Text) != before {
			t.Fatalf("%s: heard %+v, %v first, want %q", tc.event, h, err, before)
		}
		if tc.what == transport.SawRecord {
			continue // nothing is told: the next line comes first
		}
		if h, err = tr.Hear(t.Context()); err != nil || h.What != tc.what || h.Text != tc.text {
			t.Errorf("%s: heard %+v, %v", tc.event, h, err)
		}
	}
}

// The last word of a QEMU that quits is heard, whichever socket it closes
// first.
func TestQuit(t *testing.T) {
	for _, consoleFirst := range []bool{true, false} {
		t.Run(fmt.Sprint("console first ", consoleFirst), func(t *testing.T) {
			q := startQEMU(t)
			tr := open1(t, q, "")
			q.say("[    1.000000] reboot: Power down\n")
			if consoleFirst {
				q.console.Close()
				time.Sleep(10 * time.Millisecond)
			}
			q.tell("SHUTDOWN", `{"guest": true, "reason": "guest-shutdown"}`)
			q.hangUp()
			var got []string
			for {
				h, err := tr.Hear(t.Context())
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, string(h.Record.Text)+h.Text)
			}
			want := []string{"reboot: Power down", "QEMU: SHUTDOWN (guest-shutdown)"}
			if !slices.Equal(got, want) {
				t.Errorf("heard %q, want %q", got, want)
			}
		})
	}
}
