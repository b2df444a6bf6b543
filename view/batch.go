package view

import (
	"context"

	"github.com/multileveldown/mld"
)

// Batch collects writes to the views of one store, sublevels included, which
// Apply then does together, all or none:
//
//	var b view.Batch
//	users.PutIn(&b, id, u)
//	byMail.PutIn(&b, u.Mail, id)
//	err := b.Apply(ctx, nil)
//
// The zero Batch is empty and ready for use. A Batch is used by one goroutine at
// a time.
type Batch struct {
	ops   mld.Batch
	store mld.Store
	err   error
}

// PutIn adds the setting of a value to b. It keeps neither key nor value. An
// error, of a key or a value that cannot be encoded or of a view of another store
// than those before, [mld.ErrInvalidArgument], is returned by [Batch.Apply].
func (v View[K, V]) PutIn(b *Batch, key K, value V) {
	if !b.join(v.store) {
		return
	}
	s := newScratch()
	defer s.release()
	rawKey, rawValue, err := encodeEntry(s, &v.Reader, "batch", key, value)
	if err != nil {
		b.err = err
		return
	}
	b.ops.Put(rawKey, rawValue)
}

// DeleteIn adds the removal of a key to b. Errors are those of [View.PutIn].
func (v View[K, V]) DeleteIn(b *Batch, key K) {
	if !b.join(v.store) {
		return
	}
	s := newScratch()
	defer s.release()
	raw, err := encodeKey(s, &v.Reader, "batch", key)
	if err != nil {
		b.err = err
		return
	}
	b.ops.Delete(raw)
}

// Len returns the number of operations.
func (b *Batch) Len() int { return b.ops.Len() }

// Size returns the number of bytes in the encoded keys and values, the prefixes
// of sublevels included.
func (b *Batch) Size() int { return b.ops.Size() }

// Apply does the operations in order, all or none, or none when one of them
// could not be added; then it returns the first such error. A batch without
// operations is no error. The batch stays as it is and can be applied again.
func (b *Batch) Apply(ctx context.Context, o *mld.WriteOptions) error {
	switch {
	case b.err != nil:
		return b.err
	case b.store == nil:
		return ctx.Err()
	default:
		return b.store.Apply(ctx, &b.ops, o)
	}
}

// Reset empties the batch, which may then be used with the views of another
// store, and forgets its error. It keeps its memory for reuse.
func (b *Batch) Reset() {
	b.ops.Reset()
	b.store, b.err = nil, nil
}

// join reports whether an operation on store can be added.
func (b *Batch) join(store mld.Store) bool {
	switch {
	case b.err != nil:
		return false
	case b.store == nil:
		b.store = store
	case !same(b.store, store):
		b.err = &mld.Error{
			Code: mld.CodeInvalidArgument, Op: "batch",
			Msg: "the views do not come from one store, which alone can write to all of them together; make them with Sub from one view",
		}
		return false
	}
	return true
}

// same reports whether two stores are one. Stores are pointers as a rule; those
// of a type that cannot be compared, which makes == panic, never are.
func same(a, b mld.Store) (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	return a == b
}
