package rescue

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sysrq/sysrq"
	"github.com/sysrq/sysrq/kmsg"
	"github.com/sysrq/sysrq/transport"
)

// kernel is a machine in memory that answers keys as drivers/tty/sysrq.c does:
// forced headers, a console that filters by level, a mask, deferred work.
type kernel struct {
	props transport.Properties
	mask  sysrq.Mask
	level int                         // console_loglevel
	lose  map[sysrq.Key]int           // presses that never arrive
	slow  map[sysrq.Key]time.Duration // time that deferred work takes; <0: for ever
	has   string                      // keys that it has; empty: the usual ones
	on    map[sysrq.Key]func(*kernel) // instead of the usual answer

	mu      sync.Mutex
	keys    []byte
	out     chan transport.Heard
	gone    chan struct{}
	began   time.Time
	rebased time.Time
	seq     uint64
	fails   error // what Trigger returns from now on
}

func newKernel() *kernel {
	now := time.Now()
	return &kernel{
		props: transport.Properties{Target: "fake:", Door: sysrq.DoorKeyboard, Filtered: true},
		mask:  sysrq.MaskAll, level: 7,
		lose: map[sysrq.Key]int{}, slow: map[sysrq.Key]time.Duration{}, on: map[sysrq.Key]func(*kernel){},
		out: make(chan transport.Heard, 1<<17), gone: make(chan struct{}),
		began: now, rebased: now.Add(-100 * time.Second),
	}
}

const usualKeys = "0123456789bcefijklmnopqrstuwz"

func (k *kernel) Properties() transport.Properties { return k.props }

func (k *kernel) Close() error { return nil }

func (k *kernel) Hear(ctx context.Context) (transport.Heard, error) {
	select {
	case h := <-k.out:
		return h, nil
	default:
	}
	select {
	case h := <-k.out:
		return h, nil
	case <-k.gone:
		return transport.Heard{}, io.EOF
	case <-ctx.Done():
		return transport.Heard{}, ctx.Err()
	}
}

func (k *kernel) Trigger(ctx context.Context, key sysrq.Key) error {
	k.mu.Lock()
	k.keys = append(k.keys, byte(key))
	lost := k.lose[key] > 0
	if lost {
		k.lose[key]--
	}
	err := k.fails
	k.mu.Unlock()
	if err != nil {
		return err
	}
	if !lost {
		k.press(key)
	}
	return nil
}

func (k *kernel) sent() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return string(k.keys)
}

// at says a line at a level of importance; forced lines pass every filter.
func (k *kernel) at(level int, forced bool, text string) {
	if k.props.Filtered && !forced && level >= k.level {
		return
	}
	k.seq++
	rec := kmsg.Record{
		Level: int8(level), Kernel: true, Text: []byte(text),
		Time: time.Since(k.rebased), HasTime: true,
	}
	if k.props.Sequenced {
		rec.Seq, rec.HasSeq = k.seq, true
	}
	k.out <- transport.Heard{Record: rec}
}

// program is a line that a program wrote to /dev/kmsg.
func (k *kernel) program(text string) {
	k.out <- transport.Heard{Record: kmsg.Record{
		Facility: 1, Kernel: true, Text: []byte(text), Time: time.Since(k.rebased), HasTime: true,
	}}
}

func (k *kernel) raw(text string, at time.Duration) {
	k.out <- transport.Heard{Record: kmsg.Record{Kernel: true, Text: []byte(text), Time: at, HasTime: true}}
}

func (k *kernel) header(text string) { k.at(6, true, "sysrq: "+text) }

func (k *kernel) later(key sysrq.Key, d time.Duration, f func()) {
	if s, ok := k.slow[key]; ok {
		d = s
	}
	if d >= 0 {
		time.AfterFunc(d, f)
	}
}

