// Package local reaches the machine that the program runs on: keys go in
// through /proc/sysrq-trigger, which asks no mask, and what the kernel says
// comes back from /dev/kmsg, every record with its number.
//
// Four commands are done better from here than by the kernel's handlers alone
// ([Transport.Do]): e and i, which would end their sender, too, and s and u,
// which do not say what they are stuck at.
package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/sysrq/sysrq"
	"github.com/sysrq/sysrq/native"
	"github.com/sysrq/sysrq/transport"
)

const (
	defaultProc = "/proc"
	defaultKmsg = "/dev/kmsg"
)

// Options say where the kernel's files are. The zero value is this machine.
type Options struct {
	// Proc is a mounted procfs; empty is /proc. With any other, nothing is
	// done natively and nothing is prepared: what the program would end, sync
	// and remount is not what that procfs shows.
	Proc string
	// Kmsg is the kernel's log; empty is /dev/kmsg.
	Kmsg string
}

func (o Options) target() string {
	q := url.Values{}
	if o.Proc != defaultProc {
		q.Set("proc", o.Proc)
	}
	if o.Kmsg != defaultKmsg {
		q.Set("kmsg", o.Kmsg)
	}
	return (&url.URL{Scheme: "local", RawQuery: q.Encode()}).String()
}

// Factory is the scheme "local".
func Factory() transport.Factory {
	return transport.Factory{
		Scheme:   "local",
		Summary:  "this machine, through its kernel",
		Example:  "local:",
		Validate: validate,
		Sends: func(u *url.URL, k sysrq.Key) string {
			proc := cmp.Or(u.Query().Get("proc"), defaultProc)
			key := fmt.Sprintf("'%s' to %s/sysrq-trigger", k, proc)
			switch {
			case proc != defaultProc:
			case k == 'e':
				return "SIGTERM to every process but init and this one: kill(-1, SIGTERM)"
			case k == 'i':
				return "SIGKILL to every process but init and this one: kill(-1, SIGKILL)"
			case k == 's':
				key += ", and beside it syncfs(2) for each file system"
			case k == 'u':
				key += ", and mount(2) for what that leaves read-write"
			}
			return key
		},
		Awaits: func(u *url.URL, k sysrq.Key) string {
			if cmp.Or(u.Query().Get("proc"), defaultProc) != defaultProc {
				return ""
			}
			return map[sysrq.Key]string{
				'e': "that it was sent to every process",
				'i': "that every process of before is gone",
				's': "each file system's answer to its own syncfs(2)",
				'u': "that mountinfo shows every device's file system read-only",
			}[k]
		},
		Open: func(_ context.Context, u *url.URL) (transport.Transport, error) {
			q := u.Query()
			t, err := Open(Options{Proc: q.Get("proc"), Kmsg: q.Get("kmsg")})
			if err != nil {
				return nil, err // not t: a nil *Transport is not a nil Transport
			}
			return t, nil
		},
	}
}

func validate(u *url.URL) error {
	if u.Host != "" || u.User != nil || u.Path != "" || u.Opaque != "" || u.Fragment != "" {
		return errors.New("nothing may stand behind local: but ?proc=DIR and ?kmsg=FILE")
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return err
	}
	for name, values := range q {
		if name != "proc" && name != "kmsg" {
			return fmt.Errorf("no such parameter: %s", name)
		}
		if len(values) != 1 || !strings.HasPrefix(values[0], "/") {
			return fmt.Errorf("%s must be one absolute path", name)
		}
	}
	return nil
}

// Transport is this machine. Besides [transport.Transport] it is a
// [transport.Marker], [transport.Doer], [transport.Preparer] and
// [transport.Settler].
type Transport struct {
	props transport.Properties
	proc  native.Proc

	trigger *trigger
	*ears
	*pen

	// native is set where the program sees the whole machine, so that it can
	// do commands itself.
	native bool
	sys    system

	mu     sync.Mutex
	thaw   func() error // of init; nil while it runs
	closed bool
}

