package dump

import (
	"bytes"
	"strings"

	"github.com/sysrq/sysrq"
)

// headerBuilder reads SysRq's own line, and the columns' heading that old
// kernels print below it.
type headerBuilder struct {
	head
	header Header
	// commands is the table, kept for the next header.
	commands []sysrq.Command
}

func (b *headerBuilder) whole() bool { return true }
func (b *headerBuilder) end()        {}

func (b *headerBuilder) take(p *Parser, l *line) bool {
	switch l.class {
	case cTaskTable, cSending:
		return true
	case cRegs: // of the processor's counters, where p has no more to show
		return b.header.Key == "p" && p.owner == builder(b)
	case cOther: // the upper line of two, on 2.4 and 2.6
		return bytes.HasPrefix(l.trim, []byte("free ")) && bytes.HasSuffix(l.trim, []byte("sibling")) ||
			b.header.Key == "p" && p.owner == builder(b) && bytes.HasPrefix(l.trim, []byte("CPU"))
	case cHeader:
	default:
		return false
	}
	if b.First != 0 {
		return false
	}
	action := p.names.of(actionOf(l.trim))
	b.Kind, b.Body = KindHeader, &b.header
	b.header = Header{Action: action}
	if strings.HasPrefix(action, "This sysrq operation is disabled") {
		b.header.Refused = true
		return true
	}
	p.dump++
	p.command = ""
	if b.commands == nil {
		b.commands = sysrq.Commands()
	}
	for i := range b.commands {
		if c := &b.commands[i]; strings.EqualFold(c.Action, action) {
			p.command = c.Name
			b.header.Key = letters[c.Key]
			break
		}
	}
	b.Dump, b.Command = p.dump, p.command
	return true
}

// actionOf is what stands behind the prefix, or behind what a console had on
// the line before it.
func actionOf(t []byte) []byte {
	if i := bytes.Index(t, []byte("SysRq : ")); i >= 0 {
		t = t[i+len("SysRq : "):]
	} else {
		t = bytes.TrimPrefix(bytes.TrimPrefix(t, prefixes.sysrq), []byte("SysRq: "))
	}
	return bytes.TrimSpace(t)
}

// helpBuilder reads the line of keys, which wraps in mails.
type helpBuilder struct {
	head
	help Help
	text []byte
}

func (b *helpBuilder) whole() bool { return len(b.help.Keys) > 0 || len(b.text) > 0 }

func (b *helpBuilder) end() {
	b.help.Keys = b.help.Keys[:0]
	items, _ := sysrq.ParseHelp(string(b.text))
	for _, it := range items {
		key := it.Key.String()
		if it.Name == "loglevel" {
			key = "0-9"
		}
		b.help.Keys = append(b.help.Keys, HelpKey{it.Name, key})
	}
}

// maxHelp bounds what is kept of a line that pretends to be the keys.
const maxHelp = 4096

func (b *helpBuilder) take(p *Parser, l *line) bool {
	switch {
	case l.class == cHelp && b.First == 0:
		b.Kind, b.Body = KindHelp, &b.help
		b.text = append(b.text[:0], l.trim...)
		return true
	case l.class == cOther && p.owner == builder(b) && len(b.text) < maxHelp && helpWords(l.trim):
		b.text = append(append(b.text, ' '), l.trim...)
		return true
	}
	return false
}

// helpWords recognises the rest of a wrapped line of keys.
func helpWords(t []byte) bool {
	word, _, _ := bytes.Cut(t, blank)
	n := len(word)
	return n > 3 && word[n-1] == ')' && bytes.IndexByte(word, '(') > 0
}

// unreadBuilder keeps what could not be read.
type unreadBuilder struct {
	head
	unread Unread
}

func (b *unreadBuilder) whole() bool { return true }
func (b *unreadBuilder) end()        {}

func (b *unreadBuilder) take(p *Parser, l *line) bool {
	switch {
	case b.First == 0:
		b.Kind, b.Body = KindUnread, &b.unread
		b.unread = Unread{Lines: 1, Text: strings.ToValidUTF8(string(l.text[:min(len(l.text), 200)]), "\ufffd")}
		return true
	case l.class == cRegs || l.class == cIP:
		b.unread.Lines++
		p.counts.Unread += l.last - l.first + 1
		return true
	}
	return false
}

// pools keep builders for use again, so that blocks cost nothing in the steady
// state.
type pools struct {
	tasks   []*taskBuilder
	reports []*reportBuilder
	headers []*headerBuilder
	helps   []*helpBuilder
	unreads []*unreadBuilder
	others  map[Kind][]builder
}

func pop[B any](free *[]*B) *B {
	if n := len(*free); n > 0 {
		b := (*free)[n-1]
		*free = (*free)[:n-1]
		return b
	}
	return new(B)
}

// make is a builder for a block that begins with l, or nil.
func (s *pools) make(l *line) builder {
	switch l.class {
	case cTask, cTorn:
		b := pop(&s.tasks)
		b.start(KindTask)
		return b
	case cHung:
		b := pop(&s.tasks)
		b.start(KindHungTask)
		return b
	case cHeader:
		return pop(&s.headers)
	case cHelp:
		return pop(&s.helps)
	}
	if k := reportKind(l.class); k != "" {
		b := pop(&s.reports)
		b.start(k)
		return b
	}
	if k, make := section(l.class); make != nil {
		if free := s.others[k]; len(free) > 0 {
			b := free[len(free)-1]
			s.others[k] = free[:len(free)-1]
			return b
		}
		return make()
	}
	return nil
}

func (s *pools) stack() builder {
	b := pop(&s.tasks)
	b.start(KindStack)
	return b
}

func (s *pools) unread() builder { return pop(&s.unreads) }

func (s *pools) put(b builder) {
	switch b := b.(type) {
	case *taskBuilder:
		s.tasks = append(s.tasks, b)
	case *reportBuilder:
		s.reports = append(s.reports, b)
	case *headerBuilder:
		s.headers = append(s.headers, b)
	case *helpBuilder:
		s.helps = append(s.helps, b)
	case *unreadBuilder:
		s.unreads = append(s.unreads, b)
	default:
		if s.others == nil {
			s.others = map[Kind][]builder{}
		}
		k := b.base().Kind
		s.others[k] = append(s.others[k], b)
	}
}

// cpu is a builder for a processor's backtrace whose head is lost.
func (s *pools) cpu() builder {
	b := pop(&s.reports)
	b.start(KindCPU)
	return b
}
