package party

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/multileveldown/mld"
)

var seed = flag.Uint64("seed", 0, "seed of the random tests; 0 takes a new one")

// writer writes its own numbers, one after the other, through one member, until that
// is closed. The number of the last write that was acknowledged is there when it ends.
type writer struct {
	name  string
	acked int
	sent  int
	done  chan struct{}
}

func startWriter(t *testing.T, p *Party, name string) *writer {
	w := &writer{name: name, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		for {
			w.sent++
			err := p.Put(t.Context(), []byte(w.name), fmt.Append(nil, w.sent), nil)
			switch {
			case err == nil:
				w.acked = w.sent
			case mld.CodeOf(err) == mld.CodeClosed || mld.CodeOf(err) == mld.CodeNotSent || mld.CodeOf(err) == mld.CodeOutcomeUnknown:
				return
			default:
				t.Errorf("writer %s, write %d: %v", w.name, w.sent, err)
				return
			}
		}
	}()
	return w
}

// TestChurn has hosts die and leave, and guests leave, while all members write. In the
// end each write that was acknowledged must have been done once, and in order.
func TestChurn(t *testing.T) {
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("-seed %d", s)
	r := rand.New(rand.NewPCG(s, 0))
	rounds := 20
	if *long {
		rounds = 500
	}
	dir, d := t.TempDir(), newDisk(t)
	var members []*Party
	var writing []*writer
	all := map[string]*writer{}
	add := func() {
		p := join(t, dir, d.options())
		w := startWriter(t, p, fmt.Sprintf("w%03d", len(all)))
		all[w.name] = w
		members, writing = append(members, p), append(writing, w)
	}
	for range 5 {
		add()
	}
	for range rounds {
		time.Sleep(rand.N(5 * time.Millisecond)) // let them write; nothing depends on it
		i := r.IntN(len(members))
		if r.IntN(3) > 0 { // mostly the host
			for j, p := range members {
				if p.Role().Role == Host {
					i = j
				}
			}
		}
		p, w := members[i], writing[i]
		members = append(members[:i:i], members[i+1:]...)
		writing = append(writing[:i:i], writing[i+1:]...)
		if p.Role().Role == Host && r.IntN(2) > 0 {
			die(t, p)
		} else if err := p.Close(); err != nil {
			t.Error(err)
		}
		<-w.done
		add()
	}
	var wg sync.WaitGroup
	for _, p := range members {
		wg.Go(func() { p.Close() })
	}
	wg.Wait()
	for _, w := range writing {
		<-w.done
	}
	last := map[string]int{}
	for _, entry := range d.written() {
		name, value, _ := strings.Cut(entry, "=")
		var n int
		fmt.Sscan(value, &n)
		if n != last[name]+1 {
			t.Fatalf("writer %s: %d was done after %d", name, n, last[name])
		}
		last[name] = n
	}
	total := 0
	for name, w := range all {
		if last[name] < w.acked || last[name] > w.sent {
			t.Errorf("writer %s: %d of its writes were done, %d acknowledged, %d sent", name, last[name], w.acked, w.sent)
		}
		total += last[name]
	}
	t.Logf("%d writes by %d members, the store opened %d times", total, len(all), d.opens)
}
