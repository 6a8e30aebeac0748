// Command corpus makes the golden files of kernel dumps anew, on real kernels.
//
//	go run ./internal/cmd/corpus [-only REGEXP] [-jobs N] DIRECTORY
//
// What could not be made is said at the end, and its files stay as they were.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"github.com/sysrq/sysrq/internal/golden"
	"github.com/sysrq/sysrq/internal/lab/corpus"
	"github.com/sysrq/sysrq/internal/lab/guest"
)

func main() {
	if guest.IsInit() { // process 1 of a machine: this program boots itself
		guest.Main()
	}
	only := flag.String("only", "", "make only what this regular expression matches, such as amd64-6.12-frozen")
	jobs := flag.Int("jobs", 2, "how many machines at once")
	list := flag.Bool("list", false, "say what there is to make, and make nothing")
	flag.Parse()
	match, err := regexp.Compile(*only)
	if err != nil || flag.NArg() != 1 && !*list {
		fmt.Fprintln(os.Stderr, "usage: corpus [-only REGEXP] [-jobs N] [-list] DIRECTORY", err)
		os.Exit(2)
	}
	var sessions []corpus.Session
	for _, s := range corpus.Sessions() {
		if match.MatchString(s.String()) {
			sessions = append(sessions, s)
		}
	}
	if *list {
		for _, s := range sessions {
			fmt.Println(s)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if !run(ctx, sessions, flag.Arg(0), *jobs) {
		os.Exit(1)
	}
}

// run makes all sessions, and reports whether all went well.
func run(ctx context.Context, sessions []corpus.Session, dir string, jobs int) bool {
	began := time.Now()
	var (
		mu    sync.Mutex // over what is printed and counted
		files int
		bad   []string
		group sync.WaitGroup
	)
	queue := make(chan corpus.Session)
	for range jobs {
		group.Go(func() {
			for s := range queue {
				start := time.Now()
				made, err := s.Make(ctx, func(string) {})
				if err != nil && ctx.Err() == nil { // an emulator's slip, or a busy host
					mu.Lock()
					fmt.Printf("%s, once more: %v\n", s, err)
					mu.Unlock()
					made, err = s.Make(ctx, func(string) {})
				}
				for _, f := range made {
					if werr := os.WriteFile(filepath.Join(dir, f.Name+".txt"), f.Bytes(), 0o644); werr != nil && err == nil {
						err = werr
					}
				}
				mu.Lock()
				files += len(made)
				if err != nil {
					bad = append(bad, s.String())
					fmt.Printf("FAILED %s: %v\n", s, err)
				}
				fmt.Printf("%s: %d files, %.1f s%s\n", s, len(made), time.Since(start).Seconds(), sizes(made))
				mu.Unlock()
			}
		})
	}
	for _, s := range sessions {
		if ctx.Err() == nil {
			queue <- s
		}
	}
	close(queue)
	group.Wait()
	fmt.Printf("%d files of %d machines in %s\n", files, len(sessions), time.Since(began).Round(time.Second))
	for _, name := range bad {
		fmt.Println("not made:", name)
	}
	return len(bad) == 0 && ctx.Err() == nil
}

// sizes says how long each file is and how many tasks it has blocked.
func sizes(files []golden.File) string {
	text := ""
	for _, f := range files {
		text += fmt.Sprintf("\n  %-40s %7d bytes", f.Name, len(f.Body))
		if f.Blocked >= 0 {
			text += fmt.Sprintf(", %d blocked", f.Blocked)
		}
	}
	return text
}
