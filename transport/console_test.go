package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// console is a Console and the pipe that feeds it.
func console(t *testing.T) (*Console, *io.PipeWriter) {
	t.Helper()
	r, w := io.Pipe()
	c := NewConsole("test:", r)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c, w
}

// said is what a Heard says, in short.
func said(h Heard) string {
	switch {
	case h.What != SawRecord:
		return "saw " + h.Text
	case h.Record.Lost > 0:
		return fmt.Sprint("lost ", h.Record.Lost)
	case h.Record.Torn:
		return string(h.Record.Text) + " (torn)"
	}
	return string(h.Record.Text)
}

// all is everything that can be heard until the end.
func all(t *testing.T, c *Console) (got []string, err error) {
	t.Helper()
	for {
		h, err := c.Hear(t.Context())
		if err != nil {
			return got, err
		}
		got = append(got, said(h))
	}
}

func TestConsole(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		err      error // what the reader ends with
		want     string
	}{
		{"lines", "[    1.000000] a\r\n[    1.000001] b\r\n", io.EOF, "a|b"},
		{"half a line", "[    1.000000] a\n[    1.000001] b", io.EOF, "a|b (torn)"},
		{"nothing", "", io.EOF, ""},
		{"an error", "[    1.000000] a\n", io.ErrUnexpectedEOF, "a"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, w := console(t)
			io.WriteString(w, tc.in)
			w.CloseWithError(tc.err)
			got, err := all(t, c)
			if strings.Join(got, "|") != tc.want {
				t.Errorf("heard %q, want %q", got, tc.want)
			}
			var oe *OpError
			switch {
			case tc.err == io.EOF && err != io.EOF:
				t.Errorf("ended with %v, want io.EOF itself", err)
			case tc.err != io.EOF && (!errors.As(err, &oe) || oe.Op != "hear" || !errors.Is(err, tc.err)):
				t.Errorf("ended with %v, want an OpError of %v", err, tc.err)
			}
		})
	}
}

// The far side never waits, and what goes is accounted for, whether there were
// too many lines or too long ones.
func TestConsoleOverflow(t *testing.T) {
	for _, tc := range []struct{ lines, length int }{
		{consoleRecords, 20},
		{consoleRecords + 1, 20},
		{3*consoleRecords + 7, 20},
		{consoleBytes / 1000, 2000},
	} {
		t.Run(fmt.Sprint(tc.lines, " of ", tc.length), func(t *testing.T) {
			c, w := console(t)
			for i := range tc.lines {
				fmt.Fprintf(w, "[    1.000000] %0*d\n", tc.length, i)
			}
			w.Close()
			<-c.Done()
			h, err := c.Hear(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			heard, lost := 0, h.Record.Lost
			if lost == 0 {
				heard++
			}
			for {
				h, err := c.Hear(t.Context())
				if err != nil {
					break
				}
				if got, want := string(h.Record.Text), fmt.Sprintf("%0*d", tc.length, int(lost)+heard); got != want {
					t.Fatalf("after %d heard and %d lost comes %.30q…", heard, lost, got)
				}
				heard++
			}
			if heard+int(lost) != tc.lines {
				t.Errorf("%d heard and %d lost of %d", heard, lost, tc.lines)
			}
			if tooMany := tc.lines > consoleRecords || tc.lines*tc.length > consoleBytes; tooMany != (lost > 0) {
				t.Errorf("%d were lost", lost)
			}
		})
	}
}

// A gap that the kernel itself told of keeps its size when it is lost as well.
func TestConsoleLostGap(t *testing.T) {
	c, w := console(t)
	io.WriteString(w, "** 5 printk messages dropped **\n")
	for range consoleRecords {
		io.WriteString(w, "x\n")
	}
	w.Close()
	<-c.Done()
	if h, err := c.Hear(t.Context()); err != nil || h.Record.Lost != 5 {
		t.Errorf("heard %s, %v, want a gap of 5", said(h), err)
	}
}

func TestConsoleSaw(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, w := console(t)
		io.WriteString(w, "a\nb\n")
		synctest.Wait()
		c.Saw(SawReset, "reset")
		c.Saw(SawPanic, "panic")
		io.WriteString(w, "c\n")
		w.Close()
		<-c.Done()
		c.Saw(SawPowerOff, "off")
		got, err := all(t, c)
		if want := "a|b|saw reset|saw panic|c|saw off"; strings.Join(got, "|") != want || err != io.EOF {
			t.Errorf("heard %q, %v, want %q", got, err, want)
		}
		for range 2 * consoleSeen {
			c.Saw(SawReset, "reset")
		}
		if got, _ := all(t, c); len(got) != consoleSeen {
			t.Errorf("%d sightings were kept, want %d", len(got), consoleSeen)
		}
	})
}

func TestConsoleSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, w := console(t)
		settle := func() time.Duration {
			start := time.Now()
			c.Settle(t.Context(), 20*time.Millisecond, 100*time.Millisecond)
			return time.Since(start)
		}
		if got := settle(); got != 20*time.Millisecond {
			t.Errorf("in silence it took %v", got)
		}
		time.Sleep(time.Second)
		if got := settle(); got != 20*time.Millisecond {
			t.Errorf("in long silence it took %v", got)
		}
		go func() {
			time.Sleep(10 * time.Millisecond)
			io.WriteString(w, "late\n")
		}()
		if got := settle(); got != 30*time.Millisecond {
			t.Errorf("with a line after 10 ms it took %v", got)
		}
		var quiet atomic.Bool
		go func() {
			for !quiet.Load() {
				time.Sleep(3 * time.Millisecond)
				io.WriteString(w, "x")
			}
			w.Close()
		}()
		if got := settle(); got != 100*time.Millisecond {
			t.Errorf("in endless talk it took %v", got)
		}
		quiet.Store(true)
		<-c.Done()
		if got := settle(); got != 0 {
			t.Errorf("after the end it took %v", got)
		}
	})
}

func TestConsoleHearContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, w := console(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Hear(ctx); err != context.DeadlineExceeded {
			t.Errorf("got %v", err)
		}
		io.WriteString(w, "a\n")
		if h, err := c.Hear(t.Context()); err != nil || said(h) != "a" {
			t.Errorf("heard %q, %v", said(h), err)
		}
	})
}

func TestConsoleClose(t *testing.T) {
	c, w := console(t)
	io.WriteString(w, "a\n")
	go func() {
		time.Sleep(time.Millisecond)
		c.Close()
	}()
	for {
		if _, err := c.Hear(t.Context()); err != nil {
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("got %v", err)
			}
			break
		}
	}
}

// A record's text stays what it was until the next call, whatever comes
// meanwhile.
func TestConsoleTextIsValid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, w := console(t)
		io.WriteString(w, "one\ntwo\n")
		for _, want := range []string{"one", "two"} {
			h, err := c.Hear(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for range 200 {
				io.WriteString(w, "xxxxxxxx\n")
			}
			synctest.Wait()
			if got := said(h); got != want {
				t.Errorf("heard %q, which became %q", want, got)
			}
		}
		w.Close()
	})
}

// endless says the same lines again and again.
type endless struct {
	line []byte
	left int
}

func (e *endless) Read(b []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	e.left--
	return copy(b, e.line), nil
}

func (e *endless) Close() error { return nil }

// What a console keeps does not grow with what was said.
func TestConsoleMemory(t *testing.T) {
	line := bytes.Repeat([]byte("[    1.000000] "+strings.Repeat("x", 85)+"\n"), 100)
	run := func(reads int) uint64 {
		c := NewConsole("test:", &endless{line, reads})
		<-c.Done()
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		runtime.KeepAlive(c)
		return m.HeapAlloc
	}
	few := run(500) // 50 000 lines: the ring is full
	if many := run(5000); many > few+1<<20 {
		t.Errorf("%d bytes after ten times as much, %d before", many, few)
	}
}

func TestTee(t *testing.T) {
	var b bytes.Buffer
	r := Tee(io.NopCloser(strings.NewReader("a\r\nb")), &b)
	c := NewConsole("test:", r)
	got, _ := all(t, c)
	if want := "a|b (torn)"; strings.Join(got, "|") != want {
		t.Errorf("heard %q", got)
	}
	if b.String() != "a\r\nb" {
		t.Errorf("the transcript is %q", b.String())
	}
	_, w := io.Pipe() // nobody reads it
	w.CloseWithError(io.ErrClosedPipe)
	c = NewConsole("test:", Tee(io.NopCloser(strings.NewReader("a\nb\n")), w))
	if got, err := all(t, c); len(got) != 2 || err != io.EOF {
		t.Errorf("with a broken transcript: %q, %v", got, err)
	}
}

func BenchmarkConsole(b *testing.B) {
	line := bytes.Repeat([]byte("[    1.000000] "+strings.Repeat("x", 85)+"\n"), 100)
	c := NewConsole("bench:", &endless{line, b.N/100 + 1})
	b.SetBytes(101)
	b.ReportAllocs()
	for {
		if _, err := c.Hear(b.Context()); err != nil {
			return
		}
	}
}