var (
	_ transport.Transport = (*Transport)(nil)
	_ transport.Marker    = (*Transport)(nil)
	_ transport.Doer      = (*Transport)(nil)
	_ transport.Preparer  = (*Transport)(nil)
	_ transport.Settler   = (*Transport)(nil)
)

// Open opens the trigger and the log. Rights are asked here and never again:
// the files stay usable when the program gives its rights away. The error is a
// [*transport.OpError]; it wraps [transport.ErrNoSysRq] when the kernel has
// none. A log that can not be read is no error but makes the path deaf.
func Open(o Options) (*Transport, error) {
	o.Proc, o.Kmsg = cmp.Or(o.Proc, defaultProc), cmp.Or(o.Kmsg, defaultKmsg)
	path := o.Proc + "/sysrq-trigger"
	f, mode, err := openTrigger(path)
	if err == nil && o.Proc == defaultProc && mode&os.ModeCharDevice != 0 {
		f.close()
		err = errMasked
	}
	if err != nil {
		return nil, explain(o, path, err)
	}
	t := &Transport{
		proc: native.Proc(o.Proc), trigger: f,
		native: o.Proc == defaultProc && native.Proc(o.Proc).FirstNamespace(),
		sys:    realSystem(native.Proc(o.Proc)),
		props: transport.Properties{
			Target: o.target(), Door: sysrq.DoorTrigger, Arch: runtime.GOARCH, Sequenced: true, Dies: true,
		},
	}
	t.ears, t.pen = openEars(o.Kmsg), &pen{path: o.Kmsg}
	t.props.Deaf = t.deaf != nil
	return t, nil
}

// errMasked says that a container runtime put /dev/null in the trigger's place.
var errMasked = errors.New("hidden behind /dev/null")

// Properties implements [transport.Transport].
func (t *Transport) Properties() transport.Properties { return t.props }

// Trigger writes one byte, and returns when the kernel's handler has: a write
// can not be called off. No newline follows, which kernels since 6.8 would
// take for another command behind a '_' (drivers/tty/sysrq.c,
// write_sysrq_trigger).
func (t *Transport) Trigger(ctx context.Context, k sysrq.Key) error {
	if err := ctx.Err(); err != nil {
		return t.err("trigger", err)
	}
	return t.err("trigger", t.trigger.write(k)) // a write that failed did not reach the handler
}

// Hear implements [transport.Transport].
func (t *Transport) Hear(ctx context.Context) (transport.Heard, error) {
	h, err := t.hear(ctx)
	if err == nil || err == io.EOF || errors.Is(err, transport.ErrDeaf) || ctx.Err() == err {
		return h, err
	}
	return h, t.err("hear", err)
}

// Close lets init run again, if Prepare stopped it, and closes the files. When
// a reboot was asked for, call it only after that had its time: reaching Close
// means that the machine lives on.
func (t *Transport) Close() error {
	err := errors.Join(t.thawInit(), t.trigger.close(), ignoreClosed(t.ears.close()), t.pen.close())
	return t.err("close", err)
}

// thawInit lets init run again, now and should Prepare freeze it later.
func (t *Transport) thawInit() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	thaw := t.thaw
	t.thaw = nil
	if thaw == nil {
		return nil
	}
	return thaw()
}

// hold keeps the thaw of init for Close.
func (t *Transport) hold(thaw func() error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed { // meanwhile
		_ = thaw()
		return
	}
	t.thaw = thaw
}

func ignoreClosed(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

func (t *Transport) err(op string, err error) error {
	return transport.NewOpError(op, t.props.Target, err)
}

func has(steps []sysrq.Step, keys ...sysrq.Key) bool {
	return slices.ContainsFunc(steps, func(s sysrq.Step) bool { return slices.Contains(keys, s.Command.Key) })
}
