package native

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestEachNamesTheStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		broken := errors.New("broken")
		dead := make(chan struct{})
		defer close(dead)
		fss := []FileSystem{{Mount: Mount{Point: "/dead"}}, {Mount: Mount{Point: "/ok"}}, {Mount: Mount{Point: "/broken"}}}
		var told []string
		got := each(ctx, fss, func(fs FileSystem) error {
			switch fs.Point {
			case "/dead":
				<-dead
			case "/ok":
				time.Sleep(time.Second)
			case "/broken":
				return broken
			}
			return nil
		}, func(r Result) { told = append(told, r.FileSystem.Point) })
		if r := got[0]; !r.Stuck || !errors.Is(r.Err, ErrStuck) || r.Took != time.Minute {
			t.Errorf("dead: %+v", r)
		}
		if r := got[1]; r.Stuck || r.Err != nil || r.Took != time.Second {
			t.Errorf("ok: %+v", r)
		}
		if r := got[2]; r.Stuck || !errors.Is(r.Err, broken) {
			t.Errorf("broken: %+v", r)
		}
		if len(told) != 3 || told[0] != "/broken" || told[1] != "/ok" || told[2] != "/dead" {
			t.Errorf("told %q", told)
		}
	})
}

func TestWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		never := make(chan struct{})
		defer close(never)
		if err := within(ctx, func() error { return nil }); err != nil {
			t.Error(err)
		}
		if err := within(ctx, func() error { <-never; return nil }); !errors.Is(err, ErrStuck) {
			t.Error(err)
		}
	})
}
