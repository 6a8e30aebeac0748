// Command init is the smallest program that can be a guest's init.
package main

import "github.com/sysrq/sysrq/internal/lab/guest"

func main() {
	if guest.IsInit() {
		guest.Main()
	}
}
