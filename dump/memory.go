package dump

import "bytes"

// memoryBuilder reads what m prints.
type memoryBuilder struct {
	head
	memReader
}

func (b *memoryBuilder) end()        { b.flush() }
func (b *memoryBuilder) whole() bool { b.flush(); return b.memReader.complete() }

func (b *memoryBuilder) take(p *Parser, l *line) bool {
	if b.First == 0 {
		if l.class != cMemory {
			return false
		}
		b.Kind, b.Body = KindMemory, &b.mem
		b.open(&p.names)
		return true
	}
	ok := b.memReader.take(l, p.owner == builder(b))
	if b.glued {
		b.doubt(DoubtWrapped)
	}
	return ok
}

// memReader reads Mem-Info, for m and for the OOM killer alike
// (mm/show_mem.c; before 6.3 show_mem in lib/show_mem.c and show_free_areas in
// mm/page_alloc.c; before 3.12 show_mem in arch/*/mm):
//
//	Mem-Info:
//	active_anon:1679 inactive_anon:0 isolated_anon:0     of the machine, in pages
//	 active_file:0 inactive_file:0 isolated_file:0
//	Node 0 active_anon:6716kB … all_unreclaimable? no    since 4.8
//	Node 0 DMA free:15232kB min:88kB low:108kB …         no "Node 0" without NUMA
//	lowmem_reserve[]: 0 444 444 444 444
//	Node 0 DMA: 0*4kB 1*8kB (U) … = 15232kB              the letters since 3.8
//	Node 0 hugepages_total=0 hugepages_free=0 hugepages_surp=0 hugepages_size=2048kB
//	1645 total pagecache pages
//	Free swap  = 0kB
//	130942 pages RAM
//
// All lines but the first say by themselves what they are, so foreign ones in
// between do no harm.
type memReader struct {
	mem   Memory
	names *names
	gather
	at memLine // what the gathered line is
	// plain is how many rows of free blocks without a zone's name came: 2.4
	// prints those of DMA, Normal and HighMem in this order.
	plain int
	lower [32]byte
	// slabs, sites: which table is open.
	slabs, sites bool
}

// memLine is what a line of Mem-Info is.
type memLine uint8

const (
	mNone memLine = iota
	mPages
	mNode // "Node 0 active_anon:…"
	mZone // "Node 0 DMA free:…"
	mFree // "Node 0 DMA: 1*4kB …"
	mHuge
	mLowmem
	mPlain // free blocks without a name
	mTotal // "N pages …" and the swap
	mSlab
	mSkip // read, and of no use
	mMore // the rest of a line
)

func (m *memReader) open(n *names) {
	o := &m.mem
	*o = Memory{
		Pages: o.Pages[:0], Nodes: o.Nodes[:0], Zones: o.Zones[:0], Slabs: o.Slabs[:0], Huge: o.Huge[:0],
		SwapFree: -1, SwapTotal: -1, RAM: -1, Reserved: -1, PageCache: -1,
	}
	m.names, m.at, m.plain, m.slabs, m.sites = n, mNone, 0, false, false
	m.gather.text, m.gather.glued = m.gather.text[:0], false
}

// complete reports whether the block's end was seen: it ends in the machine's
// memory, whatever comes behind.
func (m *memReader) complete() bool { return m.mem.RAM >= 0 && len(m.mem.Zones) > 0 }

// take takes a line of Mem-Info. near says that the last line was one as well.
func (m *memReader) take(l *line, near bool) bool {
	if l.class != cOther && l.class != cRegs || l.rec.User {
		return false
	}
	k := m.kind(bytes.TrimRight(l.trim, " \t\r"))
	if k == mNone && (!near || !hungry(m.text) && (!l.bare || m.at == mTotal || m.at == mSlab || !m.broken())) || k == mMore && (m.at == mNone || !near) {
		return false
	}
	if k == mPlain && (m.at == mFree || m.at == mPlain) && near && bytes.IndexByte(m.text, '=') < 0 {
		k = mMore
	}
	if k == mNone || k == mMore {
		if m.at == mNone {
			return false
		}
		m.more(l, memWord)
		return true
	}
	m.flush()
	if (k == mZone || k == mFree) && m.again(l.trim, k) {
		return false // of another Mem-Info
	}
	m.begin(l)
	m.at = k
	return true
}

