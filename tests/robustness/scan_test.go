package robustness

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/client"
	"github.com/multileveldown/mld/internal/faultconn"
)

// TestScanUnderFire scans a large range over a link that is cut a hundred times,
// while others change every key: what it returns is the state at its start.
func TestScanUnderFire(t *testing.T) {
	entries := pick(100_000, 1_000_000)
	const cuts = 100
	const entrySize = 8 + 24
	seed := firstSeed()
	dir := t.TempDir()
	p := startProcess(t, build(t, "", raceDetector), "--store", "pebble", "--sync", "nosync", dir)
	writer := client.New(tcp(p.address), nil)
	defer writer.Close()

	key := func(i int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(i)*10) }
	value := func(i, generation int) []byte {
		v := binary.BigEndian.AppendUint64(make([]byte, 0, 24), uint64(generation))
		v = binary.BigEndian.AppendUint64(v, uint64(i)*0x9e3779b97f4a7c15)
		return binary.BigEndian.AppendUint64(v, seed)
	}
	write := func(generation int, ops func(b *mld.Batch, i int)) {
		var b mld.Batch
		for i := range entries {
			ops(&b, i)
			if b.Len() >= 1000 || i == entries-1 {
				if err := writer.Apply(t.Context(), &b, mld.NoSync); err != nil {
					t.Errorf("generation %d: %v", generation, err)
					return
				}
				b.Reset()
			}
		}
	}
	write(0, func(b *mld.Batch, i int) { b.Put(key(i), value(i, 0)) })

	var count atomic.Int64
	l := &links{
		dial:  tcp(p.address),
		kinds: []faultconn.Kind{faultconn.EOF, faultconn.Reset},
		every: entries * entrySize / (2 * cuts),
		in:    true,
		cuts:  &count,
		rnd:   rand.New(rand.NewPCG(seed, 1)),
	}
	reader := client.New(l.Dial, &client.Options{BackoffMin: time.Millisecond, BackoffMax: time.Millisecond})
	defer reader.Close()
	it, err := reader.NewIterator(t.Context(), &mld.IterOptions{Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()

	var writing sync.WaitGroup
	defer writing.Wait()
	changed := make(chan struct{})
	writing.Go(func() {
		defer close(changed)
		write(1, func(b *mld.Batch, i int) {
			switch i % 3 {
			case 0:
				b.Delete(key(i))
			default:
				b.Put(key(i), value(i, 1))
			}
			b.Put(binary.BigEndian.AppendUint64(nil, uint64(i)*10+5), nil)
		})
	})
	for i := range entries {
		if i == entries/2 {
			<-changed // every key is another one before the second half is read
		}
		if !it.Next() {
			t.Fatalf("-seed=%d: the scan ends after %d of %d entries: %v", seed, i, entries, it.Err())
		}
		if string(it.Key()) != string(key(i)) || string(it.Value()) != string(value(i, 0)) {
			t.Fatalf("-seed=%d: entry %d is %x=%x, want %x=%x", seed, i, it.Key(), it.Value(), key(i), value(i, 0))
		}
	}
	if it.Next() || it.Err() != nil {
		t.Errorf("-seed=%d: after the last entry there is %x, %v", seed, it.Key(), it.Err())
	}
	if n := count.Load(); n < cuts {
		t.Errorf("-seed=%d: %d cuts are less than %d", seed, n, cuts)
	}
	t.Logf("-seed=%d: %d entries, %d cuts", seed, entries, count.Load())
}
