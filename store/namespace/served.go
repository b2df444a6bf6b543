package namespace

import (
	"bytes"
	"context"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/reserved"
)

var (
	_ mld.Store          = (*Served)(nil)
	_ mld.PinnedGetter   = (*Served)(nil)
	_ mld.EachGetter     = (*Served)(nil)
	_ mld.DeferredWriter = (*Served)(nil)
	_ mld.Statser        = (*Served)(nil)
)

// Served is a namespace for a server that keeps sessions: their records lie beside
// the namespace, in the reserved keys of the whole store, and are written in the
// same batch as what they tell of.
type Served struct {
	*Store
	base mld.Store
}

// NewServed returns the part of s below prefix, which it copies. The reserved keys
// of s, see [mld.ReservedRange], cannot be read or changed through it, whatever the
// prefix is, with one exception: a reserved key that Apply is given is that key of
// s. Whoever lets others write must refuse them such keys before, as a server does.
func NewServed(s mld.Store, prefix []byte) *Served {
	return &Served{New(reserved.Hide(s), prefix), s}
}

// Apply implements [mld.Writer]. Reserved keys are those of the store below. A key
// that only comes to be reserved by the prefix is refused with
// [mld.ErrReservedKey].
func (s *Served) Apply(ctx context.Context, b *mld.Batch, o *mld.WriteOptions) error {
	below, err := s.batch(ctx, b)
	if err != nil {
		return err
	}
	return s.wrap(s.base.Apply(ctx, below, o))
}

// ApplyDeferred implements [mld.DeferredWriter], if the store below does.
func (s *Served) ApplyDeferred(ctx context.Context, b *mld.Batch, o *mld.WriteOptions) error {
	below, err := s.batch(ctx, b)
	if err != nil {
		return err
	}
	return s.wrap(mld.ApplyDeferred(ctx, s.base, below, o))
}

// Harden implements [mld.DeferredWriter].
func (s *Served) Harden(ctx context.Context, o *mld.WriteOptions) error {
	if err := s.ready(ctx, "harden"); err != nil {
		return err
	}
	return s.wrap(mld.Harden(ctx, s.base, o))
}

// batch returns what a batch is in the store below.
func (s *Served) batch(ctx context.Context, b *mld.Batch) (*mld.Batch, error) {
	if err := s.ready(ctx, "batch"); err != nil {
		return nil, err
	}
	var below mld.Batch
	ops := s.below(b.Ops())
	for i, own := range b.Ops() {
		op := ops[i]
		switch {
		case op.Kind == mld.OpDeleteRange:
			reserved.DeleteRange(&below, op.Key, op.Value)
			continue
		case mld.IsReserved(own.Key):
			op.Key = own.Key
		case mld.IsReserved(op.Key):
			return nil, &mld.Error{
				Code: mld.CodeReservedKey, Op: "batch", Key: bytes.Clone(own.Key),
				Msg: "with the prefix of the namespace it is one that the system keeps for itself; choose another",
			}
		}
		below.Append(op)
	}
	return &below, nil
}
