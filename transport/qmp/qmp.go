package qmp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/sysrq/sysrq"
	"github.com/sysrq/sysrq/transport"
)

// Factory opens targets of the scheme qmp:
//
//	qmp:/run/vm.qmp                                deaf: the best outcome is Sent
//	qmp:/run/vm.qmp?console=/run/vm.serial         hears the console
//	qmp://host:4444?console=tcp:host:4445          both over TCP
//	qmp:/run/vm.qmp?console=/run/vm.serial&via=serial
//
// Parameters are:
//
//	console=ADDRESS  the socket of the guest's console, a path or tcp:host:port
//	via=keyboard     Alt+SysRq+key on the machine's keyboard, the default
//	via=serial       a BREAK and the key on the console's line
//	via=hvc          Ctrl-O and the key, for a console on hvc0 (pseries, virtio)
//	chardev=ID       where BREAKs go, for via=serial; serial0 unless given
//	hold=MS          hold each key so long, in the guest's time, with send-key
//	arch=GOARCH      the guest's architecture, where QEMU is not to be asked
func Factory() transport.Factory {
	return transport.Factory{
		Scheme:  "qmp",
		Summary: "a QEMU machine's monitor, and the socket of its console",
		Example: "qmp:/run/vm.qmp?console=/run/vm.serial",
		Validate: func(u *url.URL) error {
			_, err := parseTarget(u)
			return err
		},
		Sends: func(u *url.URL, k sysrq.Key) string {
			c, err := parseTarget(u)
			if err != nil {
				return ""
			}
			return c.sends(k)
		},
		Open: func(ctx context.Context, u *url.URL) (transport.Transport, error) {
			c, err := parseTarget(u)
			if err != nil {
				return nil, err
			}
			return open(ctx, c, transport.Redact(u))
		},
	}
}

const (
	// openLimit is how long Open waits when its context has no deadline. A
	// monitor that another client holds never greets.
	openLimit = 10 * time.Second

	// An event of the monitor waits for what the console says until that has
	// been silent for eventQuiet, and for eventLimit at most.
	eventQuiet = 25 * time.Millisecond
	eventLimit = 100 * time.Millisecond

	// endGrace is how long the end of the console waits for the monitor's last
	// event. A QEMU that quits closes both, in either order.
	endGrace = 250 * time.Millisecond
)

// Variables so that tests need not wait.
var (
	// keyGap is the time from one key to the next. QEMU answers when an event
	// is in its device's queue, not when the guest has taken it, and queues
	// are short: 16 bytes in a PS/2 keyboard, where a key takes 6 or 8
	// (hw/input/ps2.c), and 16 events in a USB one, which hands out one every
	// 8 or 10 ms (hw/input/hid.c). What does not fit is dropped without a word.
	//
	// On a serial line it keeps one key's BREAK from being drained together
	// with the key before: the 8250 driver keeps one character for later, and
	// QEMU's UART one BREAK flag for its whole FIFO, which then marks the
	// wrong character.
	//
	// A gap is no proof: a guest that prints for longer with interrupts off
	// can still lose keys. Whoever wants to know waits for the header.
	keyGap = 100 * time.Millisecond

	// keyHold is how long a key stays down. Linux 7.2 (not 6.12) never resets
	// when the release comes too soon: key b lets interrupts in while it is in
	// the keyboard's own, and a second one of the keyboard waits for the first
	// to end (sysrq_handle_reboot, handle_edge_irq, irq_wait_on_inprogress).
	// Fingers are slower.
	keyHold = 80 * time.Millisecond

	// lineSettle is what a guest gets to take one character from its UART
	// before the BREAK flag that would mark it.
	lineSettle = 200 * time.Millisecond
)

// path is one open way into a guest.
type path struct {
	config
	props   transport.Properties
	monitor *Monitor
	line    net.Conn           // the console's socket, or nil
	console *transport.Console // what reads line, or nil
	watched chan struct{}      // closed when no event will be told any more

	closing context.Context // ends with Close
	close   context.CancelFunc
	once    sync.Once

	// Trigger's alone:
	last time.Time // when the last key left
	// armed: the line may be waiting for a key after a BREAK, of ours or of
	// whoever was here before. It waits for ever, and another BREAK would not
	// arm it but disarm it (facts: serial_core, uart_handle_break).
	armed bool
}

