package wire

import (
	"encoding/binary"

	"github.com/multileveldown/mld"
)

// Hello is what a client of this project sends first. A server of the npm
// packages ignores it.
type Hello struct {
	Version uint32
	// Dialect is what the client speaks on this connection.
	Dialect Dialect
	// Client is who the client is; zero does not say. Session asks for a
	// session, in which writes can be numbered, and Answered says that a write
	// of it has been answered before, so that the server must know it.
	Client   ClientID
	Session  bool
	Answered bool
}

// AppendHello appends a hello.
func AppendHello(dst []byte, h *Hello) []byte {
	start := len(dst)
	dst = beginFrame(dst, TagHello)
	dst = appendUint(dst, fieldHelloVersion, uint64(h.Version))
	dst = appendUint(dst, fieldHelloDialect, uint64(h.Dialect))
	if h.Client != (ClientID{}) {
		dst = appendBytes(dst, fieldHelloClient, h.Client[:])
		dst = appendBool(dst, fieldHelloSession, h.Session)
		dst = appendBool(dst, fieldHelloAnswered, h.Answered)
	}
	return endFrame(dst, start)
}

// AppendGet appends a get from a snapshot, or from the present state where
// snapshot is 0.
func AppendGet(dst []byte, id uint32, key []byte, snapshot uint32) []byte {
	size := 2 + uvarintLen(uint64(id)) + bytesLen(len(key)) + snapshotLen(snapshot)
	dst = binary.AppendUvarint(dst, uint64(size))
	dst = append(dst, TagGet, fieldID<<3)
	dst = binary.AppendUvarint(dst, uint64(id))
	dst = appendBytes(dst, fieldKey, key)
	return appendSnapshot(dst, snapshot)
}

// AppendPut appends a put.
func AppendPut(dst []byte, id uint32, key, value []byte, durability mld.Durability) []byte {
	size := 2 + uvarintLen(uint64(id)) + bytesLen(len(key)) + bytesLen(len(value)) + durabilityLen(durability)
	dst = binary.AppendUvarint(dst, uint64(size))
	dst = append(dst, TagPut, fieldID<<3)
	dst = binary.AppendUvarint(dst, uint64(id))
	dst = appendBytes(dst, fieldKey, key)
	dst = appendBytes(dst, fieldValue, value)
	return appendDurability(dst, durability)
}

// AppendDelete appends a delete.
func AppendDelete(dst []byte, id uint32, key []byte, durability mld.Durability) []byte {
	size := 2 + uvarintLen(uint64(id)) + bytesLen(len(key)) + durabilityLen(durability)
	dst = binary.AppendUvarint(dst, uint64(size))
	dst = append(dst, TagDelete, fieldID<<3)
	dst = binary.AppendUvarint(dst, uint64(id))
	dst = appendBytes(dst, fieldKey, key)
	return appendDurability(dst, durability)
}

// AppendBatch appends a batch.
func AppendBatch(dst []byte, id uint32, ops []mld.Op, durability mld.Durability) []byte {
	size := 2 + uvarintLen(uint64(id)) + durabilityLen(durability)
	for i := range ops {
		size += bytesLen(opLen(&ops[i]))
	}
	dst = binary.AppendUvarint(dst, uint64(size))
	dst = append(dst, TagBatch, fieldID<<3)
	dst = binary.AppendUvarint(dst, uint64(id))
	for i := range ops {
		op := &ops[i]
		dst = append(dst, fieldOps<<3|typeBytes)
		dst = binary.AppendUvarint(dst, uint64(opLen(op)))
		dst = appendBytes(dst, fieldOpType, op.Kind.String())
		dst = appendBytes(dst, fieldOpKey, op.Key)
		if op.Kind == mld.OpPut {
			dst = appendBytes(dst, fieldOpValue, op.Value)
		}
	}
	return appendDurability(dst, durability)
}

func opLen(op *mld.Op) int {
	size := bytesLen(len(op.Kind.String())) + bytesLen(len(op.Key))
	if op.Kind == mld.OpPut {
		size += bytesLen(len(op.Value))
	}
	return size
}

// AppendClear appends a clear; a negative limit is none.
func AppendClear(dst []byte, id uint32, r *mld.Range, limit int, durability mld.Durability) []byte {
	start := len(dst)
	dst = beginFrame(dst, TagClear)
	dst = appendUint(dst, fieldID, uint64(id))
	dst = append(dst, fieldClearOptions<<3|typeBytes)
	dst = binary.AppendUvarint(dst, uint64(rangeLen(r, limit)))
	dst = appendRange(dst, r, limit)
	return endFrame(appendDurability(dst, durability), start)
}

