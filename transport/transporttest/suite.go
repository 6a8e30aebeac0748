// Package transporttest holds what every transport has to pass, and a machine
// in memory for the tests of those who use transports.
package transporttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sysrq/sysrq"
	"github.com/sysrq/sysrq/transport"
)

// Secret is the password in URLs that must never be printed.
const Secret = "hunter2"

// AllKeys are the keys that have a slot in the kernel's table.
const AllKeys = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// Suite is one transport and a fake far side for it.
type Suite struct {
	Factory transport.Factory
	// Start makes a fake machine and tells the target that reaches it. What it
	// starts it stops with t.Cleanup.
	Start func(t *testing.T) (target string, m Machine)
	// Bad are targets of the scheme that must be refused unopened.
	Bad []string
	// Keys are the keys that must arrive; empty is AllKeys.
	Keys string
}

// Machine is the far side.
type Machine struct {
	// Received are the keys that arrived so far, in order.
	Received func() []byte
	// Say prints on the machine's console. It returns when the text has been
	// taken, as a serial line does; before the transport is open it is said to
	// nobody. Unused when the path is deaf.
	Say func(text string)
	// Hangup ends every connection, as a machine does that goes away.
	Hangup func()
}

// patience bounds a wait that ends at once when all is well.
const patience = 10 * time.Second

// Run holds a transport to its contract.
func Run(t *testing.T, s Suite) {
	for _, tc := range []struct {
		name string
		run  func(*testing.T, *Suite)
		ears bool // of no use on a deaf path
	}{
		{"Factory", testFactory, false},
		{"Secrets", testSecrets, false},
		{"BadTargets", testBadTargets, false},
		{"Properties", testProperties, false},
		{"Keys", testKeys, false},
		{"OtherKeys", testOtherKeys, false},
		{"TriggerEndedContext", testTriggerEndedContext, false},
		{"Close", testClose, false},
		{"CloseUnblocksHear", testCloseUnblocksHear, true},
		{"Hangup", testHangup, false},
		{"HearsOnlyWhatIsNew", testHearsOnlyWhatIsNew, true},
		{"HearContext", testHearContext, true},
		{"HalfALine", testHalfALine, true},
		{"Flood", testFlood, true},
		{"TriggerWhileHearing", testTriggerWhileHearing, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := runtime.NumGoroutine()
			t.Cleanup(func() { checkLeaks(t, before) }) // last of all
			if tc.ears {
				if tr, _ := s.open(t); tr.Properties().Deaf {
					t.Skip("a deaf path")
				}
			}
			tc.run(t, &s)
		})
	}
}

// checkLeaks waits until there are no more goroutines than before.
func checkLeaks(t *testing.T, before int) {
	for end := time.Now().Add(patience); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			stacks := make([]byte, 1<<16)
			stacks = stacks[:runtime.Stack(stacks, true)]
			t.Errorf("%d goroutines are left over, among these:\n%s", runtime.NumGoroutine()-before, stacks)
			return
		}
	}
}

func (s *Suite) registry() *transport.Registry { return transport.NewRegistry(s.Factory) }

// open starts a machine and opens the way to it.
func (s *Suite) open(t *testing.T) (transport.Transport, Machine) {
	t.Helper()
	target, m := s.Start(t)
	return s.reach(t, target), m
}

func (s *Suite) reach(t *testing.T, target string) transport.Transport {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tr, err := s.registry().Open(ctx, target)
	if err != nil {
		t.Fatalf("open %s: %v", target, err)
	}
	t.Cleanup(func() { _ = tr.Close() })
	return tr
}

func testFactory(t *testing.T, s *Suite) {
	f := s.Factory
	if f.Scheme == "" || f.Summary == "" {
		t.Errorf("scheme %q, summary %q", f.Scheme, f.Summary)
	}
	target, err := s.registry().Parse(f.Example)
	if err != nil {
		t.Fatalf("the example is not valid: %v", err)
	}
	if target.String() != f.Example {
		t.Errorf("the example comes back as %q, want %q", target, f.Example)
	}
}

func testSecrets(t *testing.T, s *Suite) {
	for _, raw := range []string{
		with(s.Factory.Example, "password="+Secret),
		with(s.Factory.Example, "apitoken="+Secret),
		s.Factory.Scheme + "://someone:" + Secret + "@host.example/",
		s.Factory.Scheme + "://someone:" + Secret + "@host.example:99999999/",
		s.Factory.Scheme + "://someone:" + Secret + "@host.example/%zz",
	} {
		// A transport may take such a target or refuse it.
		target, err := s.registry().Parse(raw)
		said := fmt.Sprint(err)
		if err == nil {
			said = target.String()
		}
		if strings.Contains(said, Secret) {
			t.Errorf("%s prints the secret: %s", raw, said)
		}
	}
}

// with is a target with one more query parameter.
func with(target, param string) string {
	if strings.Contains(target, "?") {
		return target + "&" + param
	}
	return target + "?" + param
}

