// Package pprof writes the stacks of a dump as a profile, in which a sample is a
// task: go tool pprof -http shows a hang as a flame graph.
//
// The format is profile.proto of github.com/google/pprof. It is written here
// and not by that module, whose initialisers every start of a program would pay
// for; the tests have the module read what is written.
package pprof

import (
	"cmp"
	"compress/gzip"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/sysrq/sysrq/render"
)

// Write writes a compressed profile of the tasks' stacks. A sample's value is
// how many tasks have it; tasks that differ in a label (comm, pid, state, wait)
// are samples of their own, which pprof adds up.
func Write(w io.Writer, in render.Input) error {
	z := gzip.NewWriter(w)
	p := &writer{w: z, strings: map[string]uint64{}, locations: map[frame]uint64{}, modules: map[string]uint64{}}
	p.string("")
	p.message(fieldSampleType, p.valueType("tasks", "count"))
	p.message(fieldPeriodType, p.valueType("tasks", "count"))
	p.number(fieldPeriod, 1)
	p.number(fieldDefaultType, p.string("tasks"))
	if in.Title != "" {
		p.number(fieldComment, p.string(in.Title))
	}
	p.module("") // the kernel is the first: pprof calls that the main one
	for s := range render.Samples(in) {
		p.sample(&s)
	}
	// Names are gathered on the way, and the table may come last.
	table := slices.SortedFunc(maps.Keys(p.strings), func(a, b string) int { return cmp.Compare(p.strings[a], p.strings[b]) })
	for _, s := range table {
		p.message(fieldString, []byte(s))
	}
	if p.err != nil {
		return p.err
	}
	return z.Close()
}

// The numbers of profile.proto's fields: of Profile, and below of each message.
const (
	fieldSampleType  = 1
	fieldSample      = 2
	fieldMapping     = 3
	fieldLocation    = 4
	fieldFunction    = 5
	fieldString      = 6
	fieldPeriodType  = 11
	fieldPeriod      = 12
	fieldComment     = 13
	fieldDefaultType = 14

	sampleLocation, sampleValue, sampleLabel           = 1, 2, 3
	labelKey, labelStr, labelNum                       = 1, 2, 3
	mappingID, mappingFile, mappingHasFunctions        = 1, 5, 7
	locationID, locationMapping, locationAddress       = 1, 2, 3
	locationLine, lineFunction, lineNumber             = 4, 1, 2
	functionID, functionName, functionSystem, fileName = 1, 2, 3, 4
)

// frame is what one location is for.
type frame struct{ fn, module, source string }

// writer is a profile that is being written: each message goes out as soon as it is
// complete, and what it refers to before it.
type writer struct {
	w         io.Writer
	err       error
	strings   map[string]uint64
	locations map[frame]uint64
	modules   map[string]uint64
	buf       []byte
}

// string is the number of a string in the table.
func (p *writer) string(s string) uint64 {
	if n, ok := p.strings[s]; ok {
		return n
	}
	if valid := strings.ToValidUTF8(s, "\ufffd"); valid != s {
		return p.string(valid)
	}
	n := uint64(len(p.strings))
	p.strings[strings.Clone(s)] = n
	return n
}

func (p *writer) valueType(kind, unit string) []byte {
	return number(number(nil, 1, p.string(kind)), 2, p.string(unit))
}

func (p *writer) module(name string) uint64 {
	if id, ok := p.modules[name]; ok {
		return id
	}
	id := uint64(len(p.modules) + 1)
	p.modules[strings.Clone(name)] = id
	file := name
	if file == "" {
		file = "[kernel.kallsyms]"
	}
	m := number(nil, mappingID, id)
	m = number(m, mappingFile, p.string(file))
	p.message(fieldMapping, number(m, mappingHasFunctions, 1))
	return id
}

// location is the number of a frame's location. pprof adds frames up by address;
// there is none that is the same on two machines, so each gets a number.
func (p *writer) location(k frame) uint64 {
	if id, ok := p.locations[k]; ok {
		return id
	}
	id := uint64(len(p.locations) + 1)
	p.locations[frame{strings.Clone(k.fn), strings.Clone(k.module), strings.Clone(k.source)}] = id
	name := p.string(k.fn)
	f := number(number(number(nil, functionID, id), functionName, name), functionSystem, name)
	line := number(nil, lineFunction, id)
	if file, n, ok := place(k.source); ok {
		f = number(f, fileName, p.string(file))
		line = number(line, lineNumber, n)
	}
	p.message(fieldFunction, f)
	l := number(nil, locationID, id)
	l = number(l, locationMapping, p.module(k.module))
	l = number(l, locationAddress, id)
	p.message(fieldLocation, chunk(l, locationLine, line))
	return id
}

func (p *writer) sample(s *render.Sample) {
	var b []byte
	for i := range s.Stack {
		f := &s.Stack[i]
		b = number(b, sampleLocation, p.location(frame{f.Func, f.Module, f.Source}))
	}
	b = number(b, sampleValue, 1)
	for _, l := range []struct{ key, val string }{{"comm", s.Comm}, {"state", s.State}, {"wait", s.Wait}} {
		if l.val != "" {
			b = chunk(b, sampleLabel, number(number(nil, labelKey, p.string(l.key)), labelStr, p.string(l.val)))
		}
	}
	if s.PID >= 0 {
		b = chunk(b, sampleLabel, number(number(nil, labelKey, p.string("pid")), labelNum, uint64(s.PID)))
	}
	p.message(fieldSample, b)
}

func (p *writer) message(field int, b []byte) { p.write(chunk(p.buf[:0], field, b)) }

func (p *writer) number(field int, v uint64) { p.write(number(p.buf[:0], field, v)) }

func (p *writer) write(b []byte) {
	p.buf = b
	if p.err == nil {
		_, p.err = p.w.Write(b)
	}
}

// number appends a field of the wire type varint.
func number(b []byte, field int, v uint64) []byte {
	return varint(varint(b, uint64(field)<<3), v)
}

// chunk appends a field of the wire type "length-delimited".
func chunk(b []byte, field int, v []byte) []byte {
	return append(varint(varint(b, uint64(field)<<3|2), uint64(len(v))), v...)
}

func varint(b []byte, v uint64) []byte {
	for ; v >= 0x80; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v))
}

// place reads "file:line".
func place(s string) (file string, line uint64, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i <= 0 || i == len(s)-1 {
		return "", 0, false
	}
	for _, c := range s[i+1:] {
		if c < '0' || c > '9' || line > 1<<40 {
			return "", 0, false
		}
		line = line*10 + uint64(c-'0')
	}
	return s[:i], line, true
}
