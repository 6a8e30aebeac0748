package qmp

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// Monitor is a connection to QEMU's machine protocol.
//
// It is safe for concurrent use by multiple goroutines. QEMU serves one client
// per monitor socket at a time; whoever connects second waits for the greeting
// until the first has gone.
//
// Source: docs/interop/qmp-spec.rst of QEMU 7.2 and 9.2.
type Monitor struct {
	conn    net.Conn
	version Version
	events  chan Event
	done    chan struct{} // closed when the reader has ended

	writing chan struct{} // holds a token while somebody writes

	mu      sync.Mutex
	pending map[uint64]chan reply
	lastID  uint64
	err     error // why the reader ended
}

// Version is the version of QEMU behind a monitor.
type Version struct {
	Major, Minor, Micro int
	Package             string // the packager's addition, or empty
}

// String is the version as QEMU writes it: "7.2.22 (Debian …)".
func (v Version) String() string {
	s := fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Micro)
	if v.Package != "" {
		s += " (" + v.Package + ")"
	}
	return s
}

// Event is one thing that QEMU told without being asked.
type Event struct {
	Name string          // "RESET"
	Data json.RawMessage // its arguments, an object, or nil
	Time time.Time       // the host's clock, or zero where QEMU had none
}

// Error is QEMU's own refusal of a command. The command was not carried out,
// or not to its end.
type Error struct {
	Class string // "GenericError", "CommandNotFound", "DeviceNotFound", …
	Desc  string // for people
}

func (e *Error) Error() string { return e.Desc }

// UnansweredError is returned for a command whose answer was not seen.
type UnansweredError struct {
	Command string
	// MayHaveRun is false only when QEMU cannot have seen the whole command.
	MayHaveRun bool
	// Err is why: the context's error, io.EOF, net.ErrClosed, ….
	Err error
}

func (e *UnansweredError) Error() string {
	why := e.Err.Error()
	if errors.Is(e.Err, io.EOF) {
		why = "QEMU has closed the connection"
	}
	if e.MayHaveRun {
		return fmt.Sprintf("%s was sent and not answered: %v", e.Command, e.Err)
	}
	return fmt.Sprintf("%s was not sent: %s", e.Command, why)
}

// Unwrap gives the cause.
func (e *UnansweredError) Unwrap() error { return e.Err }

// maxMessage bounds what one message of QEMU may take in memory, in bytes. The
// longest known, the answer to query-qmp-schema, has a fifth of a mebibyte.
const maxMessage = 8 << 20

// maxEvents is how many events wait for their reader before the oldest goes.
const maxEvents = 64

// Dial connects to a monitor and negotiates. The address is the path of a unix
// socket, or tcp:host:port. ctx bounds the dialling only.
func Dial(ctx context.Context, address string) (*Monitor, error) {
	conn, err := dial(ctx, address)
	if err != nil {
		return nil, err
	}
	return NewMonitor(ctx, conn)
}

// dial connects to a socket by the names that QEMU's own options have for it.
func dial(ctx context.Context, address string) (net.Conn, error) {
	var d net.Dialer
	if hostport, ok := strings.CutPrefix(address, "tcp:"); ok {
		return d.DialContext(ctx, "tcp", hostport)
	}
	return d.DialContext(ctx, "unix", strings.TrimPrefix(address, "unix:"))
}

// NewMonitor negotiates on a connection that exists already, one end of a
// socket pair for instance, and owns it from then on, also when it fails. ctx
// bounds the negotiation only.
func NewMonitor(ctx context.Context, conn net.Conn) (*Monitor, error) {
	m := &Monitor{
		conn:    conn,
		events:  make(chan Event, maxEvents),
		done:    make(chan struct{}),
		writing: make(chan struct{}, 1),
		pending: make(map[uint64]chan reply),
	}
	greeted := make(chan Version, 1)
	go m.read(greeted)
	select {
	case m.version = <-greeted:
	case <-m.done:
		return nil, fmt.Errorf("greeting: %w", m.Err())
	case <-ctx.Done():
		_ = m.Close()
		return nil, fmt.Errorf("no greeting (QEMU serves one client per monitor: another may hold it): %w", ctx.Err())
	}
	if err := m.Execute(ctx, "qmp_capabilities", nil, nil); err != nil {
		_ = m.Close()
		return nil, err
	}
	return m, nil
}

// Version is what QEMU said of itself in its greeting.
func (m *Monitor) Version() Version { return m.version }

// Events are what QEMU tells unasked, oldest first. The channel holds the last
// 64 of them: a reader who is slower than that loses the oldest. It is closed
// when the connection has ended.
func (m *Monitor) Events() <-chan Event { return m.events }

// Done is closed when the connection has ended; Err tells why.
func (m *Monitor) Done() <-chan struct{} { return m.done }

// Err is why the connection ended: io.EOF when QEMU went away,
// [net.ErrClosed] after Close, and nil while it lives.
func (m *Monitor) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

// Close ends the connection and waits for its reader. Commands that are still
// unanswered return an [*UnansweredError]. Later calls do nothing.
func (m *Monitor) Close() error {
	m.fail(net.ErrClosed)
	<-m.done
	return nil
}

// fail ends the connection for a reason; the first reason stays.
func (m *Monitor) fail(err error) {
	m.mu.Lock()
	if m.err == nil {
		m.err = err
	}
	m.mu.Unlock()
	_ = m.conn.Close() // makes the reader end
}

type request struct {
	Execute   string `json:"execute"`
	Arguments any    `json:"arguments,omitempty"`
	ID        uint64 `json:"id"`
}

type reply struct {
	result json.RawMessage
	err    error
}

