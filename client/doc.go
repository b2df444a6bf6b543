// Package client is a [mld.Store] at the other end of a stream.
//
//	dial, err := client.Dialer("tcp://host:9000")
//	...
//	db := client.New(dial, nil)
//	defer db.Close()
//
// New returns at once; the client connects in the background, and again
// whenever the connection is lost, for as long as it is open. Nobody who calls
// it needs to know: calls wait until they are answered, or until their context
// ends.
//
// # What a lost connection means
//
// A call whose connection is lost before its answer is sent again on the next
// one, in the order in which the calls were issued. With Options.NoRetry nothing
// is sent twice: the error of a call tells whether it was sent, see
// [mld.OutcomeOf].
//
// A write that is sent again is done once, if the server offers sessions: the
// client numbers its writes, and the server keeps, in its store, which of them
// it has done. That holds over any number of lost connections, and over the end
// of the server's process, however it comes about. A server has sessions if it
// is of this project, serves a store that it may write to, and was not told to
// do without; with any other, a write may be done twice, when it was the answer
// that was lost, and overwrite what somebody else wrote in between.
// [ExactlyOnceRequire] sends no write to such a server.
//
// A session is kept for as long as the client is open and for a time after its
// last connection, 24 hours if the server was not told otherwise. When it is lost
// all the same, as the time is over, or as another store is served in the place
// of the first, the client goes on in a new one with all writes that were not
// sent. One that was sent fails: its error is [mld.ErrOutcomeUnknown] and
// [mld.ErrSessionLost]. It may have been done; read, and decide.
//
// So a write ends in one of three ways: with nil it was done, once; with an error
// that is mld.ErrOutcomeUnknown it may have been, at most once; and with any other
// it was not, see mld.OutcomeOf for those of a store that failed. One of the latter
// is [mld.ErrNotSent].
//
// An iterator goes on after the last entry that it returned. The server keeps
// the state that it reads for a while, a minute if it was not told otherwise, so
// it goes on in that. If it cannot, as the time is over, or the server was
// started anew, or is not of this project, then what follows is of a later state
// of the store; still each key is returned once and in order.
// [Iterator.Renewed] tells, and mld.IterOptions.Strict makes it an error, which
// is [mld.ErrSnapshotLost]. A [Snapshot] is kept likewise, and its reads return
// that error when it is gone.
//
// # Contexts
//
// A context that ends while a call waits ends the wait. A read then returns the
// context's error; a write an error that is the context's and also
// [mld.ErrNotSent], if nothing of it has left, or [mld.ErrOutcomeUnknown]. The
// latter goes on without its caller, with a copy of its bytes, until it is
// settled, which [Client.WaitFlushed] waits for.
//
// # Peers
//
// The client speaks to a server of this project and to the hosts of the npm
// packages multileveldown and many-level, in the dialect of Options.Dialect.
// What the latter cannot do, explicit snapshots and statistics, is
// [mld.ErrUnsupported] with them, and durability is theirs to choose.
package client