func open(ctx context.Context, c config, target string) (_ transport.Transport, err error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, openLimit)
		defer cancel()
	}
	p := &path{config: c, watched: make(chan struct{}), armed: true}
	p.props = transport.Properties{
		Target: target, Door: sysrq.DoorKeyboard, Arch: c.arch,
		Deaf: c.console == "", Filtered: true,
	}
	if c.via != viaKeyboard {
		p.props.Door = sysrq.DoorSerial
	}
	p.monitor, err = Dial(ctx, c.monitor)
	if err != nil {
		return nil, &transport.OpError{
			Op: "open", Target: target, Err: fmt.Errorf("monitor: %w", err),
			Hint: "qemu-system-… -qmp " + withNetwork(c.monitor) + ",server=on,wait=off",
		}
	}
	defer func() {
		if err != nil {
			_ = p.monitor.Close()
		}
	}()
	if p.props.Arch == "" {
		if p.props.Arch, err = p.askArch(ctx); err != nil {
			return nil, err
		}
	}
	if c.via == viaSerial {
		if err = p.checkChardev(ctx); err != nil {
			return nil, err
		}
	}
	if c.console != "" {
		p.line, err = dial(ctx, c.console)
		if err != nil {
			return nil, &transport.OpError{
				Op: "open", Target: target, Err: fmt.Errorf("console: %w", err),
				Hint: "qemu-system-… -serial " + withNetwork(c.console) + ",server=on,wait=off",
			}
		}
		p.console = transport.NewConsole(target, p.line)
	}
	// Whoever was here before may have typed just now. Seen once, with keys of
	// several connections milliseconds apart: the guest missed the release of
	// Shift, and every later letter was a capital, that is, no command.
	p.last = time.Now()
	p.closing, p.close = context.WithCancel(context.Background())
	go p.watch()
	return p, nil
}

// withNetwork is an address as QEMU's options take it.
func withNetwork(address string) string {
	if strings.HasPrefix(address, "tcp:") || strings.HasPrefix(address, "unix:") {
		return address
	}
	return "unix:" + address
}

// askArch is the guest's architecture, or empty for one that Linux has not.
func (p *path) askArch(ctx context.Context) (string, error) {
	var target struct{ Arch string }
	err := p.monitor.Execute(ctx, "query-target", nil, &target)
	var refused *Error
	if errors.As(err, &refused) {
		err = nil // it is of no use to anything but the table of commands
	}
	return archOf[target.Arch], err
}

// checkChardev finds a chardev's typo now rather than in an emergency.
func (p *path) checkChardev(ctx context.Context) error {
	var devs []struct{ Label string }
	if err := p.monitor.Execute(ctx, "query-chardev", nil, &devs); err != nil {
		return err
	}
	var labels []string
	for _, d := range devs {
		labels = append(labels, d.Label)
	}
	if err := oneOf(p.chardev, labels); err != nil {
		return fmt.Errorf("chardev: %w", err)
	}
	return nil
}

// Properties say what the path can do.
func (p *path) Properties() transport.Properties { return p.props }

var (
	errNoKey = errors.New("only 0-9, a-z and A-Z can be typed on this path")
	// errPaused saves a key: QEMU takes what is typed for a machine that does
	// not run, says that all is well, and throws it away; on a line, it would
	// run whenever somebody lets the machine go on.
	errPaused = errors.New("the machine does not run")
)

// Trigger sends one key. Between two keys lie 100 ms at least.
//
// On a keyboard the key is one command to QEMU with all its presses, which
// arrives whole or not at all, and one with its releases. On a serial line it
// is a BREAK through the monitor and then a byte through the console's socket.
// The first one, and the next after one that failed in between, is preceded by
// a NUL, which disarms a line that waits for a key; a program that reads the
// line reads the NUL (a getty with several speeds goes on to the next).
func (p *path) Trigger(ctx context.Context, k sysrq.Key) error {
	arrived, err := p.trigger(ctx, k)
	if err == nil {
		return nil
	}
	oe := &transport.OpError{Op: "trigger", Target: p.props.Target, Err: err, MayHaveArrived: arrived}
	var refused *Error
	switch {
	case errors.Is(err, errPaused):
		oe.Hint = "cont" // in QEMU's monitor
	case p.via == viaKeyboard && errors.As(err, &refused):
		oe.Hint = "?console=…&via=serial, or via=hvc, for a machine without a keyboard"
	}
	return oe
}

