package transport

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/sysrq/sysrq"
)

// Factory opens the transports of one URL scheme.
type Factory struct {
	Scheme  string
	Summary string // one clause: "a QEMU machine's monitor"
	Example string // a URL that could be typed
	// Validate finds what is wrong with a URL without touching anything.
	Validate func(u *url.URL) error
	// Sends says in words how a key is delivered: "'s' to /proc/sysrq-trigger".
	Sends func(u *url.URL, k sysrq.Key) string
	// Awaits says in words what proves key k, where that is not what the kernel
	// prints; empty for what is. It may be nil.
	Awaits func(u *url.URL, k sysrq.Key) string
	// Open opens the path. The URL has passed Validate.
	Open func(ctx context.Context, u *url.URL) (Transport, error)
}

// Registry knows which schemes there are. It is made explicitly, once; nothing
// registers itself.
type Registry struct {
	factories []Factory
}

// NewRegistry makes a registry. Two factories of one scheme are a mistake in
// the program, and panic.
func NewRegistry(factories ...Factory) *Registry {
	r := &Registry{}
	for _, f := range factories {
		if r.find(f.Scheme) != nil {
			panic("transport: scheme " + f.Scheme + " is registered twice")
		}
		r.factories = append(r.factories, f)
	}
	return r
}

// Factories lists what is registered, in the order of registration.
func (r *Registry) Factories() []Factory { return slices.Clone(r.factories) }

func (r *Registry) find(scheme string) *Factory {
	for i := range r.factories {
		if r.factories[i].Scheme == scheme {
			return &r.factories[i]
		}
	}
	return nil
}

// ErrTarget is wrapped by the errors of [Registry.Parse]: the target is not
// one that could be opened.
var ErrTarget = errors.New("not a target")

// Target is a validated URL that can be opened.
type Target struct {
	u *url.URL
	f *Factory
}

// Parse validates a target's URL without touching anything. A bare scheme word
// ("local") stands for its URL ("local:"). The error wraps [ErrTarget].
func (r *Registry) Parse(target string) (Target, error) {
	s := target
	if r.find(s) != nil {
		s += ":"
	}
	u, err := url.Parse(s)
	if err != nil {
		// What net/url has to say repeats parts of the URL, and with a slip of
		// the finger a password is among them.
		return Target{}, fmt.Errorf("%w: %q can not be read as a URL: a port is a number, and %% begins an escape", ErrTarget, redactText(target))
	}
	f := r.find(u.Scheme)
	if f == nil {
		var names []string
		for _, f := range r.factories {
			names = append(names, f.Scheme)
		}
		word := u.Scheme
		if word == "" {
			word, _, _ = strings.Cut(target, ":")
		}
		var hint string
		if near := sysrq.Nearest(word, names); len(near) > 0 {
			hint = fmt.Sprintf("; did you mean %s?", r.find(near[0]).Example)
		}
		return Target{}, fmt.Errorf("%w: %q: no such way to reach a machine (there are %s)%s",
			ErrTarget, redactText(target), strings.Join(names, ", "), hint)
	}
	if err := f.Validate(u); err != nil {
		return Target{}, fmt.Errorf("%w: %s: %w; a good one: %s", ErrTarget, Redact(u), err, f.Example)
	}
	return Target{u: u, f: f}, nil
}

// Open parses target and opens it.
func (r *Registry) Open(ctx context.Context, target string) (Transport, error) {
	t, err := r.Parse(target)
	if err != nil {
		return nil, err
	}
	return t.Open(ctx)
}

// Open opens the way to the machine. The error is an [*OpError].
func (t Target) Open(ctx context.Context) (Transport, error) {
	tr, err := t.f.Open(ctx, t.u)
	if err != nil {
		return nil, NewOpError("open", t.String(), err)
	}
	return tr, nil
}

// String is the URL without its secrets.
func (t Target) String() string { return Redact(t.u) }

// secretParams are query parameters whose values never print.
var secretParams = []string{"password", "passwd", "secret", "token", "key", "pin"}

// Redact is u as it may be printed: without password, and without the values of
// parameters that are secrets by their name.
func Redact(u *url.URL) string {
	q := u.Query()
	changed := false
	for name := range q {
		if slices.ContainsFunc(secretParams, func(p string) bool { return strings.Contains(strings.ToLower(name), p) }) {
			q.Set(name, "xxxxx")
			changed = true
		}
	}
	c := *u
	if changed {
		c.RawQuery = q.Encode()
	}
	return c.Redacted()
}

// redactText hides what may be a password in a text that is no URL.
func redactText(s string) string {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		scheme, rest = "", s
	} else {
		scheme += "://"
	}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		rest = "xxxxx" + rest[i:]
	}
	if i := strings.IndexByte(rest, '?'); i >= 0 {
		rest = rest[:i] + "?…"
	}
	return scheme + rest
}

// Scheme is the URL's scheme.
func (t Target) Scheme() string { return t.u.Scheme }

// Arch is the machine's architecture, where the URL says it (arch=).
func (t Target) Arch() string { return t.u.Query().Get("arch") }

// Sends says in words how key k would be delivered.
func (t Target) Sends(k sysrq.Key) string { return t.f.Sends(t.u, k) }

// Awaits says in words what proves key k, or is empty where that is what the
// kernel prints.
func (t Target) Awaits(k sysrq.Key) string {
	if t.f.Awaits == nil {
		return ""
	}
	return t.f.Awaits(t.u, k)
}
