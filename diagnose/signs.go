package diagnose

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/binary"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
)

//go:embed signs.txt
var signsText string

// signTable is the table of signs.txt, read once, when it is first asked for.
var signTable = sync.OnceValue(func() *signRows {
	s, err := readSigns("signs.txt", signsText)
	if err != nil {
		panic(err)
	}
	return s
})

// sign is a line that names a cause, or several that say the same.
type sign struct {
	ID       string
	Severity Severity
	// What is a sentence, Suspect who is to blame in a few words (empty where
	// the line names nobody), Next what to do.
	What, Suspect, Next string
	Count               int64
	// First and Last are lines of the source; Text is the first line's, cut
	// where it is very long.
	First, Last int64
	Text        string
}

const (
	// maxSuspects is how many are kept of one row: a storm of errors can name
	// thousands. Those that come later are counted without a name.
	maxSuspects = 64
	// maxText is how much of a line is kept.
	maxText = 400
)

// signs collects the signs of a log. Its zero value is ready.
type signs struct {
	kept  map[signKey]*sign
	named map[int]int // suspects of a row
}

type signKey struct {
	row     int
	suspect string
}

// add looks at a line. It is cheap for a line that is no sign.
func (s *signs) add(line int64, text []byte) {
	t := signTable()
	if row, groups := t.match(text); row >= 0 {
		s.keep(t, row, groups, line, text)
	}
}

func (s *signs) keep(t *signRows, row int, groups map[string]string, line int64, text []byte) {
	r := &t.rows[row]
	if s.kept == nil {
		s.kept, s.named = map[signKey]*sign{}, map[int]int{}
	}
	k := signKey{row, fill(r.suspect, groups)}
	f := s.kept[k]
	if f == nil && s.named[row] >= maxSuspects {
		groups, k.suspect = nil, fill(r.suspect, nil)
		f = s.kept[k]
	}
	if f == nil {
		s.named[row]++
		f = &sign{
			ID: r.id, Severity: r.severity, What: fill(r.what, groups), Suspect: k.suspect, Next: fill(r.next, groups),
			First: line, Text: strings.ToValidUTF8(string(text[:min(len(text), maxText)]), "\uFFFD"),
		}
		s.kept[k] = f
	}
	f.Count++
	f.Last = line
}

// found is what was found so far: the worst first, then in the log's order.
func (s *signs) found() []sign {
	all := make([]sign, 0, len(s.kept))
	for _, f := range s.kept {
		all = append(all, *f)
	}
	rank := map[Severity]int{Critical: 0, Warning: 1, Info: 2}
	slices.SortFunc(all, func(a, b sign) int {
		return cmp.Or(rank[a.Severity]-rank[b.Severity], cmp.Compare(a.First, b.First), strings.Compare(a.ID, b.ID), strings.Compare(a.Suspect, b.Suspect))
	})
	return all
}

// fill puts what was captured where a text names it. Without captures the names
// go, and the blanks around them.
func fill(text string, groups map[string]string) string {
	if !strings.Contains(text, "{") {
		return text
	}
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(text, "{")
		b.WriteString(before)
		if !ok {
			break
		}
		name, after, _ := strings.Cut(rest, "}")
		b.WriteString(groups[name])
		text = after
	}
	return tidy.Replace(strings.TrimSpace(b.String()))
}

// tidy takes away what is left of a sentence whose name was not captured.
var tidy = strings.NewReplacer(" ()", "", "( )", "", " (pid )", "", " (ring )", "", " (Xid )", "", "  ", " ", " .", ".", " ,", ",")

// signRows is the table with its index.
type signRows struct {
	rows []signRow
	// bloom has a bit for the hash of each four bytes by which a pattern is
	// found; first is where in grams the chain of that hash begins, 0 for none.
	bloom    [1 << bloomBits / 64]uint64
	first    [1 << bloomBits]uint16
	grams    []gram
	patterns []signPattern
}

type signRow struct {
	line          int
	id, what      string
	suspect, next string
	severity      Severity
	not           [][]byte
	samples       []signSample
}

type signSample struct {
	line          int
	text, suspect string
}

type signPattern struct {
	row    int
	anchor []byte
	// pieces are what stands for itself, in its order.
	pieces [][]byte
	// alone: the anchor is the whole pattern.
	alone bool
	re    *regexp.Regexp
}

