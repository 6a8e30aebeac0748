package lab

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/sysrq/sysrq/internal/lab/guest"
)

// transcript is everything that a console has said, and what the lab
// understood of it.
type transcript struct {
	mu      sync.Mutex
	text    []byte
	line    int           // where the unfinished line begins
	changed chan struct{} // closed, and replaced, at every change
	boots   []guest.Boot
	pieces  map[string][]string // of replies, by boot and number
	replies []guest.Reply
	panic   string // the kernel's last words
	ended   bool
}

func newTranscript() *transcript {
	return &transcript{changed: make(chan struct{}), pieces: make(map[string][]string)}
}

// follow copies r until it ends.
func (t *transcript) follow(r io.Reader) {
	buf := make([]byte, 1<<16)
	for {
		n, err := r.Read(buf)
		t.add(buf[:n])
		if err != nil {
			t.mu.Lock()
			t.ended = true
			t.wake()
			t.mu.Unlock()
			return
		}
	}
}

func (t *transcript) add(p []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	for {
		end := bytes.IndexByte(t.text[t.line:], '\n')
		if end < 0 {
			break
		}
		t.understand(string(bytes.TrimRight(t.text[t.line:t.line+end], "\r")))
		t.line += end + 1
	}
	t.wake()
}

func (t *transcript) wake() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// understand looks for the guest's own lines. They may come twice: the kernel
// can be asked to print its log again.
func (t *transcript) understand(line string) {
	if _, after, ok := strings.Cut(line, "Kernel panic - "); ok && t.panic == "" {
		t.panic = "Kernel panic - " + after
	}
	_, said, ok := strings.Cut(line, guest.Says)
	if !ok {
		return
	}
	if f := strings.Fields(said); len(f) == 4 && f[0] == "boot" {
		// QEMU's copy of the console can double a character when the socket
		// beside it is slow. The line comes twice, so a spoilt one is no loss.
		if len(f[1]) > len("01234567-89ab-cdef-0123-456789abcdef") {
			return
		}
		b := guest.Boot{ID: f[1], Release: f[2]}
		_, _ = fmt.Sscan(f[3], &b.Uptime)
		for _, known := range t.boots {
			if known.ID == b.ID {
				return
			}
		}
		t.boots = append(t.boots, b)
		t.panic = ""
		return
	}
	if p, ok := guest.ParsePiece(said); ok {
		t.piece(p)
	}
}

// piece collects a reply and decodes it when it is complete.
func (t *transcript) piece(p guest.Piece) {
	key := fmt.Sprint(p.Boot, p.ID)
	texts := t.pieces[key]
	if texts == nil {
		texts = make([]string, p.Of)
		t.pieces[key] = texts
	}
	if p.N > len(texts) || texts[p.N-1] != "" {
		return
	}
	texts[p.N-1] = p.Text
	for _, s := range texts {
		if s == "" {
			return
		}
	}
	if r, err := guest.Join(texts); err == nil {
		t.replies = append(t.replies, r)
	}
}

// forgive forgets a panic.
func (t *transcript) forgive() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.panic = ""
}

// tail is the end of what was said.
func (t *transcript) tail(lines int) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := bytes.TrimRight(t.text, "\r\n")
	start := len(text)
	for ; lines > 0 && start > 0; lines-- {
		start = bytes.LastIndexByte(text[:start], '\n')
		if start < 0 {
			start = 0
		}
	}
	return strings.ReplaceAll(strings.TrimLeft(string(text[start:]), "\n"), "\r", "")
}
