package render

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"slices"

	"github.com/sysrq/sysrq/diagnose"
	"github.com/sysrq/sysrq/dump"
)

// SchemaVersion is that of the object that [JSON] writes. It grows when a
// field's meaning changes, not when one is added.
const SchemaVersion = 1

// JSON writes everything that is known as one object on one line, for programs:
// docs/schema/report.schema.json describes it. Blocks are written as they come,
// in the order of their first lines as far as that can be done with the memory
// of one block.
func JSON(w io.Writer, in Input) error {
	o := newOutput(w)
	r := in.report()
	part := func(lead string, v any) error {
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		o.str(lead)
		o.bytes(noNulls(b))
		return o.err
	}
	err := cmp.Or(
		part(`{"schema":`, SchemaVersion),
		part(`,"title":`, in.Title),
		part(`,"machine":`, r.Machine),
		part(`,"findings":`, notNil(r.Findings)),
		part(`,"blocked_tasks":`, notNil(r.Blocked)),
		part(`,"groups":`, notNil(r.Groups)),
		part(`,"graph":`, diagnose.Graph{Nodes: notNil(r.Graph.Nodes), Edges: notNil(r.Graph.Edges)}),
		part(`,"dumps":`, r.Dumps),
		part(`,"kinds":`, kindsOf(r)),
		part(`,"counts":`, in.Counts),
	)
	if err != nil {
		return err
	}
	unread := []dump.Span{}
	lead := `,"blocks":[`
	for b := range in.blocks() {
		if b.Kind == dump.KindUnread {
			unread = append(unread, spansOf(b)...)
		}
		if err := part(lead, b); err != nil {
			return err
		}
		lead = ",\n"
	}
	if lead != ",\n" {
		o.str(lead)
	}
	slices.SortFunc(unread, func(a, b dump.Span) int { return cmp.Compare(a.First, b.First) })
	if err := part(`],"unread":`, unread); err != nil {
		return err
	}
	o.str("}\n")
	return o.end()
}

// noNulls writes lists that are nil as empty ones. Only lists are ever null in
// what we write, and a script that walks a list should not have to know that
// there are two ways to be empty.
func noNulls(b []byte) []byte {
	null := []byte(":null")
	if !bytes.Contains(b, null) {
		return b
	}
	out := make([]byte, 0, len(b))
	quoted := false
	for i := 0; i < len(b); i++ {
		switch {
		case quoted && b[i] == '\\':
			out = append(out, b[i])
			i++
		case b[i] == '"':
			quoted = !quoted
		case !quoted && bytes.HasPrefix(b[i:], null):
			out = append(out, ":[]"...)
			i += len(null) - 1
			continue
		}
		out = append(out, b[i])
	}
	return out
}

// spansOf are the lines of a block itself.
func spansOf(b *dump.Block) []dump.Span {
	if len(b.Spans) > 0 {
		return b.Spans
	}
	return []dump.Span{{First: b.First, Last: b.Last}}
}

func kindsOf(r *diagnose.Report) map[dump.Kind]int {
	if r.Kinds == nil {
		return map[dump.Kind]int{}
	}
	return r.Kinds
}

// notNil is a list that JSON shows as one, also where it is empty.
func notNil[E any](list []E) []E {
	if list == nil {
		return []E{}
	}
	return list
}
