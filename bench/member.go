package main

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/party"
)

// beMember is what a process of a party does: member ENGINE DIR. It does what its
// standard input says, one thing after the other: "put" writes an entry, after which
// it says "done", and "fill N" writes N MiB, not synced, after which it says "filled".
// It says "joined" first, and "host" whenever it becomes the host. js/member.js does
// the same.
func beMember(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("member: want ENGINE DIR")
	}
	var output sync.Mutex
	say := func(line string) {
		output.Lock()
		defer output.Unlock()
		fmt.Println(line)
	}
	p, err := party.Join(args[1], &party.Options{
		Engine: party.Engine(args[0]),
		OnRole: func(e party.Event) {
			if e.Role == party.Host {
				say("host")
			}
		},
	})
	if err != nil {
		return err
	}
	defer p.Close()
	say("joined")
	ctx := context.Background()
	key := strconv.AppendInt(nil, int64(os.Getpid()), 10)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		what, arg, _ := strings.Cut(lines.Text(), " ")
		switch what {
		case "put":
			err = p.Put(ctx, key, key, nil)
			what = "done"
		case "fill":
			var n int
			if n, err = strconv.Atoi(arg); err == nil {
				err = fill(ctx, p, n)
			}
			what = "filled"
		default:
			err = fmt.Errorf("member: what is %q?", lines.Text())
		}
		if err != nil {
			return err
		}
		say(what)
	}
	return lines.Err()
}

// fill writes the same entries of 1 KiB anew, n MiB of them, with values that do not
// compress.
func fill(ctx context.Context, s mld.Store, n int) error {
	value := make([]byte, 1<<10)
	rnd := rand.NewChaCha8([32]byte{})
	var b mld.Batch
	for i := range n << 10 {
		rnd.Read(value) //nolint:errcheck // it has none
		b.Put(fmt.Appendf(nil, "fill%08d", i), value)
		if b.Len() == 64 {
			if err := s.Apply(ctx, &b, mld.NoSync); err != nil {
				return err
			}
			b.Reset()
		}
	}
	return nil
}
