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
// one, in the order in which the calls were issued. A write may so be done
// twice, when it was the answer that was lost: for a Put or a Delete that
// matters only if somebody else wrote the same key in between, for a Clear with
// a limit it removes other entries the second time. With Options.NoRetry
// nothing is sent twice: the error of a call tells whether it was sent, see
// [mld.OutcomeOf].
//
// An iterator goes on after the last entry that it returned. It returns each
// key once and in order, but those that follow are of a later state of the
// store; [Iterator.Renewed] tells, and mld.IterOptions.Strict makes it an
// error. A [Snapshot] lives on one connection and is lost with it.
//
// # Contexts
//
// A context that ends while a call waits ends the wait. A read then returns the
// context's error; a write an error that is the context's and also
// [mld.ErrNotSent], if nothing of it has left, or [mld.ErrOutcomeUnknown].
//
// # Peers
//
// The client speaks to a server of this project and to the hosts of the npm
// packages multileveldown and many-level, in the dialect of Options.Dialect.
// What the latter cannot do, explicit snapshots and statistics, is
// [mld.ErrUnsupported] with them, and durability is theirs to choose.
package client
