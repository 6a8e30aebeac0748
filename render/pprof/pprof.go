// Package pprof writes the stacks of a dump as a profile, in which a sample is a
// task: go tool pprof -http shows a hang as a flame graph. It is a package of
// its own because it needs pprof's format, which package render does not.
package pprof

import (
	"io"
	"strings"

	"github.com/google/pprof/profile"

	"github.com/sysrq/sysrq/render"
)

// Write writes a compressed profile of the tasks' stacks. A sample's value is
// how many tasks have it; tasks that differ in a label (comm, pid, state, wait)
// are samples of their own, which pprof adds up.
func Write(w io.Writer, in render.Input) error {
	p := &profile.Profile{
		SampleType:        []*profile.ValueType{{Type: "tasks", Unit: "count"}},
		DefaultSampleType: "tasks",
		PeriodType:        &profile.ValueType{Type: "tasks", Unit: "count"},
		Period:            1,
		Mapping:           []*profile.Mapping{{ID: 1, File: "[kernel.kallsyms]", HasFunctions: true}},
	}
	if in.Title != "" {
		p.Comments = []string{in.Title}
	}
	// A module is a mapping, so that pprof can show its frames alone.
	mappings := map[string]*profile.Mapping{"": p.Mapping[0]}
	type frame struct{ fn, module, source string }
	locations := map[frame]*profile.Location{}
	for s := range render.Samples(in) {
		sample := &profile.Sample{Value: []int64{1}, Label: map[string][]string{}, NumLabel: map[string][]int64{}}
		for _, l := range []struct{ key, val string }{{"comm", s.Comm}, {"state", s.State}, {"wait", s.Wait}} {
			if l.val != "" {
				sample.Label[l.key] = []string{strings.ToValidUTF8(strings.Clone(l.val), "\ufffd")}
			}
		}
		if s.PID >= 0 {
			sample.NumLabel["pid"] = []int64{int64(s.PID)}
		}
		for i := range s.Stack {
			f := &s.Stack[i]
			k := frame{f.Func, f.Module, f.Source}
			loc := locations[k]
			if loc == nil {
				k = frame{strings.Clone(f.Func), strings.Clone(f.Module), strings.Clone(f.Source)}
				m := mappings[k.module]
				if m == nil {
					m = &profile.Mapping{ID: uint64(len(p.Mapping) + 1), File: strings.ToValidUTF8(k.module, "\ufffd"), HasFunctions: true}
					p.Mapping = append(p.Mapping, m)
					mappings[k.module] = m
				}
				fn := &profile.Function{ID: uint64(len(p.Function) + 1), Name: strings.ToValidUTF8(k.fn, "\ufffd")}
				line := profile.Line{Function: fn}
				fn.SystemName = fn.Name
				if file, n, ok := place(k.source); ok {
					fn.Filename, line.Line = strings.ToValidUTF8(file, "\ufffd"), n
				}
				p.Function = append(p.Function, fn)
				// pprof adds frames up by address; there is none that is the same on
				// two machines, so each gets a number.
				loc = &profile.Location{ID: uint64(len(p.Location) + 1), Mapping: m, Address: uint64(len(p.Location) + 1), Line: []profile.Line{line}}
				p.Location = append(p.Location, loc)
				locations[k] = loc
			}
			sample.Location = append(sample.Location, loc)
		}
		p.Sample = append(p.Sample, sample)
	}
	if err := p.CheckValid(); err != nil {
		return err
	}
	return p.Write(w)
}

// place reads "file:line".
func place(s string) (file string, line int64, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i <= 0 || i == len(s)-1 {
		return "", 0, false
	}
	for _, c := range s[i+1:] {
		if c < '0' || c > '9' || line > 1<<40 {
			return "", 0, false
		}
		line = line*10 + int64(c-'0')
	}
	return s[:i], line, true
}
