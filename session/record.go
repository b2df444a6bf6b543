package session

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/multileveldown/mld"
)

// The kinds of keys behind mld.ReservedPrefix, or behind that, keyPart and a sum of
// the prefix of a part of the store.
const (
	keyMeta    = 'm'
	keyPart    = 'p'
	keySession = 's'
)

// ID is the random number by which a client is known.
type ID [16]byte

// keys is what the keys of a registry begin with.
type keys []byte

// keysOf returns the keys of the registry of the part of a store below a prefix.
// They have a sum of it, for it may be long.
func keysOf(prefix []byte) keys {
	k := keys(mld.ReservedPrefix)
	if len(prefix) > 0 {
		sum := sha256.Sum256(prefix)
		k = append(append(k, keyPart), sum[:16]...)
	}
	return k
}

// meta returns the key of what is said of the whole registry.
func (k keys) meta() []byte { return append(slices.Clone(k), keyMeta) }

// session returns the key of the record of a session.
func (k keys) session(id ID) []byte { return append(append(slices.Clone(k), keySession), id[:]...) }

// sessions returns the range of the records of sessions.
func (k keys) sessions() mld.Range {
	return mld.Range{GTE: append(slices.Clone(k), keySession), LT: append(slices.Clone(k), keySession+1)}
}

// fate is what became of a write.
type fate uint8

const (
	applied fate = iota
	refused
	absent // the number was passed over: the write never came
)

// entry is what is remembered of a write above the watermark.
type entry struct {
	sum  uint32 // of the write's bytes
	fate fate
	err  *mld.Error // what was said of a refused one
}

// record is what is remembered of a session. The entries are those of the
// numbers after the watermark, in order.
type record struct {
	watermark uint64
	entries   []entry
}

// last returns the highest number that has been decided.
func (r *record) last() uint64 { return r.watermark + uint64(len(r.entries)) }

const (
	formatRecord    = 1
	formatTombstone = 2
	formatMeta      = 1
)

// appendTo encodes the record.
func (r *record) appendTo(dst []byte) []byte {
	dst = append(dst, formatRecord)
	dst = binary.AppendUvarint(dst, r.watermark)
	dst = binary.AppendUvarint(dst, uint64(len(r.entries)))
	for i := range r.entries {
		dst = binary.BigEndian.AppendUint32(dst, r.entries[i].sum)
	}
	// What is not as usual follows, each with its place.
	for i := range r.entries {
		e := &r.entries[i]
		if e.fate == applied {
			continue
		}
		dst = binary.AppendUvarint(dst, uint64(i))
		dst = append(dst, byte(e.fate))
		if e.fate == refused {
			dst = appendText(dst, string(e.err.Code))
			dst = appendText(dst, e.err.Msg)
		}
	}
	return dst
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// errCorrupt is returned for a record that does not decode.
func errCorrupt(what string) error {
	return &mld.Error{Code: mld.CodeCorruption, Op: "read the sessions", Msg: "the " + what + " does not decode"}
}

// decodeRecord decodes what appendTo encoded; tombstone says that the session
// has expired.
func decodeRecord(p []byte) (r record, tombstone bool, err error) {
	d := decoder{p: p}
	switch d.byte() {
	case formatTombstone:
		return r, true, nil
	case formatRecord:
	default:
		return r, false, errCorrupt("record of a session")
	}
	r.watermark = d.uvarint()
	n := d.uvarint()
	if n > uint64(len(d.p))/4 {
		return r, false, errCorrupt("record of a session")
	}
	r.entries = make([]entry, n)
	for i := range r.entries {
		r.entries[i].sum = binary.BigEndian.Uint32(d.take(4))
	}
	for len(d.p) > 0 && !d.bad {
		i := d.uvarint()
		f := fate(d.byte())
		if i >= n || f != refused && f != absent {
			return r, false, errCorrupt("record of a session")
		}
		r.entries[i].fate = f
		if f == refused {
			code, msg := d.text(), d.text()
			r.entries[i].err = &mld.Error{Code: mld.Code(code), Msg: msg}
		}
	}
	if d.bad {
		return r, false, errCorrupt("record of a session")
	}
	return r, false, nil
}

// decoder takes values off p until one is not there, which sets bad.
type decoder struct {
	p   []byte
	bad bool
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.p)) {
		d.bad, d.p = true, nil
		return make([]byte, min(n, 16))
	}
	v := d.p[:n]
	d.p = d.p[n:]
	return v
}

func (d *decoder) byte() byte { return d.take(1)[0] }

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.p)
	if n <= 0 {
		d.bad, d.p = true, nil
		return 0
	}
	d.p = d.p[n:]
	return v
}

func (d *decoder) text() string { return string(d.take(d.uvarint())) }
