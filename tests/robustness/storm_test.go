package robustness

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/client"
	"github.com/multileveldown/mld/internal/faultconn"
	"github.com/multileveldown/mld/internal/history"
)

// storm is a run of many clients over links that are cut, with a server that is
// killed and restarted.
//
// Each client does five things at a time:
//
//   - it counts: it reads its counter, which must be what it last wrote, and
//     writes one more, together with an entry that says so;
//   - it logs: each write has a key of its own, and is there in the end;
//   - it takes tokens, with a clear of one entry: done twice it takes two;
//   - it sends mail to the next client, which moves what it finds from its box
//     to its archive: a mail that is put twice comes back from the archive;
//   - it meets another client on a register, where a late duplicate overwrites
//     what is newer, or a delete or a batch is done again.
type storm struct {
	clients int
	each    int // writes of each client
	kills   int
	every   int // bytes from cut to cut
	seed    uint64
}

type stormResult struct {
	problem string // empty if there is none
	writes  int    // acknowledged
	cuts    int
	kills   int
}

const patience = 5 * time.Minute // for a storm to pass

// run returns what it found wrong.
func (s storm) run(t *testing.T, p *process) stormResult {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r := &stormRun{storm: s, ctx: ctx, cancel: cancel, killed: make(chan struct{}, 1)}

	var clients, activities sync.WaitGroup
	for id := range s.clients {
		l := &links{
			dial:  tcp(p.address),
			kinds: []faultconn.Kind{faultconn.EOF, faultconn.Reset, faultconn.Silence},
			every: s.every,
			delay: time.Millisecond,
			cuts:  &r.cuts,
			rnd:   rand.New(rand.NewPCG(s.seed, uint64(id))),
		}
		c := client.New(l.Dial, &client.Options{
			BackoffMax:        100 * time.Millisecond,
			KeepAliveInterval: 300 * time.Millisecond,
			KeepAliveTimeout:  time.Second,
		})
		var mine sync.WaitGroup
		for _, activity := range []func(*stormRun, int, *client.Client){
			(*stormRun).count, (*stormRun).write, (*stormRun).take, (*stormRun).mail, (*stormRun).meet,
		} {
			mine.Go(func() { activity(r, id, c) })
			activities.Go(mine.Wait)
		}
		clients.Go(func() {
			mine.Wait()
			c.Close()
		})
	}
	done := make(chan struct{})
	go func() {
		clients.Wait()
		close(done)
	}()
	r.killAtTimes(p, done)
	<-done

	// What is there now is looked at over a link that holds.
	c := client.New(tcp(p.address), nil)
	defer c.Close()
	r.inspect(c)
	if err := history.Check(r.log.Ops(), time.Minute); err != nil {
		r.problem("%v", err)
	}
	return stormResult{r.found, int(r.acked.Load()), int(r.cuts.Load()), r.kills}
}

// stormRun is a storm that is under way.
type stormRun struct {
	storm
	ctx    context.Context
	cancel context.CancelFunc
	log    history.Log // of the registers
	acked  atomic.Int64
	cuts   atomic.Int64
	killed chan struct{}
	kills  int

	mu    sync.Mutex
	found string
}

// problem takes note of the first one, which ends the storm.
func (r *stormRun) problem(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.found == "" {
		r.found = fmt.Sprintf(format, args...)
	}
	r.cancel()
}

// killAtTimes kills the server whenever a share of the writes is done.
func (r *stormRun) killAtTimes(p *process, done <-chan struct{}) {
	for {
		select {
		case <-r.killed:
			p.kill()
			p.start()
			r.kills++
		case <-done:
			return
		}
	}
}

// ok takes note of the end of a write, and reports whether it was acknowledged.
func (r *stormRun) ok(id int, what string, err error) bool {
	if err != nil {
		r.problem("client %d: %s: %v", id, what, err)
		return false
	}
	n := int(r.acked.Add(1))
	if share := r.clients * r.each / (r.storm.kills + 1); r.storm.kills > 0 && n%share == 0 && n/share <= r.storm.kills {
		select {
		case r.killed <- struct{}{}:
		default: // one is due already
		}
	}
	return true
}

// activities is how many kinds of writes a client does at a time.
const activities = 5

func (r *stormRun) rounds() int { return r.each / activities }

func number(n int) []byte { return strconv.AppendInt(nil, int64(n), 10) }

func name(what string, id, n int) []byte { return fmt.Appendf(nil, "%s/%02d/%06d", what, id, n) }

func all(what string, id int) mld.Range {
	return mld.Range{GTE: fmt.Appendf(nil, "%s/%02d/", what, id), LT: fmt.Appendf(nil, "%s/%02d0", what, id)}
}

func (r *stormRun) count(id int, c *client.Client) {
	counter := fmt.Appendf(nil, "counter/%02d", id)
	for n := range r.rounds() {
		have, err := c.Get(r.ctx, counter)
		if n == 0 && err == mld.ErrNotFound {
			have, err = number(0), nil
		}
		if err != nil || !bytes.Equal(have, number(n)) {
			r.problem("client %d: its counter is %q, %v; want %d", id, have, err, n)
			return
		}
		var b mld.Batch
		b.Put(counter, number(n+1))
		b.Put(name("count", id, n), number(n+1))
		if !r.ok(id, "count", c.Apply(r.ctx, &b, nil)) {
			return
		}
	}
}

