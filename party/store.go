package party

import (
	"context"
	"fmt"
	"io"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/client"
	"github.com/multileveldown/mld/store/reserved"
)

var (
	_ mld.Store        = (*Party)(nil)
	_ mld.PinnedGetter = (*Party)(nil)
	_ mld.EachGetter   = (*Party)(nil)
	_ mld.Statser      = (*Party)(nil)
)

// store returns where a call goes, having waited where there is nowhere yet: while
// this process, which has just become the host, does what it had pending before.
func (p *Party) store(ctx context.Context) (mld.Store, error) {
	for {
		r := p.route.Load()
		if r.store != nil {
			return r.store, nil
		}
		select {
		case <-r.next:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// storeToWrite is store for a write.
func (p *Party) storeToWrite(ctx context.Context, op string) (mld.Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s, err := p.store(ctx)
	if err != nil {
		return nil, &mld.Error{Code: mld.CodeNotSent, Op: op, Where: p.dir, Err: err}
	}
	return s, nil
}

// Get implements [mld.Reader].
func (p *Party) Get(ctx context.Context, key []byte) ([]byte, error) {
	s, err := p.store(ctx)
	if err != nil {
		return nil, err
	}
	return s.Get(ctx, key)
}

// GetPinned implements [mld.PinnedGetter]. The host lends the engine's memory, a
// guest has a copy.
func (p *Party) GetPinned(ctx context.Context, key []byte) ([]byte, io.Closer, error) {
	s, err := p.store(ctx)
	if err != nil {
		return nil, nil, err
	}
	return mld.GetPinned(ctx, s, key)
}

// GetMany implements [mld.Reader].
func (p *Party) GetMany(ctx context.Context, keys [][]byte) ([][]byte, error) {
	s, err := p.store(ctx)
	if err != nil {
		return nil, err
	}
	return s.GetMany(ctx, keys)
}

// GetEach implements [mld.EachGetter].
func (p *Party) GetEach(ctx context.Context, keys [][]byte, f func(i int, value []byte) error) error {
	s, err := p.store(ctx)
	if err != nil {
		return err
	}
	return mld.GetEach(ctx, s, keys, f)
}

// NewIterator implements [mld.Reader]. An iterator that a guest has opened goes on
// after a change of host, see the documentation of the package. Where no host can be
// Node's, the iterator of a guest is a [*client.Iterator].
func (p *Party) NewIterator(ctx context.Context, o *mld.IterOptions) (mld.Iterator, error) {
	s, err := p.store(ctx)
	if err != nil {
		return nil, err
	}
	return s.NewIterator(ctx, o)
}

// NewSnapshot implements [mld.Store]. A snapshot that a guest has taken is lost with
// its host, as one that a host has taken is when that closes.
func (p *Party) NewSnapshot(ctx context.Context) (mld.Snapshot, error) {
	s, err := p.store(ctx)
	if err != nil {
		return nil, err
	}
	return s.NewSnapshot(ctx)
}

// Put implements [mld.Writer].
func (p *Party) Put(ctx context.Context, key, value []byte, o *mld.WriteOptions) error {
	s, err := p.storeToWrite(ctx, "put")
	if err != nil {
		return err
	}
	return s.Put(ctx, key, value, o)
}

// Delete implements [mld.Writer].
func (p *Party) Delete(ctx context.Context, key []byte, o *mld.WriteOptions) error {
	s, err := p.storeToWrite(ctx, "delete")
	if err != nil {
		return err
	}
	return s.Delete(ctx, key, o)
}

// Apply implements [mld.Writer]. A batch that removes a range is refused with
// [mld.ErrUnsupported], whatever the role, for a guest cannot send one.
func (p *Party) Apply(ctx context.Context, b *mld.Batch, o *mld.WriteOptions) error {
	for i, op := range b.Ops() {
		if op.Kind == mld.OpDeleteRange {
			return &mld.Error{Code: mld.CodeUnsupported, Op: "batch", Key: append([]byte{}, op.Key...), Msg: fmt.Sprintf("operation %d removes a range, which hosts take as a Clear alone", i)}
		}
	}
	s, err := p.storeToWrite(ctx, "batch")
	if err != nil {
		return err
	}
	return s.Apply(ctx, b, o)
}

// Clear implements [mld.Writer].
func (p *Party) Clear(ctx context.Context, r mld.Range, o *mld.WriteOptions) error {
	s, err := p.storeToWrite(ctx, "clear")
	if err != nil {
		return err
	}
	return s.Clear(ctx, r, o)
}

// Stats returns what the host's store and server tell of themselves. A Node host
// tells nothing: then it returns [mld.ErrUnsupported].
func (p *Party) Stats(ctx context.Context) (mld.Stats, error) {
	s, err := p.store(ctx)
	if err != nil {
		return mld.Stats{}, err
	}
	return s.(mld.Statser).Stats(ctx) // every route is one
}

// nodeGuest is the client of a host that may be one of an npm package, which hides no
// reserved keys.
type nodeGuest struct {
	*reserved.Store
	client *client.Client
}

func (g nodeGuest) Close() error { return nil }

// Clear leaves reserved keys to the host: a client has no batch that spares them.
func (g nodeGuest) Clear(ctx context.Context, r mld.Range, o *mld.WriteOptions) error {
	return g.client.Clear(ctx, r, o)
}

// closedStore is the route of a party that is closed.
type closedStore struct {
	mld.Store // nil
	dir       string
}

func (s closedStore) err(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return &mld.Error{Code: mld.CodeClosed, Op: op, Where: s.dir, Msg: "the membership was closed before"}
}

func (s closedStore) Get(ctx context.Context, _ []byte) ([]byte, error) {
	return nil, s.err(ctx, "get")
}

func (s closedStore) GetMany(ctx context.Context, _ [][]byte) ([][]byte, error) {
	return nil, s.err(ctx, "get")
}

func (s closedStore) NewIterator(ctx context.Context, o *mld.IterOptions) (mld.Iterator, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	return nil, s.err(ctx, "iterate")
}

func (s closedStore) NewSnapshot(ctx context.Context) (mld.Snapshot, error) {
	return nil, s.err(ctx, "snapshot")
}

func (s closedStore) Put(ctx context.Context, _, _ []byte, _ *mld.WriteOptions) error {
	return s.err(ctx, "put")
}

func (s closedStore) Delete(ctx context.Context, _ []byte, _ *mld.WriteOptions) error {
	return s.err(ctx, "delete")
}

func (s closedStore) Apply(ctx context.Context, _ *mld.Batch, _ *mld.WriteOptions) error {
	return s.err(ctx, "batch")
}

func (s closedStore) Clear(ctx context.Context, _ mld.Range, _ *mld.WriteOptions) error {
	return s.err(ctx, "clear")
}

func (s closedStore) Stats(ctx context.Context) (mld.Stats, error) {
	return mld.Stats{}, s.err(ctx, "stats")
}
