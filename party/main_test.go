package party

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/multileveldown/mld"
)

// memberEnv makes the test binary a member of the party of the directory that it
// names: it does what its standard input says, and says what it did.
const memberEnv = "PARTY_TEST_MEMBER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(memberEnv); dir != "" {
		if err := beMember(dir); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain")) // it ends by itself
}

// beMember joins, and does each line of its standard input: "put KEY VALUE", "get
// KEY", "close", "role".
func beMember(dir string) error {
	engine := Engine(os.Getenv(memberEnv + "_ENGINE"))
	p, err := Join(dir, &Options{Engine: engine, OnRole: func(e Event) { fmt.Println("event", e.Role, e.Epoch) }})
	if err != nil {
		return err
	}
	defer p.Close()
	fmt.Println("joined", p.Role().Role)
	ctx := context.Background()
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		switch words[0] {
		case "put":
			err = p.Put(ctx, []byte(words[1]), []byte(words[2]), nil)
			fmt.Println("put", err)
		case "get":
			v, err := p.Get(ctx, []byte(words[1]))
			fmt.Println("got", string(v), err)
		case "close":
			fmt.Println("closed", p.Close())
		case "role":
			fmt.Println("role", p.Role().Role)
		}
	}
	return lines.Err()
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// join joins, with a close at the end of the test.
func join(t *testing.T, dir string, o *Options) *Party {
	t.Helper()
	p, err := Join(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return p
}

// awaitRole waits until the member has a role.
func awaitRole(t *testing.T, p *Party, want Role) Event {
	t.Helper()
	ctx := testContext(t)
	for {
		e, changed := p.Watch()
		if e.Role == want {
			return e
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("the member is %v, and did not become %v: %v", e.Role, want, e.Err)
		}
	}
}

func mustPut(t *testing.T, s mld.Writer, key, value string) {
	t.Helper()
	if err := s.Put(testContext(t), []byte(key), []byte(value), nil); err != nil {
		t.Fatal(err)
	}
}

func wantValue(t *testing.T, s mld.Reader, key, want string) {
	t.Helper()
	v, err := s.Get(testContext(t), []byte(key))
	if err != nil || string(v) != want {
		t.Fatalf("Get(%q) = %q, %v; want %q", key, v, err, want)
	}
}

func number(i int) string { return strconv.Itoa(100000 + i) }
