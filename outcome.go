package sysrq

import "fmt"

// Outcome is what is known of one step. It claims no more than was seen.
type Outcome uint8

// The seven outcomes, from the best news to the worst.
const (
	Done        Outcome = iota + 1 // the effect itself was seen
	Accepted                       // the kernel announced the handler; its effect can not be seen from here
	Sent                           // delivered, and nothing can be heard on this path
	Timeout                        // the deadline passed; what was seen until then is kept
	Unsupported                    // the kernel answered HELP: it has no such key
	Refused                        // the kernel said that the mask forbids it
	Failed                         // it was not delivered
)

var outcomeNames = [...]string{
	Done: "done", Accepted: "accepted", Sent: "sent", Timeout: "timeout",
	Unsupported: "unsupported", Refused: "refused", Failed: "failed",
}

// String is the outcome's stable name.
func (o Outcome) String() string {
	if o == 0 || int(o) >= len(outcomeNames) {
		return fmt.Sprintf("outcome(%d)", uint8(o))
	}
	return outcomeNames[o]
}

// MarshalText writes the stable name.
func (o Outcome) MarshalText() ([]byte, error) {
	if o == 0 {
		return nil, nil
	}
	return []byte(o.String()), nil
}

// UnmarshalText reads a stable name.
func (o *Outcome) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*o = 0
		return nil
	}
	for i, n := range outcomeNames {
		if i > 0 && n == string(b) {
			*o = Outcome(i)
			return nil
		}
	}
	return fmt.Errorf("sysrq: %q is not an outcome", b)
}

// OK reports whether the outcome is good news: done, or as good as can be seen.
func (o Outcome) OK() bool { return o == Done || o == Accepted }

// Worse is the worse of two outcomes; the zero Outcome is better than all.
func (o Outcome) Worse(p Outcome) Outcome { return max(o, p) }
