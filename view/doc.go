// Package view gives an [mld.Store] types: a [View] of K and V is a map from K
// to V that is kept in the store, in the order of the encoded keys.
//
//	users := view.New(store, view.UTF8, view.JSON[User]())
//	err := users.Put(ctx, "ann", User{Name: "Ann"}, nil)
//	ann, err := users.Get(ctx, "ann")
//	for e, err := range users.All(ctx, view.Between("a", "n")) { … }
//
// How a key or a value becomes bytes is up to a [Codec]. Those of this package
// are
//
//   - [UTF8], [Bytes], [Hex], [Base64] and [JSON], which read and write what
//     the encodings utf8, buffer (also called view and binary), hex, base64
//     and json of Level do in Node;
//   - [Uint64], [Int64], [Float64] and [Tuples], whose encodings sort as their
//     values do and therefore make good keys;
//   - [None], for entries whose key says everything;
//   - [Map], which makes a codec of another one.
//
// Package cborcodec, below this one, adds CBOR.
//
// # Sublevels
//
// [Sub] gives the view of a sublevel, a named part of another view's keys with
// encodings of its own, in the format of Level. Sublevels nest. The views of one
// store, sublevels included, are written to together by means of a [Batch]. A
// view sees the entries of its sublevels among its own, under keys that begin
// with an exclamation mark; whoever walks a view that has both needs a codec
// that can decode both, or a range without the sublevels.
//
// # Values, not references
//
// A [View], a [Reader] and a [Snapshot] are small values without state of their
// own, made and copied for next to nothing; their methods may be called
// together. A view in other encodings, for one call or for many, is
// [WithKey] or [WithValue] of the first:
//
//	raw, err := view.WithValue(users, view.Bytes).Get(ctx, "ann")
//
// # Bytes
//
// What a view returns is the caller's: no codec of this package returns a value
// that shares memory with the store, and none keeps what it was given to encode.
//
// # Errors
//
// A key or value that cannot be encoded is [mld.ErrInvalidArgument], and nothing
// was done. Stored bytes that cannot be decoded are [mld.ErrCorruption] and
// [ErrDecode]: an [mld.Error] whose Key is the key in the store, the prefixes of
// sublevels included.
package view
