package observed_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/memstore"
	"github.com/multileveldown/mld/store/observed"
	"github.com/multileveldown/mld/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) mld.Store { return observed.New(memstore.New(), nil) }, nil)
}

// TestConformanceObserved runs the suite with subscribers of both forms.
func TestConformanceObserved(t *testing.T) {
	storetest.Run(t, func(t *testing.T) mld.Store {
		s := observed.New(memstore.New(), nil)
		s.Subscribe(func(e observed.Event) { _ = e.Clone() })
		s.Watch(t.Context(), 1)
		return s
	}, nil)
}

func open(t *testing.T) *observed.Store {
	t.Helper()
	s := observed.New(memstore.New(), nil)
	t.Cleanup(func() { s.Close() })
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %v\nwant %v", what, got, want)
	}
}

// recorder lists events as text.
type recorder struct {
	mu   sync.Mutex
	list []string
}

func (r *recorder) notify(e observed.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, text(e))
}

func text(e observed.Event) string {
	s := e.Kind.String()
	for _, op := range e.Ops {
		s += fmt.Sprintf(" %s %q=%q", op.Kind, op.Key, op.Value)
	}
	if e.Kind == observed.Clear {
		s += fmt.Sprintf(" %q..%q limit %d", e.Range.GTE, e.Range.LT, e.Range.Limit)
	}
	if e.Durability != mld.DurabilityDefault {
		s += " " + e.Durability.String()
	}
	if e.Missed > 0 {
		s += fmt.Sprintf(" missed %d", e.Missed)
	}
	return s
}

// write makes one write of each kind, and some that are no events.
func write(t *testing.T, s mld.Store) {
	t.Helper()
	ctx := t.Context()
	must(t, s.Put(ctx, []byte("a"), []byte("1"), mld.Sync))
	must(t, s.Delete(ctx, []byte("a"), mld.NoSync))
	var b mld.Batch
	must(t, s.Apply(ctx, &b, nil))
	b.Put([]byte("b"), nil)
	b.Delete([]byte("c"))
	must(t, s.Apply(ctx, &b, nil))
	must(t, s.Clear(ctx, mld.Range{GTE: []byte("a"), LT: []byte("z"), Limit: 3}, nil))

	over, cancel := context.WithCancel(ctx)
	cancel()
	b.Reset()
	b.Delete([]byte("x"))
	for _, err := range []error{
		s.Put(over, []byte("x"), nil, nil), s.Delete(over, []byte("x"), nil),
		s.Apply(over, &b, nil), s.Clear(over, mld.Range{}, nil),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
}

var written = []string{
	`put put "a"="1" sync`,
	`del del "a"="" nosync`,
	`batch put "b"="" del "c"=""`,
	`clear "a".."z" limit 3`,
}

func TestEvents(t *testing.T) {
	s := open(t)
	var first, second recorder
	cancel := s.Subscribe(first.notify)
	s.Subscribe(second.notify)
	write(t, s)
	equal(t, "events", first.list, written)
	cancel()
	cancel()
	write(t, s)
	must(t, s.Close())
	s.Close()
	if err := s.Put(t.Context(), nil, nil, nil); !errors.Is(err, mld.ErrClosed) {
		t.Error(err)
	}
	equal(t, "events after cancel", first.list, written)
	equal(t, "events of the other", second.list, append(append(slices.Clone(written), written...), "closed"))

	s.Subscribe(first.notify)() // does nothing
}

func TestEventComesAfterTheWrite(t *testing.T) {
	s := open(t)
	var got string
	var cancel func()
	cancel = s.Subscribe(func(e observed.Event) {
		value, err := s.Get(t.Context(), e.Ops[0].Key)
		must(t, err)
		got = string(value)
		cancel()
		// A subscriber may write.
		must(t, s.Put(t.Context(), []byte("copy"), value, nil))
	})
	must(t, s.Put(t.Context(), []byte("k"), []byte("v"), nil))
	equal(t, "value within the event", got, "v")
}

func TestPanic(t *testing.T) {
	var log bytes.Buffer
	s := observed.New(memstore.New(), &observed.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	defer s.Close()
	var after recorder
	s.Subscribe(func(observed.Event) { panic("ouch") })
	s.Subscribe(after.notify)
	write(t, s)
	equal(t, "events of the one behind", after.list, written)
	if !strings.Contains(log.String(), "panic=ouch") || !strings.Contains(log.String(), "observed_test.go") {
		t.Errorf("log: %s", log.String())
	}
	equal(t, "log lines", strings.Count(log.String(), "\n"), len(written))
}

func TestWatch(t *testing.T) {
	s := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events := s.Watch(ctx, 2)
	key := []byte("k")
	for i := range 5 {
		key[0] = byte('0' + i) // the channel has copies
		must(t, s.Put(ctx, key, []byte{key[0]}, nil))
	}
	equal(t, "event", text(<-events), `put put "0"="0"`)
	must(t, s.Delete(ctx, key, nil))
	equal(t, "event", text(<-events), `put put "1"="1"`)
	must(t, s.Clear(ctx, mld.Range{GTE: key}, nil))
	key[0] = 'x'
	var rest []string
	must(t, s.Close())
	for e := range events {
		rest = append(rest, text(e))
	}
	equal(t, "events up to the close", rest, []string{`del del "4"="" missed 3`, `clear "4".."" limit 0`})
	if _, ok := <-s.Watch(ctx, 0); ok {
		t.Error("an event of a closed handle")
	}
}

// TestCloseWithinAnEvent closes the handle between the calls of two subscribers,
// the second of which has then a closed channel.
func TestCloseWithinAnEvent(t *testing.T) {
	var log bytes.Buffer
	s := observed.New(memstore.New(), &observed.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	s.Subscribe(func(e observed.Event) {
		if e.Kind == observed.Put {
			must(t, s.Close())
		}
	})
	events := s.Watch(t.Context(), 1)
	must(t, s.Put(t.Context(), []byte("k"), nil, nil))
	if e, ok := <-events; ok {
		t.Errorf("an event after the close: %s", text(e))
	}
	equal(t, "log", log.String(), "")
}

func TestWatchEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		ctx, cancel := context.WithCancel(t.Context())
		events := s.Watch(ctx, 10)
		write(t, s)
		cancel()
		synctest.Wait()
		write(t, s)
		var got []string
		for e := range events {
			got = append(got, text(e))
		}
		equal(t, "events", got, written)
	})
}

