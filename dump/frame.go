package dump

import "bytes"

// rawFrame is a frame that still lies in its line.
type rawFrame struct {
	name, module, source []byte
	// from is the caller, on arm: "callee from caller+0x1/0x2". Offset and size
	// are its then.
	from         []byte
	offset, size uint32
	guess        bool
	inline       bool
	// bracketed: an address in brackets stood before the name.
	bracketed bool
}

// read reads one line of a stack, without its indentation. Every
// architecture's form is known (show_stack and its printers in arch/*/kernel,
// 2.6 to 7.2):
//
//	func+0x1/0x2 [module build]       x86, arm64, riscv, loongarch
//	? func+0x1/0x2                    not sure
//	[<addr>] func+0x1/0x2 [module]    x86 to 4.9, mips, s390, arm64, parisc
//	[sp] [ip] func+0x1/0x2 (unreliable)  powerpc
//	([<addr>] func+0x1/0x2)           s390
//	callee from caller+0x1/0x2        arm
//	[<addr>] (callee) from [<addr>] (caller+0x1/0x2)
//	func+0x1/0x2 file.c:12            decode_stacktrace.sh
//	func file.c:12 [inline]
func (f *rawFrame) read(t []byte) bool {
	*f = rawFrame{}
	if len(t) < 4 {
		return false
	}
	if t[0] == '(' && at(t, 1, '[') { // s390's topmost
		t = bytes.TrimRight(t[1:], ") ")
	}
	for t[0] == '[' || t[0] == '?' || t[0] == ' ' {
		switch t[0] {
		case '?':
			if !at(t, 1, ' ') {
				return false
			}
			f.guess = true
			t = t[2:]
		case '[':
			n := address(t)
			if n == 0 {
				return false
			}
			f.bracketed = true
			t = t[n:]
		default:
			t = t[1:]
		}
		if len(t) == 0 {
			return false
		}
	}
	// The usual: a name, an offset, a size, and maybe a module.
	plus, end := -1, 0
	for end < len(t) && nameByte[t[end]] {
		end++
	}
	if at(t, end, '+') {
		plus = end
	}
	if plus > 0 {
		if n := f.numbers(t[plus+1:]); n > 0 {
			f.name = t[:plus]
			rest := t[plus+1+n:]
			return len(rest) == 0 || f.tail(rest)
		}
	}
	return f.unusual(t, end)
}

// nameByte are the bytes of a function's name.
var nameByte = func() (ok [256]bool) {
	for c := range ok {
		ok[c] = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '$' || c == ':' || c == '@' || c == '~' || c >= 0x80
	}
	return ok
}()

func at(b []byte, i int, c byte) bool { return i < len(b) && b[i] == c }

// address is the length of "[<ffffffff81>] ", "[c0000000] " or "[<0>] ", or 0.
func address(t []byte) int {
	i := 1
	if at(t, i, '<') {
		i++
	}
	from := i
	for i < len(t) && (hexByte[t[i]] || t[i] == 'x' && i == from+1) {
		i++
	}
	if i == from {
		return 0
	}
	if at(t, i, '>') {
		i++
	}
	if !at(t, i, ']') {
		return 0
	}
	return i + 1
}

var hexByte = func() (ok [256]bool) {
	for c := range ok {
		ok[c] = c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
	}
	return ok
}()

// hexAt reads the digits behind "0x" at the beginning of b.
func hexAt(b []byte) (v uint64, n int) {
	if len(b) < 3 || b[0] != '0' || b[1] != 'x' {
		return 0, 0
	}
	for n = 2; n < len(b) && hexByte[b[n]]; n++ {
		c := b[n]
		switch {
		case c <= '9':
			c -= '0'
		default:
			c = c&^0x20 - 'A' + 10
		}
		v = v<<4 | uint64(c)
	}
	if n == 2 {
		return 0, 0
	}
	return v, n
}

// numbers reads "0xOFFSET/0xSIZE" and returns its length, or 0.
func (f *rawFrame) numbers(b []byte) int {
	off, n := hexAt(b)
	if n == 0 {
		return 0
	}
	f.offset = uint32(off)
	if at(b, n, '/') {
		size, m := hexAt(b[n+1:])
		if m == 0 {
			return 0
		}
		f.size = uint32(size)
		return n + 1 + m
	}
	if !f.bracketed { // older ones leave the size out
		return 0
	}
	return n
}

