package examples_test

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/client"
	"github.com/multileveldown/mld/store/memstore"
	"github.com/multileveldown/mld/store/pebblestore"
	"github.com/multileveldown/mld/view"
)

func TestEmbed(t *testing.T) {
	dir := t.TempDir()
	for _, greeting := range []string{"hello", "hello again"} {
		p := start(t, command(t, "embed", dir))
		address := p.address(t)
		if want := "unix:" + filepath.Join(dir, "sock"); address != want {
			t.Errorf("it listens on %s; want %s", address, want)
		}
		if got := mustRun(t, "mld", "--db", address, "get", "served at"); got != address {
			t.Errorf("the owner wrote %q; want %q", got, address)
		}
		mustRun(t, "mld", "--db", address, "put", "greeting", greeting)
		if _, err := pebblestore.Open(filepath.Join(dir, "db"), nil); !errors.Is(err, mld.ErrLocked) {
			t.Errorf("opening the directory meanwhile: %v", err)
		}
		if lines := p.stop(t); !slices.Contains(lines, "greeting = "+greeting) {
			t.Errorf("at the end it wrote %q", lines)
		}
	}
}

// TestEmbedKilled starts the owner where one was killed, and left its socket.
func TestEmbedKilled(t *testing.T) {
	dir := t.TempDir()
	p := start(t, command(t, "embed", dir))
	mustRun(t, "mld", "--db", p.address(t), "put", "greeting", "hello")
	p.cmd.Process.Kill()
	p.cmd.Wait()
	p = start(t, command(t, "embed", dir))
	if got := mustRun(t, "mld", "--db", p.address(t), "get", "greeting"); got != "hello" {
		t.Errorf("got %q", got)
	}
	p.stop(t)
}

func TestTyped(t *testing.T) {
	const want = "2026-05-01 Water the plants\n2026-05-02 Call the bank\n"
	if got := mustRun(t, "typed"); got != want {
		t.Errorf("it wrote %q; want %q", got, want)
	}

	// At a server, the second time finds the tasks of the first.
	store := memstore.New()
	l := listen(t, "tcp", "127.0.0.1:0")
	serve(t, l, store)
	for range 2 {
		if got := mustRun(t, "typed", "tcp://"+l.Addr().String()); got != want {
			t.Errorf("it wrote %q; want %q", got, want)
		}
		entries, err := mld.Collect(t.Context(), store, nil)
		if err != nil || len(entries) != 6 {
			t.Errorf("there are %d entries, %v; want one in the index for each of 3 tasks", len(entries), err)
		}
	}
}

func TestHooks(t *testing.T) {
	p := start(t, command(t, "hooks", "--listen", "127.0.0.1:0"))
	address := p.address(t)
	db := dial(t, address)
	users := view.Sub(view.New(db, view.Bytes, view.Bytes), "users", view.UTF8, view.UTF8)
	byMail := view.Sub(view.New(db, view.Bytes, view.Bytes), "users-by-mail", view.Tuples, view.None)
	ctx := t.Context()

	mustRun(t, "mld", "--db", address, "put", "!users!ann", `{"mail":"ann@example.com"}`)
	mustRun(t, "mld", "--db", address, "put", "note", "need not be JSON")
	for key, err := range byMail.Keys(ctx, nil) {
		if want := (view.Tuple{"ann@example.com", "ann"}); err != nil || !slices.Equal(key, want) {
			t.Errorf("the index has %v, %v; want %v", key, err, want)
		}
	}

	out, err := run(t, "mld", "--db", address, "put", "!users!bob", "Bob")
	if want := `user "bob" is not JSON`; err == nil || !strings.Contains(out, want) {
		t.Errorf("mld put: %v, and wrote %q; want %q in it", err, out, want)
	}
	// One that is refused takes its whole batch with it.
	var b view.Batch
	users.PutIn(&b, "cat", `{"mail":"cat@example.com"}`)
	users.PutIn(&b, "dan", `{"mail":""}`)
	err = b.Apply(ctx, nil)
	if want := `user "dan" has no mail address`; !errors.Is(err, mld.ErrRefused) || !strings.Contains(err.Error(), want) {
		t.Errorf("Apply: %v; want %v with %q", err, mld.ErrRefused, want)
	}
	entries, err := mld.Collect(ctx, db, nil)
	if err != nil || len(entries) != 3 {
		t.Errorf("there are %d entries, %v; want ann, her mail, and the note", len(entries), err)
	}
	p.stop(t)
}

func TestGateway(t *testing.T) {
	store := memstore.New()
	for key, value := range map[string]string{"!users!ann": "Ann", "!users-by-mail!ann@example.com": "ann", "other": "1"} {
		if err := store.Put(t.Context(), []byte(key), []byte(value), nil); err != nil {
			t.Fatal(err)
		}
	}
	l := listen(t, "tcp", "127.0.0.1:0")
	serve(t, l, store)
	p := start(t, command(t, "gateway", "--upstream", "tcp://"+l.Addr().String(), "--listen", "127.0.0.1:0"))
	address := p.address(t)

	if got := mustRun(t, "mld", "--db", address, "scan"); got != "ann\tAnn\n" {
		t.Errorf("a scan wrote %q", got)
	}
	if err := dial(t, address).Put(t.Context(), []byte("ann"), []byte("x"), nil); !errors.Is(err, mld.ErrReadOnly) {
		t.Errorf("Put: %v; want %v", err, mld.ErrReadOnly)
	}
	// It shows what the store has now.
	if err := store.Put(t.Context(), []byte("!users!ann"), []byte("Anna"), nil); err != nil {
		t.Fatal(err)
	}
	if got := mustRun(t, "mld", "--db", address, "get", "ann"); got != "Anna" {
		t.Errorf("a get wrote %q", got)
	}
	p.stop(t)
}

func dial(t *testing.T, url string) mld.Store {
	t.Helper()
	d, err := client.Dialer(url)
	if err != nil {
		t.Fatal(err)
	}
	db := client.New(d, nil)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}
