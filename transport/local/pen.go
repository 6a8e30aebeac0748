package local

import (
	"os"
	"sync"

	"github.com/sysrq/sysrq/kmsg"
)

// Levels of what is written into the kernel's log (include/linux/kern_levels.h).
const (
	critical = 2 // on every console, a quiet one too
	notice   = 5
	debug    = 7 // on no console, unless booted with debug
)

// perOpen is how many lines go through one open file. The kernel takes ten in
// five seconds from each and drops the rest without an error
// (kernel/printk/printk.c, devkmsg_write), but the next file starts anew.
const perOpen = 9

// pen writes into the kernel's log.
type pen struct {
	path string

	mu     sync.Mutex
	w      *kmsg.Writer
	wrote  int
	closed bool
}

// ready opens the log ahead of the first line.
func (p *pen) ready() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.renew()
}

func (p *pen) renew() error {
	switch {
	case p.closed:
		return os.ErrClosed
	case p.w != nil && p.wrote < perOpen:
		return nil
	}
	w, err := kmsg.OpenWriter(p.path)
	switch {
	case err == nil:
		if p.w != nil {
			p.w.Close()
		}
		p.w, p.wrote = w, 0
	case p.w == nil:
		return err
	}
	// No new file, but an old one: its line may be dropped, or may not.
	return nil
}

func (p *pen) write(level int8, text string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.renew(); err != nil {
		return err
	}
	p.wrote++
	return p.w.Print(level, text)
}

func (p *pen) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.w == nil {
		return nil
	}
	err := p.w.Close()
	p.w = nil
	return err
}

// Mark implements [transport.Marker].
func (t *Transport) Mark(text string) error { return t.err("mark", t.write(debug, text)) }

// LastWords writes one line that shows on every console that the kernel has,
// one booted with quiet too. It is for what comes just before the machine
// goes, when the terminal may be gone already: Trigger writes nothing but its
// key.
func (t *Transport) LastWords(text string) error { return t.err("mark", t.write(critical, text)) }