func (k *kernel) press(key sysrq.Key) {
	if f := k.on[key]; f != nil {
		f(k)
		return
	}
	has := k.has
	if has == "" {
		has = usualKeys
	}
	if !strings.ContainsRune(has, rune(key)) {
		k.header("HELP : loglevel(0-9) reboot(b) sync(s) ")
		return
	}
	c := sysrq.ForKeyOn(key, "")
	if !k.mask.Permits(c, k.props.Door) {
		k.header("This sysrq operation is disabled.")
		return
	}
	k.header(c.Action)
	switch key {
	case '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		k.level = int(key - '0')
		k.at(6, true, "sysrq: Loglevel set to "+string(rune(key)))
	case 'e', 'i':
		k.level = 10
	case 's':
		k.later(key, time.Second, func() { k.at(4, false, "Emergency Sync complete") })
	case 'u':
		k.later(key, time.Second, func() { k.at(4, false, "Emergency Remount complete") })
	case 'm':
		k.at(4, false, "Mem-Info:")
		k.at(4, false, "130942 pages RAM")
	case 'w':
		k.at(6, false, "task:dd              state:D stack:0     pid:77    ppid:1      flags:0x00004002")
	case 'b':
		k.later(key, time.Second, k.reboot)
	case 'o':
		k.later(key, time.Second, func() { k.at(0, true, "reboot: Power down") })
	case 'c':
		k.at(0, true, "Kernel panic - not syncing: sysrq triggered crash")
	}
}

func (k *kernel) reboot() {
	k.rebased = time.Now()
	k.level = 7
	k.at(5, true, "Linux version 6.1.0-50-cloud-amd64")
}

type marking struct{ *kernel }

func (m marking) Mark(text string) error {
	m.program(text)
	return nil
}

// result is what a run told.
type result struct {
	outcomes []string // "s=done"
	texts    []string
	notes    string
	events   []sysrq.Event
}

func (r result) String() string { return strings.Join(r.outcomes, " ") }

func try(t *testing.T, k transport.Transport, opts Options, words ...string) result {
	t.Helper()
	return tryCtx(t, context.Background(), k, opts, words...)
}