// hungry reports whether a line can not end so.
func hungry(t []byte) bool {
	if len(t) == 0 {
		return false
	}
	switch t[len(t)-1] {
	case ':', '=', '?', ',', '*':
		return true
	}
	return false
}

// memWord recognises the words of Mem-Info that are whole.
func memWord(w []byte) bool {
	n := len(w)
	if n == 0 {
		return false
	}
	switch w[n-1] {
	case ',', ':', '=', '?', ')':
		return true
	}
	return n > 3 && (string(w[n-2:]) == "kB" || string(w[n-2:]) == "KB") && w[n-3]-'0' <= 9 && (bytes.IndexByte(w, ':') > 0 || bytes.IndexByte(w, '*') > 0 || bytes.IndexByte(w, '=') > 0)
}

// kind finds out what a line is.
func (m *memReader) kind(t []byte) memLine {
	if len(t) < 3 {
		return mNone
	}
	if t[0]-'0' <= 9 {
		return m.numbered(t)
	}
	switch t[0] {
	case 'N':
		if bytes.HasPrefix(t, []byte("Node ")) {
			_, rest := nodeOf(t)
			if rest == nil {
				return mNone
			}
			return nodeLine(rest)
		}
		if bytes.HasPrefix(t, []byte("Name ")) && bytes.HasSuffix(t, []byte(" Total")) {
			return mSkip
		}
	case 'F':
		if bytes.HasPrefix(t, []byte("Free swap")) {
			return mTotal
		}
		if bytes.HasPrefix(t, []byte("Free pages: ")) {
			return mSkip
		}
	case 'T':
		if bytes.HasPrefix(t, []byte("Total swap")) {
			return mTotal
		}
	case 'S':
		if bytes.HasPrefix(t, []byte("Swap cache")) {
			return mSkip
		}
	case 'U':
		if bytes.HasPrefix(t, []byte("Unreclaimable slab info:")) {
			m.slabs = true
			return mSkip
		}
	case 'M': // mm/show_mem.c, CONFIG_MEM_ALLOC_PROFILING
		if bytes.HasPrefix(t, []byte("Memory allocations")) && t[len(t)-1] == ':' {
			m.sites = true
			return mSkip
		}
	case 'Z':
		if bytes.HasPrefix(t, []byte("Zone:")) && bytes.Contains(t, []byte("free")) {
			return mZone
		}
	case 'B':
		if bytes.HasPrefix(t, []byte("Buffer memory: ")) {
			return mSkip
		}
	case '(':
		if bytes.HasPrefix(t, []byte("( Active:")) {
			return mPages
		}
		if w, _ := cutWord(t); len(w) > 2 && w[len(w)-1] == ')' && len(bytes.Trim(w[1:len(w)-1], "UMEHCIR")) == 0 {
			return mMore
		}
	case '=':
		if w, _ := cutWord(t[1:]); len(w) > 2 && w[0]-'0' <= 9 && bytes.Contains(w, []byte("kB")) {
			return mPlain
		}
	case 'C', 'c': // of each zone, before 3.x: "CPU    0: hi:  186, btch:  31 usd: 103", "cpu 0 hot: low 2"
		if (bytes.HasPrefix(t, []byte("CPU ")) || bytes.HasPrefix(t, []byte("cpu "))) && (bytes.Contains(t, []byte(": hi:")) || bytes.Contains(t, []byte(" hot: ")) || bytes.Contains(t, []byte(" cold: "))) {
			return mSkip
		}
	case 'l', 'p':
		if bytes.HasPrefix(t, []byte("lowmem_reserve[]:")) || bytes.HasPrefix(t, []byte("protections[]:")) {
			return mLowmem
		}
	}
	return m.named(t)
}

// nodeOf reads "Node 0 ", or returns -1 and all of t. The rest is nil where no
// number follows.
func nodeOf(t []byte) (int, []byte) {
	rest, ok := bytes.CutPrefix(t, []byte("Node "))
	if !ok {
		return -1, t
	}
	n := digits(rest)
	if n == 0 || n > 6 || !at(rest, n, ' ') {
		return -1, nil
	}
	return decimal(rest[:n]), bytes.TrimLeft(rest[n:], " ")
}

