package server

import (
	"fmt"
	"runtime/debug"

	"github.com/multileveldown/mld"
)

// WriteKind is what kind of write a hook is asked about.
type WriteKind uint8

// The kinds of writes.
const (
	WritePut WriteKind = iota + 1
	WriteDelete
	WriteBatch
	WriteClear
)

// String returns "put", "delete", "batch" or "clear".
func (k WriteKind) String() string {
	switch k {
	case WritePut:
		return "put"
	case WriteDelete:
		return "delete"
	case WriteBatch:
		return "batch"
	case WriteClear:
		return "clear"
	default:
		return "unknown"
	}
}

// Write is what [Options.BeforeWrite] is told of a write that is about to be
// done. It and its slices are valid until the hook returns.
//
// The hook is called on the goroutine of the connection, which does nothing
// else meanwhile, or of the caller of [Server.Store], and at the same time for different connections. It may read
// the store, but what the connection wrote before this write may not be there
// yet. An error that it returns refuses the write; the client is told its text,
// and its code if it is an [mld.Error] and [mld.CodeRefused] otherwise. A panic
// refuses the write with [mld.ErrInternal] and is logged.
type Write struct {
	// Conn is the connection that asks; zero for a write of this process, by
	// [Server.Store].
	Conn ConnInfo
	// Kind is what it asks for.
	Kind WriteKind
	// Ops are what a put, a delete or a batch will do. The hook may change
	// them, add to them and take from them: what it leaves is done, as one
	// batch. It must not change the bytes of a key or a value in place, nor those
	// of one that it put there afterwards.
	Ops []mld.Op
	// Range is what a clear will remove; the hook may change it. A Limit of 0
	// means all.
	Range mld.Range
	// Durability is what the client asked for, or else the server's; the hook
	// may change it.
	Durability mld.Durability
}

// before asks the hook, which is set, about a write of the connection.
func (c *conn) before(w *Write) error {
	w.Conn = c.info
	return c.srv.before(w)
}

// before asks the hook, which is set.
func (s *Server) before(w *Write) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.opts.Logger.Error("a hook panicked", "write", w.Kind.String(), "remote", w.Conn.RemoteAddr, "panic", p, "stack", string(debug.Stack()))
			err = &mld.Error{Code: mld.CodeInternal, Msg: fmt.Sprintf("the hook before a %s broke", w.Kind)}
		}
	}()
	if err = s.opts.BeforeWrite(w); err != nil && mld.CodeOf(err) == mld.CodeInternal {
		err = &mld.Error{Code: mld.CodeRefused, Msg: err.Error()}
	}
	return err
}
