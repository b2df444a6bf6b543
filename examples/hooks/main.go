// Hooks serves a store of users, and has a say before each write: what is not a
// user is refused, and what is one gets an entry in an index.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/server"
	"github.com/multileveldown/mld/store/memstore"
	"github.com/multileveldown/mld/view"
)

// The sublevels "users", id to user, and "users-by-mail", of which the keys are
// tuples of a mail address and an id.
var (
	users  = []byte("!users!")
	byMail = []byte("!users-by-mail!")
)

// index is the hook. Clients see the text of its errors. It runs for several
// connections at the same time, and a client that writes a batch, or from Node,
// comes by here like all others.
func index(w *server.Write) error {
	for _, op := range w.Ops {
		id, ok := bytes.CutPrefix(op.Key, users)
		if !ok || op.Kind != mld.OpPut {
			continue
		}
		var user struct{ Mail string }
		if err := json.Unmarshal(op.Value, &user); err != nil {
			return fmt.Errorf("user %q is not JSON: %w", id, err)
		}
		if user.Mail == "" {
			return fmt.Errorf("user %q has no mail address", id)
		}
		key, err := view.Tuples.Append(bytes.Clone(byMail), view.Tuple{user.Mail, string(id)})
		if err != nil {
			return err
		}
		// What the hook adds is done in one batch with what was asked for.
		w.Ops = append(w.Ops, mld.Op{Kind: mld.OpPut, Key: key})
	}
	return nil
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("hooks: ")
	listen := flag.String("listen", "127.0.0.1:6530", "the TCP `address` to listen on")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *listen); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, listen string) (err error) {
	store := memstore.New()
	defer func() { err = errors.Join(err, store.Close()) }()
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}

	srv := server.New(store, &server.Options{BeforeWrite: index})
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
