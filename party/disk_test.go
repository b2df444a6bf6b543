package party

import (
	"context"
	"sync"
	"testing"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/memstore"
)

// disk is what stores of a directory have in common: what was written, and in which
// order. Its stores can be made to wait, and to fail to open.
type disk struct {
	all mld.Store

	mu      sync.Mutex
	writes  []string      // "key=value" of each put
	gate    chan struct{} // that writes wait for, if it is not nil
	waiting int           // how many do
	opens   int
	fail    error         // of open
	opening chan struct{} // that open waits for, if it is not nil
}

func newDisk(t *testing.T) *disk {
	d := &disk{all: memstore.New()}
	t.Cleanup(func() { d.all.Close() })
	return d
}

// options are those of a member whose store is on the disk.
func (d *disk) options() *Options { return &Options{Open: d.open} }

func (d *disk) open(string) (mld.Store, error) {
	d.mu.Lock()
	d.opens++
	opening := d.opening
	d.mu.Unlock()
	if opening != nil {
		<-opening
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return nil, d.fail
	}
	return &diskStore{Store: d.all, d: d}, nil
}

// stick has the writes from now on wait, until their contexts end or the function
// that it returns is called.
func (d *disk) stick() (release func()) {
	gate := make(chan struct{})
	d.mu.Lock()
	d.gate = gate
	d.mu.Unlock()
	return func() {
		d.mu.Lock()
		d.gate = nil
		d.mu.Unlock()
		close(gate)
	}
}

// awaitStuck waits until a write waits.
func (d *disk) awaitStuck() {
	for {
		d.mu.Lock()
		n := d.waiting
		d.mu.Unlock()
		if n > 0 {
			return
		}
		yield()
	}
}

// written returns what was written, in order.
func (d *disk) written() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string{}, d.writes...)
}

// diskStore is the store of one host.
type diskStore struct {
	mld.Store
	d *disk

	mu     sync.Mutex
	closed bool
}

func (s *diskStore) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	return nil
}

func (s *diskStore) Put(ctx context.Context, key, value []byte, o *mld.WriteOptions) error {
	var b mld.Batch
	b.Put(key, value)
	return s.Apply(ctx, &b, o)
}

func (s *diskStore) Apply(ctx context.Context, b *mld.Batch, o *mld.WriteOptions) error {
	var puts []string
	for _, op := range b.Ops() {
		if op.Kind == mld.OpPut && !mld.IsReserved(op.Key) {
			puts = append(puts, string(op.Key)+"="+string(op.Value))
		}
	}
	s.d.mu.Lock()
	gate := s.d.gate
	if len(puts) == 0 {
		gate = nil // of the system itself
	}
	if gate != nil {
		s.d.waiting++
	}
	s.d.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
		}
		s.d.mu.Lock()
		s.d.waiting--
		s.d.mu.Unlock()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return mld.ErrClosed
	}
	if err := s.Store.Apply(ctx, b, o); err != nil {
		return err
	}
	s.d.mu.Lock()
	s.d.writes = append(s.d.writes, puts...)
	s.d.mu.Unlock()
	return nil
}