// TestTogether has writers, subscribers and watchers come and go at once, and
// the handle close in the midst of it.
func TestTogether(t *testing.T) {
	s := open(t)
	var wg sync.WaitGroup
	var all recorder
	s.Subscribe(all.notify)
	var mu sync.Mutex
	puts := 0
	for range 4 {
		wg.Go(func() {
			for {
				if err := s.Put(t.Context(), []byte("k"), []byte("v"), nil); err != nil {
					return
				}
				mu.Lock()
				puts++
				if puts == 1000 {
					s.Close()
				}
				mu.Unlock()
			}
		})
		wg.Go(func() {
			for range 200 {
				ctx, cancel := context.WithCancel(t.Context())
				events := s.Watch(ctx, 1)
				s.Subscribe(func(observed.Event) {})()
				cancel()
				for range events {
				}
			}
		})
	}
	wg.Wait()
	if !slices.Contains(all.list, "closed") {
		t.Errorf("%d events without the close", len(all.list))
	}
	// Every put that was counted by the close was notified of; of the few that
	// came to an end later the close may have been quicker.
	if n := len(all.list) - 1; n < 1000 || n > puts {
		t.Errorf("%d events of %d puts", n, puts)
	}
}

// bare is a store with nothing but what every store has.
type bare struct{ mld.Store }

// rich is a store that can lend values and tell of itself.
type rich struct {
	mld.Store
	pinned, each int
}

func (r *rich) GetPinned(context.Context, []byte) ([]byte, io.Closer, error) {
	r.pinned++
	return nil, nil, nil
}

func (r *rich) GetEach(context.Context, [][]byte, func(int, []byte) error) error {
	r.each++
	return nil
}

func (r *rich) Stats(context.Context) (mld.Stats, error) { return mld.Stats{Engine: "rich"}, nil }

func TestPassesThrough(t *testing.T) {
	ctx := t.Context()
	r := &rich{Store: memstore.New()}
	s := observed.New(r, nil)
	defer s.Close()
	s.GetPinned(ctx, nil)
	s.GetEach(ctx, nil, nil)
	stats, err := s.Stats(ctx)
	must(t, err)
	equal(t, "calls", []any{r.pinned, r.each, stats.Engine}, []any{1, 1, "rich"})

	b := observed.New(bare{memstore.New()}, nil)
	defer b.Close()
	if _, err := b.Stats(ctx); !errors.Is(err, mld.ErrUnsupported) {
		t.Errorf("Stats of a store without: %v", err)
	}
}

func BenchmarkPut(b *testing.B) {
	for _, n := range []int{0, 1} {
		b.Run(fmt.Sprint(n, " subscribers"), func(b *testing.B) {
			s := observed.New(memstore.New(), nil)
			defer s.Close()
			for range n {
				s.Subscribe(func(observed.Event) {})
			}
			key, value := []byte("key"), []byte("value")
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Put(b.Context(), key, value, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func Example() {
	store := observed.New(memstore.New(), nil)
	defer store.Close()

	cancel := store.Subscribe(func(e observed.Event) {
		for _, op := range e.Ops {
			fmt.Printf("%s: %s %s\n", e.Kind, op.Kind, op.Key)
		}
	})
	ctx := context.Background()
	store.Put(ctx, []byte("a"), []byte("1"), nil)
	var b mld.Batch
	b.Put([]byte("b"), []byte("2"))
	b.Delete([]byte("a"))
	store.Apply(ctx, &b, nil)
	cancel()
	store.Delete(ctx, []byte("b"), nil)
	// Output:
	// put: put a
	// batch: put b
	// batch: del a
}
