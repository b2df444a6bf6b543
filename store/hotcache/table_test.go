package hotcache

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
)

// get returns a copy of a value in a table.
func (t *table) get(hash uint64, key []byte, stamp uint64) ([]byte, bool) {
	var p pin
	ok := p.load(t, hash, key, stamp)
	return p.value, ok
}

// TestTable puts far more into a table than it has room for, and checks that what
// is there is right, and that what came last is there.
func TestTable(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	table := newTable(1)
	defer table.release()
	type entry struct {
		stamp uint64
		value []byte
	}
	put := map[string]entry{}
	hash := func(key []byte) uint64 { // with collisions
		h := uint64(len(key))
		for _, b := range key {
			h = (h ^ uint64(b)) * 0x9e3779b97f4a7c15
		}
		return h &^ 0xff00
	}
	found := 0
	for n := range 200_000 {
		key := fmt.Append(nil, r.IntN(50_000))
		if r.IntN(2) == 0 {
			e := entry{uint64(n), bytes.Repeat([]byte{byte(n)}, r.IntN(200)*r.IntN(20))}
			put[string(key)] = e
			table.put(hash(key), key, e.stamp, e.value)
			if got, ok := table.get(hash(key), key, e.stamp); !ok || !bytes.Equal(got, e.value) {
				t.Fatalf("the value of %q is not there at once", key)
			}
			continue
		}
		e, ok := put[string(key)]
		got, there := table.get(hash(key), key, e.stamp)
		if there {
			found++
		}
		if there && (!ok || !bytes.Equal(got, e.value)) {
			t.Fatalf("the table has %d bytes for %q; want %d", len(got), key, len(e.value))
		}
		if _, there := table.get(hash(key), key, e.stamp+1); there {
			t.Fatalf("the table has a value of %q with another stamp", key)
		}
	}
	if found == 0 {
		t.Error("no value was ever there")
	}
}

// TestOverwritten has the place of an entry be written over with what looks like
// the entry.
func TestOverwritten(t *testing.T) {
	table := newTable(1)
	defer table.release()
	const hash, stamp = 1, 7
	key := []byte("12345678")
	table.put(hash|1<<63, key, 1, make([]byte, 1000)) // so that a fake will come to where the entry is
	table.put(hash, key, stamp, nil)
	fake := binary.LittleEndian.AppendUint64(nil, stamp)
	fake = binary.LittleEndian.AppendUint32(fake, uint32(len(key)))
	fake = binary.LittleEndian.AppendUint32(fake, 1<<31)
	fake = append(fake, key...)
	fakes := bytes.Repeat(fake, 100)
	for i := range uint64(300) {
		// Into other buckets of the same shard.
		table.put(hash|(1+i%100)<<57, fmt.Append(nil, i, "       ")[:8], 1, fakes)
		if _, ok := table.get(hash, key, stamp); ok && i > 100 {
			t.Fatal("an entry that was written over is still there")
		}
	}
}

// TestLastPlace has a shard come to the end of its places.
func TestLastPlace(t *testing.T) {
	table := newTable(1)
	defer table.release()
	for i := range table.shards {
		table.shards[i].next = lastPlace - 100
	}
	for i := range 1000 {
		key := fmt.Append(nil, i)
		hash := uint64(i) * 0x9e3779b97f4a7c15
		table.put(hash, key, 7, key)
		if got, ok := table.get(hash, key, 7); !ok || !bytes.Equal(got, key) {
			t.Fatalf("entry %d is not there", i)
		}
	}
	for i := range table.shards {
		if next := table.shards[i].next; next > lastPlace/2 {
			t.Errorf("shard %d is at %d", i, next)
		}
	}
}
