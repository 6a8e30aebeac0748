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

// conversation is the control channel's end on the host.
type conversation struct {
	conn net.Conn

	mu      sync.Mutex
	boot    string                   // who greeted last
	greeted chan struct{}            // closed at the next greeting, and made anew
	waiting map[int]chan guest.Reply // closed when the answer will never come
	ended   bool
}

func converse(conn net.Conn) *conversation {
	c := &conversation{conn: conn, greeted: make(chan struct{}), waiting: make(map[int]chan guest.Reply)}
	go c.listen()
	return c
}

func (c *conversation) listen() {
	lines := bufio.NewReaderSize(c.conn, 1<<16)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			c.mu.Lock()
			c.ended = true
			c.forget()
			c.mu.Unlock()
			return
		}
		var r guest.Reply
		if json.Unmarshal(line, &r) != nil {
			continue // the torn last words of a boot, or firmware's
		}
		c.mu.Lock()
		switch answer := c.waiting[r.ID]; {
		case r.ID == 0 && r.Boot != nil:
			if r.Boot.ID != c.boot {
				c.forget()
				c.boot = r.Boot.ID
				close(c.greeted)
				c.greeted = make(chan struct{})
			}
		case answer != nil:
			answer <- r
			delete(c.waiting, r.ID)
		}
		c.mu.Unlock()
	}
}

// forget gives up on everything that was asked. The lock is held.
func (c *conversation) forget() {
	for id, answer := range c.waiting {
		close(answer)
		delete(c.waiting, id)
	}
}

func (c *conversation) close() { _ = c.conn.Close() }

// awaitBoot waits until the boot with this ID has greeted, or any for an empty
// one. The console tells of a boot before the channel does: an op that is sent
// in between would be lost with the boot before.
func (c *conversation) awaitBoot(ctx context.Context, id string) error {
	for {
		c.mu.Lock()
		boot, greeted := c.boot, c.greeted
		c.mu.Unlock()
		if boot != "" && (id == "" || boot == id) {
			return nil
		}
		select {
		case <-greeted:
		case <-ctx.Done():
			return fmt.Errorf("the guest has not answered yet: %w", context.Cause(ctx))
		}
	}
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
	answer := make(chan guest.Reply, 1)
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return guest.Reply{}, ErrEnded
	}
	c.waiting[op.ID] = answer
	_, err = c.conn.Write(append(line, '\n'))
	c.mu.Unlock()
	if err != nil {
		return guest.Reply{}, err
	}
	select {
	case r, ok := <-answer:
		if !ok {
			return r, ErrRebooted
		}
		if r.Error != "" {
			return r, errors.New(r.Error)
		}
		return r, nil
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