// gram is four bytes of a pattern's anchor: what stands before them and, with
// them, behind.
type gram struct {
	bytes    uint32
	pattern  uint16
	next     uint16
	at, rest uint16
}

const (
	bloomBits = 16
	// stride is the distance of the places of a line at which four bytes are
	// looked at. An anchor of stride+3 bytes covers one of them wherever it
	// begins, so that its first grams, as many as the stride, are enough.
	stride    = 4
	minAnchor = stride + 3
)

func gramHash(v uint32) uint32 { return v * 0x9E3779B1 >> (32 - bloomBits) }

// match finds the first pattern that fits a line: its row, or -1, and what was
// captured.
func (t *signRows) match(text []byte) (row int, groups map[string]string) {
	row = -1
	best := uint16(1<<16 - 1)
	for i := 0; i+4 <= len(text); i += stride {
		v := binary.LittleEndian.Uint32(text[i:])
		h := gramHash(v)
		if t.bloom[h>>6]>>(h&63)&1 == 0 {
			continue
		}
		for k := t.first[h]; k > 0; k = t.grams[k].next {
			g := &t.grams[k]
			if g.bytes != v || i < int(g.at) || len(text)-i < int(g.rest) {
				continue
			}
			p := &t.patterns[g.pattern]
			if g.pattern >= best || !bytes.HasPrefix(text[i-int(g.at):], p.anchor) || !p.fits(text) || t.rows[p.row].refused(text) {
				continue
			}
			if p.alone {
				best, row, groups = g.pattern, p.row, nil
				continue
			}
			m := p.re.FindSubmatch(text[:min(len(text), maxLine)])
			if m == nil {
				continue
			}
			best, row, groups = g.pattern, p.row, map[string]string{}
			for k, name := range p.re.SubexpNames() {
				if name != "" {
					groups[name] = strings.ToValidUTF8(strings.TrimRight(string(m[k]), ".:!"), "\uFFFD")
				}
			}
		}
	}
	return row, groups
}

// fits reports whether all pieces are there in their order: what the regular
// expression would find out too, but slowly.
func (p *signPattern) fits(text []byte) bool {
	for _, piece := range p.pieces {
		i := bytes.Index(text, piece)
		if i < 0 {
			return false
		}
		text = text[i+len(piece):]
	}
	return true
}

// maxLine is how much of a line is searched for captures.
const maxLine = 2048

func (r *signRow) refused(text []byte) bool {
	for _, n := range r.not {
		if bytes.Contains(text, n) {
			return true
		}
	}
	return false
}

// readSigns reads a table of signs. Its form is told at the head of signs.txt.
func readSigns(file, text string) (*signRows, error) {
	stanzas, err := readStanzas(file, text)
	if err != nil {
		return nil, err
	}
	t := &signRows{grams: make([]gram, 1)}
	ids := map[string]int{}
	for _, s := range stanzas {
		if s.fields[0].key != "id" {
			return nil, fmt.Errorf("%s:%d: a row begins with id, not with %q", file, s.line, s.fields[0].key)
		}
		r, err := t.readRow(file, s)
		if err != nil {
			return nil, err
		}
		if was := ids[r.id]; was > 0 {
			return nil, fmt.Errorf("%s:%d: %q stands in line %d already", file, s.line, r.id, was)
		}
		ids[r.id] = s.line
		t.rows = append(t.rows, r)
	}
	return t, nil
}

func (t *signRows) readRow(file string, s stanza) (signRow, error) {
	r := signRow{line: s.line}
	patterns := 0
	for _, f := range s.fields {
		var err error
		switch f.key {
		case "id":
			r.id = f.value
		case "what":
			r.what = f.value
		case "severity":
			r.severity = Severity(f.value)
			if r.severity != Critical && r.severity != Warning && r.severity != Info {
				err = fmt.Errorf("no severity %q", f.value)
			}
		case "suspect":
			r.suspect = f.value
		case "next":
			r.next = f.value
		case "match":
			err = t.addPattern(len(t.rows), f.value)
			patterns++
		case "not":
			r.not = append(r.not, []byte(f.value))
		case "sample":
			text, suspect, _ := strings.Cut(f.value, " =>")
			r.samples = append(r.samples, signSample{f.line, text, strings.TrimSpace(suspect)})
		default:
			err = fmt.Errorf("no key %q", f.key)
		}
		if err != nil {
			return r, fmt.Errorf("%s:%d: %w", file, f.line, err)
		}
	}
	switch {
	case !kebab(r.id):
		return r, fmt.Errorf("%s:%d: id %q: want small letters, digits and single hyphens", file, s.line, r.id)
	case r.what == "", r.severity == "", r.next == "":
		return r, fmt.Errorf("%s:%d: row %q: what, severity and next must be there", file, s.line, r.id)
	case patterns == 0, len(r.samples) == 0:
		return r, fmt.Errorf("%s:%d: row %q needs a match and a sample", file, s.line, r.id)
	}
	return r, nil
}

