package wire

import (
	"fmt"
	"math"

	"github.com/multileveldown/mld"
)

// The tags of what a client sends.
const (
	TagGet           = 0
	TagPut           = 1
	TagDelete        = 2
	TagBatch         = 3
	TagIterator      = 4
	TagClear         = 5
	TagGetMany       = 6
	TagIteratorClose = 7
	TagIteratorAck   = 8
	TagIteratorSeek  = 9

	// The extensions, which a server of the npm packages ignores.
	TagHello         = 64
	TagSnapshotOpen  = 65
	TagSnapshotClose = 66
	TagStats         = 67
	TagSessionEnd    = 68
)

var requestNames = map[byte]string{
	TagGet: "get", TagPut: "put", TagDelete: "delete", TagBatch: "batch", TagIterator: "iterate", TagClear: "clear",
	TagGetMany: "get-many", TagIteratorClose: "close iterator", TagIteratorAck: "acknowledge", TagIteratorSeek: "seek",
	TagHello: "hello", TagSnapshotOpen: "snapshot", TagSnapshotClose: "close snapshot", TagStats: "stats",
	TagSessionEnd: "end session",
}

// TagName returns what a client's message of a tag is called.
func TagName(tag byte) string {
	if name, ok := requestNames[tag]; ok {
		return name
	}
	return fmt.Sprintf("tag %d", tag)
}

// Fields of messages; where two names share a number, they belong to
// different messages.
const (
	fieldID       = 1
	fieldKey      = 2
	fieldValue    = 3
	fieldOps      = 2
	fieldKeys     = 2
	fieldSeq      = 2
	fieldBatch    = 2
	fieldOptions  = 3
	fieldConsumed = 4
	fieldBookmark = 5
	fieldSeek     = 6

	fieldClearOptions = 2
	fieldAckConsumed  = 3
	fieldTarget       = 3

	fieldOpType  = 1
	fieldOpKey   = 2
	fieldOpValue = 3

	fieldOptKeys    = 1
	fieldOptValues  = 2
	fieldOptGT      = 3
	fieldOptGTE     = 4
	fieldOptLT      = 5
	fieldOptLTE     = 6
	fieldOptLimit   = 7
	fieldOptReverse = 8

	fieldHelloVersion  = 1
	fieldHelloDialect  = 2
	fieldHelloClient   = 3
	fieldHelloSession  = 4
	fieldHelloAnswered = 5

	fieldSnapshotNumber = 2

	// Extensions to the messages of the npm packages.
	fieldDurability = 16 // of a write
	fieldSnapshot   = 17 // of a read: the number that the client gave a snapshot
	fieldPageBytes  = 18 // of Iterator: how large a message of entries may grow
	fieldNumber     = 19 // of a write: its number within the session
	fieldUnanswered = 20 // of a write: how far its number is above the watermark
	fieldLease      = 21 // of Iterator: the number that the client gave its lease
	fieldResume     = 22 // of Iterator: the lease is an older connection's
	fieldStrict     = 23 // of Iterator: no other state will do
	fieldBounds     = 24 // of Iterator: those that it had at first
)

// ClientID is the random number by which a client is known over its
// connections. Zero is none.
type ClientID [16]byte

// Request is what a client sends, decoded. The same Request is decoded into
// again and again; its slices alias the frame, and the lists are its own and
// reused.
type Request struct {
	Tag byte
	ID  uint32

	Key   []byte
	Value []byte
	Keys  [][]byte
	Ops   []mld.Op

	// Range, Limited and the two flags are the options of an iterator or of a
	// clear. Limited says that Range.Limit holds, for 0 is a limit on the wire.
	Range      mld.Range
	Limited    bool
	KeysOnly   bool
	ValuesOnly bool

	// Opens says that an Iterator message is meant to open one: in the
	// multileveldown dialect the same tag also gives credit or closes.
	Opens    bool
	Seq      uint32
	Credit   uint32 // multileveldown: the entries that may be sent from now on
	Consumed uint64 // many-level: the entries that the client has used
	Bookmark []byte
	Seek     []byte // target of a seek, also of one within an Iterator message

	Durability mld.Durability
	Snapshot   uint32 // 0 is none
	PageBytes  uint32 // 0 is the npm packages' way
	Version    uint32
	Dialect    Dialect

	// N numbers a write within the client's session, from 1 on; 0 is none.
	// Watermark is the number up to which the client has all answers.
	N         uint64
	Watermark uint64

	// Lease is the number by which the client will find an iterator again on
	// its next connection; 0 is none. Resume says that it had it on an older
	// one, and Strict that it wants no other state than that one's.
	// Bounds are those of all of the iterator, where Narrowed says that Range is
	// only what is left of it.
	Lease    uint64
	Resume   bool
	Strict   bool
	Narrowed bool
	Bounds   mld.Range

	bounds []byte // encoded

	// Client, of a hello, is who the client is. Session says that it wants to
	// number its writes, and Answered that it has had an answer to one.
	Client   ClientID
	Session  bool
	Answered bool
}

