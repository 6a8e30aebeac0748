package qmp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const greeting = `{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "Debian"}, "capabilities": ["oob"]}}` + "\r\n"

// serve greets, answers qmp_capabilities, and hands every later request to
// answer, whose text is sent as it is.
func serve(t *testing.T, conn net.Conn, answer func(command string, id uint64) string) {
	t.Helper()
	io.WriteString(conn, greeting)
	d := json.NewDecoder(conn)
	for {
		var req struct {
			Execute string
			ID      uint64
		}
		if d.Decode(&req) != nil {
			conn.Close()
			return
		}
		say := fmt.Sprintf(`{"return": {}, "id": %d}`, req.ID)
		if req.Execute != "qmp_capabilities" {
			say = answer(req.Execute, req.ID)
		}
		if say == "hang up" {
			conn.Close()
			return
		}
		io.WriteString(conn, say+"\r\n")
	}
}

// newMonitor is a monitor whose QEMU answers as told.
func newMonitor(t *testing.T, answer func(command string, id uint64) string) *Monitor {
	t.Helper()
	ours, theirs := net.Pipe()
	go serve(t, theirs, answer)
	m, err := NewMonitor(t.Context(), ours)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func ok(_ string, id uint64) string { return fmt.Sprintf(`{"return": {}, "id": %d}`, id) }

func TestMonitorExecute(t *testing.T) {
	m := newMonitor(t, func(command string, id uint64) string {
		switch command {
		case "query-status":
			return fmt.Sprintf("{\n  \"return\": {\"status\": \"running\"},\n  \"id\": %d\n}", id) // as with pretty=on
		default:
			return fmt.Sprintf(`{"id": %d, "error": {"class": "CommandNotFound", "desc": "The command %s has not been found"}}`, id, command)
		}
	})
	if got := m.Version().String(); got != "7.2.22 (Debian)" {
		t.Errorf("version %q", got)
	}
	var s struct{ Status string }
	if err := m.Execute(t.Context(), "query-status", nil, &s); err != nil || s.Status != "running" {
		t.Errorf("query-status: %v, %+v", err, s)
	}
	err := m.Execute(t.Context(), "fly", nil, nil)
	var qe *Error
	if !errors.As(err, &qe) || qe.Class != "CommandNotFound" {
		t.Errorf("fly: %#v", err)
	}
	if want := "fly: The command fly has not been found"; err.Error() != want {
		t.Errorf("fly: %q, want %q", err, want)
	}
}

// Answers belong to their questions though many ask at once and events come in
// between.
func TestMonitorConcurrent(t *testing.T) {
	m := newMonitor(t, func(command string, id uint64) string {
		return fmt.Sprintf(`{"event": "NOISE", "timestamp": {"seconds": -1, "microseconds": -1}}`+"\r\n"+
			`{"return": %q, "id": %d}`, command, id)
	})
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			want := fmt.Sprint("command-", i)
			var got string
			if err := m.Execute(t.Context(), want, nil, &got); err != nil || got != want {
				t.Errorf("%s: %q, %v", want, got, err)
			}
		})
	}
	wg.Wait()
}

func TestMonitorEvents(t *testing.T) {
	events := func(n int, last string) string {
		var b strings.Builder
		for range n {
			b.WriteString(`{"event": "NOISE", "timestamp": {"seconds": -1, "microseconds": -1}}` + "\r\n")
		}
		fmt.Fprintf(&b, `{"event": %q, "data": {"guest": true}, "timestamp": {"seconds": 1700000000, "microseconds": 250000}}`+"\r\n", last)
		return b.String()
	}
	m := newMonitor(t, func(_ string, id uint64) string { return events(3*maxEvents, "RESET") + ok("", id) })
	// Nobody reads the events, and the answer behind them comes all the same.
	if err := m.Execute(t.Context(), "system_reset", nil, nil); err != nil {
		t.Fatal(err)
	}
	m.Close()
	var last Event
	n := 0
	for e := range m.Events() {
		n, last = n+1, e
	}
	if n != maxEvents {
		t.Errorf("%d events were kept, want %d", n, maxEvents)
	}
	if last.Name != "RESET" || string(last.Data) != `{"guest": true}` || !last.Time.Equal(time.Unix(1700000000, 250e6)) {
		t.Errorf("the newest event is %+v", last)
	}
}

