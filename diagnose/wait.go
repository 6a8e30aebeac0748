package diagnose

// Wait is a kind of waiting: a row of the table in waits.txt.
type Wait struct {
	// ID is the row's stable name, in kebab-case: "mutex", "nfs-server".
	ID string
	// What is waited for, in a few words: "an NFS server's answer".
	What string
	// Category groups the rows: "lock", "io", "memory", "server", "fs",
	// "device", "rcu", "process", "event".
	Category string
	// Holder says who or what ends the wait: "the task that holds the mutex".
	Holder string
	// Next is what to do or to capture, Refute what would show that the row
	// does not fit.
	Next, Refute string
	// Normal: a task may wait so for ever in state D, and nothing is wrong.
	Normal bool
}
