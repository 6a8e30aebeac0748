// Command rawwrite writes one key to /proc/sysrq-trigger and does nothing
// else: the least that a Go program can do.
package main

import "os"

func main() {
	f, err := os.OpenFile("/proc/sysrq-trigger", os.O_WRONLY, 0)
	if err != nil {
		os.Exit(1)
	}
	if _, err := f.Write([]byte(os.Args[1])); err != nil {
		os.Exit(1)
	}
}
