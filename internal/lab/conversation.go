package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/sysrq/sysrq/internal/lab/guest"
)

// ErrRebooted is returned for an op whose guest rebooted before it answered.
var ErrRebooted = errors.New("the guest rebooted before it answered")

// ErrForgotten is returned for an op when who should have answered it was
// killed, and another took its place.
var ErrForgotten = errors.New("who should have answered was killed")

// answer is what comes of one op.
type answer struct {
	reply guest.Reply
	err   error
}

// conversation is the control channel's end on the host.
type conversation struct {
	conn net.Conn

	mu      sync.Mutex
	boot    string        // who greeted last
	count   int           // of greetings
	changed chan struct{} // closed at the next greeting and at the end, and made anew
	waiting map[int]chan answer
	ended   bool
}

func converse(conn net.Conn) *conversation {
	c := &conversation{conn: conn, changed: make(chan struct{}), waiting: make(map[int]chan answer)}
	go c.listen()
	return c
}

func (c *conversation) listen() {
	lines := bufio.NewReaderSize(c.conn, 1<<16)
	for {
		line, err := lines.ReadBytes('\n')
		c.mu.Lock()
		if err != nil {
			c.ended = true
			c.forget(ErrEnded)
			c.wake()
			c.mu.Unlock()
			return
		}
		var r guest.Reply
		if json.Unmarshal(line, &r) == nil { // else: the torn last words of a boot, or firmware's
			c.understand(r)
		}
		c.mu.Unlock()
	}
}

// understand takes a greeting or a reply. The lock is held.
func (c *conversation) understand(r guest.Reply) {
	if w := c.waiting[r.ID]; w != nil {
		a := answer{reply: r}
		if r.Error != "" {
			a.err = errors.New(r.Error)
		}
		w <- a
		delete(c.waiting, r.ID)
		return
	}
	if r.ID != 0 || r.Boot == nil {
		return
	}
	// Who begins to answer knows nothing of what was asked before.
	if r.Boot.ID == c.boot {
		c.forget(ErrForgotten)
	} else {
		c.forget(ErrRebooted)
	}
	c.boot = r.Boot.ID
	c.count++
	c.wake()
}

func (c *conversation) wake() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// forget gives up on everything that was asked. The lock is held.
func (c *conversation) forget(why error) {
	for id, w := range c.waiting {
		w <- answer{err: why}
		delete(c.waiting, id)
	}
}

func (c *conversation) close() { _ = c.conn.Close() }

// await waits until ready, which is asked under the lock.
func (c *conversation) await(ctx context.Context, ready func() bool) error {
	for {
		c.mu.Lock()
		ok, changed, ended := ready(), c.changed, c.ended
		c.mu.Unlock()
		switch {
		case ok:
			return nil
		case ended:
			return ErrEnded
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("the guest has not answered yet: %w", context.Cause(ctx))
		}
	}
}

// awaitBoot waits until the boot with this ID has greeted, or any for an empty
// one. The console tells of a boot before the channel does: an op that is sent
// in between would be lost with the boot before.
func (c *conversation) awaitBoot(ctx context.Context, id string) error {
	return c.await(ctx, func() bool { return c.boot != "" && (id == "" || c.boot == id) })
}

// awaitGreeting waits until there have been n greetings.
func (c *conversation) awaitGreeting(ctx context.Context, n int) error {
	return c.await(ctx, func() bool { return c.count >= n })
}

// greetings is how many there have been.
func (c *conversation) greetings() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count
}

// ask sends one op and waits for its reply.
func (c *conversation) ask(ctx context.Context, op guest.Op) (guest.Reply, error) {
	if err := c.awaitBoot(ctx, ""); err != nil {
		return guest.Reply{}, err
	}
	line, err := json.Marshal(op)
	if err != nil {
		return guest.Reply{}, err
	}
	w := make(chan answer, 1)
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return guest.Reply{}, ErrEnded
	}
	c.waiting[op.ID] = w
	_, err = c.conn.Write(append(line, '\n'))
	c.mu.Unlock()
	if err != nil {
		return guest.Reply{}, err
	}
	select {
	case a := <-w:
		return a.reply, a.err
	case <-ctx.Done():
		c.mu.Lock()
		delete(c.waiting, op.ID)
		c.mu.Unlock()
		return guest.Reply{}, context.Cause(ctx)
	}
}

// retryEvery is how often a socket is tried that the emulator has yet to make.
const retryEvery = 5 * time.Millisecond

// dial connects to one of the emulator's sockets, which appear soon after it
// was started.
func (m *Machine) dial(ctx context.Context, name string) (net.Conn, error) {
	var d net.Dialer
	for {
		conn, err := d.DialContext(ctx, "unix", m.socket(name))
		if err == nil {
			return conn, nil
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-m.proc.done:
			return nil, m.failure("connect to "+name, ErrEnded)
		case <-time.After(retryEvery):
		}
	}
}