func testBadTargets(t *testing.T, s *Suite) {
	for _, raw := range append([]string{with(s.Factory.Example, "nosuchparameter=1")}, s.Bad...) {
		if _, err := s.registry().Parse(raw); !errors.Is(err, transport.ErrTarget) {
			t.Errorf("%s: %v, want an error that wraps ErrTarget", raw, err)
		}
	}
}

func testProperties(t *testing.T, s *Suite) {
	tr, _ := s.open(t)
	p := tr.Properties()
	if p.Target == "" {
		t.Error("no Target")
	}
	if p.Door == 0 && p.Door.String() == "" {
		t.Errorf("no such door: %d", p.Door)
	}
	_, err := tr.Hear(ended(t))
	switch {
	case p.Deaf && !errors.Is(err, transport.ErrDeaf):
		t.Errorf("Hear on a deaf path: %v, want ErrDeaf", err)
	case !p.Deaf && !errors.Is(err, context.Canceled):
		t.Errorf("Hear with a context that has ended: %v, want its error", err)
	}
	if again := tr.Properties(); again != p {
		t.Errorf("the properties changed from %+v to %+v", p, again)
	}
}

// ended is a context that has ended.
func ended(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func testKeys(t *testing.T, s *Suite) {
	tr, m := s.open(t)
	keys := s.Keys
	if keys == "" {
		keys = AllKeys
	}
	for _, k := range []byte(keys) {
		if err := tr.Trigger(t.Context(), sysrq.Key(k)); err != nil {
			t.Fatalf("%c: %v", k, err)
		}
	}
	waitKeys(t, m, keys)
	// Exactly once: nothing follows.
	time.Sleep(20 * time.Millisecond)
	waitKeys(t, m, keys)
}

// waitKeys waits until exactly these keys have arrived.
func waitKeys(t *testing.T, m Machine, want string) {
	t.Helper()
	var got []byte
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if got = m.Received(); len(got) >= len(want) {
			break
		}
	}
	if string(got) != want {
		t.Fatalf("arrived: %q, want %q", got, want)
	}
}

// A key without a slot arrives as it is or is refused, but nothing else.
func testOtherKeys(t *testing.T, s *Suite) {
	tr, m := s.open(t)
	var want []byte
	for _, k := range []byte{'?', ' ', 0x80} {
		err := tr.Trigger(t.Context(), sysrq.Key(k))
		if err == nil {
			want = append(want, k)
		} else if oe := opError(t, tr, err); oe != nil && oe.MayHaveArrived {
			t.Errorf("%q was refused, but may have arrived: %v", k, err)
		}
	}
	waitKeys(t, m, string(want))
}

// opError checks that err is what a transport has to return.
func opError(t *testing.T, tr transport.Transport, err error) *transport.OpError {
	t.Helper()
	var oe *transport.OpError
	if !errors.As(err, &oe) {
		t.Errorf("%v is a %T, want an *OpError", err, err)
		return nil
	}
	if oe.Op == "" || oe.Err == nil || oe.Target != tr.Properties().Target {
		t.Errorf("an incomplete error: %+v", oe)
	}
	if strings.Contains(err.Error()+oe.Hint, Secret) {
		t.Errorf("the error prints the secret: %v", err)
	}
	return oe
}

func testTriggerEndedContext(t *testing.T, s *Suite) {
	tr, m := s.open(t)
	err := tr.Trigger(ended(t), 'h')
	if oe := opError(t, tr, err); oe != nil && (!errors.Is(err, context.Canceled) || oe.MayHaveArrived) {
		t.Errorf("got %v (may have arrived: %v)", err, oe.MayHaveArrived)
	}
	// The path is as good as before.
	if err := tr.Trigger(t.Context(), 'm'); err != nil {
		t.Fatal(err)
	}
	waitKeys(t, m, "m")
}

func testClose(t *testing.T, s *Suite) {
	tr, m := s.open(t)
	for i := range 2 {
		if err := tr.Close(); err != nil {
			t.Errorf("close %d: %v", i+1, err)
		}
	}
	err := tr.Trigger(t.Context(), 'h')
	if oe := opError(t, tr, err); oe != nil && oe.MayHaveArrived {
		t.Errorf("after Close: %v, and it may have arrived", err)
	}
	if _, err := tr.Hear(t.Context()); err == nil {
		t.Error("Hear after Close heard something")
	}
	waitKeys(t, m, "")
}

func testCloseUnblocksHear(t *testing.T, s *Suite) {
	tr, _ := s.open(t)
	done := make(chan error, 1)
	go func() {
		_, err := tr.Hear(context.Background())
		done <- err
	}()
	time.Sleep(10 * time.Millisecond) // so that Hear waits, most of the time
	if err := tr.Close(); err != nil {
		t.Error(err)
	}
	if err := wait(t, done); err == nil {
		t.Error("it heard something")
	}
}