// NumberWrite gives the write whose frame is dst[start:] its number n within the
// client's session, and says that the client has the answers to all writes up
// to watermark, which is less.
func NumberWrite(dst []byte, start int, n, watermark uint64) []byte {
	size, old := binary.Uvarint(dst[start:])
	end := len(dst)
	dst = appendUint(dst, fieldNumber, n)
	dst = appendUint(dst, fieldUnanswered, n-watermark)
	size += uint64(len(dst) - end)
	if grown := uvarintLen(size) - old; grown > 0 {
		body := len(dst) - start - old
		var room [binary.MaxVarintLen64]byte
		dst = append(dst, room[:grown]...)
		copy(dst[start+old+grown:], dst[start+old:start+old+body])
	}
	binary.PutUvarint(dst[start:], size)
	return dst
}

// AppendGetMany appends a get-many. One without keys asks nothing but for an
// answer, from any server: it is how a client finds out that a link is alive.
func AppendGetMany(dst []byte, id uint32, keys [][]byte, snapshot uint32) []byte {
	size := 2 + uvarintLen(uint64(id)) + snapshotLen(snapshot)
	for _, k := range keys {
		size += bytesLen(len(k))
	}
	dst = binary.AppendUvarint(dst, uint64(size))
	dst = append(dst, TagGetMany, fieldID<<3)
	dst = binary.AppendUvarint(dst, uint64(id))
	for _, k := range keys {
		dst = appendBytes(dst, fieldKeys, k)
	}
	return appendSnapshot(dst, snapshot)
}

// IteratorOpen is how a client opens an iterator.
type IteratorOpen struct {
	ID  uint32
	Seq uint32 // many-level
	// Keys and Values say what the messages are to carry.
	Keys, Values bool
	Range        mld.Range // its Limit is not used
	Limit        int       // how many entries; negative is no limit
	Credit       uint32    // multileveldown: entries that may be sent at first
	Seek         []byte    // many-level: where to begin; nil is the start
	Snapshot     uint32
	PageBytes    uint32

	// Lease is a number by which the iterator can be found again on the next
	// connection of the client, which must use each for one iterator only; 0 is
	// none. Resume asks for the state of the lease that an older connection
	// had, and Strict for an error rather than a later state.
	Lease  uint64
	Resume bool
	Strict bool

	// Bounds, where they are not nil, are those that the iterator was to have from
	// the first, of which Range is what is left: they bound seeks. Only what has a
	// lease has them.
	Bounds *mld.Range
}

// AppendIterator appends the opening of an iterator.
func AppendIterator(dst []byte, d Dialect, o *IteratorOpen) []byte {
	start := len(dst)
	dst = beginFrame(dst, TagIterator)
	dst = appendUint(dst, fieldID, uint64(o.ID))
	if d == Multileveldown {
		dst = appendUint(dst, fieldBatch, uint64(o.Credit))
	} else {
		dst = appendUint(dst, fieldSeq, uint64(o.Seq))
	}
	dst = append(dst, fieldOptions<<3|typeBytes)
	dst = binary.AppendUvarint(dst, uint64(4+rangeLen(&o.Range, o.Limit)))
	dst = appendBool(dst, fieldOptKeys, o.Keys)
	dst = appendBool(dst, fieldOptValues, o.Values)
	dst = appendRange(dst, &o.Range, o.Limit)
	if d != Multileveldown {
		dst = appendUint(dst, fieldConsumed, 0)
		dst = appendOptional(dst, fieldSeek, o.Seek)
		if o.PageBytes > 0 {
			dst = appendUint(dst, fieldPageBytes, uint64(o.PageBytes))
		}
	}
	if o.Lease > 0 {
		dst = appendUint(dst, fieldLease, o.Lease)
		dst = appendBool(dst, fieldResume, o.Resume)
		dst = appendBool(dst, fieldStrict, o.Strict)
		if b := o.Bounds; b != nil {
			dst = binary.AppendUvarint(appendKey(dst, fieldBounds, typeBytes), uint64(boundsLen(b)))
			dst = appendBounds(dst, b)
		}
	}
	return endFrame(appendSnapshot(dst, o.Snapshot), start)
}

// AppendIteratorClose appends the closing of an iterator.
func AppendIteratorClose(dst []byte, d Dialect, id uint32) []byte {
	if d == Multileveldown {
		return AppendIteratorCredit(dst, id, 0)
	}
	start := len(dst)
	dst = beginFrame(dst, TagIteratorClose)
	return endFrame(appendUint(dst, fieldID, uint64(id)), start)
}

