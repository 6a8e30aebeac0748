// Package redact takes out of a log what tells whose machine it comes from, so
// that the rest can be shown to others: names of machines, users and programs,
// addresses, identifiers, and paths.
//
// It works on the log's text, before anything reads it: whatever is made from
// the text afterwards, findings, pages, JSON, can not hold what is not in it.
// Lines stay where they are, so that line numbers keep their meaning.
//
// Equal things get equal pseudonyms within one [Redactor], and nobody can get
// from a pseudonym to the thing: it is a keyed hash, the key is random, and it
// goes with the Redactor. Names that the kernel gives to its own threads stay,
// for they are the same on every machine and the meaning hangs on them.
//
// It is a net, not a proof: a secret that stands where no rule looks and that
// was not met elsewhere stays. Read what you share.
package redact

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"sync"

	"github.com/sysrq/sysrq/dump"
	"github.com/sysrq/sysrq/kmsg"
)

// Redactor knows what is to be taken out. One run over one log, or over the
// logs of one case, needs one. Its methods may be called by several
// goroutines, but nothing beside Learn.
type Redactor struct {
	mu       sync.Mutex // guards used
	learning sync.Mutex
	key      [32]byte
	used     map[string]string // pseudonym → what it stands for, hashed
	// words are names that were met, with their pseudonyms. Those that mean
	// something else as well are replaced only where they stand as a name.
	words  map[string]string
	tricky map[string]string
	// paths are names that are paths: programs can be called so.
	paths map[string]string
	// heads are the words' first bytes, so that a text is walked once.
	heads [256]bool
	// kernel are names of the kernel's threads.
	kernel map[string]bool
	// programs are lines that a program wrote: they have no place in a report,
	// and nobody knows what is in them.
	programs []dump.Span
}

// New makes a Redactor with a random key of its own.
func New() *Redactor {
	r := &Redactor{
		used: map[string]string{}, words: map[string]string{}, tricky: map[string]string{}, paths: map[string]string{}, kernel: map[string]bool{},
	}
	_, _ = rand.Read(r.key[:]) // never fails
	return r
}

// name is the pseudonym of a thing: "task-1f3a".
func (r *Redactor) name(kind, thing string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := hmac.New(sha256.New, r.key[:])
	h.Write([]byte(kind + "\x00" + thing))
	sum := hex.EncodeToString(h.Sum(nil))
	// Four digits are enough, until they are not.
	for n := 4; ; n++ {
		p := kind + "-" + sum[:n]
		switch r.used[p] {
		case "":
			r.used[p] = sum
			return p
		case sum:
			return p
		}
	}
}

// word makes a name one that is replaced wherever it stands.
func (r *Redactor) word(kind, w string) {
	w = strings.TrimSpace(w)
	if w == "" || strings.HasPrefix(w, kind+"-") && r.used[w] != "" {
		return
	}
	into := r.words
	if strings.HasPrefix(w, "/") {
		into = r.paths
	} else if len(w) < 3 || ordinary(strings.ToLower(w)) {
		into = r.tricky
	}
	if into[w] == "" {
		into[w] = r.name(kind, w)
		r.heads[w[0]] = true
	}
}

// comm learns a task's name, unless the kernel gave it.
func (r *Redactor) comm(name string, pid, ppid int) {
	switch {
	case name == "" || r.kernel[name]:
	case ppid == 2 || pid == 2 || pid == 0 || kernelThread(name):
		r.kernel[name] = true
		delete(r.words, name)
		delete(r.paths, name)
		delete(r.tricky, name)
	default:
		r.word("task", name)
	}
}

// Learn reads a log for the names that occur in it. It must have seen the whole
// log before the first byte of it is redacted: what a name is may be said at
// the end only.
func (r *Redactor) Learn(src io.Reader) error {
	// The parser knows where tasks' names stand; the log's reader, what stands
	// before the kernel's text.
	pr, pw := io.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() {
		p := dump.NewParser(pr)
		for p.Scan() {
			r.learning.Lock()
			r.block(p.Block())
			r.learning.Unlock()
		}
		_, _ = io.Copy(io.Discard, pr) // nobody must wait for us
	})
	log := kmsg.NewLog(io.TeeReader(src, pw))
	kernelLine, met := int64(0), ""
	for log.Scan() {
		rec := log.Record()
		first, last := log.Lines()
		r.learning.Lock()
		// A log is of one machine, mostly: the name that was met last is met again.
		if met == "" || !bytes.Contains(rec.Prefix, []byte(" "+met+" ")) {
			if h := hostIn(rec.Prefix); h != "" {
				r.host(h)
				met = h
			}
		}
		switch {
		case rec.User && first > kernelLine:
			r.program(first, last)
		case !rec.User:
			kernelLine = last
			if n := len(r.programs); n > 0 && r.programs[n-1].Last >= first {
				r.programs[n-1].Last = first - 1 // a line of both
			}
		}
		r.learnText(rec.Text)
		r.learning.Unlock()
	}
	err := errors.Join(log.Err(), pw.Close())
	wg.Wait()
	return err
}

func (r *Redactor) program(first, last int64) {
	if n := len(r.programs); n > 0 && r.programs[n-1].Last >= first-1 {
		r.programs[n-1].Last = last
		return
	}
	r.programs = append(r.programs, dump.Span{First: first, Last: last})
}

// Reader is the log without what was learnt. Line n of it is line n of src.
func (r *Redactor) Reader(src io.Reader) io.Reader {
	return &reader{r: r, src: bufio.NewReaderSize(src, 64<<10), programs: r.programs}
}

// lineMax is the longest line that is looked at. No kernel prints one; what is
// longer is left out, since nobody could say what is in it.
const lineMax = 1 << 20

type reader struct {
	r        *Redactor
	src      *bufio.Reader
	out      []byte
	line     int64
	programs []dump.Span
	export   bool // journalctl -o export
	err      error
}

func (rd *reader) Read(p []byte) (int, error) {
	for len(rd.out) == 0 {
		if rd.err != nil {
			return 0, rd.err
		}
		rd.next()
	}
	n := copy(p, rd.out)
	rd.out = rd.out[n:]
	return n, nil
}

// next redacts one line.
func (rd *reader) next() {
	var line []byte
	long := false
	for {
		part, err := rd.src.ReadSlice('\n')
		if len(line)+len(part) > lineMax {
			long = true
			line = line[:0]
		}
		line = append(line, part...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		rd.err = err
		break
	}
	if len(line) == 0 {
		return
	}
	rd.line++
	end := line[len(bytes.TrimRight(line, "\r\n")):]
	text := string(line[:len(line)-len(end)])
	for len(rd.programs) > 0 && rd.programs[0].Last < rd.line {
		rd.programs = rd.programs[1:]
	}
	switch {
	case long:
		text = "(a long line, withheld)"
	case strings.HasPrefix(text, "__CURSOR="):
		rd.export = true
		text = "__CURSOR=withheld"
	default:
		if s, ok := rd.r.fields(text, rd.export); ok {
			text = s
		} else if len(rd.programs) > 0 && rd.programs[0].First <= rd.line {
			text = rd.r.withheld(text)
		} else if s, ok := rd.r.unmarked(text); ok {
			text = s
		} else {
			text = rd.r.Text(text)
		}
	}
	rd.out = append(append(rd.out[:0], text...), end...)
}
