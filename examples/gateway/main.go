// Gateway serves one sublevel of another server's store, for reading only. It
// is a server over a namespace over a client.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/multileveldown/mld/client"
	"github.com/multileveldown/mld/server"
	"github.com/multileveldown/mld/store/namespace"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("gateway: ")
	upstream := flag.String("upstream", "tcp://127.0.0.1:6530", "the `URL` of the server behind the gateway")
	listen := flag.String("listen", "127.0.0.1:6531", "the TCP `address` to listen on")
	sublevel := flag.String("sublevel", "users", "the `name` of the sublevel to serve")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *upstream, *listen, *sublevel); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, upstream, listen, sublevel string) error {
	dial, err := client.Dialer(upstream)
	if err != nil {
		return err
	}
	prefix, err := namespace.Sublevel(sublevel)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}

	// The client connects in the background, and again whenever the upstream
	// server restarts. Calls to the gateway wait meanwhile.
	db := client.New(dial, nil)
	defer db.Close()
	srv := server.New(namespace.New(db, prefix), &server.Options{ReadOnly: true})
	defer srv.Close()
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	fmt.Printf("listening on tcp://%s\n", l.Addr())

	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return srv.Shutdown(ctx)
	}
}
