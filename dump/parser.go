package dump

import (
	"bytes"
	"io"
	"time"

	"github.com/sysrq/sysrq/kmsg"
)

// Parser reads blocks from a text.
//
// Lines of one caller (PRINTK_CALLER) form a lane, in which blocks follow each
// other. Without caller ids there is one lane for all, and reports that two
// processors print at once stand in each other. They are pulled apart where a
// line contradicts the block that is open, such as a second "Call Trace:", and
// fits one that was left before its end. Blocks that this happened to are
// marked with DoubtInterleaved.
type Parser struct {
	log  *kmsg.Log
	line line
	held heldLine
	join []byte

	names names
	pools pools

	only  lane // of lines without a caller
	lanes map[kmsg.Caller]*lane
	// last is the lane of the last line, owner the block that has it.
	last  *lane
	owner builder
	class class // of that line

	n       int64 // lines so far, for telling what is stale
	done    []builder
	changed bool // since done was looked through last
	out     builder
	ended   bool
	counts  Counts
	marks   marks
	boot    int
	clock   time.Duration
	dump    int
	command string
	// hung is the hung-task report that a blocker line behind it is about.
	hung *taskBuilder

	// Log, where set, gets every line that belongs to no block: its number in
	// the source, and its text without the prefix, which changes with the next.
	Log func(line int64, text []byte)
}

// NewParser makes a Parser of r, which may hold any form of a kernel's log that
// [kmsg.Log] reads.
func NewParser(r io.Reader) *Parser {
	return &Parser{log: kmsg.NewLog(r), boot: 1}
}

// Counts is what became of the lines of a text.
type Counts struct {
	// Lines is how many there are. Each is in a block, or empty, or one of Log.
	Lines int64 `json:"lines"`
	// Log is the lines that belong to no dump: the rest of the log.
	Log int64 `json:"log"`
	// Unread is the lines in blocks of KindUnread.
	Unread int64 `json:"unread"`
	// Kernel is how many records have a mark of the kernel's: a stamp, a level,
	// a "kernel:". A text without any may be no kernel's log.
	Kernel int64 `json:"kernel"`
}

// Block is what the last Scan found. It changes with the next.
func (p *Parser) Block() *Block { return &p.out.base().Block }

// Err is why the last Scan found nothing, or nil at the end of the text.
func (p *Parser) Err() error { return p.log.Err() }

// Counts says what became of the lines read so far.
func (p *Parser) Counts() Counts { return p.counts }

// Scan waits for the next block. It returns false at the end of the text, and
// after an error.
func (p *Parser) Scan() bool {
	if p.out != nil {
		p.pools.put(p.out)
		p.out = nil
	}
	for {
		if b := p.ready(); b != nil {
			p.out = b
			return true
		}
		switch {
		case p.ended:
			return false
		case p.log.Scan():
			p.record(p.log.Record())
		default:
			p.release()
			p.finishAll()
			p.ended = true
		}
	}
}

// head is what all builders have.
type head struct {
	Block
	spans   []Span
	touched int64 // the parser's n when it last took a line
	lane    *lane
}

func (b *head) base() *head { return b }

// builder is a block that is being read.
type builder interface {
	base() *head
	// take takes a line of the block's lane, or refuses it. It keeps nothing of
	// the line's bytes.
	take(p *Parser, l *line) bool
	// whole reports whether nothing is missing, as far as can be told.
	whole() bool
	// end makes the body ready to be read.
	end()
}

// lane is the blocks of one caller.
type lane struct {
	open builder
	// left are blocks that another began in the midst of, the newest last.
	left []builder
}

const (
	maxLeft  = 3   // a block that so many others began after is not waited for
	stale    = 300 // lines after which a block gets no more
	maxLanes = 256
	maxDone  = 64
)

// ready is the next block in the order of their beginnings.
func (p *Parser) ready() builder {
	if len(p.done) == 0 || !p.changed && !p.ended {
		return nil
	}
	first := 0
	for i, b := range p.done {
		if b.base().First < p.done[first].base().First {
			first = i
		}
	}
	b := p.done[first]
	if !p.ended && len(p.done) < maxDone && p.oldest() < b.base().First {
		p.changed = false
		return nil
	}
	p.done = append(p.done[:first], p.done[first+1:]...)
	return b
}