func (r *stormRun) write(id int, c *client.Client) {
	// Three at a time, so that there is something to coalesce.
	var writers sync.WaitGroup
	for w := range 3 {
		writers.Go(func() {
			for n := w; n < r.rounds(); n += 3 {
				if !r.ok(id, "log", c.Put(r.ctx, name("log", id, n), number(n), nil)) {
					return
				}
			}
		})
	}
	writers.Wait()
}

func (r *stormRun) take(id int, c *client.Client) {
	var b mld.Batch
	for n := range 2 * r.rounds() {
		b.Put(name("token", id, n), nil)
	}
	if err := c.Apply(r.ctx, &b, nil); err != nil {
		r.problem("client %d: tokens: %v", id, err)
		return
	}
	one := all("token", id)
	one.Limit = 1
	for range r.rounds() {
		if !r.ok(id, "take", c.Clear(r.ctx, one, nil)) {
			return
		}
	}
}

func (r *stormRun) mail(id int, c *client.Client) {
	var sending sync.WaitGroup
	defer sending.Wait()
	sending.Go(func() {
		for n := range r.rounds() {
			if !r.ok(id, "mail", c.Put(r.ctx, name("mail", (id+1)%r.clients, n), number(n), nil)) {
				return
			}
		}
	})
	seen := map[string]bool{}
	for len(seen) < r.rounds() {
		found, err := mld.Collect(r.ctx, c, &mld.IterOptions{Range: all("mail", id)})
		if err != nil {
			r.problem("client %d: look for mail: %v", id, err)
			return
		}
		var b mld.Batch
		for _, e := range found {
			if seen[string(e.Key)] {
				r.problem("client %d: the mail %s came back", id, e.Key)
				return
			}
			seen[string(e.Key)] = true
			b.Delete(e.Key)
			b.Put(append([]byte("archive/"), e.Key...), e.Value)
		}
		if b.Len() == 0 {
			continue
		}
		if err := c.Apply(r.ctx, &b, nil); err != nil {
			r.problem("client %d: move mail: %v", id, err)
			return
		}
	}
}

func (r *stormRun) meet(id int, c *client.Client) {
	// Two clients meet on each register.
	half := max(r.clients/2, 1)
	register := fmt.Appendf(nil, "register/%02d", id%half)
	h := r.log.Client(id, c)
	rnd := rand.New(rand.NewPCG(r.seed, uint64(100+id)))
	for n := range r.rounds() {
		var err error
		if rnd.IntN(8) == 0 {
			err = h.Delete(r.ctx, register, nil)
		} else {
			err = h.Put(r.ctx, register, fmt.Appendf(nil, "%d.%d", id, n), nil)
		}
		if !r.ok(id, "register", err) {
			return
		}
		if _, err := h.Get(r.ctx, register); err != nil {
			r.problem("client %d: read the register: %v", id, err)
			return
		}
	}
}

// inspect looks at what there is in the end, if all went well so far.
func (r *stormRun) inspect(c *client.Client) {
	for id := range r.clients {
		for _, want := range []struct {
			what  string
			first int
			n     int
		}{
			{"count", 0, r.rounds()},
			{"log", 0, r.rounds()},
			{"token", r.rounds(), r.rounds()},
			{"mail", 0, 0},
			{"archive/mail", 0, r.rounds()},
		} {
			if r.ctx.Err() != nil {
				return
			}
			found, err := mld.Collect(r.ctx, c, &mld.IterOptions{Range: all(want.what, id)})
			if err != nil {
				r.problem("inspect: %v", err)
				return
			}
			if len(found) != want.n {
				r.problem("client %d: there are %d entries of %s, want %d", id, len(found), want.what, want.n)
			}
			for i, e := range found {
				if key := name(want.what, id, want.first+i); !bytes.Equal(e.Key, key) {
					r.problem("client %d: %s is where %s should be", id, e.Key, key)
					break
				}
			}
		}
	}
}

// TestStorm does what storm says, with a server in another process that is
// killed.
func TestStorm(t *testing.T) {
	for _, engine := range []string{"pebble", "leveldb"} {
		t.Run(engine, func(t *testing.T) {
			seed := firstSeed()
			p := startProcess(t, build(t, "", raceDetector), "--store", engine, t.TempDir())
			s := storm{
				clients: 16,
				each:    pick(1_200, 10_000) / 16,
				kills:   pick(5, 20),
				every:   pick(350, 800),
				seed:    seed,
			}
			r := s.run(t, p)
			if r.problem != "" {
				t.Error(r.problem)
			} else if r.kills < s.kills || r.cuts < 100 {
				t.Errorf("%d kills and %d cuts are too few to tell anything", r.kills, r.cuts)
			}
			t.Logf("-seed=%d: %d writes, %d cuts, %d kills", seed, r.writes, r.cuts, r.kills)
		})
	}
}
