//go:build !linux

package guest

// IsInit reports whether this process is a disposable machine's init: never
// here.
func IsInit() bool { return false }

// Main does nothing here.
func Main() {}

// Able reports whether this program can be a guest's init.
func Able() bool { return false }
