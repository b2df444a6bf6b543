package interop

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/party"
)

// memberEnv makes the test binary a member of the party of the directory that it
// names. Its name is in memberNameEnv.
const (
	memberEnv     = "INTEROP_PARTY_MEMBER"
	memberNameEnv = "INTEROP_PARTY_NAME"
)

// beMember is what js/party.js is for Node: it does the lines "write", "probe", "put"
// and "get" of its standard input, and says the same.
func beMember(dir string) error {
	name := os.Getenv(memberNameEnv)
	p, err := party.Join(dir, &party.Options{
		Engine:      party.LevelDB,
		Durability:  mld.DurabilityNoSync, // as Node writes
		JoinTimeout: time.Minute,
		OnRole: func(e party.Event) {
			if e.Role == party.Host {
				fmt.Println("host")
			}
		},
	})
	if err != nil {
		return err
	}
	fmt.Println("joined")
	failed := make(chan error)
	lines := make(chan []string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(os.Stdin); s.Scan(); {
			lines <- strings.Fields(s.Text())
		}
	}()
	for {
		select {
		case err := <-failed:
			return err
		case words := <-lines:
			if words == nil {
				return p.Close()
			}
			go func() {
				if err := do(p, name, words); err != nil {
					failed <- err
				}
			}()
		}
	}
}

// do does one line.
func do(p *party.Party, name string, words []string) error {
	switch words[0] {
	case "write":
		lanes, err := strconv.Atoi(words[1])
		if err != nil {
			return err
		}
		failed := make(chan error)
		for lane := range lanes {
			go func() { failed <- writeLane(p, fmt.Sprintf("%s/%d", name, lane), lane) }()
		}
		return <-failed
	case "probe":
		return probe(p, name, words[1])
	case "put":
		if err := p.Put(context.Background(), []byte(words[1]), []byte(words[2]), nil); err != nil {
			return err
		}
		fmt.Println("put")
		return nil
	case "get":
		value, err := p.Get(context.Background(), []byte(words[1]))
		fmt.Printf("got %s\n", value)
		return err
	}
	return fmt.Errorf("unknown command %q", words)
}

// writeLane writes for ever, one batch after the other. One that was sent to a host of
// ours and not answered before a Node process took over is "unknown": that one cannot
// tell whether it was done. It is repeated, for these may be done twice.
func writeLane(p *party.Party, key string, lane int) error {
	for n := 1; ; n++ {
		var b mld.Batch
		value := strconv.AppendInt(nil, int64(n), 10)
		b.Put(fmt.Appendf(nil, "%s/%d", key, n), value)
		b.Put([]byte(key), value)
		err := p.Apply(context.Background(), &b, nil)
		for errors.Is(err, mld.ErrOutcomeUnknown) && errors.Is(err, mld.ErrSessionLost) {
			fmt.Println("unknown", lane, n)
			err = p.Apply(context.Background(), &b, nil)
		}
		if err != nil {
			return err
		}
		fmt.Println("ack", lane, n)
	}
}

func probe(p *party.Party, name, n string) error {
	ctx := context.Background()
	for _, key := range []string{"shared", name} {
		if err := p.Put(ctx, []byte(key), []byte(n), nil); err != nil {
			return err
		}
	}
	if own, err := p.Get(ctx, []byte(name)); err != nil || string(own) != n {
		return fmt.Errorf("read %q, %w having written %s", own, err, n)
	}
	if _, err := p.Get(ctx, []byte("shared")); err != nil {
		return fmt.Errorf("the shared key: %w", err)
	}
	fmt.Println("probed", n)
	return nil
}
