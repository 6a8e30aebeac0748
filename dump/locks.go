package dump

import "bytes"

// locksBuilder reads who holds which locks (kernel/locking/lockdep.c,
// debug_show_all_locks, lockdep_print_held_locks, print_lock):
//
//	Showing all locks held in the system:
//	2 locks held by kworker/2:2/980:
//	 #0: ffff88800d615938 ((wq_completion)usb_hub_wq){+.+.}-{0:0}, at: process_one_work+0x304/0x9c0
//	 #1:  (&dev->mutex){....}, at: [<00000000e655fd2b>] hub_event+0xc4/0x26b0      before 4.18
//	=============================================
//
// Newer kernels list no locks of tasks that run. Mailers break the long lines
// before "at:", behind it, and before the name.
type locksBuilder struct {
	head
	locks Locks
	names *names
	g     gather
	// held: a lock is gathered. shown: the list of all was begun, else it is one
	// task's, which older kernels print behind its stack. ended: the list's end
	// was seen.
	held, shown, ended bool
}

func (b *locksBuilder) end()        { b.flush() }
func (b *locksBuilder) whole() bool { return b.ended || !b.shown && b.all() }

// all reports whether the last holder's locks are all there.
func (b *locksBuilder) all() bool {
	b.flush()
	n := len(b.locks.Holders)
	return n > 0 && len(b.locks.Holders[n-1].Held) >= b.locks.Holders[n-1].Count
}

func (b *locksBuilder) take(p *Parser, l *line) bool {
	near := p.owner == builder(b)
	t := bytes.TrimRight(l.trim, " \t\r")
	if b.First == 0 {
		if l.class != cLocks {
			return false
		}
		b.Kind, b.Body, b.names = KindLocks, &b.locks, &p.names
		if b.locks.Holders == nil {
			b.locks.Holders = []Holder{} // JSON has a list, be it empty
		}
		b.locks = Locks{Holders: b.locks.Holders[:0]}
		b.g.text, b.held, b.shown, b.ended = b.g.text[:0], false, false, false
		if bytes.HasPrefix(t, prefixes.lockdepOff) {
			b.locks.Off, b.ended = true, true
			return true
		}
		if bytes.HasPrefix(t, prefixes.locksHeld) {
			b.shown = true
			return true
		}
		return b.holder(t)
	}
	if b.ended || l.rec.User {
		return false
	}
	switch l.class {
	case cLocks:
		return (b.shown || near && !b.all()) && b.holder(t)
	case cOther:
		switch {
		case t[0] == '#' && isHeld(t):
			if len(b.locks.Holders) == 0 && len(b.g.text) == 0 {
				return false
			}
			b.flush()
			b.g.begin(l)
			b.held = true
			return true
		case t[0] == '=' && len(bytes.Trim(t, "=")) == 0 && len(t) > 8:
			b.flush()
			b.ended = true
			return true
		case bytes.Contains(t, heldBy):
			return b.holder(t)
		}
		if !near || !b.held || complete(b.g.text) {
			return false
		}
	case cFrame: // a mailer broke the line behind "at:"
		if !near || !b.held || complete(b.g.text) || !l.bare && !bytes.HasSuffix(b.g.text, []byte("at:")) && !bytes.HasSuffix(b.g.text, []byte("]")) {
			return false
		}
	case cRegs, cTail, cTag:
		if !near || !b.held || !l.bare || complete(b.g.text) {
			return false
		}
	default:
		return false
	}
	if l.class == cOther && !l.bare && t[0] != '(' && !bytes.HasPrefix(t, []byte("at: ")) {
		return false
	}
	b.g.more(l, lockWord)
	if b.g.glued {
		b.doubt(DoubtWrapped)
	}
	return true
}

var (
	heldBy = []byte(" held by ")
	atWord = []byte("at: ")
)

