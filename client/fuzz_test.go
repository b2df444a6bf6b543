package client

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/internal/memnet"
	"github.com/multileveldown/mld/wire"
)

// FuzzServer lets a server send anything to a client that has a call of each
// kind under way. Nothing must crash, hang or stay behind.
func FuzzServer(f *testing.F) {
	welcome := wire.AppendWelcome(nil, &wire.Welcome{Version: 1, Features: ^wire.Features(0), MaxFrame: 1 << 20})
	seed := append([]byte{}, welcome...)
	seed = append(seed, entries(1, 0, "a", "b")...)
	seed = wire.AppendIteratorEnd(seed, wire.ManyLevel, 1, 0)
	seed = wire.AppendValue(seed, 1, []byte("v"))
	seed = wire.AppendOK(seed, 2)
	seed = wire.AppendMany(seed, 3, [][]byte{nil, {}})
	seed = wire.AppendDrain(seed)
	seed = wire.AppendGoodbye(seed, mld.ErrClosed)
	f.Add(false, seed)
	f.Add(true, seed)
	f.Add(false, wire.AppendError(welcome, wire.ManyLevel, 2, mld.ErrReadOnly))
	f.Add(true, []byte{9, 1, 8, 1, 26, 1, 'a', 34, 1, '1', 3, 1, 8, 1})
	f.Add(false, []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0, 8, 1})
	f.Fuzz(func(t *testing.T, multileveldown bool, stream []byte) {
		o := &Options{MaxFrame: 4096, Dialect: wire.ManyLevel}
		if multileveldown {
			o.Dialect = wire.Multileveldown
		}
		synctest.Test(t, func(t *testing.T) {
			dials := 0
			c := New(func(context.Context) (io.ReadWriteCloser, error) {
				if dials++; dials > 3 {
					return nil, errRefused
				}
				near, far := memnet.Pipe()
				go io.Copy(io.Discard, far)
				go func() {
					far.Write(stream)
					far.CloseWrite()
				}()
				return near, nil
			}, o)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			for _, call := range []func(){
				func() { c.Get(ctx, []byte("k")) },
				func() { c.Put(ctx, []byte("k"), nil, nil) },
				func() { c.GetMany(ctx, [][]byte{{1}, {2}}) },
				func() { c.Stats(ctx) },
				func() {
					if s, err := c.NewSnapshot(ctx); err == nil {
						s.Get(ctx, []byte("k"))
						s.Close()
					}
				},
				func() {
					it, err := c.NewIterator(ctx, nil)
					if err != nil {
						return
					}
					for i := 0; it.Next(); i++ {
						if i == 3 {
							it.Seek(it.Key())
						}
					}
					it.Close()
				},
			} {
				go call()
			}
			<-ctx.Done()
			synctest.Wait()
			c.mu.Lock()
			for _, list := range c.listsLocked() {
				for cl := list.head; cl != nil; cl = cl.next {
					if !cl.detached {
						t.Errorf("the call %d is left behind", cl.tag)
					}
				}
			}
			c.mu.Unlock()
			c.Close()
			if !c.IsFlushed() {
				t.Error("calls are left behind")
			}
		})
	})
}
