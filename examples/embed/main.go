// Embed owns a Pebble store, uses it as its own, and shares it with other
// processes on a unix socket.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/server"
	"github.com/multileveldown/mld/store/pebblestore"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("embed: ")
	if len(os.Args) != 2 {
		log.Fatal("usage: embed DIR")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, dir string) (err error) {
	// Whoever may enter the directory may use the socket.
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	store, err := pebblestore.Open(filepath.Join(dir, "db"), nil)
	if err != nil {
		return err // errors.Is(err, mld.ErrLocked) where another process has it
	}
	defer func() { err = errors.Join(err, store.Close()) }()

	// The store is ours: a socket that is here was left by a process that died.
	socket := filepath.Join(dir, "sock")
	if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	srv := server.New(store, nil)
	defer srv.Close()
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()

	if err := work(ctx, store, "unix:"+socket, ended); err != nil {
		return err
	}

	// What has arrived is answered, then the connections end. Others cannot
	// write any more, but we still can.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		return err
	}
	for e, err := range mld.All(ctx, store, nil) {
		if err != nil {
			return err
		}
		fmt.Printf("%s = %s\n", e.Key, e.Value)
	}
	return nil
}

// work uses the store, as others do through the server, until ctx ends or the
// server fails.
func work(ctx context.Context, store mld.Store, address string, ended <-chan error) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	if err := store.Put(ctx, []byte("served at"), []byte(address), nil); err != nil {
		return err
	}
	fmt.Println("listening on", address)
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-ended:
			return err
		case now := <-tick.C:
			// Nothing is lost with a heartbeat, so it need not wait for the disk.
			if err := store.Put(ctx, []byte("alive"), now.AppendFormat(nil, time.TimeOnly), mld.NoSync); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}