func TestMonitorEOFMidCommand(t *testing.T) {
	m := newMonitor(t, func(string, uint64) string { return "hang up" })
	err := m.Execute(t.Context(), "send-key", nil, nil)
	var ue *UnansweredError
	if !errors.As(err, &ue) || !ue.MayHaveRun || !errors.Is(err, io.EOF) {
		t.Errorf("the command that was cut off: %#v", err)
	}
	<-m.Done()
	err = m.Execute(t.Context(), "send-key", nil, nil)
	if !errors.As(err, &ue) || ue.MayHaveRun {
		t.Errorf("a command afterwards: %#v", err)
	}
}

func TestMonitorContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMonitor(t, func(command string, id uint64) string {
			if command == "slow" {
				time.Sleep(time.Minute)
			}
			return ok("", id)
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := m.Execute(ctx, "slow", nil, nil)
		var ue *UnansweredError
		if !errors.As(err, &ue) || !ue.MayHaveRun || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after a second: %#v", err)
		}
		err = m.Execute(ctx, "late", nil, nil)
		if !errors.As(err, &ue) || ue.MayHaveRun {
			t.Errorf("with a context that had ended: %#v", err)
		}
		// The connection survived, and the late answer is nobody's.
		time.Sleep(2 * time.Minute)
		if err := m.Execute(t.Context(), "quick", nil, nil); err != nil {
			t.Errorf("afterwards: %v", err)
		}
		m.Close()
	})
}

// A command of which QEMU has seen the half is no command, and the connection
// cannot be used any more.
func TestMonitorStalledWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		go func() {
			io.WriteString(theirs, greeting)
			theirs.Read(make([]byte, 1024)) // qmp_capabilities, with its newline
			io.WriteString(theirs, ok("", 1))
			theirs.Read(make([]byte, 10))
		}()
		m, err := NewMonitor(t.Context(), ours)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err = m.Execute(ctx, "send-key", nil, nil)
		var ue *UnansweredError
		if !errors.As(err, &ue) || ue.MayHaveRun || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %#v", err)
		}
		<-m.Done()
		m.Close()
		theirs.Close()
	})
}

func TestMonitorNoGreeting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := NewMonitor(ctx, ours)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "another may hold it") {
			t.Errorf("got %v", err)
		}
	})
}

func TestMonitorEndless(t *testing.T) {
	ours, theirs := net.Pipe()
	go func() {
		defer theirs.Close()
		junk := bytes.Repeat([]byte{' '}, 1<<16)
		for {
			if _, err := theirs.Write(junk); err != nil {
				return
			}
		}
	}()
	if _, err := NewMonitor(t.Context(), ours); !errors.Is(err, errTooLong) {
		t.Errorf("got %v", err)
	}
}

func TestMonitorClose(t *testing.T) {
	m := newMonitor(t, ok)
	for range 2 {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := m.Execute(t.Context(), "cont", nil, nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func FuzzDecoder(f *testing.F) {
	f.Add([]byte(greeting))
	f.Add([]byte(`{"return": {}, "id": 1}{"event": "STOP", "timestamp": {"seconds": 1, "microseconds": -1}}`))
	f.Add([]byte(`{"error": {"class": "GenericError", "desc": "x"}, "id": null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := newDecoder(bytes.NewReader(b))
		for range len(b) + 1 { // every message takes a byte at least
			m, err := d.next()
			if err != nil {
				return
			}
			if m.Event != "" && !json.Valid(m.Data) && m.Data != nil {
				t.Errorf("event data %q", m.Data)
			}
			_ = m.event()
		}
		t.Error("it does not end")
	})
}
