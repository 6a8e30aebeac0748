package transporttest

import (
	"context"
	"errors"
	"io"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sysrq/sysrq"
	"github.com/sysrq/sysrq/transport"
)

// The fake keeps the contract as well. It has no bytes to hear, so its machine
// makes records of them.
func TestFakeConformance(t *testing.T) {
	var fakes sync.Map
	Run(t, Suite{
		Factory: transport.Factory{
			Scheme: "fake", Summary: "a machine in memory", Example: "fake:1",
			Validate: func(u *url.URL) error {
				if u.RawQuery != "" || u.User != nil {
					return errors.New("it knows no parameters and no users")
				}
				return nil
			},
			Open: func(_ context.Context, u *url.URL) (transport.Transport, error) {
				f, _ := fakes.Load(u.String())
				return f.(*Fake), nil
			},
		},
		Start: func(t *testing.T) (string, Machine) {
			target := "fake:" + url.PathEscape(t.Name())
			f := NewFake(transport.Properties{Target: target, Door: sysrq.DoorTrigger})
			fakes.Store(target, f)
			for _, k := range []byte(AllKeys) {
				f.On(sysrq.Key(k), quiet(100)...)
			}
			half := ""
			opened := false
			return target, Machine{
				Received: f.Sent,
				Say: func(text string) {
					if strings.HasSuffix(text, " old\n") && !opened {
						opened = true
						return // nobody had opened it
					}
					for line := range strings.Lines(text) {
						_, line, _ = strings.Cut(line, "] ")
						if !strings.HasSuffix(line, "\n") {
							half = line
							continue
						}
						f.Say(4, line)
					}
				},
				Hangup: func() { f.Do(Reply{Text: half, End: io.EOF}) },
			}
		},
	})
}

func quiet(n int) [][]Reply {
	var presses [][]Reply
	for range n {
		presses = append(presses, Drop)
	}
	return presses
}

// told is everything that the fake says within a minute.
func told(t *testing.T, f *Fake) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var got []string
	for {
		h, err := f.Hear(ctx)
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			return strings.Join(got, "|")
		case err != nil:
			return strings.Join(append(got, err.Error()), "|")
		case h.Record.Lost > 0:
			got = append(got, "gap")
		case h.Record.Torn:
			got = append(got, string(h.Record.Text)+"…")
		default:
			got = append(got, h.Text+string(h.Record.Text))
		}
	}
}

func TestFake(t *testing.T) {
	for _, tc := range []struct {
		name string
		set  func(*Fake)
		keys string
		want string
	}{
		{"usual", nil, "s", "sysrq: Emergency Sync|Emergency Sync complete"},
		{"a quiet console", func(f *Fake) { f.SetLevel(4) }, "s", "sysrq: Emergency Sync"},
		{"its level is raised", func(f *Fake) { f.SetLevel(4) }, "8s", "sysrq: Changing Loglevel|sysrq: Loglevel set to 8|sysrq: Emergency Sync|Emergency Sync complete"},
		{"the mask", func(f *Fake) { f.SetMask(sysrq.MaskLog) }, "b", "sysrq: This sysrq operation is disabled."},
		{"dropped once", func(f *Fake) { f.On('r', Drop) }, "rr", "sysrq: Keyboard mode set to system default"},
		{"delayed", func(f *Fake) {
			f.On('s', []Reply{Header('s'), {After: 10 * time.Second, Text: "Emergency Sync complete\n"}})
		}, "su", "sysrq: Emergency Sync|sysrq: Emergency Remount R/O|Emergency Remount complete|Emergency Sync complete"},
		{"reboot", nil, "b", "sysrq: Resetting|Linux version 6.1.0"},
		{"a reset that is seen", func(f *Fake) {
			f.On('b', []Reply{Header('b'), {After: time.Second, Saw: transport.SawReset, SawText: "RESET"}})
		}, "b", "sysrq: Resetting|RESET"},
		{"the end of the line", func(f *Fake) {
			f.On('c', []Reply{{Lost: 3}, {Text: "Kernel pan", End: io.EOF}})
		}, "c", "gap|Kernel pan…|EOF"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := NewFake(transport.Properties{})
				defer f.Close()
				if tc.set != nil {
					tc.set(f)
				}
				for _, k := range []byte(tc.keys) {
					if err := f.Trigger(t.Context(), sysrq.Key(k)); err != nil {
						t.Fatal(err)
					}
				}
				if got := told(t, f); got != tc.want {
					t.Errorf("told %q\nwant %q", got, tc.want)
				}
				if got := string(f.Sent()); got != tc.keys {
					t.Errorf("sent %q", got)
				}
			})
		})
	}
}

// HELP is what sysrq.ParseHelp reads.
func TestHelp(t *testing.T) {
	f := NewFake(transport.Properties{})
	if err := f.Trigger(t.Context(), sysrq.Ping); err != nil {
		t.Fatal(err)
	}
	h, err := f.Hear(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	items, ok := sysrq.ParseHelp(string(h.Record.Text))
	if !ok || !sysrq.InHelp(items, 's') || sysrq.InHelp(items, 'h') {
		t.Errorf("%s: %v", h.Record.Text, items)
	}
}
