package dump

import "bytes"

// timersBuilder reads the pending timers and the clock event devices
// (kernel/time/timer_list.c, sysrq_timer_list_show):
//
//	Timer List Version: v0.9
//	now at 18114208039 nsecs
//	cpu: 0
//	 clock 0:
//	  .index:      0
//	active timers:
//	 #0: <(____ptrval____)>, tick_sched_timer
//	, S:01
//	 # expires at 18116000000-18116000000 nsecs [in 1791961 to 1791961 nsecs]
//	  .expires_next   : 18116000000 nsecs
//	Tick Device: mode:     1
//	Per CPU device: 0
//	Clock Event Device:
//	lapic
//	 event_handler:  hrtimer_interrupt
//
// A timer's state and a device's name stand on lines of their own because the
// kernel prints the pieces without KERN_CONT; before 4.9 they stand on the line
// above.
type timersBuilder struct {
	head
	timers Timers
	names  *names
	g      gather
	clock  int
	// pending: the gathered line is about when the last timer expires. name:
	// the next line is the device's.
	pending, name bool
}

func (b *timersBuilder) end() { b.pending = false }

// whole: the devices come last, each with its handler.
func (b *timersBuilder) whole() bool {
	n := len(b.timers.Devices)
	return len(b.timers.CPUs) > 0 && n > 0 && b.timers.Devices[n-1].Handler != ""
}

func (b *timersBuilder) take(p *Parser, l *line) bool {
	t := bytes.TrimRight(l.trim, " \t\r")
	if b.First == 0 {
		if l.class != cTimers {
			return false
		}
		b.Kind, b.Body, b.names = KindTimers, &b.timers, &p.names
		b.timers = Timers{CPUs: b.timers.CPUs[:0], Devices: b.timers.Devices[:0]}
		b.clock, b.pending, b.name = 0, false, false
		_, v, _ := bytes.Cut(t, []byte(":"))
		b.timers.Version = p.names.of(bytes.TrimSpace(v))
		return true
	}
	if l.class != cOther || l.rec.User || len(t) == 0 {
		return false
	}
	near := p.owner == builder(b)
	name, pending := b.name, b.pending
	b.name, b.pending = false, false
	if b.line(l, t) {
		return true
	}
	switch n := len(b.timers.Devices); {
	case name && near && n > 0 && len(t) < 64:
		b.timers.Devices[n-1].Name = b.names.of(t)
		return true
	case pending && near && l.bare:
		b.g.more(l, nil)
		b.expires(b.g.text)
		b.pending = true
		return true
	}
	b.name, b.pending = name, pending
	return near && l.bare && len(t) < 100 && !bytes.ContainsAny(t, "[]") && bytes.HasSuffix(t, []byte("nsecs"))
}

// line takes a line that says by itself what it is.
func (b *timersBuilder) line(l *line, t []byte) bool {
	o := &b.timers
	switch t[0] {
	case '#':
		if bytes.HasPrefix(t, []byte("# expires at ")) {
			if b.last() == nil {
				return false
			}
			b.g.begin(l)
			b.expires(t)
			b.pending = true
			return true
		}
		n := digits(t[1:])
		return n > 0 && at(t, n+1, ':') && b.timer(t[n+2:])
	case ',':
		s, ok := bytes.CutPrefix(t, []byte(", S:"))
		tm := b.last()
		if !ok || tm == nil {
			return false
		}
		tm.State = hexState(s)
		return true
	case '.':
		return b.value(t)
	case 'a':
		return string(t) == "active timers:"
	case 'c':
		if v, ok := bytes.CutPrefix(t, []byte("cpu: ")); ok {
			cpu := decimal(bytes.TrimSpace(v))
			if cpu < 0 || len(o.CPUs) >= maxRows {
				return false
			}
			o.CPUs = grow(o.CPUs)
			c := &o.CPUs[len(o.CPUs)-1]
			*c = TimerCPU{CPU: cpu, Timers: c.Timers[:0], Values: c.Values[:0]}
			b.clock = 0
			return true
		}
		if v, ok := bytes.CutPrefix(t, []byte("clock ")); ok {
			n := digits(v)
			if n == 0 || !at(v, n, ':') || len(v) != n+1 {
				return false
			}
			b.clock = decimal(v[:n])
			return true
		}
	case 'n':
		if v, ok := bytes.CutPrefix(t, []byte("now at ")); ok {
			v, n := signed(v)
			if n > 0 {
				o.Now = v
			}
			return n > 0
		}
		return deviceWord(t)
	case 'j':
		return bytes.HasPrefix(t, []byte("jiffies: "))
	case 'H':
		return bytes.HasPrefix(t, []byte("HRTIMER_MAX_CLOCK_BASES:"))
	case 'T':
		if v, ok := bytes.CutPrefix(t, []byte("Tick Device: mode:")); ok && len(o.Devices) < maxRows {
			o.Devices = append(o.Devices, TickDev{CPU: -1, Mode: max(decimal(bytes.TrimSpace(v)), 0)})
			return true
		}
	case 'B':
		return string(t) == "Broadcast device"
	case 'P':
		if v, ok := bytes.CutPrefix(t, []byte("Per CPU device: ")); ok && len(o.Devices) > 0 {
			o.Devices[len(o.Devices)-1].CPU = decimal(bytes.TrimSpace(v))
			return true
		}
	case 'C':
		if v, ok := bytes.CutPrefix(t, []byte("Clock Event Device:")); ok && len(o.Devices) > 0 {
			v = bytes.TrimSpace(v)
			o.Devices[len(o.Devices)-1].Name = b.names.of(v)
			b.name = len(v) == 0
			return true
		}
	case 'W':
		return bytes.HasPrefix(t, []byte("Wakeup Device:"))
	default:
		if v, ok := bytes.CutPrefix(t, []byte("event_handler:")); ok && len(o.Devices) > 0 {
			o.Devices[len(o.Devices)-1].Handler = b.names.of(bytes.TrimSpace(v))
			return true
		}
		return deviceWord(t)
	}
	return false
}

