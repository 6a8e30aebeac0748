package dump

import "slices"

func (h *Header) clone() Body { c := *h; return &c }

func (h *Help) clone() Body { c := *h; c.Keys = slices.Clone(h.Keys); return &c }

func (t *Task) clone() Body {
	c := *t
	c.Stack = slices.Clone(t.Stack)
	if t.Blocker != nil {
		b := *t.Blocker
		c.Blocker = &b
	}
	return &c
}

// copied is a copy of c that shares nothing with it.
func (c CPU) copied() CPU {
	c.Stack = slices.Clone(c.Stack)
	if c.IP != nil {
		f := *c.IP
		c.IP = &f
	}
	return c
}

func (c *CPU) clone() Body { n := c.copied(); return &n }

func (r *Report) clone() Body {
	c := *r
	c.CPU = r.CPU.copied()
	c.CPUs, c.Tasks, c.Locks = slices.Clone(r.CPUs), slices.Clone(r.Tasks), slices.Clone(r.Locks)
	return &c
}

func (m *Memory) clone() Body {
	c := *m
	c.Pages, c.Nodes, c.Zones = slices.Clone(m.Pages), slices.Clone(m.Nodes), slices.Clone(m.Zones)
	c.Slabs, c.Huge = slices.Clone(m.Slabs), slices.Clone(m.Huge)
	for i := range c.Nodes {
		c.Nodes[i].Counters = slices.Clone(c.Nodes[i].Counters)
	}
	for i := range c.Zones {
		z := &c.Zones[i]
		z.Counters, z.Lowmem, z.Orders = slices.Clone(z.Counters), slices.Clone(z.Lowmem), slices.Clone(z.Orders)
	}
	return &c
}

func (o *OOM) clone() Body {
	c := *o
	c.CPU = o.CPU.copied()
	c.Tasks = slices.Clone(o.Tasks)
	if o.Victim != nil {
		v := *o.Victim
		c.Victim = &v
	}
	if o.Memory != nil {
		c.Memory = o.Memory.clone().(*Memory)
	}
	return &c
}

func (t *Timers) clone() Body {
	c := *t
	c.CPUs, c.Devices = slices.Clone(t.CPUs), slices.Clone(t.Devices)
	for i := range c.CPUs {
		c.CPUs[i].Timers = slices.Clone(c.CPUs[i].Timers)
		c.CPUs[i].Values = slices.Clone(c.CPUs[i].Values)
	}
	return &c
}

func (l *Locks) clone() Body {
	c := *l
	c.Holders = slices.Clone(l.Holders)
	for i := range c.Holders {
		c.Holders[i].Held = slices.Clone(c.Holders[i].Held)
	}
	return &c
}

func (w *Workqueues) clone() Body {
	c := *w
	c.Queues, c.Pools = slices.Clone(w.Queues), slices.Clone(w.Pools)
	for i := range c.Queues {
		q := &c.Queues[i]
		q.Pools = slices.Clone(q.Pools)
		for j := range q.Pools {
			p := &q.Pools[j]
			p.InFlight, p.Pending, p.Inactive = slices.Clone(p.InFlight), slices.Clone(p.Pending), slices.Clone(p.Inactive)
		}
	}
	for i := range c.Pools {
		c.Pools[i].Idle = slices.Clone(c.Pools[i].Idle)
	}
	return &c
}

func (s *Sched) clone() Body {
	c := *s
	c.CPUs = slices.Clone(s.CPUs)
	for i := range c.CPUs {
		c.CPUs[i].Tasks = slices.Clone(c.CPUs[i].Tasks)
	}
	return &c
}

func (t *Trace) clone() Body { c := *t; c.Events = slices.Clone(t.Events); return &c }

func (u *Unread) clone() Body { c := *u; return &c }