// Reset empties the request, keeping the memory of its lists. Decode does so
// itself; it is for whoever waits, and must not keep the last frame alive.
func (r *Request) Reset() {
	*r = Request{Keys: emptied(r.Keys), Ops: emptied(r.Ops)}
}

// keptList is how many elements a list that is used again may have room for.
const keptList = 4 << 10

// emptied returns list without its elements, which would keep the buffers of
// past frames alive, and without its memory if that is much.
func emptied[T any](list []T) []T {
	if cap(list) > keptList {
		return nil
	}
	clear(list)
	return list[:0]
}

// IsWrite reports whether the request changes the store.
func (r *Request) IsWrite() bool {
	return r.Tag == TagPut || r.Tag == TagDelete || r.Tag == TagBatch || r.Tag == TagClear
}

// PeekID returns the id of a message that need not be whole or valid, and
// whether it has one in its place, which is first.
func PeekID(body []byte) (uint32, bool) {
	if len(body) < 1 {
		return 0, false
	}
	s := scanner{rest: body[1:]}
	if !s.next() || s.field != fieldID {
		return 0, false
	}
	return s.id()
}

// errMalformed is returned for a message that does not decode.
func errMalformed(tag byte) error {
	return &mld.Error{Code: mld.CodeProtocol, Msg: "the " + TagName(tag) + " message does not decode"}
}

func errMissing(tag byte, field string) error {
	return &mld.Error{Code: mld.CodeProtocol, Msg: "the " + TagName(tag) + " message has no " + field}
}

// Decode decodes the body of a frame from a client that speaks dialect d, which
// must not be Auto. Its error is [mld.ErrProtocol] for what does not decode or
// lacks a required field or has a tag that is unknown in the dialect,
// [mld.ErrInvalidArgument] for what decodes and makes no sense, and
// [mld.ErrLimitExceeded]; then only Tag and ID are of use, and ID only where
// hasID is true.
func (r *Request) Decode(d Dialect, body []byte, limits *Limits) (hasID bool, err error) {
	r.Reset()
	if len(body) == 0 {
		return false, &mld.Error{Code: mld.CodeProtocol, Msg: "an empty message"}
	}
	r.Tag = body[0]
	s := scanner{rest: body[1:]}
	switch r.Tag {
	case TagGet, TagPut, TagDelete:
		hasID, err = r.decodeSingle(d, &s, limits)
	case TagBatch:
		hasID, err = r.decodeBatch(d, &s, limits)
	case TagGetMany:
		hasID, err = r.decodeGetMany(d, &s, limits)
	case TagClear:
		hasID, err = r.decodeClear(d, &s, limits)
	case TagIterator:
		if d == Multileveldown {
			hasID, err = r.decodeIteratorMultileveldown(&s, limits)
		} else {
			hasID, err = r.decodeIteratorManyLevel(&s, limits)
		}
	case TagIteratorClose, TagIteratorAck, TagIteratorSeek:
		if d == Multileveldown {
			return r.unknown(body)
		}
		hasID, err = r.decodeIteratorControl(&s)
	case TagHello:
		return false, r.decodeHello(&s)
	case TagSnapshotOpen, TagSnapshotClose, TagStats, TagSessionEnd:
		hasID, err = r.decodeExtension(&s)
	default:
		return r.unknown(body)
	}
	switch {
	case s.bad:
		err = errMalformed(r.Tag)
	case !hasID:
		err = errMissing(r.Tag, "id")
	case err == nil && r.Watermark >= r.N && r.N|r.Watermark != 0:
		err = &mld.Error{Code: mld.CodeProtocol, Msg: fmt.Sprintf("the %s message has the number %d and the watermark %d", TagName(r.Tag), r.N, r.Watermark)}
	}
	return hasID, err
}

