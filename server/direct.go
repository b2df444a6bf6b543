package server

import (
	"context"
	"errors"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/reserved"
)

// Store returns the store as clients see it, for calls of the server's own
// process: without a connection, and otherwise as if they came by one. Reserved
// keys are hidden, Options.ReadOnly, Options.Durability and Options.BeforeWrite
// hold, and a clear with a limit excludes the writes of clients. To close it does
// nothing: the store that is served is its owner's to close.
func (s *Server) Store() mld.Store { return direct{s.visible, s} }

type direct struct {
	*reserved.Store // reads
	srv             *Server
}

var (
	_ mld.Store        = direct{}
	_ mld.PinnedGetter = direct{}
	_ mld.EachGetter   = direct{}
	_ mld.Statser      = direct{}
)

func (d direct) Close() error { return nil }

func (d direct) Stats(ctx context.Context) (mld.Stats, error) { return d.srv.Stats(ctx) }

func (d direct) Put(ctx context.Context, key, value []byte, o *mld.WriteOptions) error {
	return d.write(ctx, WritePut, o, []mld.Op{{Kind: mld.OpPut, Key: key, Value: value}}, func(o *mld.WriteOptions) error {
		return d.Store.Put(ctx, key, value, o)
	})
}

func (d direct) Delete(ctx context.Context, key []byte, o *mld.WriteOptions) error {
	return d.write(ctx, WriteDelete, o, []mld.Op{{Kind: mld.OpDelete, Key: key}}, func(o *mld.WriteOptions) error {
		return d.Store.Delete(ctx, key, o)
	})
}

func (d direct) Apply(ctx context.Context, b *mld.Batch, o *mld.WriteOptions) error {
	return d.write(ctx, WriteBatch, o, b.Ops(), func(o *mld.WriteOptions) error {
		return d.Store.Apply(ctx, b, o)
	})
}

func (d direct) Clear(ctx context.Context, r mld.Range, o *mld.WriteOptions) error {
	if err := d.refuse(ctx, "clear"); err != nil {
		return err
	}
	w := Write{Kind: WriteClear, Range: r, Durability: o.Durable(d.srv.opts.Durability)}
	if d.srv.opts.BeforeWrite != nil {
		if err := d.srv.before(&w); err != nil {
			return err
		}
	}
	return d.srv.clear(ctx, &w)
}

// write does a write of operations by f, or the one that the hook makes of it.
func (d direct) write(ctx context.Context, kind WriteKind, o *mld.WriteOptions, ops []mld.Op, f func(*mld.WriteOptions) error) error {
	if err := d.refuse(ctx, kind.String()); err != nil {
		return err
	}
	s := d.srv
	durable := mld.WriteOptions{Durability: o.Durable(s.opts.Durability)}
	if s.opts.BeforeWrite != nil {
		w := Write{Kind: kind, Ops: append([]mld.Op{}, ops...), Durability: durable.Durability}
		if err := s.before(&w); err != nil {
			return err
		}
		durable.Durability = w.Durability
		f = func(o *mld.WriteOptions) error {
			var b mld.Batch
			b.Append(w.Ops...)
			return d.Store.Apply(ctx, &b, o)
		}
	}
	s.writes.RLock()
	defer s.writes.RUnlock()
	err := f(&durable)
	s.counters.commits.Add(1)
	s.noteWrite(err)
	return err
}

// refuse returns why no write is done, or nil.
func (d direct) refuse(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if d.srv.opts.ReadOnly {
		return &mld.Error{Code: mld.CodeReadOnly, Op: op}
	}
	if failure := d.srv.failure.Load(); failure != nil {
		return failure
	}
	return nil
}

// clear has the store do a clear.
func (s *Server) clear(ctx context.Context, w *Write) error {
	if w.Range.Limit > 0 {
		// The store may look at the keys first.
		s.writes.Lock()
		defer s.writes.Unlock()
	}
	o := &mld.WriteOptions{Durability: w.Durability}
	err := s.visible.Clear(ctx, w.Range, o)
	if errors.Is(err, mld.ErrUnsupported) {
		// A client of another server, which minds its own reserved keys.
		err = s.store.Clear(ctx, w.Range, o)
	}
	s.noteWrite(err)
	return err
}
