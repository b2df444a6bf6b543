package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/util"

	"github.com/multileveldown/mld/store/pebblestore"
)

// keyLen is the length of all keys: decimal digits, so that every peer can have
// them, those that speak text included.
const keyLen = 16

func setKey(key []byte, i int) {
	for j := len(key) - 1; j >= 0; j-- {
		key[j] = byte('0' + i%10)
		i /= 10
	}
}

func makeKey(i int) []byte {
	key := make([]byte, keyLen)
	setKey(key, i)
	return key
}

// setValue makes value the one that key has in every store: the key, again and
// again, so that it can be checked wherever it comes from.
func setValue(value, key []byte) {
	for n := 0; n < len(value); {
		n += copy(value[n:], key)
	}
}

// checkValue returns an error if value is not what key has.
func checkValue(key, value []byte, size int) error {
	if len(value) != size {
		return fmt.Errorf("the value of %s has %d bytes, want %d", key, len(value), size)
	}
	for rest := value; len(rest) > 0; {
		n := min(len(rest), len(key))
		if !bytes.Equal(rest[:n], key[:n]) {
			return fmt.Errorf("the value of %s is wrong: %.40q", key, value)
		}
		rest = rest[n:]
	}
	return nil
}

// data are the entries that all peers have.
type data struct {
	first     int // number of the first key
	keys      int
	valueSize int
	dir       string // where the directories are that peers get copies of
	zipf      []uint32
}

// drawn is how many Zipfian choices are drawn beforehand.
const drawn = 1 << 20

// draw fills d.zipf: indices of keys, those of rank k with a probability in
// proportion to 1/(k+1)^0.99, as in YCSB; which key has which rank is random.
func (d *data) draw() {
	sums := make([]float64, d.keys)
	sum := 0.0
	for k := range sums {
		sum += math.Pow(float64(k+1), -0.99)
		sums[k] = sum
	}
	r := rand.New(rand.NewPCG(1, 2))
	of := r.Perm(d.keys)
	d.zipf = make([]uint32, drawn)
	for i := range d.zipf {
		rank := sort.SearchFloat64s(sums, r.Float64()*sum)
		d.zipf[i] = uint32(of[min(rank, d.keys-1)])
	}
}

// chooser chooses keys for one goroutine.
type chooser struct {
	first, keys int

	zipf []uint32 // nil is uniform
	at   int
	rand *rand.PCG
}

func (d *data) chooser(w *workload) *chooser {
	c := &chooser{first: d.first, keys: d.keys, rand: rand.NewPCG(rand.Uint64(), rand.Uint64())}
	if w.zipf {
		c.zipf, c.at = d.zipf, rand.IntN(drawn)
	}
	return c
}

func (c *chooser) next() int {
	if c.zipf != nil {
		c.at = (c.at + 1) % drawn
		return c.first + int(c.zipf[c.at])
	}
	// A multiplication instead of a division; the bias is of no account here.
	return c.first + int((c.rand.Uint64()>>32)*uint64(c.keys)>>32)
}

// chance reports true with a probability.
func (c *chooser) chance(p float64) bool { return float64(c.rand.Uint64()>>11) < p*(1<<53) }

// each calls f for all entries, in order.
func (d *data) each(f func(key, value []byte) error) error {
	key, value := make([]byte, keyLen), make([]byte, d.valueSize)
	for i := range d.keys {
		setKey(key, d.first+i)
		setValue(value, key)
		if err := f(key, value); err != nil {
			return err
		}
	}
	return nil
}

// pebbleOptions returns the options of Pebble that this project's servers use.
func pebbleOptions(cache int64) (*pebble.Options, error) {
	var o pebble.Options
	s, err := pebblestore.Open("options", &pebblestore.Options{
		FS: vfs.NewMem(), CacheBytes: cache, Configure: func(p *pebble.Options) { o = *p },
	})
	if err != nil {
		return nil, err
	}
	o.FS, o.Lock, o.EventListener, o.Logger = vfs.Default, nil, nil, quiet{}
	return &o, s.Close()
}

// quiet is a logger for Pebble that says nothing.
type quiet struct{}

func (quiet) Infof(string, ...any) {}
func (quiet) Errorf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "pebble: "+format+"\n", args...)
}

func (quiet) Fatalf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "pebble: "+format+"\n", args...)
	os.Exit(1)
}

// pebbleDir returns a directory of Pebble's with all entries, compacted, that the
// caller may write to.
func (d *data) pebbleDir(name string) (string, error) {
	return d.copyOf("data-pebble", name, func(dir string) error {
		o, err := pebbleOptions(64 << 20)
		if err != nil {
			return err
		}
		db, err := pebble.Open(dir, o)
		if err != nil {
			return err
		}
		defer db.Close()
		b := db.NewBatch()
		err = d.each(func(key, value []byte) error {
			if b.Len() > 1<<20 {
				if err := b.Commit(pebble.NoSync); err != nil {
					return err
				}
				b = db.NewBatch()
			}
			return b.Set(key, value, nil)
		})
		if err != nil {
			return err
		}
		if err := b.Commit(pebble.Sync); err != nil {
			return err
		}
		return db.Compact(context.Background(), []byte("0"), []byte(":"), true)
	})
}

// leveldbDir does the same for LevelDB.
func (d *data) leveldbDir(name string) (string, error) {
	return d.copyOf("data-leveldb", name, func(dir string) error {
		db, err := leveldb.OpenFile(dir, nil)
		if err != nil {
			return err
		}
		defer db.Close()
		var b leveldb.Batch
		err = d.each(func(key, value []byte) error {
			if len(b.Dump()) > 1<<20 {
				if err := db.Write(&b, nil); err != nil {
					return err
				}
				b.Reset()
			}
			b.Put(key, value)
			return nil
		})
		if err != nil {
			return err
		}
		if err := db.Write(&b, nil); err != nil {
			return err
		}
		return db.CompactRange(util.Range{})
	})
}

// copyOf makes a copy of a directory of d.dir, which fill makes first if it is
// not there.
func (d *data) copyOf(original, name string, fill func(dir string) error) (string, error) {
	from, to := filepath.Join(d.dir, original), filepath.Join(d.dir, name)
	if _, err := os.Stat(from); err != nil {
		progress("making %d entries", d.keys)
		if err := fill(from); err != nil {
			return "", err
		}
	}
	return to, os.CopyFS(to, os.DirFS(from))
}