func (r *Request) unknown(body []byte) (hasID bool, err error) {
	r.ID, hasID = PeekID(body)
	return hasID, &mld.Error{Code: mld.CodeProtocol, Msg: fmt.Sprintf("unknown tag %d", r.Tag)}
}

// checkKey refuses the keys that the dialect or the limits do not allow.
func checkKey(d Dialect, key []byte, limits *Limits) error {
	if len(key) == 0 && d == Multileveldown {
		return &mld.Error{Code: mld.CodeInvalidArgument, Msg: "key cannot be an empty Buffer"}
	}
	return limits.key(key)
}

var (
	errNoValue = &worded{
		err:            mld.Error{Code: mld.CodeInvalidArgument, Msg: "a put has no value"},
		multileveldown: "value cannot be `null` or `undefined`",
		manyLevel:      "LEVEL_INVALID_VALUE",
	}
	errOpType = &worded{
		err:            mld.Error{Code: mld.CodeInvalidArgument, Msg: `an operation of a batch is neither "put" nor "del"`},
		multileveldown: "`type` must be 'put' or 'del'",
		manyLevel:      "LEVEL_REMOTE_ERROR",
	}
)

func (r *Request) decodeSingle(d Dialect, s *scanner, limits *Limits) (hasID bool, err error) {
	for s.next() {
		switch {
		case s.field == fieldID:
			r.ID, hasID = s.id()
		case s.field == fieldKey:
			r.Key = s.data()
		case s.field == fieldValue && r.Tag == TagPut:
			r.Value = s.data()
		case r.Tag != TagGet && r.decodeWrite(s):
		case s.field == fieldSnapshot && r.Tag == TagGet:
			r.Snapshot = s.uint32()
		}
	}
	switch {
	case r.Key == nil:
		return hasID, errMissing(r.Tag, "key")
	case r.Tag == TagPut && r.Value == nil:
		return hasID, errNoValue
	}
	if err := checkKey(d, r.Key, limits); err != nil {
		return hasID, err
	}
	return hasID, limits.value(r.Value)
}

func (r *Request) decodeBatch(d Dialect, s *scanner, limits *Limits) (hasID bool, err error) {
	for s.next() {
		switch s.field {
		case fieldID:
			r.ID, hasID = s.id()
		case fieldOps:
			if err != nil {
				continue // the id may follow
			}
			if err = checkLimit("operations of a batch", "max-batch-ops", len(r.Ops)+1, limits.BatchOps); err == nil {
				err = r.decodeOp(d, s.data(), limits)
			}
		default:
			r.decodeWrite(s)
		}
	}
	return hasID, err
}

// decodeWrite decodes the fields that all writes share, and reports whether the
// field is one.
func (r *Request) decodeWrite(s *scanner) bool {
	switch s.field {
	case fieldDurability:
		r.Durability = s.durability()
	case fieldNumber:
		r.N = s.uint64()
		r.Watermark += r.N
	case fieldUnanswered: // in any order with fieldNumber
		r.Watermark -= s.uint64()
	default:
		return false
	}
	return true
}

func (r *Request) decodeOp(d Dialect, body []byte, limits *Limits) error {
	s := scanner{rest: body}
	var op mld.Op
	var kind []byte
	for s.next() {
		switch s.field {
		case fieldOpType:
			kind = s.data()
		case fieldOpKey:
			op.Key = s.data()
		case fieldOpValue:
			op.Value = s.data()
		}
	}
	switch {
	case s.bad:
		return errMalformed(r.Tag)
	case kind == nil:
		return errMissing(r.Tag, "type of an operation")
	case string(kind) == "put":
		op.Kind = mld.OpPut
	case string(kind) == "del":
		op.Kind, op.Value = mld.OpDelete, nil
	default:
		return errOpType
	}
	if op.Key == nil {
		return errMissing(r.Tag, "key of an operation")
	}
	if op.Kind == mld.OpPut && op.Value == nil {
		return errNoValue
	}
	if err := checkKey(d, op.Key, limits); err != nil {
		return err
	}
	if err := limits.value(op.Value); err != nil {
		return err
	}
	r.Ops = append(r.Ops, op)
	return nil
}

func (r *Request) decodeGetMany(d Dialect, s *scanner, limits *Limits) (hasID bool, err error) {
	for s.next() {
		switch s.field {
		case fieldID:
			r.ID, hasID = s.id()
		case fieldKeys:
			if err != nil {
				continue
			}
			key := s.data()
			if err = checkLimit("keys of a get-many", "max-keys", len(r.Keys)+1, limits.Keys); err == nil {
				if err = checkKey(d, key, limits); err == nil {
					r.Keys = append(r.Keys, key)
				}
			}
		case fieldSnapshot:
			r.Snapshot = s.uint32()
		}
	}
	return hasID, err
}

