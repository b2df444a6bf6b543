package mld

import "bytes"

// ReservedPrefix begins the keys that the system keeps for itself: the records
// of sessions, in which a server recognises a write that is sent again. No
// UTF-8 text begins with these bytes.
const ReservedPrefix = "\xff\xffmld\x00"

// reservedEnd is the first key after those that begin with [ReservedPrefix].
const reservedEnd = "\xff\xffmld\x01"

// IsReserved reports whether key is one that the system keeps for itself.
func IsReserved(key []byte) bool {
	return len(key) > 0 && key[0] == ReservedPrefix[0] && bytes.HasPrefix(key, []byte(ReservedPrefix))
}

// ReservedRange returns the range of the keys for which [IsReserved] is true.
func ReservedRange() Range {
	return Range{GTE: []byte(ReservedPrefix), LT: []byte(reservedEnd)}
}
