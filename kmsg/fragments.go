package kmsg

import "bytes"

// An extended netconsole cuts what does not fit into a datagram (send_fragmented
// in drivers/net/netconsole.c; 6.1, 6.12, 7.2):
//
//	HEADER,ncfrag=0/1200;FIRST
//	HEADER,ncfrag=950/1200;SECOND\n
//
// The numbers count bytes of all that stands behind the header: the text with
// its escapes, which may be cut through, its newline, and the dictionary. Who
// keeps datagrams as text may put a newline behind each, or nothing.
var fragmentIs = []byte(",ncfrag=")

// cutFragment finds the number of a fragment in b, which begins with its
// header, and what is behind it.
func cutFragment(b []byte) (head, body []byte, offset, total int, ok bool) {
	i := bytes.Index(b, fragmentIs)
	if i < 0 {
		return
	}
	head, b = b[:i], b[i+len(fragmentIs):]
	o, n := number(b)
	if n == 0 || !at(b, n, '/') {
		return
	}
	b = b[n+1:]
	t, n := number(b)
	if n == 0 || o >= t || t > maxLine || !at(b, n, ';') {
		return
	}
	return head, b[n+1:], int(o), int(t), true
}

// fragments joins the fragment whole, whose header begins at n, with those
// behind it, and makes a record of them. It is Torn if one is missing.
func (l *Log) fragments(whole []byte, n int) bool {
	head, body, offset, total, ok := cutFragment(whole[n:])
	if !ok {
		return false
	}
	l.prefix = append(l.prefix[:0], whole[:len(whole)-len(body)]...)
	l.fragment = append(l.fragment[:0], whole[:n+len(head)]...)
	l.fragment = append(l.fragment, fragmentIs...)
	l.joined = append(append(l.joined[:0], head...), ';')
	start := len(l.joined)
	rec := &l.rec
	if Parse(l.joined, rec) != nil {
		return false
	}
	torn := offset > 0
	have := func() int { return offset + len(l.joined) - start }

	for {
		// Another may be glued to it.
		for {
			i := bytes.Index(body, l.fragment)
			if i < 0 {
				break
			}
			_, next, o, t, ok := cutFragment(body[i+n:])
			if !ok || t != total || o != have()+i {
				break
			}
			l.joined = append(l.joined, body[:i]...)
			body = next
		}
		l.joined = append(l.joined, body[:min(len(body), max(0, total-have()))]...)
		// The last byte is the newline that ended the line.
		if have() >= total-1 {
			break
		}
		if l.cutNow || !l.alone() || !l.next() {
			torn = true
			break
		}
		line := l.line
		_, next, o, t, ok := []byte(nil), []byte(nil), 0, 0, false
		if bytes.HasPrefix(line, l.fragment) {
			_, next, o, t, ok = cutFragment(line[n:])
		}
		switch {
		case ok && t == total && o == have():
			body = next
		case ok && t == total && o == have()+1:
			l.joined, body = append(l.joined, '\n'), next
		case !ok && isPair(line) && (have()+1+len(line) <= total || bytes.Contains(line, l.fragment)):
			l.joined, body = append(l.joined, '\n'), line
		default:
			l.held, torn = true, true
		}
		if l.held {
			break
		}
		l.last, l.cutNow = l.number, l.cut
	}
	if Parse(l.joined, rec) != nil {
		// Something else than pairs follows the text.
		_ = Parse(l.joined[:bytes.IndexByte(l.joined, '\n')], rec)
		torn = true
	}
	rec.Torn = torn || l.cutNow
	l.headless = false
	l.text, l.dict, rec.Prefix = rec.Text, rec.Dict, l.prefix
	l.own()
	return true
}
