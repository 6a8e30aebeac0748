package sysrq

import (
	"encoding/json"
	"math"
	"time"
)

// EventType says what an [Event] tells.
type EventType string

// The types of event. A step yields one EventStep, any number of the middle
// ones, and exactly one EventOutcome.
const (
	EventStep    EventType = "step"    // a step begins
	EventSent    EventType = "sent"    // its key was delivered
	EventHeard   EventType = "heard"   // the kernel printed a line
	EventNote    EventType = "note"    // something a person should know; nothing is wrong yet
	EventWarning EventType = "warning" // something went wrong that does not end the step
	EventOutcome EventType = "outcome" // the step is over
)

// Event is one thing that happened during a run. The same values come from
// every transport, and from the far side of one that runs sequences itself.
type Event struct {
	Type   EventType `json:"event"`
	Time   time.Time `json:"time"`
	Target string    `json:"target,omitempty"`

	Step  int    `json:"step"`  // 1-based
	Steps int    `json:"steps"` // how many there are in all
	Key   Key    `json:"key"`
	Name  string `json:"name"`

	// Text is a sentence for a person: why an outcome is what it is, what a
	// note or a warning says.
	Text string `json:"text,omitempty"`
	// Line is what was heard; only in EventHeard.
	Line *Evidence `json:"line,omitempty"`

	// The rest is set in EventOutcome.
	Outcome  Outcome       `json:"outcome,omitempty"`
	Evidence []Evidence    `json:"evidence,omitempty"`
	Took     time.Duration `json:"-"` // JSON has took_ms
	// Err is the cause of Failed, for errors.Is and errors.As.
	Err error `json:"-"`
}

// Evidence is one line that the kernel printed, or one fact that a transport
// saw for itself.
type Evidence struct {
	// Seq is the kernel's sequence number of the record, where the path tells
	// it (/dev/kmsg, extended netconsole). Sequence numbers order records;
	// times do not.
	Seq    uint64 `json:"seq,omitempty"`
	HasSeq bool   `json:"-"`
	// Line counts what this path heard since it was opened, from 1, where there
	// is no sequence number.
	Line uint64 `json:"line,omitempty"`
	// Uptime is the kernel's own time of the record, since its boot.
	Uptime    time.Duration `json:"-"` // JSON has time, in seconds
	HasUptime bool          `json:"-"`
	Text      string        `json:"text"`
}

// MarshalJSON writes durations as milliseconds, under took_ms.
func (e Event) MarshalJSON() ([]byte, error) {
	type plain Event
	var took *float64
	if e.Type == EventOutcome {
		ms := float64(e.Took.Microseconds()) / 1000
		took = &ms
		if e.Evidence == nil {
			e.Evidence = []Evidence{} // an array always, so that scripts need no test for null
		}
	}
	return json.Marshal(struct {
		plain
		Took *float64 `json:"took_ms,omitempty"`
		// Shadows the omitempty of plain: an outcome without evidence says so.
		Evidence *[]Evidence `json:"evidence,omitempty"`
	}{plain(e), took, evidenceOf(e)})
}

func evidenceOf(e Event) *[]Evidence {
	if e.Type != EventOutcome {
		return nil
	}
	return &e.Evidence
}

// UnmarshalJSON reads what MarshalJSON wrote; Err can not cross.
func (e *Event) UnmarshalJSON(b []byte) error {
	type plain Event
	aux := struct {
		*plain
		Took float64 `json:"took_ms"`
	}{plain: (*plain)(e)}
	if err := json.Unmarshal(b, &aux); err != nil {
		return err
	}
	e.Took = time.Duration(math.Round(aux.Took*1e3)) * time.Microsecond
	return nil
}

// jsonEvidence is the wire form: absent numbers are absent, not zero.
type jsonEvidence struct {
	Seq  *uint64  `json:"seq,omitempty"`
	Line uint64   `json:"line,omitempty"`
	Time *float64 `json:"time,omitempty"` // seconds since the kernel's boot
	Text string   `json:"text"`
}

// MarshalJSON leaves out what the path did not tell.
func (v Evidence) MarshalJSON() ([]byte, error) {
	j := jsonEvidence{Line: v.Line, Text: v.Text}
	if v.HasSeq {
		j.Seq = &v.Seq
	}
	if v.HasUptime {
		s := float64(v.Uptime.Microseconds()) / 1e6
		j.Time = &s
	}
	return json.Marshal(j)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (v *Evidence) UnmarshalJSON(b []byte) error {
	var j jsonEvidence
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*v = Evidence{Line: j.Line, Text: j.Text}
	if j.Seq != nil {
		v.Seq, v.HasSeq = *j.Seq, true
	}
	if j.Time != nil {
		v.Uptime, v.HasUptime = time.Duration(math.Round(*j.Time*1e6))*time.Microsecond, true
	}
	return nil
}