// lockWord recognises the words of a lock's line that are whole.
func lockWord(w []byte) bool {
	if len(w) == 0 {
		return false
	}
	switch w[len(w)-1] {
	case ',', ':', '}':
		return true
	}
	return isAddress(w)
}

// isHolder recognises "2 locks held by x/1:" and "no locks held by x/1.".
func isHolder(t []byte) bool {
	w, rest := cutWord(t)
	if len(w) == 0 || digits(w) != len(w) && string(w) != "no" {
		return false
	}
	return bytes.HasPrefix(rest, []byte(" lock held by ")) || bytes.HasPrefix(rest, []byte(" locks held by "))
}

// isHeld recognises "#0: …".
func isHeld(t []byte) bool {
	n := digits(t[1:])
	return n > 0 && n < 4 && at(t, n+1, ':')
}

// complete reports whether a lock's line has its end.
func complete(t []byte) bool {
	if bytes.HasSuffix(t, []byte("<RELEASED>")) {
		return true
	}
	i := bytes.LastIndex(t, atWord)
	if i < 0 {
		return false
	}
	_, ok := readFrame(t[i+len(atWord):])
	return ok
}

// holder begins another holder's list.
func (b *locksBuilder) holder(t []byte) bool {
	if !isHolder(t) || len(b.locks.Holders) >= maxRows {
		return false
	}
	b.flush()
	t = bytes.TrimRight(t, " :.")
	word, _ := cutWord(t)
	_, who, _ := bytes.Cut(t, heldBy)
	b.locks.Holders = grow(b.locks.Holders)
	h := &b.locks.Holders[len(b.locks.Holders)-1]
	*h = Holder{PID: -1, Count: max(decimal(word), 0), Held: h.Held[:0]}
	if i := bytes.LastIndexByte(who, '/'); i >= 0 {
		h.Comm, h.PID = b.names.of(who[:i]), decimal(who[i+1:])
	} else {
		h.Comm = b.names.of(who)
	}
	b.held = false
	b.g.text = b.g.text[:0]
	return true
}

// flush reads the lock that was gathered.
func (b *locksBuilder) flush() {
	t := b.g.text
	held := b.held
	b.held, b.g.text = false, b.g.text[:0]
	n := len(b.locks.Holders)
	if !held || n == 0 || len(b.locks.Holders[n-1].Held) >= maxRows {
		return
	}
	h := &b.locks.Holders[n-1]
	h.Held = append(h.Held, readHeld(b.names, t))
}

// readHeld reads "#0: ADDR (NAME){USAGE}-{3:3}, at: FUNC+0x1/0x2". A name can
// hold parentheses: it ends before the last one that a brace follows.
func readHeld(n *names, t []byte) (h HeldLock) {
	i := bytes.IndexByte(t, ':')
	t = bytes.TrimLeft(t[i+1:], " ")
	if string(t) == "<RELEASED>" {
		h.Name = n.of(t)
		return h
	}
	if i := bytes.LastIndex(t, atWord); i >= 0 {
		if f, ok := readFrame(t[i+len(atWord):]); ok {
			h.At = Frame{Func: n.of(f.name), Offset: f.offset, Size: f.size, Module: n.of(f.module), Source: n.of(f.source)}
		}
		t = bytes.TrimRight(t[:i], ", ")
	} else if i := bytes.LastIndex(t, []byte(", at:")); i >= 0 {
		t = t[:i]
	}
	if len(t) > 0 && t[0] != '(' {
		var w []byte
		w, t = cutWord(t)
		h.Addr = n.of(w)
		t = bytes.TrimLeft(t, " ")
	}
	if len(t) == 0 || t[0] != '(' {
		return h
	}
	end := bytes.LastIndex(t, []byte("){"))
	if end < 0 {
		h.Name = n.of(bytes.TrimRight(t[1:], ")"))
		return h
	}
	h.Name = n.of(t[1:end])
	h.Usage = n.of(bytes.TrimSpace(t[end+1:]))
	return h
}