func tryCtx(t *testing.T, ctx context.Context, k transport.Transport, opts Options, words ...string) result {
	t.Helper()
	steps, err := sysrq.ParseSteps(words, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	var r result
	open := false
	for ev := range Run(ctx, k, steps, opts) {
		r.events = append(r.events, ev)
		switch ev.Type {
		case sysrq.EventStep:
			if open {
				t.Errorf("step %d began before the one before it had its outcome", ev.Step)
			}
			open = true
		case sysrq.EventOutcome:
			if !open {
				t.Errorf("step %d has a second outcome", ev.Step)
			}
			open = false
			r.outcomes = append(r.outcomes, ev.Key.String()+"="+ev.Outcome.String())
			r.texts = append(r.texts, ev.Text)
		case sysrq.EventNote, sysrq.EventWarning:
			r.notes += ev.Text + "\n"
		}
	}
	return r
}

func TestOutcomes(t *testing.T) {
	for _, tc := range []struct {
		name  string
		set   func(*kernel)
		steps string
		want  string
		sent  string // keys that left, "" for any
		text  string // part of the last outcome's text
		notes string // part of the notes
	}{
		{"level key", nil, "4", "4=done", "4", "", ""},
		{"sync waits for its completion", nil, "s", "s=done", "8s7", "", ""},
		{"sync on a quiet console raises the level and puts it back", func(k *kernel) { k.level = 4 }, "s", "s=done", "8s7", "", "put back to 7"},
		{"a dump that must have a body shows a quiet console", func(k *kernel) { k.level = 4 }, "m", "m=done", "mh8mh4", "", "put back to 4"},
		{"a dump on a talkative console needs no raising", nil, "m", "m=done", "mh", "", ""},
		{"reisub", nil, "reisub", "r=accepted e=accepted i=accepted s=done u=done b=done", "reisub", "", ""},
		{"reisub, nothing is put back on the new boot", func(k *kernel) { k.level = 4 }, "sub", "s=done u=done b=done", "8sub", "", ""},
		{"mask forbids step 4", func(k *kernel) {
			k.mask = sysrq.MaskKeyboard | sysrq.MaskSignal | sysrq.MaskRemount | sysrq.MaskBoot
		}, "reisub", "r=accepted e=accepted i=accepted s=refused u=done b=done", "reisub", "", ""},
		{"Debian's mask", func(k *kernel) { k.mask, k.level = 438, 4 }, "reisub", "r=accepted e=refused i=refused s=done u=done b=done", "rei8sub", "", ""},
		{"Ubuntu's mask, quiet", func(k *kernel) { k.mask, k.level = 176, 4 }, "s", "s=timeout", "8s", "log level may hide it", "forbids raising"},
		{"refused names the bit", func(k *kernel) { k.mask = 16 }, "b", "b=refused", "b", "needs bit 128", ""},
		{"refused, no bit", func(k *kernel) { k.mask = -1 }, "q", "q=refused", "q", "no bit permits it", ""},
		{"unknown key", nil, "y", "y=unsupported", "y", "no key y", ""},
		{"unknown key of a newer kernel", nil, "R", "R=unsupported", "R", "came with Linux 6.10", ""},
		{"ping", nil, "h", "h=done", "h", "", ""},
		{"mask 0 is silence", func(k *kernel) { k.lose = map[sysrq.Key]int{'h': 99, 'b': 99} }, "b", "b=timeout", "", "SysRq may be off", ""},
		{"a lost key is sent again", func(k *kernel) { k.lose['r'] = 1 }, "r", "r=accepted", "rhr", "", "never arrived"},
		{"a lost key is not sent for ever", func(k *kernel) { k.lose['r'] = 9 }, "r", "r=timeout", "", "no answer", "2 of 2"},
		{"a header without its end", func(k *kernel) { k.slow['s'] = -1 }, "s", "s=timeout", "8s7", "announced, but not finished", ""},
		{"a dead disk does not keep the machine down", func(k *kernel) { k.slow['s'], k.slow['u'] = -1, -1 }, "sub", "s=timeout u=timeout b=done", "8sub", "", ""},
		{"power off", nil, "o", "o=done", "o", "", ""},
		{"crash", nil, "c", "c=done", "c", "", ""},
		{"panic in the middle", func(k *kernel) {
			k.on['s'] = func(k *kernel) {
				k.header("Emergency Sync")
				k.at(0, true, "Kernel panic - not syncing: Fatal exception")
			}
		}, "sub", "s=failed u=failed b=done", "8sb", "", ""},
		{"reboots by itself in the middle", func(k *kernel) {
			k.on['s'] = func(k *kernel) { k.header("Emergency Sync"); time.AfterFunc(time.Second, k.reboot) }
		}, "sub", "s=failed u=failed b=failed", "8s", "not sent: the machine has rebooted", ""},
		{"reset seen by the hypervisor", func(k *kernel) {
			k.on['b'] = func(k *kernel) {
				k.header("Resetting")
				k.out <- transport.Heard{What: transport.SawReset, Text: "guest reset"}
			}
		}, "b", "b=done", "b", "", ""},
		{"silence after Resetting", func(k *kernel) { k.slow['b'] = -1 }, "b", "b=timeout", "b", "no new boot was seen", ""},
		{"the way closes after Resetting", func(k *kernel) {
			k.on['b'] = func(k *kernel) { k.header("Resetting"); close(k.gone) }
		}, "b", "b=accepted", "b", "the way to the machine closed", ""},
		{"the way closes before anything is heard", func(k *kernel) {
			k.on['s'] = func(k *kernel) { close(k.gone) }
		}, "sub", "s=sent u=sent b=sent", "8sub", "be heard any more", ""},
		{"lost records while waiting forbid a repeat", func(k *kernel) {
			k.lose['r'] = 1
			k.on['h'] = func(k *kernel) {
				k.out <- transport.Heard{Record: kmsg.Record{Lost: 12}}
				k.header("HELP : loglevel(0-9) ")
			}
		}, "r", "r=timeout", "", "no answer", "12 records were lost"},
		{"deaf", func(k *kernel) { k.props.Deaf = true }, "sub", "s=sent u=sent b=sent", "sub", "nothing can be heard", ""},
		{"half a line is no proof", func(k *kernel) {
			k.on['s'] = func(k *kernel) { k.header("Emergency Sync"); k.at(4, true, "Emergency Sync compl") }
		}, "s", "s=timeout", "", "announced, but not finished", ""},
		{"somebody else's command", func(k *kernel) {
			k.on['r'] = func(k *kernel) {
				k.header("Show Memory")
				k.header("Keyboard mode set to system default")
			}
		}, "r", "r=accepted", "r", "", ""},
		{"a program's words are no proof", func(k *kernel) {
			k.on['s'] = func(k *kernel) { k.header("Emergency Sync"); k.program("Emergency Sync complete") }
		}, "s", "s=timeout", "", "announced, but not finished", ""},
		{"a program's words are no answer", func(k *kernel) {
			k.mask = 16
			k.on['b'] = func(k *kernel) {
				k.program("sysrq: Resetting")
				k.program("sysrq: HELP : loglevel(0-9) ")
				k.program("Kernel panic - not syncing: a joke")
				k.header("This sysrq operation is disabled.")
			}
		}, "b", "b=refused", "b", "needs bit 128", ""},
		{"crash of a kernel before 5.1", func(k *kernel) {
			k.on['c'] = func(k *kernel) {
				k.at(6, true, "sysrq: SysRq : Trigger a crash")
				k.at(1, true, "BUG: unable to handle kernel NULL pointer dereference at 0000000000000000")
				k.at(4, true, "RIP: 0010:sysrq_handle_crash+0x12/0x20")
			}
		}, "c", "c=done", "c", "", ""},
		{"distribution lockdown", func(k *kernel) {
			k.on['x'] = func(k *kernel) { k.header("This sysrq operation is disabled from userspace.") }
		}, "x", "x=refused", "x", "", ""},
		{"old wordings", func(k *kernel) {
			k.on['s'] = func(k *kernel) {
				k.at(6, true, "SysRq : Emergency Sync")
				k.at(4, true, "Emergency Sync complete")
			}
		}, "s", "s=done", "", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKernel()
				if tc.set != nil {
					tc.set(k)
				}
				r := try(t, k, Options{}, strings.Fields(tc.steps)...)
				if r.String() != tc.want {
					t.Errorf("outcomes %q, want %q\n%s%s", r, tc.want, strings.Join(r.texts, "\n"), r.notes)
				}
				if tc.sent != "" && k.sent() != tc.sent {
					t.Errorf("keys sent %q, want %q", k.sent(), tc.sent)
				}
				if last := r.texts[len(r.texts)-1]; !strings.Contains(last, tc.text) {
					t.Errorf("text %q lacks %q", last, tc.text)
				}
				if !strings.Contains(r.notes, tc.notes) {
					t.Errorf("notes %q lack %q", r.notes, tc.notes)
				}
			})
		})
	}
}

