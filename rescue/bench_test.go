package rescue

import (
	"context"
	"testing"

	"github.com/sysrq/sysrq"
	"github.com/sysrq/sysrq/kmsg"
	"github.com/sysrq/sysrq/transport"
)

// echo answers a log-level key at once, as the trigger file does.
type echo struct{ out chan transport.Heard }

var (
	echoHeader = []byte("sysrq: Changing Loglevel")
	echoProof  = []byte("sysrq: Loglevel set to 4")
)

func (echo) Properties() transport.Properties {
	return transport.Properties{Target: "echo:", Door: sysrq.DoorTrigger, Sequenced: true}
}

func (e echo) Trigger(context.Context, sysrq.Key) error {
	e.out <- transport.Heard{Record: kmsg.Record{Kernel: true, Text: echoHeader}}
	e.out <- transport.Heard{Record: kmsg.Record{Kernel: true, Text: echoProof}}
	return nil
}

func (e echo) Hear(ctx context.Context) (transport.Heard, error) {
	select {
	case h := <-e.out:
		return h, nil
	case <-ctx.Done():
		return transport.Heard{}, ctx.Err()
	}
}

func (echo) Close() error { return nil }

// BenchmarkStep is a run's own cost: one log-level key, proof included, on a
// machine that answers at once.
func BenchmarkStep(b *testing.B) {
	b.ReportAllocs()
	steps, err := sysrq.ParseSteps([]string{"4"}, nil, "")
	if err != nil {
		b.Fatal(err)
	}
	e := echo{make(chan transport.Heard, 2)}
	for b.Loop() {
		done := false
		for ev := range Run(b.Context(), e, steps, Options{}) {
			done = done || ev.Outcome == sysrq.Done
		}
		if !done {
			b.Fatal("not done")
		}
	}
}

// BenchmarkDump is what a line of a dump costs between the transport and the
// caller.
func BenchmarkDump(b *testing.B) {
	b.ReportAllocs()
	line := []byte("task:kworker/0:1     state:D stack:0     pid:9     ppid:2      flags:0x00004000")
	b.SetBytes(int64(len(line)))
	j := newJudge(sysrq.ForKeyOn('t', ""), moment{})
	j.hear(sysrq.Evidence{Text: "sysrq: Show State"})
	e := &ear{}
	for b.Loop() {
		h := e.keep(transport.Heard{Record: kmsg.Record{Kernel: true, Text: line}})
		j.hear(h.evidence)
	}
}
