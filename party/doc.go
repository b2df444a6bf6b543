// Package party shares the store in a directory between the processes that open
// it, without a server that anybody would have to run:
//
//	db, err := party.Join("./db", nil) // the same line in every process
//	...
//	defer db.Close()
//
// The first process becomes the host: it opens the store, and serves it on a unix
// socket in the directory, or a named pipe on Windows. The others are its guests.
// When the host ends, however that comes about, one of them becomes the next host.
// A [Party] is a [mld.Store] all the while; whoever calls it need not know the role.
//
// # The lock
//
// What makes a process the host is the lock of the engine's own file LOCK, as the
// kernel keeps it: never the existence of a file, nor a time-out. It is taken
// before the store is opened, and the kernel releases it when the process ends, at
// whatever moment. It is the lock that other programs take on such a directory, a
// program that uses the engine alone among them, so these are kept out, too. The
// file is never deleted, and the socket only by who holds the lock.
//
// A guest whose connection ends tries at once to get the lock, and otherwise to
// reach who has it; it goes on doing so at intervals that begin below a
// millisecond, grow, and differ at random between guests.
//
// # What a change of host means
//
// A call that has no answer yet is done by the new host. Calls are done in the
// order in which they were issued, also when it is their own process that becomes
// the host: it does what was pending before it does anything new, and before it
// serves others. A write is done once, for the record of which writes were done is
// kept in the store; see package client. An iterator goes on after the last entry
// that it returned, in the new host's state of the store, or fails with
// [mld.ErrSnapshotLost] if it is strict; a snapshot fails with that error.
//
// The process that hosts uses the store directly, without a socket.
//
// A host that is stopped, as by SIGSTOP, keeps the lock and is not replaced. Calls
// of its guests wait until it goes on, or until their contexts end. For the same
// reason a host that was away cannot write over what its successor did: while it
// lives there is none.
//
// # Who is talked to
//
// A host writes into the file mld.party in the directory who it is. A guest sends
// nothing to one that answers at the socket and is not the host that is named
// there, nor to one that serves another store than the one before, or an older
// epoch of it: each host begins a new epoch, whose number is kept in the store.
//
// # Node
//
// The npm packages level-party and rave-level do the same for LevelDB directories,
// with the same lock. The processes can be mixed: a host of this package listens
// for theirs, on level-party.sock and rave-level.sock in the directory, and a
// process of this package can be a guest of theirs. While one of theirs is the
// host there is no memory of writes, so those of which the answer was lost may be
// done twice, unless client.ExactlyOnceRequire is set: then there are none. One that
// was sent to a host of this package and has no answer when one of theirs takes over
// fails with [mld.ErrOutcomeUnknown] and [mld.ErrSessionLost].
package party