// nodeLine is what a line is whose node was read.
func nodeLine(t []byte) memLine {
	if bytes.HasPrefix(t, []byte("hugepages_total=")) {
		return mHuge
	}
	if k := zoneLine(t); k != mNone {
		return k
	}
	if w, _ := cutWord(t); bytes.IndexByte(w, ':') > 0 {
		return mNode
	}
	return mNone
}

// zoneLine recognises "DMA free:…", "DMA: 1*4kB …" and "DMA per-cpu:".
func zoneLine(t []byte) memLine {
	w, rest := cutWord(t)
	if n := len(w); n > 1 && n < 16 && w[n-1] == ':' {
		w2, _ := cutWord(rest)
		if bytes.IndexByte(w2, '*') > 0 || len(w2) > 0 && (w2[0] == '=' || w2[0] == 'e') && nameLike(w[:n-1]) || len(w2) == 0 && zoneName(w[:n-1]) {
			return mFree
		}
		return mNone
	}
	if bytes.IndexByte(w, ':') >= 0 || len(w) >= 16 {
		return mNone
	}
	switch w2, _ := cutWord(rest); {
	case bytes.HasPrefix(w2, []byte("free:")):
		return mZone
	case bytes.HasPrefix(w2, []byte("per-cpu:")):
		return mSkip
	}
	return mNone
}

func zoneName(w []byte) bool {
	switch string(w) {
	case "DMA", "DMA32", "Normal", "HighMem", "Movable", "Device":
		return true
	}
	return false
}

// numbered is what a line is that begins with a digit.
func (m *memReader) numbered(t []byte) memLine {
	n := digits(t)
	rest := t[n:]
	switch {
	case at(rest, 0, '*'):
		if k := digits(rest[1:]); k > 0 && bytes.HasPrefix(rest[1+k:], []byte("kB")) {
			return mPlain
		}
	case bytes.HasPrefix(rest, []byte(" pages ")), bytes.HasPrefix(rest, []byte(" total pagecache pages")),
		bytes.HasPrefix(rest, []byte(" reserved pages")), bytes.HasPrefix(rest, []byte(" free pages")),
		bytes.HasPrefix(rest, []byte(" slab pages")):
		return mTotal
	case bytes.HasPrefix(rest, []byte("kB")):
		return mMore
	}
	if m.sites && bytes.Contains(t, []byte(" func:")) {
		return mSkip
	}
	return mNone
}

// named is what a line is that begins with a name.
func (m *memReader) named(t []byte) memLine {
	w, rest := cutWord(t)
	i := bytes.LastIndexByte(w, ':')
	if i > 0 {
		value := w[i+1:]
		if len(value) == 0 {
			value, _ = cutWord(rest)
		}
		v, n := number(value)
		_ = v
		if n > 0 && bytes.HasPrefix(value[n:], []byte("kB")) {
			return mMore
		}
		if n > 0 && n == len(bytes.TrimRight(value, ",")) && pageCounter(w[:i]) {
			return mPages
		}
	}
	if zoneName(bytes.TrimRight(w, ":")) {
		if k := zoneLine(t); k != mNone {
			return k
		}
	}
	if m.slabs && slabRow(t) {
		return mSlab
	}
	return mNone
}

// pageCounter are the names that begin a line of the machine's counters.
func pageCounter(w []byte) bool {
	switch string(w) {
	case "active_anon", "inactive_anon", "active_file", "inactive_file", "unevictable", "slab_reclaimable", "slab_unreclaimable",
		"mapped", "sec_pagetables", "kernel_misc_reclaimable", "free", "free_cma", "free_pcp", "shmem", "pagetables", "bounce", "dirty",
		"writeback", "isolated_anon", "isolated_file", "unstable", "slab", "Active", "Active_anon", "inactive", "inactive_dirty", "inactive_clean":
		return true
	}
	return false
}