func (p *path) trigger(ctx context.Context, k sysrq.Key) (mayHaveArrived bool, err error) {
	if !k.HasSlot() {
		return false, fmt.Errorf("%v: %w", k, errNoKey)
	}
	if err := p.sleep(ctx, time.Until(p.last.Add(keyGap))); err != nil {
		return false, err
	}
	// Its answer also tells that QEMU has looked at the console's socket since
	// the key before, whose byte the next BREAK must not overtake.
	if err := p.running(ctx); err != nil {
		return false, err
	}
	switch p.via {
	case viaSerial:
		defer func() { p.last = time.Now() }()
		return p.breakAndKey(ctx, k)
	case viaHVC:
		defer func() { p.last = time.Now() }()
		// hvc_console.c takes Ctrl-O for itself and then one more character,
		// without a limit of time.
		n, err := p.write(ctx, []byte{0x0f, byte(k)})
		return n == 2, err
	default:
		err := p.typeKey(ctx, k)
		var ue *UnansweredError
		return errors.As(err, &ue) && ue.MayHaveRun, err
	}
}

// running finds out whether keys would arrive.
func (p *path) running(ctx context.Context) error {
	var s struct {
		Status  string
		Running bool
	}
	if err := p.monitor.Execute(ctx, "query-status", nil, &s); err != nil {
		return err
	}
	// A guest that is suspended to memory is woken by its keyboard.
	if !s.Running && s.Status != "suspended" {
		return fmt.Errorf("%w: it is %s", errPaused, s.Status)
	}
	return nil
}

// typeKey presses Alt, SysRq and the key.
//
// input-send-event puts all presses into the keyboard's queue at once, or says
// why not: the machine has no keyboard, or does not run. No time is needed
// between them: the kernel acts on the press of the key while Alt and SysRq are
// down, and leaves the active mode with the release of Alt (facts: keyboard
// state machine). The releases follow, keyHold later. Measured with QEMU 7.2 under
// emulation and Linux 6.1: of 100 keys on a PS/2 keyboard and 40 on a virtio
// one none was lost, and the header was on the console 3 to 5 ms after the key.
//
// send-key is for those who want to see keys held. It presses them one after
// the other, each a hold-time after the last, and releases them the same way,
// all after it has answered: with its default of 100 ms the header takes
// 200 ms. It says that all is well when the machine does not run and the keys
// are thrown away. Two of them do not mix, since QEMU queues the second behind
// the first. Any hold worked, from 1 ms: the guest's clock counts it.
func (p *path) typeKey(ctx context.Context, k sysrq.Key) error {
	keys := []string{"alt", "sysrq", strings.ToLower(k.String())}
	if k.IsUpper() {
		keys = append([]string{"shift"}, keys...)
	}
	if p.hold > 0 {
		defer func() { p.last = time.Now() }()
		send := struct {
			Keys []qcode `json:"keys"`
			Hold int64   `json:"hold-time"`
		}{Hold: p.hold.Milliseconds()}
		for _, name := range keys {
			send.Keys = append(send.Keys, qcode{"qcode", name})
		}
		return p.monitor.Execute(ctx, "send-key", send, nil)
	}
	var press, release keyEvents
	for i, name := range keys {
		press.Events = append(press.Events, newKeyEvent(name, true))
		release.Events = append(release.Events, newKeyEvent(keys[len(keys)-1-i], false))
	}
	if err := p.monitor.Execute(ctx, "input-send-event", press, nil); err != nil {
		return err
	}
	// The key has arrived, whatever comes now: a machine that is resetting, or
	// gone, needs no release. One that lives must not keep Alt, though ctx ends.
	p.last = time.Now()
	_ = p.sleep(ctx, keyHold)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keyHold)
	defer cancel()
	_ = p.monitor.Execute(ctx, "input-send-event", release, nil)
	return nil
}

// keyEvents are the arguments of input-send-event.
type keyEvents struct {
	Events []keyEvent `json:"events"`
}