// Execute carries out one command. Its arguments are args as JSON, or none for
// nil; what it returns is put into result unless that is nil.
//
// The error is an [*Error] when QEMU refused, and an [*UnansweredError] when
// no answer was seen.
func (m *Monitor) Execute(ctx context.Context, command string, args, result any) error {
	select {
	case m.writing <- struct{}{}:
	case <-m.done:
		return &UnansweredError{Command: command, Err: m.Err()}
	case <-ctx.Done():
		return &UnansweredError{Command: command, Err: ctx.Err()}
	}
	answer, id, err := m.send(ctx, command, args)
	<-m.writing
	if err != nil {
		return err
	}
	defer func() {
		m.mu.Lock()
		delete(m.pending, id) // an answer that comes later is for nobody
		m.mu.Unlock()
	}()
	var r reply
	select {
	case r = <-answer:
	case <-ctx.Done():
		return &UnansweredError{Command: command, MayHaveRun: true, Err: ctx.Err()}
	case <-m.done:
		select {
		case r = <-answer: // the last thing that was said
		default:
			return &UnansweredError{Command: command, MayHaveRun: true, Err: m.Err()}
		}
	}
	switch {
	case r.err != nil:
		return fmt.Errorf("%s: %w", command, r.err)
	case result == nil:
		return nil
	}
	if err := json.Unmarshal(r.result, result); err != nil {
		return fmt.Errorf("%s: its answer: %w", command, err)
	}
	return nil
}

func (m *Monitor) send(ctx context.Context, command string, args any) (<-chan reply, uint64, error) {
	m.mu.Lock()
	m.lastID++
	id := m.lastID
	m.mu.Unlock()
	line, err := json.Marshal(request{command, args, id})
	if err != nil {
		return nil, 0, fmt.Errorf("%s: its arguments: %w", command, err)
	}
	if err := cmp.Or(ctx.Err(), m.Err()); err != nil {
		return nil, 0, &UnansweredError{Command: command, Err: err}
	}
	answer := make(chan reply, 1)
	m.mu.Lock()
	m.pending[id] = answer
	m.mu.Unlock()

	// The connection's send buffer can be full when QEMU hangs. Nobody else
	// writes now, so the deadline hits this command only.
	late := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = m.conn.SetWriteDeadline(time.Now())
		close(late)
	})
	n, err := m.conn.Write(append(line, '\n'))
	if !stop() {
		<-late
		_ = m.conn.SetWriteDeadline(time.Time{}) // not for the next command
	}
	if err == nil {
		return answer, id, nil
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("a command was cut short: %w", ctx.Err())
	}
	m.fail(err)
	m.mu.Lock()
	delete(m.pending, id)
	m.mu.Unlock()
	// QEMU acts on the closing brace (json_message_process_token).
	return nil, 0, &UnansweredError{Command: command, MayHaveRun: n >= len(line), Err: m.Err()}
}

// message is anything that QEMU says: a greeting, an answer or an event.
type message struct {
	QMP *struct {
		Version struct {
			QEMU    struct{ Major, Minor, Micro int }
			Package string
		}
	}
	Return json.RawMessage
	Error  *struct{ Class, Desc string }
	ID     *uint64

	Event     string
	Data      json.RawMessage
	Timestamp struct{ Seconds, Microseconds int64 }
}

// decoder reads messages. It takes them as JSON values rather than as lines,
// for QEMU writes some over several lines when told pretty=on.
type decoder struct {
	limit io.LimitedReader
	json  *json.Decoder
}

func newDecoder(r io.Reader) *decoder {
	d := &decoder{limit: io.LimitedReader{R: r}}
	d.json = json.NewDecoder(&d.limit)
	return d
}

var errTooLong = errors.New("a message of more than 8 MiB")

func (d *decoder) next() (message, error) {
	d.limit.N = maxMessage
	var m message
	err := d.json.Decode(&m)
	if err != nil && d.limit.N == 0 {
		err = errTooLong
	}
	return m, err
}

func (m *message) event() Event {
	e := Event{Name: m.Event, Data: m.Data}
	if t := m.Timestamp; t.Seconds > 0 && t.Microseconds >= 0 { // -1: the host's clock failed
		e.Time = time.Unix(t.Seconds, t.Microseconds*1000)
	}
	return e
}

// read takes what QEMU says to where it belongs until the connection ends. It
// waits for nobody but the connection.
func (m *Monitor) read(greeted chan<- Version) {
	defer close(m.done)
	defer close(m.events)
	d := newDecoder(m.conn)
	for {
		msg, err := d.next()
		if err != nil {
			m.fail(err)
			return
		}
		switch {
		case msg.Event != "":
			m.tell(msg.event())
		case msg.QMP != nil:
			v := msg.QMP.Version
			select {
			case greeted <- Version{v.QEMU.Major, v.QEMU.Minor, v.QEMU.Micro, v.Package}:
			default: // a second greeting means nothing
			}
		case msg.ID != nil:
			r := reply{result: msg.Return}
			if msg.Error != nil {
				r.err = &Error{msg.Error.Class, msg.Error.Desc}
			}
			m.mu.Lock()
			answer := m.pending[*msg.ID]
			delete(m.pending, *msg.ID) // a second answer is for nobody
			m.mu.Unlock()
			if answer != nil {
				answer <- r
			}
		case msg.Error != nil:
			// Without an id it answers something that QEMU could not read,
			// and whoever waits would wait for ever.
			m.fail(&Error{msg.Error.Class, msg.Error.Desc})
			return
		}
	}
}

// tell puts an event where Events finds it, in place of the oldest if need be.
func (m *Monitor) tell(e Event) {
	for {
		select {
		case m.events <- e:
			return
		default:
		}
		select {
		case <-m.events:
		default:
		}
	}
}