func (r *Request) decodeClear(d Dialect, s *scanner, limits *Limits) (hasID bool, err error) {
	var options []byte
	for s.next() {
		switch s.field {
		case fieldID:
			r.ID, hasID = s.id()
		case fieldClearOptions:
			options = s.data()
		default:
			r.decodeWrite(s)
		}
	}
	if options != nil {
		err = r.decodeOptions(d, options, limits)
	}
	return hasID, err
}

// decodeIteratorMultileveldown tells the three uses of the message apart: no
// credit closes, options open, and neither gives credit, or opens with
// everything if the id is new, which the server knows.
func (r *Request) decodeIteratorMultileveldown(s *scanner, limits *Limits) (hasID bool, err error) {
	var options []byte
	for s.next() {
		switch s.field {
		case fieldID:
			r.ID, hasID = s.id()
		case fieldBatch:
			r.Credit = s.uint32()
		case fieldOptions:
			options = s.data()
		default:
			r.decodeRead(s)
		}
	}
	if r.Opens = options != nil && r.Credit > 0; r.Opens {
		err = r.decodeOptions(Multileveldown, options, limits)
	} else {
		r.Lease = 0 // which is given when an iterator is opened
	}
	if e := r.settleLease(limits); err == nil {
		err = e
	}
	return hasID, err
}

// settleLease drops what means nothing without a lease, and decodes what does
// with one.
func (r *Request) settleLease(limits *Limits) error {
	bounds := r.bounds
	r.bounds = nil
	if r.Lease == 0 {
		r.Resume, r.Strict = false, false
		return nil
	}
	if bounds == nil {
		return nil
	}
	r.Narrowed = true
	s := scanner{rest: bounds}
	for s.next() {
		s.bound(&r.Bounds)
	}
	r.Bounds.Reverse = r.Range.Reverse
	if s.bad {
		return errMalformed(r.Tag)
	}
	return limits.bounds(&r.Bounds)
}

// bound takes the field as a bound of a range, if it is one.
func (s *scanner) bound(rg *mld.Range) {
	switch s.field {
	case fieldOptGT:
		rg.GT = s.data()
	case fieldOptGTE:
		rg.GTE = s.data()
	case fieldOptLT:
		rg.LT = s.data()
	case fieldOptLTE:
		rg.LTE = s.data()
	}
}

func (l *Limits) bounds(rg *mld.Range) error {
	for _, bound := range [...][]byte{rg.GT, rg.GTE, rg.LT, rg.LTE} {
		if err := l.key(bound); err != nil {
			return err
		}
	}
	return nil
}

// decodeRead decodes the extensions that iterators have in both dialects.
func (r *Request) decodeRead(s *scanner) {
	switch s.field {
	case fieldSnapshot:
		r.Snapshot = s.uint32()
	case fieldLease:
		r.Lease = s.uint64()
	case fieldResume:
		r.Resume = s.boolean()
	case fieldStrict:
		r.Strict = s.boolean()
	case fieldBounds:
		r.bounds = s.data()
	}
}

func (r *Request) decodeIteratorManyLevel(s *scanner, limits *Limits) (hasID bool, err error) {
	hasSeq, hasConsumed := false, false
	r.Opens = true
	var options []byte
	for s.next() {
		switch s.field {
		case fieldID:
			r.ID, hasID = s.id()
		case fieldSeq:
			r.Seq, hasSeq = s.uint32(), true
		case fieldOptions:
			options = s.data()
		case fieldConsumed:
			r.Consumed, hasConsumed = s.uint64(), true
		case fieldBookmark:
			r.Bookmark = s.data()
		case fieldSeek:
			r.Seek = s.data()
		case fieldPageBytes:
			r.PageBytes = s.uint32()
		default:
			r.decodeRead(s)
		}
	}
	switch {
	case !hasSeq:
		return hasID, errMissing(r.Tag, "seq")
	case options == nil:
		return hasID, errMissing(r.Tag, "options")
	case !hasConsumed:
		return hasID, errMissing(r.Tag, "consumed")
	}
	if err := r.decodeOptions(ManyLevel, options, limits); err != nil {
		return hasID, err
	}
	return hasID, r.settleLease(limits)
}

