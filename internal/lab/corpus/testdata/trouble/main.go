// Command trouble is what a disposable machine suffers from, where that is a
// program: servers that stop answering, and the device mapper. Its name in the
// guest says which.
//
//	lab-fuse DIRECTORY           a FUSE file system; stops itself at the first read
//	lab-nfs PORT                 an NFS server; stops itself at the first read
//	lab-dm create NAME DEVICE    a linear device over a whole other one
//	lab-dm suspend NAME FLAGS    suspends it
//
// A server that is ready creates /run/NAME-ready.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	name := filepath.Base(os.Args[0])
	var err error
	switch args := os.Args[1:]; {
	case name == "lab-fuse" && len(args) == 1:
		err = serveFUSE(args[0])
	case name == "lab-nfs" && len(args) == 1:
		err = serveNFS(args[0])
	case name == "lab-dm" && len(args) == 3:
		err = mapDevice(args[0], args[1], args[2])
	default:
		err = errors.New("no such trouble")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, name+":", err)
		os.Exit(1)
	}
}

func ready() error {
	return os.WriteFile("/run/"+filepath.Base(os.Args[0])+"-ready", nil, 0o644)
}
