package dump

import (
	"bytes"
	"encoding/json"
	"math"
)

// MarshalJSON writes one flat object: what every block has, and then the fields
// of its body. docs/schema has the names.
func (b *Block) MarshalJSON() ([]byte, error) {
	head := struct {
		Kind    Kind     `json:"kind"`
		First   int64    `json:"first_line"`
		Last    int64    `json:"last_line"`
		Spans   []Span   `json:"spans,omitempty"`
		Boot    int      `json:"boot"`
		Dump    int      `json:"dump,omitempty"`
		Command string   `json:"command,omitempty"`
		Time    *float64 `json:"time,omitempty"` // seconds since the kernel's boot
		Unsure  []Doubt  `json:"unsure,omitempty"`
	}{b.Kind, b.First, b.Last, b.Spans, b.Boot, b.Dump, b.Command, nil, b.Unsure}
	if b.HasTime {
		s := math.Round(b.Time.Seconds()*1e6) / 1e6
		head.Time = &s
	}
	out, err := json.Marshal(head)
	if err != nil || b.Body == nil {
		return out, err
	}
	body, err := json.Marshal(b.Body)
	if err != nil || bytes.Equal(body, []byte("{}")) {
		return out, err
	}
	out[len(out)-1] = ','
	return append(out, body[1:]...), nil
}