func (r *Request) decodeIteratorControl(s *scanner) (hasID bool, err error) {
	hasSeq, hasConsumed := false, false
	for s.next() {
		switch {
		case s.field == fieldID:
			r.ID, hasID = s.id()
		case r.Tag == TagIteratorClose: // which has no more
		case s.field == fieldSeq:
			r.Seq, hasSeq = s.uint32(), true
		case s.field == fieldAckConsumed && r.Tag == TagIteratorAck:
			r.Consumed, hasConsumed = s.uint64(), true
		case s.field == fieldTarget && r.Tag == TagIteratorSeek:
			r.Seek = s.data()
		}
	}
	switch {
	case r.Tag == TagIteratorClose:
	case !hasSeq:
		err = errMissing(r.Tag, "seq")
	case r.Tag == TagIteratorAck && !hasConsumed:
		err = errMissing(r.Tag, "consumed")
	case r.Tag == TagIteratorSeek && r.Seek == nil:
		err = errMissing(r.Tag, "target")
	}
	return hasID, err
}

// decodeOptions decodes the options of an iterator or a clear. A field that is
// absent is false, no bound, or a limit of 0, as the npm packages have it, which
// always write keys, values, limit and reverse.
func (r *Request) decodeOptions(d Dialect, body []byte, limits *Limits) error {
	s := scanner{rest: body}
	keys, values := false, false
	limit := int64(0)
	rg := &r.Range
	for s.next() {
		switch s.field {
		case fieldOptKeys:
			keys = s.boolean()
		case fieldOptValues:
			values = s.boolean()
		case fieldOptLimit:
			limit = unzigzag(s.uint64())
		case fieldOptReverse:
			rg.Reverse = s.boolean()
		default:
			s.bound(rg)
		}
	}
	if s.bad {
		return errMalformed(r.Tag)
	}
	if err := limits.bounds(rg); err != nil {
		return err
	}
	if d == ManyLevel {
		// The public suite of abstract-level demands this order of precedence.
		if rg.GTE != nil {
			rg.GT = nil
		}
		if rg.LTE != nil {
			rg.LT = nil
		}
	}
	if r.Tag == TagIterator {
		r.KeysOnly = keys && !values
		r.ValuesOnly = !keys // also where neither is asked for: an entry is never without both
	}
	if r.Limited = limit >= 0; r.Limited {
		rg.Limit = int(min(limit, math.MaxInt))
	}
	return nil
}

func (r *Request) decodeHello(s *scanner) error {
	for s.next() {
		switch s.field {
		case fieldHelloVersion:
			r.Version = s.uint32()
		case fieldHelloDialect:
			r.Dialect = Dialect(min(s.uint32(), 0xff))
		case fieldHelloClient:
			if n := copy(r.Client[:], s.data()); n != len(r.Client) || n != len(s.bytes) {
				s.bad = true
			}
		case fieldHelloSession:
			r.Session = s.boolean()
		case fieldHelloAnswered:
			r.Answered = s.boolean()
		}
	}
	if r.Client == (ClientID{}) {
		r.Session, r.Answered = false, false // there can be none
	}
	switch {
	case s.bad:
		return errMalformed(r.Tag)
	case r.Version == 0:
		return errMissing(r.Tag, "version")
	case r.Dialect != Multileveldown && r.Dialect != ManyLevel:
		return &mld.Error{Code: mld.CodeProtocol, Msg: "the hello names no dialect that is known here"}
	}
	return nil
}

func (r *Request) decodeExtension(s *scanner) (hasID bool, err error) {
	for s.next() {
		switch {
		case s.field == fieldID:
			r.ID, hasID = s.id()
		case s.field == fieldSnapshotNumber && r.namesSnapshot():
			r.Snapshot = s.uint32()
		}
	}
	if r.namesSnapshot() && r.Snapshot == 0 {
		err = errMissing(r.Tag, "snapshot")
	}
	return hasID, err
}

func (r *Request) namesSnapshot() bool { return r.Tag == TagSnapshotOpen || r.Tag == TagSnapshotClose }

// durability takes the field as a durability; one that a later version may
// know counts as the most careful.
func (s *scanner) durability() mld.Durability {
	switch s.uint32() {
	case 0:
		return mld.DurabilityDefault
	case uint32(mld.DurabilityNoSync):
		return mld.DurabilityNoSync
	default:
		return mld.DurabilitySync
	}
}