// slabRow recognises "NAME  33KB  63KB" (mm/slab_common.c,
// dump_unreclaimable_slab). A name can hold blanks and can touch the number's
// column.
func slabRow(t []byte) bool {
	total := bytes.LastIndexByte(t, ' ')
	if total < 0 || !sizeKB(t[total+1:]) {
		return false
	}
	t = bytes.TrimRight(t[:total], " ")
	used := bytes.LastIndexByte(t, ' ')
	return used > 0 && sizeKB(t[used+1:])
}

func sizeKB(w []byte) bool {
	n := digits(w)
	return n > 0 && string(w[n:]) == "KB"
}

// again reports whether the table has this row of a zone's already.
func (m *memReader) again(t []byte, k memLine) bool {
	node, rest := nodeOf(t)
	w, _ := cutWord(bytes.TrimPrefix(rest, []byte("Zone:")))
	z := m.find(node, bytes.TrimRight(w, ":"))
	return z != nil && (k == mZone && len(z.Counters) > 0 || k == mFree && len(z.Orders) > 0)
}

func (m *memReader) find(node int, name []byte) *Zone {
	for i := range m.mem.Zones {
		if z := &m.mem.Zones[i]; z.Node == node && z.Name == string(name) {
			return z
		}
	}
	return nil
}

// maxRows bounds every table of a block.
const maxRows = 1 << 16

func (m *memReader) zone(node int, name []byte) *Zone {
	if z := m.find(node, name); z != nil {
		return z
	}
	if len(m.mem.Zones) >= maxRows {
		return nil
	}
	m.mem.Zones = grow(m.mem.Zones)
	z := &m.mem.Zones[len(m.mem.Zones)-1]
	*z = Zone{Node: node, Name: m.names.of(name), Counters: z.Counters[:0], Lowmem: z.Lowmem[:0], Orders: z.Orders[:0]}
	return z
}

// flush reads the line that was gathered.
func (m *memReader) flush() {
	t, k := m.text, m.at
	m.at = mNone
	if k == mNone {
		return
	}
	o := &m.mem
	node, rest := nodeOf(t)
	switch k {
	case mPages:
		o.Pages = m.counters(t, o.Pages)
	case mNode:
		n := m.node(node)
		if n == nil {
			return
		}
		n.Counters = m.counters(rest, n.Counters)
		n.Unreclaimable = bytes.Contains(rest, []byte("all_unreclaimable? yes"))
	case mZone:
		name, rest := cutWord(bytes.TrimPrefix(rest, []byte("Zone:")))
		if z := m.zone(node, name); z != nil {
			z.Counters = m.counters(rest, z.Counters)
		}
	case mFree:
		name, rest := cutWord(rest)
		if z := m.zone(node, bytes.TrimRight(name, ":")); z != nil {
			m.orders(z, rest)
		}
	case mPlain:
		name := []byte("HighMem")
		if m.plain < len(plainZones) {
			name = plainZones[m.plain]
		}
		m.plain++
		if z := m.zone(-1, name); z != nil {
			m.orders(z, t)
		}
	case mLowmem:
		if n := len(o.Zones); n > 0 {
			z := &o.Zones[n-1]
			_, t, _ = bytes.Cut(t, []byte(":"))
			for len(t) > 0 && len(z.Lowmem) < 64 {
				var w []byte
				w, t = cutWord(t)
				if v, n := number(w); n > 0 && n == len(w) {
					z.Lowmem = append(z.Lowmem, v)
				}
			}
		}
	case mHuge:
		if len(o.Huge) < maxRows {
			h := HugePages{Node: node}
			for len(rest) > 0 {
				var w []byte
				w, rest = cutWord(rest)
				name, value, _ := bytes.Cut(w, []byte("="))
				v, _ := number(value)
				switch string(name) {
				case "hugepages_total":
					h.Total = v
				case "hugepages_free":
					h.Free = v
				case "hugepages_surp":
					h.Surplus = v
				case "hugepages_size":
					h.KB = v
				}
			}
			o.Huge = append(o.Huge, h)
		}
	case mTotal:
		m.total(t)
	case mSlab:
		if len(o.Slabs) < maxRows {
			i := bytes.LastIndexByte(t, ' ')
			total, _ := number(t[i+1:])
			t = bytes.TrimRight(t[:i], " ")
			i = bytes.LastIndexByte(t, ' ')
			used, _ := number(t[i+1:])
			o.Slabs = append(o.Slabs, Slab{m.names.of(bytes.TrimRight(t[:i], " ")), used, total})
		}
	}
}

