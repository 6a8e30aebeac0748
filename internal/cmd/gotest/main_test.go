package main

import (
	"strings"
	"testing"
)

func TestSummary(t *testing.T) {
	tests := []struct {
		name, events, want string
		bad                bool
	}{
		{
			name: "all kinds",
			events: `{"Action":"run","Package":"p","Test":"A"}
{"Action":"output","Package":"p","Test":"A","Output":"=== RUN   A\n"}
{"Action":"pass","Package":"p","Test":"A"}
{"Action":"output","Package":"p","Test":"B","Output":"=== RUN   B\n"}
{"Action":"output","Package":"p","Test":"B","Output":"    b_test.go:1: no lab\n"}
{"Action":"skip","Package":"p","Test":"B"}
{"Action":"output","Package":"p","Test":"C","Output":"    c_test.go:1: wrong\n"}
{"Action":"fail","Package":"p","Test":"C"}
{"Action":"output","Package":"p","Output":"FAIL\tp\t0.1s\n"}
{"Action":"fail","Package":"p"}
`,
			bad: true,
			want: `    c_test.go:1: wrong
FAIL	p	0.1s
skipped: p B: b_test.go:1: no lab
1 passed, 1 failed
`,
		},
		{
			name: "a package that dies counts once, with what it had said",
			events: `{"Action":"output","Package":"p","Test":"A","Output":"panic: no\n"}
{"Action":"fail","Package":"p"}
`,
			bad:  true,
			want: "panic: no\n0 passed, 1 failed\n",
		},
		{
			name:   "a package that is not built",
			events: `{"Action":"build-output","Output":"x.go:1: no\n"}` + "\n" + `{"Action":"fail","Package":"p"}` + "\n",
			bad:    true,
			want:   "x.go:1: no\n0 passed, 1 failed\n",
		},
		{name: "go test itself fails", events: "go: no such thing\n", bad: true, want: "go: no such thing\n0 passed, 1 failed\n"},
		{name: "nothing", want: "0 passed, 0 failed\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var w strings.Builder
			s := newSummary(&w)
			s.follow(strings.NewReader(tt.events))
			s.end(tt.bad)
			if w.String() != tt.want {
				t.Errorf("got:\n%swant:\n%s", w.String(), tt.want)
			}
		})
	}
}