// oldest is where the oldest block begins that has not ended.
func (p *Parser) oldest() int64 {
	at := int64(1) << 62
	look := func(ln *lane) {
		if ln.open != nil {
			at = min(at, ln.open.base().First)
		}
		for _, b := range ln.left {
			at = min(at, b.base().First)
		}
	}
	look(&p.only)
	for _, ln := range p.lanes {
		look(ln)
	}
	return at
}

// record takes the next record of the log, which may have several lines.
func (p *Parser) record(r *kmsg.Record) {
	first, last := p.log.Lines()
	p.counts.Lines = max(p.counts.Lines, last)
	if r.Lost > 0 {
		p.release()
		p.lost()
		return
	}
	p.marks.see(r)
	if r.Kernel {
		p.counts.Kernel++
	}
	if r.HasTime {
		p.tick(r.Time)
	}
	bare := p.marks.bare(r)
	for text := r.Text; ; {
		t, rest, more := text, []byte(nil), false
		if i := bytes.IndexByte(text, '\n'); i >= 0 {
			t, rest, more = text[:i], text[i+1:], true
		}
		if n := len(t); n > 0 && (t[0] > ' ' || t[n-1] > ' ' || len(bytes.TrimSpace(t)) > 0) {
			l := &p.line
			l.text, l.rec, l.first, l.last, l.bare = t, r, first, last, bare
			l.before, l.joined = len(r.Prefix), false
			l.lex()
			p.step(l)
		}
		if !more {
			return
		}
		text = rest
	}
}

// anotherBoot is how far the kernel's clock has to go back for another kernel
// to be speaking: between processors it goes back a little.
const anotherBoot = 30 * time.Second

func (p *Parser) tick(t time.Duration) {
	if p.clock-t > anotherBoot {
		p.reboot()
	}
	p.clock = t
}

func (p *Parser) reboot() {
	p.release()
	p.finishAll()
	p.boot++
	p.command = ""
}

// lost marks what was open when records were lost.
func (p *Parser) lost() {
	mark := func(ln *lane) {
		if ln.open != nil {
			ln.open.base().doubt(DoubtLost)
		}
		for _, b := range ln.left {
			b.base().doubt(DoubtLost)
		}
	}
	mark(&p.only)
	for _, ln := range p.lanes {
		mark(ln)
	}
}

func (b *head) doubt(d Doubt) {
	for _, have := range b.Unsure {
		if have == d {
			return
		}
	}
	b.Unsure = append(b.Unsure, d)
}

// laneOf is the lane of a line: its caller's, or the last one's for a line
// that only goes on.
func (p *Parser) laneOf(l *line) *lane {
	if l.bare && p.last != nil {
		return p.last
	}
	c := l.rec.Caller
	if c.Kind == 0 {
		return &p.only
	}
	if ln := p.lanes[c]; ln != nil {
		return ln
	}
	if p.lanes == nil || len(p.lanes) >= maxLanes {
		for _, ln := range p.lanes {
			p.closeLane(ln)
		}
		p.lanes = map[kmsg.Caller]*lane{}
	}
	ln := &lane{}
	p.lanes[c] = ln
	return ln
}

// feed gives a line to the block that it belongs to.
func (p *Parser) feed(l *line) {
	p.n++
	ln := p.laneOf(l)
	p.last = ln
	if p.n&0xff == 0 {
		p.sweep()
	}
	cur := ln.open
	if cur != nil && cur.take(p, l) {
		p.took(cur, l)
		return
	}
	switch {
	case cur != nil && l.bare && p.owner == cur && p.class.wraps() && (l.class == cOther || l.class == cRegs) && !isSection(cur):
		class := p.class
		p.took(cur, l) // the rest of a line that was wrapped
		p.class = class
	case len(ln.left) > 0 && p.resumes(ln, l):
	case l.class == cBlocker && p.hung != nil && p.hung.blocker(p, l):
		p.took(p.hung, l)
	case l.class == cTask && p.resume(ln, l):
	case l.class.begins() && p.begin(ln, p.pools.make(l), l):
	case l.class.ofStack():
		p.stray(ln, l)
	default:
		p.other(l)
	}
}