var plainZones = [][]byte{[]byte("DMA"), []byte("Normal"), []byte("HighMem")}

func (m *memReader) node(node int) *Node {
	o := &m.mem
	for i := range o.Nodes {
		if o.Nodes[i].Node == node {
			return &o.Nodes[i]
		}
	}
	if len(o.Nodes) >= maxRows {
		return nil
	}
	o.Nodes = grow(o.Nodes)
	n := &o.Nodes[len(o.Nodes)-1]
	*n = Node{Node: node, Counters: n.Counters[:0]}
	return n
}

// maxCounters is more than any row has.
const maxCounters = 256

// counters reads "name:1kB name:2kB" and "name: 1, name: 2".
func (m *memReader) counters(t []byte, to []Counter) []Counter {
	for len(t) > 0 && len(to) < maxCounters {
		var w, value []byte
		w, t = cutWord(t)
		i := bytes.LastIndexByte(w, ':')
		if i <= 0 {
			continue
		}
		if value = w[i+1:]; len(value) == 0 {
			value, t = cutWord(t)
		}
		v, n := signed(value)
		if n == 0 {
			continue
		}
		name := w[:i]
		if name[0] == 'A' && len(name) <= len(m.lower) { // 2.4 and 2.6: "Active:"
			copy(m.lower[:], name)
			m.lower[0] = 'a'
			name = m.lower[:len(name)]
		}
		to = append(to, Counter{m.names.of(name), v})
	}
	return to
}

// orders reads "1*4kB (U) 2*8kB = 20kB".
func (m *memReader) orders(z *Zone, t []byte) {
	z.Orders = z.Orders[:0]
	for len(t) > 0 {
		var w []byte
		w, t = cutWord(t)
		switch {
		case len(w) == 0:
		case w[0] == '=':
			if w = w[1:]; len(w) == 0 {
				w, t = cutWord(t)
			}
			z.FreeKB, _ = number(w)
		case w[0] == '(':
			if n := len(z.Orders); n > 0 {
				z.Orders[n-1].Types = m.names.of(bytes.Trim(w, "()"))
			}
		default:
			count, n := number(w)
			if n > 0 && at(w, n, '*') && len(z.Orders) < 64 {
				kb, _ := number(w[n+1:])
				z.Orders = append(z.Orders, Order{KB: kb, Count: count})
			}
		}
	}
}

// total reads the lines about the whole machine that end the block.
func (m *memReader) total(t []byte) {
	o := &m.mem
	if t[0] == 'F' || t[0] == 'T' { // "Free swap  = 0kB", 2.4: "Free swap:  0kB"
		i := bytes.IndexAny(t, "=:")
		if i < 0 {
			return
		}
		w, _ := cutWord(t[i+1:])
		if v, n := number(w); n > 0 {
			if t[0] == 'F' {
				o.SwapFree = v
			} else {
				o.SwapTotal = v
			}
		}
		return
	}
	v, n := number(t)
	if n == 0 {
		return
	}
	switch what := bytes.TrimSpace(t[n:]); string(what) {
	case "total pagecache pages", "pages of pagecache":
		o.PageCache = v
	case "pages RAM", "pages of RAM":
		o.RAM = v
	case "pages reserved", "reserved pages":
		o.Reserved = v
	default:
		if name := totalName(what); name != "" && len(o.Pages) < maxCounters {
			o.Pages = append(o.Pages, Counter{name, v})
		}
	}
}

// totalName is the counter's name for a line "N pages …".
func totalName(what []byte) string {
	switch string(what) {
	case "pages in swap cache", "pages swap cached":
		return "swap_cache"
	case "pages HighMem/MovableOnly", "pages HighMem", "pages of HIGHMEM":
		return "highmem"
	case "pages cma reserved":
		return "cma_reserved"
	case "pages hwpoisoned":
		return "hwpoisoned"
	case "pages shared":
		return "shared"
	case "pages non-shared":
		return "non_shared"
	case "pages in page table cache":
		return "pagetable_cache"
	}
	return ""
}