// deviceWord recognises what else is said of a device.
func deviceWord(t []byte) bool {
	w, _, ok := bytes.Cut(t, []byte(":"))
	if !ok {
		return false
	}
	switch string(w) {
	case "max_delta_ns", "min_delta_ns", "mult", "shift", "mode", "next_event", "set_next_event", "set_mode", "shutdown", "periodic",
		"oneshot", "oneshot stopped", "resume", "tick_resume", "retries", "tick_broadcast_mask", "tick_broadcast_oneshot_mask":
		return true
	}
	return false
}

// value reads "  .expires_next   : 18116000000 nsecs" of a processor. Those of
// a clock are taken and not kept.
func (b *timersBuilder) value(t []byte) bool {
	name, v, ok := bytes.Cut(t[1:], []byte(":"))
	name = bytes.TrimSpace(name)
	n := len(b.timers.CPUs)
	if !ok || n == 0 || !nameLike(name) {
		return false
	}
	switch string(name) {
	case "base", "index", "resolution", "get_time", "offset":
		return true
	}
	c := &b.timers.CPUs[n-1]
	if v, w := signed(bytes.TrimSpace(v)); w > 0 && len(c.Values) < maxCounters {
		c.Values = append(c.Values, Counter{b.names.of(name), v})
	}
	return true
}

func (b *timersBuilder) last() *Timer {
	if n := len(b.timers.CPUs); n > 0 {
		if c := &b.timers.CPUs[n-1]; len(c.Timers) > 0 {
			return &c.Timers[len(c.Timers)-1]
		}
	}
	return nil
}

// timer reads " <PTR>, FUNC", and ", S:01" behind it where it stands there.
func (b *timersBuilder) timer(t []byte) bool {
	n := len(b.timers.CPUs)
	_, t, ok := bytes.Cut(t, []byte(">, "))
	if !ok || n == 0 || len(b.timers.CPUs[n-1].Timers) >= maxRows {
		return false
	}
	tm := Timer{Clock: b.clock}
	f, rest, _ := bytes.Cut(t, []byte(","))
	tm.Func = b.names.of(bytes.TrimSpace(f))
	if _, s, ok := bytes.Cut(rest, []byte("S:")); ok {
		tm.State = hexState(s)
	}
	b.timers.CPUs[n-1].Timers = append(b.timers.CPUs[n-1].Timers, tm)
	return true
}

// hexState reads a timer's state, two digits.
func hexState(s []byte) int {
	v := 0
	for _, c := range s[:min(len(s), 2)] {
		if c-'0' > 9 {
			break
		}
		v = v<<4 | int(c-'0')
	}
	return v
}

// expires reads "# expires at A-B nsecs [in C to D nsecs]".
func (b *timersBuilder) expires(t []byte) {
	tm := b.last()
	if tm == nil {
		return
	}
	if v, n := signed(t[min(len("# expires at "), len(t)):]); n > 0 {
		tm.Expires = v
	}
	if _, in, ok := bytes.Cut(t, []byte("[in ")); ok {
		if v, n := signed(in); n > 0 {
			tm.In = v
		}
	}
}
