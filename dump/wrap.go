package dump

import (
	"bytes"

	"github.com/sysrq/sysrq/kmsg"
)

// heldLine is a line whose end may stand on the next.
type heldLine struct {
	line
	text []byte
	rec  kmsg.Record
	full bool
}

// maxHeld is the longest line that is held back for no better reason than that
// the next may show it to be the first part of a wrapped one.
const maxHeld = 96

// maxJoin bounds a line that goes on and on.
const maxJoin = 1024

// step takes the next line. What is only the beginning of a line is kept until
// the next one has come: mailers break lines, and so do terminals, names with a
// newline in them, and processors that print into each other's lines.
func (p *Parser) step(l *line) {
	if p.held.full {
		if p.joins(l) {
			return
		}
		p.release()
	}
	if p.holds(l) {
		h := &p.held
		h.text = append(h.text[:0], l.text...)
		h.line, h.rec = *l, *l.rec
		h.rec.Text, h.rec.Dict, h.rec.Prefix = nil, nil, nil
		h.line.text, h.line.rec = h.text, &h.rec
		h.full = true
		return
	}
	p.feed(l)
}

// holds reports whether the next line may belong to l.
func (p *Parser) holds(l *line) bool {
	switch l.class {
	case cTorn:
		return true
	case cOther:
		if bytes.HasSuffix(l.trim, []byte(") from")) { // of arm's frames
			return true
		}
		// A mark says where lines begin, so that a line without one goes on.
		return !l.bare && l.rec.Kernel && len(l.text) <= maxHeld && p.marks.without > 0
	}
	return false
}

// joins tries l as the rest of the line that is held, and feeds both as one if
// that makes sense of them.
func (p *Parser) joins(l *line) bool {
	h := &p.held
	same := l.rec.HasTime && h.rec.HasTime && l.rec.Time == h.rec.Time // one record, printed on two lines
	if !l.bare && !(h.class == cTorn && (!l.rec.Kernel || same)) || l.class.begins() && l.class != cTorn || l.rec.User {
		return false
	}
	// A mailer eats the blank at which it breaks. A terminal eats nothing, and
	// a name can hold the newline itself; then no blank belongs there.
	for _, glue := range []string{" ", "", "\n"} {
		if glue == "\n" && !same {
			continue
		}
		p.join = append(append(append(p.join[:0], h.text...), glue...), l.text...)
		j := line{text: p.join, rec: &h.rec, first: h.first, last: l.last, bare: h.bare, joined: true}
		j.lex()
		if j.class == cOther || j.class == cRegs || j.class == cTorn && h.class != cTorn {
			continue
		}
		if j.class == cTorn { // more of it may come
			if len(p.join) > maxJoin {
				return false
			}
			h.text = append(h.text[:0], p.join...)
			h.line = j
			h.line.text, h.line.rec = h.text, &h.rec
			h.line.lex()
			return true
		}
		h.full = false
		j.joined = glue != " "
		p.feed(&j)
		return true
	}
	return false
}

// release feeds the line that is held as it is.
func (p *Parser) release() {
	if !p.held.full {
		return
	}
	p.held.full = false
	h := p.held.line
	h.lex()
	h.settle()
	p.feed(&h)
}

// settle takes a line whose end never came for what it can be.
func (l *line) settle() {
	switch {
	case l.class != cTorn:
	case l.task.comm != nil:
		l.class = cTask
	case bytes.HasPrefix(l.trim, prefixes.info):
		l.class = cOther
		if bytes.Contains(l.trim, []byte(" blocked")) {
			l.class = cHung
		}
	case bytes.Contains(l.trim, []byte("soft lockup")):
		l.class = cSoft
	default:
		l.class = cOther
	}
}
