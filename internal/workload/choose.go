package workload

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Distribution says which keys are chosen how often.
type Distribution string

// The distributions.
const (
	// Uniform chooses each key as often as any other.
	Uniform Distribution = "uniform"
	// Zipfian chooses few keys often and most seldom, with a skew of 0.99. Those
	// that are chosen often are scattered over the keys.
	Zipfian Distribution = "zipfian"
	// Latest chooses like Zipfian, most often what was inserted last.
	Latest Distribution = "latest"
	// Sequential chooses one key after the other, in order, over all callers.
	Sequential Distribution = "sequential"
)

// Distributions returns the names of all distributions.
func Distributions() []string {
	return []string{string(Uniform), string(Zipfian), string(Latest), string(Sequential)}
}

// validate returns an error when there is no such distribution.
func (d Distribution) validate() error {
	if !slices.Contains(Distributions(), string(d)) {
		return fmt.Errorf("distribution %q: it is one of %s", d, strings.Join(Distributions(), ", "))
	}
	return nil
}

// keyspace is which keys there are: those whose index is below a limit that
// inserts raise. Its methods may be called together.
type keyspace struct {
	loaded   uint64        // the limit at the start
	limit    atomic.Uint64 // every index below has been inserted
	inserts  atomic.Uint64 // the next index to insert
	sequence atomic.Uint64 // where the sequential choice is

	mu sync.Mutex
	// ahead, which mu protects, are the indexes at or above the limit that have
	// been inserted.
	ahead map[uint64]struct{}
}

func newKeyspace(keys uint64) *keyspace {
	k := &keyspace{loaded: keys, ahead: make(map[uint64]struct{})}
	k.limit.Store(keys)
	k.inserts.Store(keys)
	return k
}

// nextInsert returns the index of a key to insert.
func (k *keyspace) nextInsert() uint64 { return k.inserts.Add(1) - 1 }

// inserted makes an index known to those that choose, as soon as all below it
// are.
func (k *keyspace) inserted(index uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ahead[index] = struct{}{}
	limit := k.limit.Load()
	for {
		if _, ok := k.ahead[limit]; !ok {
			break
		}
		delete(k.ahead, limit)
		limit++
	}
	k.limit.Store(limit)
}

// chooser chooses the index of a key that is there. It is used by one goroutine
// at a time.
type chooser struct {
	distribution Distribution
	keys         *keyspace
	rand         *rand.Rand
	zipf         zipfian
}

func newChooser(d Distribution, keys *keyspace, r *rand.Rand) chooser {
	c := chooser{distribution: d, keys: keys, rand: r}
	switch d {
	case Zipfian:
		c.zipf = newZipfian(scrambleItems)
	case Latest:
		c.zipf = newZipfian(keys.loaded)
	}
	return c
}

func (c *chooser) next() uint64 {
	switch c.distribution {
	case Zipfian:
		// Of the keys that were there at the start: else each insert would
		// make other keys the popular ones.
		return scramble(c.zipf.next(c.rand)) % c.keys.loaded
	case Latest:
		n := c.keys.limit.Load()
		if n != c.zipf.n {
			c.zipf = newZipfian(n)
		}
		return n - 1 - c.zipf.next(c.rand)
	case Sequential:
		return (c.keys.sequence.Add(1) - 1) % c.keys.limit.Load()
	default:
		return c.rand.Uint64N(c.keys.limit.Load())
	}
}
