package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// serveSelf starts this program as a server of one of the kinds that serve
// knows, in a process of its own.
func (b *bench) serveSelf(kind, network string, args ...string) (p *process, address string, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	address = "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(b.dir, kind+".sock")
	}
	p, err = startProcess(self, append([]string{"serve", kind, network, address}, args...)...)
	if err != nil {
		return nil, "", err
	}
	line, err := p.line()
	if err != nil {
		return p, "", err
	}
	return p, strings.TrimPrefix(line, "listening on "), nil
}

// serve is what such a process does: serve KIND NETWORK ADDRESS ARGUMENTS.
func serve(args []string) error {
	if len(args) < 5 {
		return fmt.Errorf("serve: too few arguments")
	}
	l, err := net.Listen(args[1], args[2])
	if err != nil {
		return err
	}
	var run func() error
	switch args[0] {
	case "echo":
		request, err := strconv.Atoi(args[3])
		if err != nil {
			return err
		}
		response, err := strconv.Atoi(args[4])
		if err != nil {
			return err
		}
		run = func() error { return serveEcho(l, request, response) }
	case "grpc", "rpc":
		cache, err := strconv.ParseInt(args[4], 10, 64)
		if err != nil {
			return err
		}
		db, err := openPebble(args[3], cache)
		if err != nil {
			return err
		}
		defer db.Close()
		run = func() error { return serveGRPC(l, db) }
		if args[0] == "rpc" {
			run = func() error { return serveRPC(l, db) }
		}
	default:
		return fmt.Errorf("serve: unknown: %s", args[0])
	}
	fmt.Printf("listening on %s\n", l.Addr())
	return run()
}
