package hotcache

import (
	"bytes"
	"encoding/binary"
	"math"
	"sync"
)

// A table holds the entries. A look-up of one is two misses of the processor's
// caches, for the bucket and for the entry; where several are looked up together,
// they are taken at the same time. So it is our own: of the libraries that keep
// their entries out of the garbage collector's sight, the fastest takes five, one
// after the other, which made it half of a server's time.
//
// Each shard writes its entries into a ring, over the oldest ones. Its buckets say
// where they are, by the place that they would have if the ring never ended, so
// that it shows which have been overwritten since.
type table struct {
	shards [shardCount]shard
}

const (
	// shardCount is how many entries can be written at a time, and how many
	// locks a look-up of many takes.
	shardCount = 16

	// ways is how many slots a bucket has: those of one cache line.
	ways = 8

	// bytesPerSlot is how many bytes of the ring there are for each slot: about
	// the size of a small entry.
	bytesPerSlot = 64

	// headerSize is the size of what precedes a key and its value in the ring:
	// the stamp, and the two lengths.
	headerSize = 16

	// unit is what places are counted in, in bytes, and lastPlace where a shard
	// begins anew.
	unit      = 8
	lastPlace = 1<<48 - 1
)

// A slot has 16 bits of a hash and a place, 48 bits. Place 0 is that of no entry.
type slot uint64

func newSlot(hash, place uint64) slot { return slot(hash&0xffff<<48 | place) }

func (s slot) place() uint64 { return uint64(s) & lastPlace }

// is reports whether the slot may be that of a hash.
func (s slot) is(hash uint64) bool { return uint64(s)>>48 == hash&0xffff && s.place() != 0 }

type shard struct {
	mu      sync.RWMutex
	buckets [][ways]slot
	ring    []byte
	next    uint64 // the place of the next entry
	_       [56]byte
}

// newTable returns a table that takes so many bytes for its entries.
func newTable(size int) *table {
	t := new(table)
	ring := max(size/shardCount/unit*unit, minRing)
	for i := range t.shards {
		s := &t.shards[i]
		s.ring = allocate(ring)
		s.buckets = make([][ways]slot, ring/bytesPerSlot/ways)
		s.next = 1
	}
	return t
}

const minRing = 64 << 10

// maxEntry returns the size of the largest key with its value that is kept.
func (t *table) maxEntry() int { return len(t.shards[0].ring)/4 - headerSize }

// release lets go of the memory. There is nothing in the table from then on, and
// nothing can be put in.
func (t *table) release() {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		ring := s.ring
		s.ring, s.buckets = nil, nil
		s.mu.Unlock()
		free(ring)
	}
}

func (t *table) shard(hash uint64) *shard { return &t.shards[hash>>16%shardCount] }

// bucket returns the bucket of a hash, nil where there is none.
func (s *shard) bucket(hash uint64) *[ways]slot {
	if len(s.buckets) == 0 {
		return nil
	}
	return &s.buckets[hash>>32*uint64(len(s.buckets))>>32]
}

// find returns the place of what may be the entry of a hash, or 0. The caller holds
// the lock.
func (s *shard) find(hash uint64) uint64 {
	if b := s.bucket(hash); b != nil {
		for _, slot := range b {
			if slot.is(hash) && s.holds(slot.place()) {
				return slot.place()
			}
		}
	}
	return 0
}

// has reports whether there may be an entry of a hash.
func (t *table) has(hash uint64) bool {
	s := t.shard(hash)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.find(hash) != 0
}

// lock keeps all entries where they are.
func (t *table) lock() {
	for i := range t.shards {
		t.shards[i].mu.RLock()
	}
}

func (t *table) unlock() {
	for i := range t.shards {
		t.shards[i].mu.RUnlock()
	}
}

// holds reports whether an entry has not been overwritten.
func (s *shard) holds(place uint64) bool { return s.next-place <= uint64(len(s.ring)/unit) }

// entry returns what is in the ring from a place on.
func (s *shard) entry(place uint64) []byte {
	return s.ring[place*unit%uint64(len(s.ring)):]
}

// value returns the value at a place if it is that of key with a stamp.
func (s *shard) value(place uint64, key []byte, stamp uint64) ([]byte, bool) {
	e := s.entry(place)
	if binary.LittleEndian.Uint64(e) != stamp {
		return nil, false
	}
	keySize, size := binary.LittleEndian.Uint32(e[8:]), binary.LittleEndian.Uint32(e[12:])
	e = e[headerSize:]
	if int(keySize) != len(key) || !bytes.Equal(e[:keySize], key) {
		return nil, false
	}
	return e[keySize:][:size:size], true
}

// put writes an entry. The key with its value must not be larger than maxEntry.
func (t *table) put(hash uint64, key []byte, stamp uint64, value []byte) {
	s := t.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.bucket(hash)
	if b == nil {
		return
	}
	place := s.reserve(headerSize + len(key) + len(value))
	e := s.entry(place)
	binary.LittleEndian.PutUint64(e, stamp)
	binary.LittleEndian.PutUint32(e[8:], uint32(len(key)))
	binary.LittleEndian.PutUint32(e[12:], uint32(len(value)))
	copy(e[headerSize:], key)
	copy(e[headerSize+len(key):], value)
	// In the place of an older one of the same hash, or else of the oldest: where
	// there is none, or one that was overwritten, that is the oldest.
	oldest, age := 0, uint64(math.MaxUint64)
	for i, slot := range b {
		if slot.is(hash) {
			oldest = i
			break
		}
		if p := slot.place(); p < age {
			oldest, age = i, p
		}
	}
	b[oldest] = newSlot(hash, place)
}

// reserve returns the place of an entry of a size, which is in one piece.
func (s *shard) reserve(size int) uint64 {
	ring := uint64(len(s.ring) / unit)
	units := uint64(size+unit-1) / unit
	if rest := ring - s.next%ring; rest < units {
		s.next += rest
	}
	if s.next+units > lastPlace {
		clear(s.buckets)
		s.next = 1
	}
	place := s.next
	s.next += units
	return place
}

// usage returns how many entries there are, and how many bytes the table takes,
// with the parts of its ring that were never written.
func (t *table) usage() (entries, size int) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.RLock()
		size += len(s.ring) + len(s.buckets)*ways*8
		for _, b := range s.buckets {
			for _, slot := range b {
				if slot != 0 && s.holds(slot.place()) {
					entries++
				}
			}
		}
		s.mu.RUnlock()
	}
	return entries, size
}