// wraps reports whether a line of the class is often longer than a mail's.
func (c class) wraps() bool {
	switch c {
	case cRegs, cIP, cModules, cWorkqueue, cCPULine, cHardware, cHungNote, cFrame, cMemory, cOOMPart, cPanic, cHelp, cTaskTable, cRCUPart, cRCU:
		return true
	}
	return c == cOther
}

// took notes that b has taken l.
func (p *Parser) took(b builder, l *line) {
	h := b.base()
	switch n := len(h.spans); {
	case n == 0:
		h.First = l.first
		h.spans = append(h.spans, Span{l.first, l.last})
	case p.owner == b || l.first <= h.spans[n-1].Last+1:
		h.spans[n-1].Last = max(h.spans[n-1].Last, l.last)
	default:
		h.spans = append(h.spans, Span{l.first, l.last})
	}
	h.Last = max(h.Last, l.last)
	h.touched = p.n
	if l.joined {
		h.doubt(DoubtWrapped)
	}
	p.owner, p.class = b, l.class
}

// begin makes b the lane's open block, with l as its first line. A builder that
// refuses it is none: then nothing has happened.
func (p *Parser) begin(ln *lane, b builder, l *line) bool {
	if b == nil {
		return false
	}
	h := b.base()
	spans, unsure := h.spans[:0], h.Unsure[:0]
	*h = head{Block: Block{Kind: h.Kind, Boot: p.boot, Dump: p.dump, Command: p.command, Unsure: unsure, Body: h.Body}, spans: spans}
	if l.rec.HasTime {
		h.Time, h.HasTime = l.rec.Time, true
	}
	if !b.take(p, l) {
		p.pools.put(b)
		return false
	}
	p.leave(ln)
	ln.open, h.lane = b, ln
	p.took(b, l)
	return true
}

// resume gives a task's header to the hung-task report that waits for it: its
// number says whose it is, whatever has come between.
func (p *Parser) resume(ln *lane, l *line) bool {
	if h, ok := ln.open.(*taskBuilder); ok && h.Kind == KindHungTask && !h.header && h.task.PID == l.task.pid && len(ln.left) > 0 {
		p.mixed(ln, ln.left[0], DoubtInterleaved) // it has got a stack before its header: another's
	}
	for i, b := range ln.left {
		h, ok := b.(*taskBuilder)
		if !ok || h.Kind != KindHungTask || h.header || l.task.pid < 0 || h.task.PID != l.task.pid {
			continue
		}
		if !b.take(p, l) { // it has got a stack before its header: another's
			p.mixed(ln, ln.left[0], DoubtInterleaved)
			continue
		}
		p.mixed(ln, b, DoubtInterleaved)
		ln.left = append(ln.left[:i], ln.left[i+1:]...)
		p.leave(ln)
		ln.open = b
		p.took(b, l)
		return true
	}
	return false
}

// leave puts the open block of a lane aside, or ends it.
func (p *Parser) leave(ln *lane) {
	b := ln.open
	ln.open = nil
	switch {
	case b == nil:
	case b.whole():
		p.finish(b)
	default:
		ln.left = append(ln.left, b)
		if len(ln.left) > maxLeft {
			// What began since may have what it lacks; nobody will know.
			p.mixed(ln, ln.left[0], DoubtTorn)
			p.finish(ln.left[0])
			ln.left = append(ln.left[:0], ln.left[1:]...)
		}
	}
}

// stray finds a home for a part that the open block refuses: a block that was
// left before its end, or a stack of its own.
func (p *Parser) stray(ln *lane, l *line) {
	for i := len(ln.left) - 1; i >= 0; i-- {
		b := ln.left[i]
		if b.take(p, l) {
			p.mixed(ln, b, DoubtInterleaved)
			p.took(b, l)
			return
		}
	}
	// It has no home. Where a block was left in the midst, what began since may
	// have got lines of it, and this one may be theirs.
	if len(ln.left) > 0 {
		p.mixed(ln, ln.left[0], DoubtInterleaved)
	}
	switch l.class {
	case cTrace, cTag, cFrame:
		// Its head is lost, or it is the rest of a stack whose middle is.
		if !p.begin(ln, p.pools.stack(), l) {
			p.other(l)
		}
	case cCPULine:
		p.begin(ln, p.pools.cpu(), l)
	case cCut, cEnd, cModules, cHardware, cWorkqueue, cTail:
		p.other(l)
	default:
		// Rows of numbers stand in many logs: where no dump is near, they are
		// none of its.
		if ln.open == nil && len(ln.left) == 0 {
			p.other(l)
			return
		}
		p.unread(ln, l)
	}
}

