package sysrq

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestEventJSON pins the field names: scripts read them, and docs/scripting.md
// promises them.
func TestEventJSON(t *testing.T) {
	at := time.Date(2026, 11, 23, 22, 15, 18, 123456789, time.UTC)
	ev := func(e Event) Event {
		e.Time, e.Target, e.Step, e.Steps, e.Key, e.Name = at, "local:", 2, 3, 's', "sync"
		return e
	}
	line := Evidence{Seq: 1523, HasSeq: true, Uptime: 65729491 * time.Microsecond, HasUptime: true, Text: "Emergency Sync complete"}
	events := []Event{
		ev(Event{Type: EventStep}),
		ev(Event{Type: EventSent}),
		ev(Event{Type: EventHeard, Line: &line}),
		ev(Event{Type: EventHeard, Line: &Evidence{Line: 7, Text: "sysrq: Emergency Sync"}}),
		ev(Event{Type: EventHeard, Line: &Evidence{HasSeq: true, HasUptime: true, Text: "the first record of all"}}),
		ev(Event{Type: EventNote, Text: "the console level was raised to 9"}),
		ev(Event{Type: EventWarning, Text: "a gap of 3 records"}),
		ev(Event{Type: EventOutcome, Outcome: Done, Evidence: []Evidence{line}, Took: 1234567 * time.Microsecond}),
		ev(Event{Type: EventOutcome, Outcome: Failed, Text: "permission denied", Err: errors.New("it stays here")}),
		{Type: EventOutcome, Key: '\n', Outcome: Sent},
	}
	var got []byte
	for _, e := range events {
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		got = append(append(got, b...), '\n')
	}
	const golden = "testdata/events.jsonl"
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("the wire form changed (go test -run EventJSON -update writes it anew):\ngot:\n%swant:\n%s", got, want)
	}
}

func TestEventRoundTrip(t *testing.T) {
	text := rapid.String()
	micros := rapid.Int64Range(0, 1<<50) // 35 years
	evidence := rapid.Custom(func(t *rapid.T) Evidence {
		e := Evidence{Line: rapid.Uint64().Draw(t, "line"), Text: text.Draw(t, "text")}
		if e.HasSeq = rapid.Bool().Draw(t, "has seq"); e.HasSeq {
			e.Seq = rapid.Uint64().Draw(t, "seq")
		}
		if e.HasUptime = rapid.Bool().Draw(t, "has uptime"); e.HasUptime {
			e.Uptime = time.Duration(micros.Draw(t, "uptime")) * time.Microsecond
		}
		return e
	})
	rapid.Check(t, func(t *rapid.T) {
		e := Event{
			Type:   rapid.SampledFrom([]EventType{EventStep, EventSent, EventHeard, EventNote, EventWarning, EventOutcome}).Draw(t, "type"),
			Time:   time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "seconds"), rapid.Int64Range(0, 999999999).Draw(t, "ns")).UTC(),
			Target: text.Draw(t, "target"),
			Step:   rapid.Int().Draw(t, "step"),
			Steps:  rapid.Int().Draw(t, "steps"),
			Key:    Key(rapid.Byte().Draw(t, "key")),
			Name:   text.Draw(t, "name"),
			Text:   text.Draw(t, "text"),
		}
		switch e.Type {
		case EventHeard:
			line := evidence.Draw(t, "line")
			e.Line = &line
		case EventOutcome:
			e.Outcome = Outcome(rapid.IntRange(1, int(Failed)).Draw(t, "outcome"))
			e.Evidence = rapid.SliceOfN(evidence, 0, 4).Draw(t, "evidence")
			if e.Evidence == nil {
				e.Evidence = []Evidence{}
			}
			e.Took = time.Duration(micros.Draw(t, "took")) * time.Microsecond
		}
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		var back Event
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		if !reflect.DeepEqual(e, back) {
			t.Fatalf("%s:\nsent %+v\ngot  %+v", b, e, back)
		}
	})
}

// TestTimesAreExact: seconds and milliseconds cross as decimals, and must not
// lose a microsecond to the binary fraction.
func TestTimesAreExact(t *testing.T) {
	for us := range time.Duration(10_000) {
		e := Event{Type: EventOutcome, Outcome: Done, Took: us * time.Microsecond, Evidence: []Evidence{{HasUptime: true, Uptime: us * time.Microsecond}}}
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		var back Event
		if err := json.Unmarshal(b, &back); err != nil || back.Took != e.Took || back.Evidence[0] != e.Evidence[0] {
			t.Fatalf("%s: %v, took %v, evidence %+v", b, err, back.Took, back.Evidence[0])
		}
	}
}

func TestEventFromElsewhere(t *testing.T) {
	for _, s := range []string{`{"outcome":"fine"}`, `{"key":"ss"}`, `{"line":{"seq":-1}}`, `[]`, `{"evidence":[{"time":"soon"}]}`} {
		var e Event
		if err := json.Unmarshal([]byte(s), &e); err == nil {
			t.Errorf("%s is read as %+v", s, e)
		}
	}
}