// addPattern compiles one pattern and files it under its longest piece.
func (t *signRows) addPattern(row int, text string) error {
	var re strings.Builder
	anchor := ""
	var pieces [][]byte
	literal := func(s string) {
		pieces = append(pieces, []byte(s))
		re.WriteString(regexp.QuoteMeta(s))
		if len(s) > len(anchor) {
			anchor = s
		}
	}
	rest := text
	for {
		i := strings.IndexAny(rest, "{*")
		// What stands in braces and is no name stands for itself.
		for i >= 0 && rest[i] == '{' && !isName(rest[i:]) {
			j := strings.IndexAny(rest[i+1:], "{*")
			if j < 0 {
				i = -1
				break
			}
			i += 1 + j
		}
		if i < 0 {
			literal(rest)
			break
		}
		if rest[:i] != "" {
			literal(rest[:i])
		}
		if rest[i] == '*' {
			re.WriteString(`.*?`)
			rest = rest[i+1:]
			continue
		}
		end := strings.IndexByte(rest[i:], '}')
		name := rest[i+1 : i+end]
		rest = rest[i+end+1:]
		// A name that ends the pattern, or its piece, takes the whole word.
		lazy := "?"
		if rest == "" || rest[0] == '*' {
			lazy = ""
		}
		re.WriteString(`(?P<` + name + `>[^\s,;()\[\]'"]+` + lazy + `)`)
	}
	if len(anchor) < minAnchor {
		return fmt.Errorf("match %q: want a piece of %d characters without captures", text, minAnchor)
	}
	if len(text) > 1<<10 || len(t.grams) > 1<<16-1-stride {
		return fmt.Errorf("match %q: too long, or too many patterns", text)
	}
	compiled, err := regexp.Compile(re.String())
	if err != nil {
		return err
	}
	t.patterns = append(t.patterns, signPattern{row, []byte(anchor), pieces, anchor == text, compiled})
	from := rarest(anchor)
	for at := from; at < from+stride; at++ {
		v := binary.LittleEndian.Uint32([]byte(anchor[at:]))
		h := gramHash(v)
		t.bloom[h>>6] |= 1 << (h & 63)
		t.grams = append(t.grams, gram{v, uint16(len(t.patterns) - 1), t.first[h], uint16(at), uint16(len(anchor) - at)})
		t.first[h] = uint16(len(t.grams) - 1)
	}
	return nil
}

// rarest is where in an anchor the grams begin that ordinary lines have least:
// each of them costs a look at the table.
func rarest(anchor string) (from int) {
	best := -1
	for i := 0; i+minAnchor <= len(anchor); i++ {
		worst := 1 << 10
		for g := i; g < i+stride; g++ {
			sum := 0
			for _, c := range []byte(anchor[g : g+4]) {
				sum += rarity(c)
			}
			if strings.Contains(usual, anchor[g:g+4]) {
				sum = 0
			}
			worst = min(worst, sum)
		}
		if worst > best {
			best, from = worst, i
		}
	}
	return from
}

// usual is words of which ordinary lines are full.
const usual = " device devices controller failed link Link is task state file File filesystem system service start Started " +
	"mounted time timer timeout read input Power power USB ACPI PCI pci: EXT4-fs memory Memory driver enabled detected using " +
	"Using error Error reset interface register registered version kernel: event Event table Table config initialized "

// rarity is how many bits a byte of a kernel's log tells, about.
func rarity(c byte) int {
	switch {
	case strings.IndexByte(" eationsr", c) >= 0:
		return 3
	case strings.IndexByte("dclpum0:", c) >= 0:
		return 4
	case strings.IndexByte("fhgyvb123.", c) >= 0:
		return 5
	}
	return 7
}

// isName reports whether s begins with "{name}".
func isName(s string) bool {
	end := strings.IndexByte(s, '}')
	return end > 1 && strings.Trim(s[1:end], "abcdefghijklmnopqrstuvwxyz") == ""
}
