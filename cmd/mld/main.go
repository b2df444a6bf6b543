// Command mld serves an ordered key-value store that lives in a directory, and
// reads and writes one, in a directory or behind a server.
//
// The exit code says how it ended:
//
//	0    done
//	1    the key is not there, or nobody hosts the directory
//	2    the command line, or the input, makes no sense; nothing was done
//	3    the directory could not be opened, or the server not be reached
//	4    another process has the directory open
//	5    refused: read-only, a reserved key, a limit, a hook of the server
//	6    it is not known whether the write took effect
//	7    any other failure
//	130  ended by a second interrupt, 143 by a second SIGTERM
//
// See mld --help.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// With this, to write into a pipe that nobody reads is an error, not the end.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
