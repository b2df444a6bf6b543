package interop

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/multileveldown/mld/wire"
)

var seedFlag = flag.Uint64("seed", 0, "seed of the random tests; 0 takes a new one")

// seed returns the seed of a random test, and logs how to give it again.
func seed(t *testing.T) uint64 {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64N(1 << 31)
	}
	t.Logf("-seed %d", seed)
	return seed
}

// TestCutEverywhere plays a session of a retrying Node client once for each
// byte of either direction, with the connection cut there.
func TestCutEverywhere(t *testing.T) {
	for _, dialect := range dialects {
		t.Run(dialect, func(t *testing.T) {
			s := newStores(t, memory, wire.Auto)
			var cuts atomic.Int64
			addr := serveNamed(t, func(ctx context.Context, name string, n int, conn net.Conn) {
				c := &cutConn{Conn: conn, in: noCut, out: noCut, cuts: &cuts}
				if n == 0 {
					// Only one of the two is the form of a name.
					fmt.Sscanf(name, "c2s-%d", &c.in)
					fmt.Sscanf(name, "s2c-%d", &c.out)
				}
				s.serveConn(ctx, name, c)
			})

			var done struct{ Plays int64 }
			runNodeJSON(t, &done, "cut-everywhere.js", dialect, addr)
			t.Logf("%d plays, %d cuts", done.Plays, cuts.Load())
			// What the client says last may need no answer: a cut there is
			// not reached.
			if cuts.Load() < done.Plays*9/10 {
				t.Errorf("%d of %d plays were cut, want nearly all", cuts.Load(), done.Plays)
			}
		})
	}
}

// TestCutOften has a retrying Node client work at random while its connections
// are cut again and again.
func TestCutOften(t *testing.T) {
	const (
		rounds  = 60
		most    = 1500 // bytes that a connection lives for
		minCuts = 50
	)
	seed := seed(t)
	for _, dialect := range dialects {
		for _, e := range engines {
			t.Run(dialect+"/"+e.name, func(t *testing.T) {
				// Not auto: the first message after a cut does not always tell the
				// dialect, and a missing key is an error in either.
				s := newStores(t, e, wireDialects[dialect])
				var cuts atomic.Int64
				addr := serveNamed(t, func(ctx context.Context, name string, n int, conn net.Conn) {
					rng := rand.New(rand.NewPCG(seed, uint64(n)))
					c := &cutConn{Conn: conn, in: noCut, out: noCut, cuts: &cuts}
					if rng.IntN(2) == 0 {
						c.in = rng.IntN(most)
					} else {
						c.out = rng.IntN(most)
					}
					s.serveConn(ctx, name, c)
				})

				var done json.RawMessage
				runNodeJSON(t, &done, "cut-often.js", dialect, addr, strconv.Itoa(rounds), strconv.FormatUint(seed, 10))
				t.Logf("%s, %d cuts", done, cuts.Load())
				if cuts.Load() < minCuts {
					t.Errorf("%d cuts, want at least %d", cuts.Load(), minCuts)
				}
			})
		}
	}
}