// The proof of an earlier sync, printed again by replay-kernel-logs, proves
// nothing, and the first line of the log is no new boot.
func TestReplayIsNoProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKernel()
		k.level = 8
		k.has = usualKeys + "R"
		k.on['R'] = func(k *kernel) {
			now := time.Since(k.rebased)
			k.header("Replay kernel logs on consoles")
			k.raw("Linux version 6.12.0", 0)
			k.raw("sysrq: Emergency Sync", 50*time.Second)
			k.raw("Emergency Sync complete", 51*time.Second)
			k.raw("sysrq: Replay kernel logs on consoles", now)
		}
		k.on['s'] = func(k *kernel) {
			// The replay is still running when the key arrives.
			k.raw("sysrq: Emergency Sync", 50*time.Second)
			k.raw("Emergency Sync complete", 51*time.Second)
		}
		r := try(t, k, Options{Timeout: 2 * time.Second}, "R", "s")
		if got, want := r.String(), "R=accepted s=timeout"; got != want {
			t.Errorf("outcomes %q, want %q: %v", got, want, r.texts)
		}
	})
}

func TestMarkerEndsDump(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKernel()
		k.props.Filtered, k.props.Sequenced, k.props.Door = false, true, sysrq.DoorTrigger
		r := try(t, marking{k}, Options{}, "w", "m")
		if r.String() != "w=done m=done" || k.sent() != "wm" {
			t.Errorf("%s, sent %q; want both done by marker, without a ping", r, k.sent())
		}
		last := r.events[len(r.events)-1]
		if n := len(last.Evidence); n < 2 || !last.Evidence[0].HasSeq {
			t.Errorf("evidence %+v lacks sequence numbers", last.Evidence)
		}
	})
}

func TestNobodyBlockedIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKernel()
		k.level = 8
		k.on['w'] = func(k *kernel) { k.header("Show Blocked State") }
		if r := try(t, k, Options{}, "w"); r.String() != "w=done" {
			t.Errorf("%s: %v", r, r.texts)
		}
	})
}

// Key x has no meaning on a PC that the table knows; a module may give it one,
// and its own header.
func TestModulesKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKernel()
		k.on['x'] = func(k *kernel) { k.header("Cros dump and crash") }
		steps := []sysrq.Step{{Command: sysrq.ForKeyOn('x', "amd64")}}
		for ev := range Run(t.Context(), k, steps, Options{}) {
			if ev.Type == sysrq.EventOutcome && ev.Outcome != sysrq.Accepted {
				t.Errorf("%s: %s", ev.Outcome, ev.Text)
			}
		}
	})
}

func TestTriggerFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKernel()
		cause := errors.New("connection refused")
		k.fails = &transport.OpError{Op: "trigger", Target: "fake:", Err: cause}
		r := try(t, k, Options{KeepConsole: true}, "s")
		if r.String() != "s=failed" || !errors.Is(r.events[len(r.events)-1].Err, cause) {
			t.Errorf("%s, %v", r, r.events)
		}
	})
}

func TestMayHaveArrivedIsNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKernel()
		k.fails = &transport.OpError{Op: "trigger", Target: "fake:", Err: io.ErrUnexpectedEOF, MayHaveArrived: true}
		r := try(t, k, Options{}, "b")
		if r.String() != "b=timeout" || k.sent() != "b" {
			t.Errorf("%s, sent %q: %v", r, k.sent(), r.texts)
		}
	})
	synctest.Test(t, func(t *testing.T) { // and if it did arrive, it is heard
		k := newKernel()
		k.fails = &transport.OpError{Op: "trigger", Target: "fake:", Err: io.ErrUnexpectedEOF, MayHaveArrived: true}
		time.AfterFunc(time.Second, func() { k.header("Resetting"); k.reboot() })
		if r := try(t, k, Options{}, "b"); r.String() != "b=done" {
			t.Errorf("%s: %v", r, r.texts)
		}
	})
}

func TestInterrupt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKernel()
		k.slow['s'] = -1
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		r := tryCtx(t, ctx, k, Options{}, "sub")
		if r.String() != "s=timeout" || !strings.HasPrefix(k.sent(), "8s") || strings.Contains(k.sent(), "b") {
			t.Errorf("%s, sent %q: %v", r, k.sent(), r.texts)
		}
	})
}

func TestStopThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKernel()
		k.slow['s'] = -1
		steps, _ := sysrq.ParseSteps([]string{"sub"}, nil, "")
		steps[0].OnTimeout = sysrq.StopThere
		n := 0
		for ev := range Run(t.Context(), k, steps, Options{}) {
			if ev.Type == sysrq.EventOutcome {
				n++
			}
		}
		if n != 1 || strings.Contains(k.sent(), "b") {
			t.Errorf("%d outcomes, sent %q; want the run to end at the sync", n, k.sent())
		}
	})
}

// A flood must neither hide the proof nor be waited for.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKernel()
		k.on['s'] = func(k *kernel) {
			k.header("Emergency Sync")
			for range 50000 {
				k.at(3, true, "nfs: server not responding, still trying")
			}
			k.at(4, true, "Emergency Sync complete")
		}
		if r := try(t, k, Options{}, "s"); r.String() != "s=done" {
			t.Errorf("%s", r)
		}
	})
}