// mixed marks b, which was left and has got another line, and all that began
// since in its lane: any of them may have taken what is b's.
func (p *Parser) mixed(ln *lane, b builder, why Doubt) {
	from := b.base().First
	b.base().doubt(why)
	if ln.open != nil {
		ln.open.base().doubt(why)
	}
	for _, o := range ln.left {
		if o.base().First > from {
			o.base().doubt(why)
		}
	}
	for _, o := range p.done { // they wait for b, which began before them
		if h := o.base(); h.lane == ln && h.First > from && h.Kind != KindHeader {
			h.doubt(why)
		}
	}
}

// unread keeps a line that looks like a part of a dump and belongs to nothing
// that is known.
func (p *Parser) unread(ln *lane, l *line) {
	p.counts.Unread += l.last - l.first + 1
	p.begin(ln, p.pools.unread(), l)
}

// other is a line that belongs to no dump.
func (p *Parser) other(l *line) {
	p.counts.Log += l.last - l.first + 1
	p.owner, p.class = nil, cOther
	if p.Log != nil {
		p.Log(l.first, l.text)
	}
	if len(l.text) > 13 && l.text[0] == 'L' && string(l.text[:14]) == "Linux version " && p.clock > 0 {
		p.fresh()
	}
}

// fresh begins another boot, unless its clock has said so already.
func (p *Parser) fresh() {
	if p.clock > time.Second {
		p.reboot()
		p.clock = 0
	}
}

// sweep ends blocks that have got nothing for long.
func (p *Parser) sweep() {
	one := func(ln *lane) {
		if ln.open != nil && p.n-ln.open.base().touched > stale {
			p.finish(ln.open)
			ln.open = nil
		}
		kept := ln.left[:0]
		for _, b := range ln.left {
			if p.n-b.base().touched > stale {
				p.finish(b)
			} else {
				kept = append(kept, b)
			}
		}
		ln.left = kept
	}
	one(&p.only)
	for _, ln := range p.lanes {
		one(ln)
	}
}

func (p *Parser) closeLane(ln *lane) {
	for _, b := range ln.left {
		p.finish(b)
	}
	ln.left = ln.left[:0]
	if ln.open != nil {
		p.finish(ln.open)
		ln.open = nil
	}
}

func (p *Parser) finishAll() {
	p.closeLane(&p.only)
	for _, ln := range p.lanes {
		p.closeLane(ln)
	}
	p.owner, p.last = nil, nil
}

// finish makes a block ready.
func (p *Parser) finish(b builder) {
	h := b.base()
	b.end()
	if !b.whole() {
		h.doubt(DoubtTorn)
	}
	h.Spans = nil
	if len(h.spans) > 1 {
		h.Spans = h.spans
	}
	if len(h.Unsure) == 0 {
		h.Unsure = h.Unsure[:0]
	}
	if p.owner == b {
		p.owner = nil
	}
	if p.hung != nil && builder(p.hung) == b {
		p.hung = nil
	}
	p.done = append(p.done, b)
	p.changed = true
}

// marks knows whether the lines of a log have a mark of the kernel's.
type marks struct{ with, without int }

func (m *marks) see(r *kmsg.Record) {
	if r.Kernel {
		m.with++
	} else if !r.User {
		m.without++
	}
	if m.with+m.without > 1<<10 { // what counts is what was seen last
		m.with, m.without = m.with/2, m.without/2
	}
}

// bare reports whether r is a line without a mark among lines with one.
func (m *marks) bare(r *kmsg.Record) bool {
	return !r.Kernel && !r.User && m.with > 0 && m.with*2 >= m.without
}
