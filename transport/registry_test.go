package transport

import (
	"context"
	"errors"
	"io"
	"net/url"
	"strings"
	"testing"
)

// factory refuses the host "bad", and opens nothing.
func factory(scheme, example string) Factory {
	return Factory{
		Scheme: scheme, Summary: "for tests", Example: example,
		Validate: func(u *url.URL) error {
			if u.Host == "bad" {
				return errors.New("a bad host")
			}
			return nil
		},
		Open: func(context.Context, *url.URL) (Transport, error) { return nil, io.ErrUnexpectedEOF },
	}
}

func testRegistry() *Registry {
	return NewRegistry(factory("local", "local:"), factory("qmp", "qmp:/run/vm.qmp"), factory("ssh", "ssh://host"))
}

func TestParse(t *testing.T) {
	r := testRegistry()
	for in, want := range map[string]string{
		"local":                           "local:",
		"local:":                          "local:",
		"qmp:/run/vm.qmp":                 "qmp:/run/vm.qmp",
		"ssh://me@host:22":                "ssh://me@host:22",
		"ssh://me:hunter2@host":           "ssh://me:xxxxx@host",
		"ssh://host?password=hunter2":     "ssh://host?password=xxxxx",
		"ssh://host?a=1&ApiToken=hunter2": "ssh://host?ApiToken=xxxxx&a=1",
		"ssh://host?console=b&baud=9600":  "ssh://host?console=b&baud=9600", // as it was typed
	} {
		target, err := r.Parse(in)
		if err != nil || target.String() != want {
			t.Errorf("%s: %v, %v, want %s", in, target, err, want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	r := testRegistry()
	for in, want := range map[string]string{
		"":                           "there are local, qmp, ssh",
		"qpm:/run/vm.qmp":            "did you mean qmp:/run/vm.qmp?",
		"locla":                      "did you mean local:?",
		"sssh://me:hunter2@host":     "did you mean ssh://host?",
		"web1":                       "no such way",
		"ssh://bad":                  "a bad host; a good one: ssh://host",
		"ssh://me:hunter2@bad":       "a bad host",
		"ssh://bad?secret=hunter2":   "a bad host",
		"ssh://me:hunter2@host:%zz":  "can not be read as a URL",
		"ssh://me:hunter2@host:x":    "can not be read as a URL",
		"me:hunter2@host":            "",
		"://hunter2@":                "can not be read as a URL",
		"nope:x?password=hunter2":    "no such way",
		"ssh://host?pin=hunter2\x7f": "can not be read as a URL",
	} {
		target, err := r.Parse(in)
		if err == nil && want == "" {
			continue // whatever it means, it may be one
		}
		if !errors.Is(err, ErrTarget) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v, want %q", in, target, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: the error prints the secret: %v", in, err)
		}
	}
}

func TestOpen(t *testing.T) {
	r := testRegistry()
	_, err := r.Open(t.Context(), "ssh://me:hunter2@host")
	var oe *OpError
	if !errors.As(err, &oe) || oe.Op != "open" || oe.Target != "ssh://me:xxxxx@host" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %#v", err)
	}
	if _, err := r.Open(t.Context(), "ssh://bad"); !errors.Is(err, ErrTarget) {
		t.Errorf("a bad target: %v", err)
	}
}

func TestDuplicate(t *testing.T) {
	defer func() {
		if r := recover(); r == nil || !strings.Contains(r.(string), "ssh") {
			t.Errorf("recovered %v, want a panic that names the scheme", r)
		}
	}()
	NewRegistry(factory("ssh", "ssh://host"), factory("ssh", "ssh://host"))
}

func TestFactoriesAreTheCallersOwn(t *testing.T) {
	r := testRegistry()
	r.Factories()[0].Scheme = "changed"
	if got := r.Factories()[0].Scheme; got != "local" {
		t.Errorf("the first scheme became %q", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"local", "ssh://a:b@c/?password=x", "qmp:/x?y#z", "://", "ssh://[::1"} {
		f.Add(s)
	}
	r := testRegistry()
	f.Fuzz(func(t *testing.T, s string) {
		target, err := r.Parse(s)
		if err != nil {
			if !errors.Is(err, ErrTarget) {
				t.Errorf("%q: %v", s, err)
			}
			return
		}
		// What is printed can be typed again, and prints the same.
		again, err := r.Parse(target.String())
		if err != nil || again.String() != target.String() {
			t.Errorf("%q prints as %q, which is %v, %v", s, target, again, err)
		}
	})
}