func wait[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatal("it hangs")
	}
	panic("unreachable")
}

func testHangup(t *testing.T, s *Suite) {
	tr, m := s.open(t)
	if err := tr.Trigger(t.Context(), 'h'); err != nil {
		t.Fatal(err)
	}
	waitKeys(t, m, "h")
	m.Hangup()
	if !tr.Properties().Deaf {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		for range 2 { // it is over and stays over
			var err error
			for err == nil { // the hang-up itself may have been seen
				_, err = tr.Hear(ctx)
			}
			if err != io.EOF { //nolint:errorlint // as Transport has it
				opError(t, tr, err)
			}
		}
	}
	// The first key may still go out into the void; soon none does.
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		err := tr.Trigger(t.Context(), 'm')
		if err != nil {
			opError(t, tr, err)
			break
		}
		if time.Now().After(end) {
			t.Fatal("keys can be sent to nobody")
		}
	}
	waitKeys(t, m, "h")
}

func testHearsOnlyWhatIsNew(t *testing.T, s *Suite) {
	target, m := s.Start(t)
	m.Say("[    1.000000] old\n")
	tr := s.reach(t, target)
	m.Say("[    2.000000] new\n")
	if got := hear(t, tr).Text; got != "new" {
		t.Errorf("heard %q first, want what was said after Open", got)
	}
}

// line is a record that may be kept.
type line struct {
	Text string
	Torn bool
	Lost uint64
}

// hear waits for the next record.
func hear(t *testing.T, tr transport.Transport) line {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		h, err := tr.Hear(ctx)
		if err != nil {
			t.Fatalf("hear: %v", err)
		}
		if h.What == transport.SawRecord {
			return line{string(h.Record.Text), h.Record.Torn, h.Record.Lost}
		}
	}
}

// A context that ends makes Hear return, and what comes meanwhile is heard by
// the next call.
func testHearContext(t *testing.T, s *Suite) {
	tr, m := s.open(t)
	for i := range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		got := make(chan string, 1)
		go func() {
			h, err := tr.Hear(ctx)
			if err == nil {
				got <- string(h.Record.Text)
			}
			done <- err
		}()
		if i%2 == 0 { // with and without a chance to wait
			time.Sleep(time.Millisecond)
		}
		cancel()
		if err := wait(t, done); !errors.Is(err, context.Canceled) {
			t.Fatalf("Hear: %v (%q), want the context's error", err, <-got)
		}
		want := fmt.Sprint("line ", i)
		m.Say("[    1.000000] " + want + "\n")
		if got := hear(t, tr).Text; got != want {
			t.Fatalf("heard %q, want %q", got, want)
		}
	}
}

func testHalfALine(t *testing.T, s *Suite) {
	tr, m := s.open(t)
	m.Say("[    1.000000] a whole line\n[    1.000001] half a l")
	if got, want := hear(t, tr), (line{Text: "a whole line"}); got != want {
		t.Errorf("heard %+v, want %+v", got, want)
	}
	m.Hangup()
	if got, want := hear(t, tr), (line{Text: "half a l", Torn: true}); got != want {
		t.Errorf("heard %+v, want %+v", got, want)
	}
}

// The machine does not stall because nobody hears, and what does not fit is
// accounted for.
func testFlood(t *testing.T, s *Suite) {
	tr, m := s.open(t)
	const lines = 50_000
	said := make(chan struct{})
	go func() {
		defer close(said)
		var b strings.Builder
		for i := range lines {
			fmt.Fprintf(&b, "[%5d.000000] line %d\n", i, i)
			if b.Len() > 16<<10 {
				m.Say(b.String())
				b.Reset()
			}
		}
		m.Say(b.String() + "[99999.000000] the end\n")
	}()
	wait(t, said)
	next := 0
	for {
		l := hear(t, tr)
		switch {
		case l.Lost > 0:
			next += int(l.Lost)
			continue
		case l.Text == "the end":
		case l.Text != fmt.Sprint("line ", next):
			t.Fatalf("heard %q, want line %d", l.Text, next)
		default:
			next++
			continue
		}
		break
	}
	if next != lines {
		t.Errorf("%d lines were heard or counted as lost, want %d", next, lines)
	}
}

func testTriggerWhileHearing(t *testing.T, s *Suite) {
	tr, m := s.open(t)
	const n = 10
	var wg sync.WaitGroup
	wg.Go(func() {
		for range n {
			if err := tr.Trigger(t.Context(), 'h'); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Go(func() {
		for i := range n {
			m.Say(fmt.Sprintf("[    1.000000] line %d\n", i))
		}
	})
	for i := range n {
		if got, want := hear(t, tr).Text, fmt.Sprint("line ", i); got != want {
			t.Errorf("heard %q, want %q", got, want)
		}
	}
	wg.Wait()
	waitKeys(t, m, string(bytes.Repeat([]byte{'h'}, n)))
}
