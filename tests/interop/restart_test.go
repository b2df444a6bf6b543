package interop

import (
	"context"
	"encoding/json"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/server"
	"github.com/multileveldown/mld/store/leveldbstore"
)

// TestRestart drains the server and starts another one on the same directory,
// again and again under the calls of a retrying Node client. The client must
// see no error: a real host of many-level that closes gives it one.
func TestRestart(t *testing.T) {
	const (
		rounds      = 120
		writes      = 15 // between two restarts
		minRestarts = 5
	)
	seed := seed(t)
	for _, dialect := range dialects {
		t.Run(dialect, func(t *testing.T) {
			var (
				dir      = t.TempDir()
				count    atomic.Int64
				due      = make(chan struct{}, 1)
				mu       sync.RWMutex // protects following
				store    mld.Store
				srv      *server.Server
				restarts int
			)
			start := func() {
				var err error
				if store, err = leveldbstore.Open(dir, nil); err != nil {
					t.Error(err)
					return
				}
				srv = server.New(store, &server.Options{
					Dialect:    wireDialects[dialect],
					Durability: mld.DurabilityNoSync,
					BeforeWrite: func(*server.Write) error {
						if count.Add(1)%writes == 0 {
							select {
							case due <- struct{}{}:
							default:
							}
						}
						return nil
					},
				})
			}
			stop := func() {
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				defer cancel()
				if err := srv.Shutdown(ctx); err != nil {
					t.Errorf("Shutdown: %v", err)
				}
				if err := store.Close(); err != nil {
					t.Errorf("close the store: %v", err)
				}
			}
			start()

			addr := serveNamed(t, func(ctx context.Context, _ string, _ int, conn net.Conn) {
				mu.RLock()
				current := srv
				mu.RUnlock()
				current.ServeConn(ctx, conn)
			})
			var wg sync.WaitGroup
			wg.Go(func() {
				for range due {
					mu.Lock()
					stop()
					start()
					restarts++
					mu.Unlock()
				}
			})

			var done json.RawMessage
			runNodeJSON(t, &done, "cut-often.js", dialect, addr, strconv.Itoa(rounds), strconv.FormatUint(seed, 10))
			close(due)
			wg.Wait()
			stop()
			t.Logf("%s, %d restarts", done, restarts)
			if restarts < minRestarts {
				t.Errorf("%d restarts, want at least %d", restarts, minRestarts)
			}
		})
	}
}