// tail reads what stands behind the numbers. It returns false for what no
// frame ends in.
func (f *rawFrame) tail(b []byte) bool {
	for {
		for len(b) > 0 && (b[0] == ' ' || b[0] == '\t' || b[0] == ')' || b[0] == '>') {
			b = b[1:]
		}
		if len(b) == 0 {
			return true
		}
		switch {
		case b[0] == '[':
			end := bytes.IndexByte(b, ']')
			if end < 0 {
				end = len(b) // cut
			}
			name := b[1:end]
			if string(name) == "inline" {
				f.inline = true
			} else if m, _, _ := bytes.Cut(name, blank); f.module == nil && len(m) > 0 && !hasStamp(name) {
				f.module = m
			}
			b = b[min(end+1, len(b)):]
		case b[0] == '(': // (unreliable), (T), (P), (discriminator 3), (file.c:12)
			end := bytes.IndexByte(b, ')')
			if end < 0 {
				return true
			}
			switch word := b[1:end]; {
			case string(word) == "unreliable":
				f.guess = true
			case bytes.IndexByte(word, ':') > 0 && f.source == nil:
				f.source = word
			}
			b = b[end+1:]
		default:
			word, rest, _ := bytes.Cut(b, blank)
			switch {
			case bytes.IndexByte(word, ':') > 0 && bytes.IndexByte(word, '.') > 0: // file.c:12
				f.source = word
			case string(word) == "at", nameLike(word) && (bytes.HasPrefix(rest, []byte("at ")) || bytes.HasPrefix(rest, []byte("["))):
				// faddr2line: "func at file.c:12"
			default:
				return false
			}
			b = rest
		}
	}
}

var blank = []byte(" ")

// hasStamp tells "[  12.345678" from a module.
func hasStamp(b []byte) bool { return len(b) > 0 && (b[0] == ' ' || b[0] >= '0' && b[0] <= '9') }

func nameLike(b []byte) bool {
	for _, c := range b {
		if !nameByte[c] {
			return false
		}
	}
	return len(b) > 0
}

var (
	fromWord   = []byte(" from ")
	inlineWord = []byte("[inline]")
)

// unusual reads the rarer forms. end is where the name ends that t begins with.
func (f *rawFrame) unusual(t []byte, end int) bool {
	if at(t, 0, '(') || at(t, end, ' ') && at(t, end+1, 'f') && bytes.HasPrefix(t[end:], fromWord) {
		return f.arm(t)
	}
	if _, n := hexAt(t); n >= 6 { // no name is known
		f.name = t[:n]
		return f.tail(t[n:])
	}
	if !f.bracketed && t[len(t)-1] != ']' {
		return false
	}
	if i := bytes.Index(t, inlineWord); i > 0 {
		name, rest, _ := bytes.Cut(t[:i], blank)
		f.inline, f.name = true, name
		f.source = bytes.TrimSpace(rest)
		if m := bytes.TrimSpace(t[i+len(inlineWord):]); len(m) > 2 && m[0] == '[' {
			f.module = m[1 : len(m)-1]
		}
		return nameLike(name)
	}
	if f.bracketed && nameLike(t) && len(t) > 1 && t[0] > '9' { // a kernel that prints no offsets
		f.name = t
		return true
	}
	return false
}

// arm reads "callee from caller+0x1/0x2" and "(callee) from [<addr>]
// (caller+0x1/0x2)" (arch/arm/kernel/traps.c, dump_backtrace_entry).
func (f *rawFrame) arm(t []byte) bool {
	name, rest, ok := bytes.Cut(t, fromWord)
	if !ok {
		return false
	}
	name = bytes.Trim(name, "() ")
	if i := bytes.IndexByte(name, '+'); i > 0 {
		name = name[:i]
	}
	rest = bytes.TrimLeft(rest, " ")
	if at(rest, 0, '[') {
		n := address(rest)
		if n == 0 {
			return false
		}
		rest = rest[n:]
	}
	rest = bytes.TrimLeft(rest, " (")
	i := bytes.IndexByte(rest, '+')
	if !nameLike(name) {
		return false
	}
	if i <= 0 || !nameLike(rest[:i]) {
		if _, n := hexAt(rest); n > 0 { // the caller has no name
			f.name, f.from = name, rest[:n]
			return true
		}
		return false
	}
	f.bracketed = true
	n := f.numbers(rest[i+1:])
	if n == 0 {
		return false
	}
	f.name, f.from = name, rest[:i]
	return f.tail(rest[i+1+n:])
}

// readFrame reads one line of a stack into a frame of its own.
func readFrame(t []byte) (f rawFrame, ok bool) {
	ok = f.read(t)
	return f, ok
}
