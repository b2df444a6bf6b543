// Package mld is the vocabulary of a shared, ordered key-value store: what a
// [Store] is, what can be read from it ([Reader], [Iterator], [Snapshot]) and
// written to it ([Writer], [Batch]), and how it fails ([Error], [Code]).
//
// Everything that holds data implements Store: the engines below store/, a
// store seen through a key prefix, a client of a server in another process.
// They nest, and whoever holds a Store need not know which it is.
//
// # Byte slices
//
// One rule holds for every method of this module that takes or gives a byte
// slice, unless the method says otherwise:
//
//   - a slice that is passed in stays the caller's. The callee reads it until
//     the method returns and never changes it; the caller may reuse it then.
//   - a slice that is returned is the caller's, to keep and to change, except
//     [Iterator.Key] and [Iterator.Value], which are valid until the iterator
//     moves or is closed and must not be changed.
//
// A nil slice and an empty one are the same key or the same value; both are
// legal. Where absence means something else than emptiness, in the bounds of a
// [Range] or an [OpDeleteRange] and in the result of GetMany, nil is absent and an empty slice that
// is not nil is present.
//
// # Contexts
//
// A context ends the wait of a call, never the call's effect: a write whose
// context ends after it has left for another process reports
// [ErrOutcomeUnknown]. A call whose context has already ended does nothing and
// returns the context's error.
package mld