// AppendIteratorCredit appends, in the multileveldown dialect, how many entries
// may be sent from now on.
func AppendIteratorCredit(dst []byte, id, credit uint32) []byte {
	start := len(dst)
	dst = beginFrame(dst, TagIterator)
	dst = appendUint(dst, fieldID, uint64(id))
	return endFrame(appendUint(dst, fieldBatch, uint64(credit)), start)
}

// AppendIteratorAck appends, in the many-level dialect, that all entries of one
// more message have been used, and how many entries of all of them.
func AppendIteratorAck(dst []byte, id, seq uint32, consumed uint64) []byte {
	start := len(dst)
	dst = beginFrame(dst, TagIteratorAck)
	dst = appendUint(dst, fieldID, uint64(id))
	dst = appendUint(dst, fieldSeq, uint64(seq))
	return endFrame(appendUint(dst, fieldAckConsumed, consumed), start)
}

// AppendIteratorSeek appends, in the many-level dialect, a seek.
func AppendIteratorSeek(dst []byte, id, seq uint32, target []byte) []byte {
	start := len(dst)
	dst = beginFrame(dst, TagIteratorSeek)
	dst = appendUint(dst, fieldID, uint64(id))
	dst = appendUint(dst, fieldSeq, uint64(seq))
	return endFrame(appendBytes(dst, fieldTarget, target), start)
}

// AppendSnapshotOpen appends the taking of a snapshot, to which the client gives
// a number that is not 0 and that it has not used on this connection.
func AppendSnapshotOpen(dst []byte, id, snapshot uint32) []byte {
	return appendSnapshotCall(dst, TagSnapshotOpen, id, snapshot)
}

// AppendSnapshotClose appends the release of a snapshot.
func AppendSnapshotClose(dst []byte, id, snapshot uint32) []byte {
	return appendSnapshotCall(dst, TagSnapshotClose, id, snapshot)
}

func appendSnapshotCall(dst []byte, tag byte, id, snapshot uint32) []byte {
	start := len(dst)
	dst = beginFrame(dst, tag)
	dst = appendUint(dst, fieldID, uint64(id))
	return endFrame(appendUint(dst, fieldSnapshotNumber, uint64(snapshot)), start)
}

// AppendStats appends a request for [mld.Stats], which come as the value of a
// callback, as JSON.
func AppendStats(dst []byte, id uint32) []byte { return appendPlain(dst, TagStats, id) }

// AppendSessionEnd appends that the client will number no more writes in its
// session, which the server may forget.
func AppendSessionEnd(dst []byte, id uint32) []byte { return appendPlain(dst, TagSessionEnd, id) }

func appendPlain(dst []byte, tag byte, id uint32) []byte {
	start := len(dst)
	dst = beginFrame(dst, tag)
	return endFrame(appendUint(dst, fieldID, uint64(id)), start)
}

func rangeLen(r *mld.Range, limit int) int {
	return 1 + uvarintLen(zigzag(saturate(limit))) + 2 + boundsLen(r)
}

func boundsLen(r *mld.Range) (size int) {
	for _, bound := range [...][]byte{r.GT, r.GTE, r.LT, r.LTE} {
		if bound != nil {
			size += bytesLen(len(bound))
		}
	}
	return size
}

func appendBounds(dst []byte, r *mld.Range) []byte {
	dst = appendOptional(dst, fieldOptGT, r.GT)
	dst = appendOptional(dst, fieldOptGTE, r.GTE)
	dst = appendOptional(dst, fieldOptLT, r.LT)
	return appendOptional(dst, fieldOptLTE, r.LTE)
}

func appendRange(dst []byte, r *mld.Range, limit int) []byte {
	dst = appendBounds(dst, r)
	dst = appendUint(dst, fieldOptLimit, zigzag(saturate(limit)))
	return appendBool(dst, fieldOptReverse, r.Reverse)
}

func durabilityLen(d mld.Durability) int {
	if d == mld.DurabilityDefault {
		return 0
	}
	return 3
}

func appendDurability(dst []byte, d mld.Durability) []byte {
	if d == mld.DurabilityDefault {
		return dst
	}
	return appendUint(dst, fieldDurability, uint64(d))
}

func snapshotLen(snapshot uint32) int {
	if snapshot == 0 {
		return 0
	}
	return 2 + uvarintLen(uint64(snapshot))
}

func appendSnapshot(dst []byte, snapshot uint32) []byte {
	if snapshot == 0 {
		return dst
	}
	return appendUint(dst, fieldSnapshot, uint64(snapshot))
}
