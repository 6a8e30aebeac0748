package local

import (
	"context"
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sysrq/sysrq"
	"github.com/sysrq/sysrq/transport"
)

// machine is a procfs with a trigger, and a log, that a test plays the kernel
// of.
type machine struct {
	proc, kmsg string
	keys       *os.File // what was written to the trigger, if it is a FIFO
	log        *os.File
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	dir := t.TempDir()
	m := &machine{proc: dir, kmsg: filepath.Join(dir, "kmsg")}
	for _, p := range []string{dir + "/sysrq-trigger", m.kmsg} {
		if err := syscall.Mkfifo(p, 0o600); err != nil {
			t.Skip(err)
		}
	}
	var err error
	if m.keys, err = os.OpenFile(dir+"/sysrq-trigger", os.O_RDWR|syscall.O_NONBLOCK, 0); err != nil {
		t.Fatal(err)
	}
	if m.log, err = os.OpenFile(m.kmsg, os.O_RDWR|syscall.O_NONBLOCK, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.keys.Close(); m.log.Close() })
	return m
}

func (m *machine) open(t *testing.T) *Transport {
	t.Helper()
	tr, err := Open(Options{Proc: m.proc, Kmsg: m.kmsg})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
	return tr
}

func (m *machine) say(t testing.TB, record string) {
	t.Helper()
	if _, err := io.WriteString(m.log, record); err != nil {
		t.Fatal(err)
	}
}

func TestTriggerWritesOneByte(t *testing.T) {
	m := newMachine(t)
	tr := m.open(t)
	for _, k := range []sysrq.Key{'s', '9', 'R', 0xff} {
		if err := tr.Trigger(t.Context(), k); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 10)
		n, err := m.keys.Read(buf)
		if err != nil || n != 1 || buf[0] != byte(k) {
			t.Errorf("%v: the kernel got %q, %v", k, buf[:n], err)
		}
	}
}

func TestTriggerNeedsAContext(t *testing.T) {
	tr := newMachine(t).open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := tr.Trigger(ctx, 's')
	var oe *transport.OpError
	if !errors.As(err, &oe) || oe.MayHaveArrived || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestTriggerAfterClose(t *testing.T) {
	tr := newMachine(t).open(t)
	tr.Close()
	if err := tr.Trigger(t.Context(), 'b'); !errors.Is(err, os.ErrClosed) {
		t.Errorf("%v", err)
	}
	if err := tr.Mark("x"); !errors.Is(err, os.ErrClosed) {
		t.Errorf("%v", err)
	}
}

func TestProperties(t *testing.T) {
	m := newMachine(t)
	p := m.open(t).Properties()
	if p.Door != sysrq.DoorTrigger || p.Deaf || p.Filtered || !p.Sequenced || !p.Dies || p.Arch == "" {
		t.Errorf("%+v", p)
	}
	u, err := url.Parse(p.Target)
	if err != nil || u.Scheme != "local" || u.Query().Get("proc") != m.proc {
		t.Errorf("%q, %v", p.Target, err)
	}
	if got := (Options{Proc: defaultProc, Kmsg: defaultKmsg}).target(); got != "local:" {
		t.Errorf("%q", got)
	}
}

func TestHear(t *testing.T) {
	m := newMachine(t)
	tr := m.open(t)
	m.say(t, "6,500,1000,-;sysrq: Emergency Sync\n")
	h, err := tr.Hear(t.Context())
	if err != nil || string(h.Record.Text) != "sysrq: Emergency Sync" || h.Record.Seq != 500 {
		t.Fatalf("%+v, %v", h, err)
	}
	m.say(t, "4,502,1000,-;Emergency Sync complete\n") // 501 is missing
	if h, err = tr.Hear(t.Context()); err != nil || h.Record.Lost != 1 {
		t.Fatalf("%+v, %v", h, err)
	}
	if h, err = tr.Hear(t.Context()); err != nil || h.Record.Seq != 502 {
		t.Fatalf("%+v, %v", h, err)
	}
	m.say(t, "nonsense\n")
	if h, err = tr.Hear(t.Context()); err != nil || h.Record.Lost != 1 {
		t.Fatalf("%+v, %v", h, err)
	}
}

func TestHearHonoursContexts(t *testing.T) {
	m := newMachine(t)
	tr := m.open(t)
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		if _, err := tr.Hear(ctx); err != context.DeadlineExceeded {
			t.Fatalf("%v", err)
		}
		cancel()
		if _, err := tr.Hear(ctx); err == nil {
			t.Fatal("an ended context hears nothing")
		}
		// One that ended does not spoil the next, nor one that never ends.
		for _, ctx := range []context.Context{t.Context(), context.Background()} {
			m.say(t, "6,500,1000,-;x\n")
			if h, err := tr.Hear(ctx); err != nil || string(h.Record.Text) != "x" {
				t.Fatalf("%+v, %v", h, err)
			}
		}
	}
}

func TestCloseEndsHear(t *testing.T) {
	tr := newMachine(t).open(t)
	time.AfterFunc(10*time.Millisecond, func() { tr.Close() })
	_, err := tr.Hear(t.Context())
	var oe *transport.OpError
	if !errors.As(err, &oe) || !errors.Is(err, os.ErrClosed) {
		t.Errorf("%v", err)
	}
}

func TestDeaf(t *testing.T) {
	m := newMachine(t)
	tr, err := Open(Options{Proc: m.proc, Kmsg: m.proc + "/none"})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	_, err = tr.Hear(t.Context())
	if !tr.Properties().Deaf || !errors.Is(err, transport.ErrDeaf) || !strings.Contains(err.Error(), "/none") {
		t.Errorf("%v", err)
	}
	var said []string
	if err := tr.Prepare(t.Context(), nil, func(s string) { said = append(said, s) }); err != nil || len(said) != 1 {
		t.Errorf("%q, %v", said, err)
	}
}

func TestMarkReopensBeforeTheRateLimit(t *testing.T) {
	m := newMachine(t)
	file := filepath.Join(m.proc, "written")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tr, err := Open(Options{Proc: m.proc, Kmsg: file})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	var files []any
	for range 2*perOpen + 1 {
		if err := tr.Mark("one line"); err != nil {
			t.Fatal(err)
		}
		if len(files) == 0 || files[len(files)-1] != any(tr.pen.w) {
			files = append(files, tr.pen.w)
		}
	}
	if len(files) != 3 {
		t.Errorf("%d files for %d lines", len(files), 2*perOpen+1)
	}
	if err := tr.LastWords("going"); err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile(file)
	// Each open file of a regular file begins at its beginning, which is as
	// good here: the levels can be seen.
	if !strings.Contains(string(b), "<7>one line\n") || !strings.Contains(string(b), "<2>going\n") {
		t.Errorf("%q", b)
	}
}

func TestValidate(t *testing.T) {
	r := transport.NewRegistry(Factory())
	for _, good := range []string{"local", "local:", "local:?proc=/host/proc", "local:?proc=/p&kmsg=/k"} {
		if _, err := r.Parse(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"local://host", "local:/x", "local:x", "local:?what=1", "local:?proc=", "local:?proc=x", "local:?proc=/a&proc=/b", "local:#f", "local:?proc=%zz"} {
		if _, err := r.Parse(bad); !errors.Is(err, transport.ErrTarget) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	target, _ := r.Parse("local:?proc=/host/proc")
	if got := target.Sends('s'); got != "'s' to /host/proc/sysrq-trigger" {
		t.Error(got)
	}
}
