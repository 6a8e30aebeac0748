package native

import (
	"context"
	"errors"
	"time"
)

// ErrStuck is the error of a file system that did not answer in time. The
// thread that asked it is still waiting.
var ErrStuck = errors.New("it does not answer")

// Result is what became of one file system.
type Result struct {
	FileSystem FileSystem
	Took       time.Duration
	Err        error // ErrStuck when Stuck
	// Stuck file systems were left behind when the context ended.
	Stuck bool
}

// each works on every file system at once and tells each result as it comes,
// from the caller's goroutine. When ctx ends, the rest is stuck.
func each(ctx context.Context, fss []FileSystem, work func(FileSystem) error, tell func(Result)) []Result {
	type answer struct {
		i    int
		err  error
		took time.Duration
	}
	start := time.Now()
	answers := make(chan answer, len(fss)) // room for those that nobody waits for
	for i, fs := range fss {
		go func() {
			err := work(fs)
			answers <- answer{i, err, time.Since(start)}
		}()
	}
	results := make([]Result, len(fss))
	open := make([]bool, len(fss))
	for i := range open {
		open[i] = true
	}
	settle := func(a answer) {
		open[a.i] = false
		results[a.i] = Result{FileSystem: fss[a.i], Took: a.took, Err: a.err}
		if tell != nil {
			tell(results[a.i])
		}
	}
	for range fss {
		select {
		case a := <-answers:
			settle(a)
			continue
		case <-ctx.Done():
		}
		for len(answers) > 0 { // what answered in time counts, however late we look
			settle(<-answers)
		}
		for i, fs := range fss {
			if open[i] {
				results[i] = Result{FileSystem: fs, Took: time.Since(start), Err: ErrStuck, Stuck: true}
				if tell != nil {
					tell(results[i])
				}
			}
		}
		break
	}
	return results
}

// within runs f and waits for it or for ctx. When ctx ends first, f goes on
// alone, and its error is lost.
func within(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ErrStuck
	}
}