// qcode is a KeyValue (qapi/ui.json).
type qcode struct {
	Type string `json:"type"`
	Data string `json:"data"`
}

// keyEvent is an InputEvent of type key.
type keyEvent struct {
	Type string `json:"type"`
	Data struct {
		Down bool  `json:"down"`
		Key  qcode `json:"key"`
	} `json:"data"`
}

func newKeyEvent(name string, down bool) keyEvent {
	e := keyEvent{Type: "key"}
	e.Data.Down, e.Data.Key = down, qcode{"qcode", name}
	return e
}

func (p *path) breakAndKey(ctx context.Context, k sysrq.Key) (mayHaveArrived bool, err error) {
	if p.armed {
		if _, err := p.write(ctx, []byte{0}); err != nil {
			return false, err
		}
		// QEMU has looked at the socket when it answers; then the guest has to
		// take the NUL before the BREAK comes.
		if err := p.running(ctx); err != nil {
			return false, err
		}
		if err := p.sleep(ctx, lineSettle); err != nil {
			return false, err
		}
	}
	p.armed = true
	err = p.monitor.Execute(ctx, "chardev-send-break", struct {
		ID string `json:"id"`
	}{p.chardev}, nil)
	if err != nil {
		return false, err
	}
	n, err := p.write(ctx, []byte{byte(k)})
	if err != nil {
		return n > 0, err
	}
	p.armed = false
	return true, nil
}

// write writes to the console's line and returns early when ctx ends.
func (p *path) write(ctx context.Context, b []byte) (int, error) {
	late := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = p.line.SetWriteDeadline(time.Now())
		close(late)
	})
	n, err := p.line.Write(b)
	if !stop() {
		<-late
		_ = p.line.SetWriteDeadline(time.Time{})
	}
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return n, err
}

func (p *path) sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-p.closing.Done():
		return net.ErrClosed
	}
}

// Hear waits for what the console prints and what the monitor tells of the
// machine. An event comes after what the console had said before it.
func (p *path) Hear(ctx context.Context) (transport.Heard, error) {
	if p.console == nil {
		return transport.Heard{}, transport.ErrDeaf
	}
	h, err := p.console.Hear(ctx)
	if err != io.EOF { //nolint:errorlint // Console returns it bare
		return h, err
	}
	grace := time.NewTimer(endGrace)
	defer grace.Stop()
	select {
	case <-p.watched:
	case <-grace.C:
	case <-ctx.Done():
	}
	return p.console.Hear(ctx)
}

// watch tells the monitor's events to whoever hears.
func (p *path) watch() {
	defer close(p.watched)
	for e := range p.monitor.Events() {
		if what, text := sighted(e); what != transport.SawRecord && p.console != nil {
			p.console.Settle(p.closing, eventQuiet, eventLimit)
			p.console.Saw(what, text)
		}
	}
}

// sighted is what an event tells of the machine, or SawRecord for nothing.
//
// POWERDOWN is nothing: it says that somebody pressed the power button, not
// that the machine went off. One reboot can make several RESETs: SeaBIOS
// resets a machine once more when it finds that it was reset.
//
// Source: qapi/run-state.json of QEMU 7.2 and 9.2.
func sighted(e Event) (transport.Saw, string) {
	var d struct{ Reason, Action string }
	_ = json.Unmarshal(e.Data, &d) // old QEMUs give no reasons
	text := "QEMU: " + e.Name
	if why := d.Reason + d.Action; why != "" {
		text += " (" + why + ")"
	}
	switch {
	case e.Name == "RESET",
		e.Name == "SHUTDOWN" && d.Reason == "guest-reset": // with -no-reboot
		return transport.SawReset, text
	case e.Name == "SHUTDOWN":
		return transport.SawPowerOff, text
	case e.Name == "GUEST_PANICKED", e.Name == "GUEST_CRASHLOADED":
		return transport.SawPanic, text
	}
	return transport.SawRecord, ""
}

// Close lets go of monitor and console.
func (p *path) Close() (err error) {
	p.once.Do(func() {
		p.close()
		_ = p.monitor.Close()
		if p.console != nil {
			err = p.console.Close()
		}
	})
	<-p.watched
	return err
}
