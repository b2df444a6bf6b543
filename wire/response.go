package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/multileveldown/mld"
)

// The tags of what a server sends.
const (
	TagCallback        = 0
	TagIteratorData    = 1
	TagGetManyCallback = 2
	TagIteratorError   = 3
	TagIteratorEnd     = 4

	// The extensions, which a client of the npm packages ignores.
	TagWelcome = 64
	TagDrain   = 65
	TagGoodbye = 66
	TagRenewed = 67
)

const (
	fieldError        = 2
	fieldResult       = 3
	fieldResults      = 3
	fieldResultValue  = 1
	fieldData         = 3
	fieldIterError    = 3
	fieldEntryKey     = 3
	fieldEntryValue   = 4
	fieldCode         = 16 // extension: the mld.Code of an error
	fieldReason       = 17 // extension: the words of an error
	fieldVersion      = 1
	fieldFeatures     = 2
	fieldMaxFrame     = 3
	fieldReadOnly     = 4
	fieldStore        = 5
	fieldGeneration   = 6
	fieldInstance     = 7
	fieldWindow       = 8
	fieldSessionLease = 9
	fieldGoodbyeCode  = 1
	fieldGoodbyeWords = 2
)

// ProtocolVersion is the version of the extensions that this package writes.
const ProtocolVersion = 1

// Features are what a server offers beyond the npm packages, one bit each.
type Features uint64

const (
	// FeatureSnapshots: the server keeps explicit snapshots.
	FeatureSnapshots Features = 1 << iota
	// FeaturePages: the server honours the size that an iterator asks of its
	// messages.
	FeaturePages
	// FeatureDurability: the server honours the durability of a write.
	FeatureDurability
	// FeatureStats: the server answers Stats.
	FeatureStats
	// FeatureSessions: the server recognises numbered writes that are sent
	// again, and does them once.
	FeatureSessions
	// FeatureLeases: iterators with a lease, and snapshots, outlive the
	// connection for a while.
	FeatureLeases
)

// Welcome is what a server of this project says first.
type Welcome struct {
	Version  uint32
	Features Features
	// MaxFrame is the limit of what the server reads in one frame, in bytes.
	MaxFrame uint64
	// ReadOnly says that writes will be refused.
	ReadOnly bool

	// Store is the id of the store behind the server, and Generation how often
	// it has been opened; Instance is a random number of the server process,
	// whose leases no other one has. Window is how far the number of a write
	// may be above the watermark, and Lease for how many milliseconds a session
	// is kept that nobody uses. Instance comes with FeatureLeases, the others
	// with FeatureSessions.
	Store      ClientID
	Generation uint64
	Instance   uint64
	Window     uint32
	Lease      uint64
}

// AppendOK appends a callback that says no more than that a call has been done.
func AppendOK(dst []byte, id uint32) []byte {
	dst = append(dst, byte(2+uvarintLen(uint64(id))), TagCallback, fieldID<<3)
	return binary.AppendUvarint(dst, uint64(id))
}

// AppendValue appends the callback of a get that found a value.
func AppendValue(dst []byte, id uint32, value []byte) []byte {
	size := 2 + uvarintLen(uint64(id)) + bytesLen(len(value))
	dst = binary.AppendUvarint(dst, uint64(size))
	dst = append(dst, TagCallback, fieldID<<3)
	dst = binary.AppendUvarint(dst, uint64(id))
	return appendBytes(dst, fieldResult, value)
}

// AppendError appends the callback of a call that failed with err.
func AppendError(dst []byte, d Dialect, id uint32, err error) []byte {
	return appendFailure(dst, TagCallback, d, id, err)
}

// AppendManyError appends the callback of a get-many that failed with err.
func AppendManyError(dst []byte, d Dialect, id uint32, err error) []byte {
	return appendFailure(dst, TagGetManyCallback, d, id, err)
}

func appendFailure(dst []byte, tag byte, d Dialect, id uint32, err error) []byte {
	start := len(dst)
	dst = beginFrame(dst, tag)
	dst = appendUint(dst, fieldID, uint64(id))
	dst = appendBytes(dst, fieldError, errorText(d, err))
	if tag != TagCallback || mld.CodeOf(err) != mld.CodeNotFound {
		dst = appendReason(dst, err) // a key that is not there needs no more words
	}
	return endFrame(dst, start)
}

// appendReason appends what the error fields of the npm packages cannot say.
func appendReason(dst []byte, err error) []byte {
	dst = appendBytes(dst, fieldCode, string(codeOf(err)))
	if words := reason(err); words != "" {
		dst = appendBytes(dst, fieldReason, words)
	}
	return dst
}

// AppendMany appends the callback of a get-many. A nil value is one that is not
// there.
func AppendMany(dst []byte, id uint32, values [][]byte) []byte {
	size := 2 + uvarintLen(uint64(id))
	for _, v := range values {
		size += bytesLen(manyLen(v))
	}
	dst = binary.AppendUvarint(dst, uint64(size))
	dst = append(dst, TagGetManyCallback, fieldID<<3)
	dst = binary.AppendUvarint(dst, uint64(id))
	for _, v := range values {
		dst = append(dst, fieldResults<<3|typeBytes)
		dst = binary.AppendUvarint(dst, uint64(manyLen(v)))
		dst = appendOptional(dst, fieldResultValue, v)
	}
	return dst
}

// Many is the callback of a get-many under construction, for values that come one
// by one.
type Many struct {
	start int // where the frame begins in dst
}

// Begin starts the callback at the end of dst.
func (m *Many) Begin(dst []byte, id uint32) []byte {
	m.start = len(dst)
	dst = append(dst, 0, 0, 0, 0, TagGetManyCallback)
	return appendUint(dst, fieldID, uint64(id))
}

// Add appends a value; a nil one is not there.
func (m *Many) Add(dst, value []byte) []byte {
	dst = binary.AppendUvarint(append(dst, fieldResults<<3|typeBytes), uint64(manyLen(value)))
	return appendOptional(dst, fieldResultValue, value)
}

// Size returns how many bytes the callback has, given dst.
func (m *Many) Size(dst []byte) int { return len(dst) - m.start }

// End finishes the callback. Cancel takes it off dst instead.
func (m *Many) End(dst []byte) []byte    { return endWide(dst, m.start) }
func (m *Many) Cancel(dst []byte) []byte { return dst[:m.start] }

func manyLen(v []byte) int {
	if v == nil {
		return 0
	}
	return bytesLen(len(v))
}

// AppendIteratorError appends the message that ends an iterator with err.
func AppendIteratorError(dst []byte, d Dialect, id, seq uint32, err error) []byte {
	if d == Multileveldown {
		return appendFailure(dst, TagIteratorData, d, id, err)
	}
	start := len(dst)
	dst = beginFrame(dst, TagIteratorError)
	dst = appendUint(dst, fieldID, uint64(id))
	dst = appendUint(dst, fieldSeq, uint64(seq))
	dst = appendBytes(dst, fieldIterError, errorText(d, err))
	return endFrame(appendReason(dst, err), start)
}

// AppendIteratorEnd appends the message that ends an iterator.
func AppendIteratorEnd(dst []byte, d Dialect, id, seq uint32) []byte {
	start := len(dst)
	if d == Multileveldown {
		dst = beginFrame(dst, TagIteratorData)
		dst = appendUint(dst, fieldID, uint64(id))
	} else {
		dst = beginFrame(dst, TagIteratorEnd)
		dst = appendUint(dst, fieldID, uint64(id))
		dst = appendUint(dst, fieldSeq, uint64(seq))
	}
	return endFrame(dst, start)
}

// AppendWelcome appends the answer to a hello.
func AppendWelcome(dst []byte, w *Welcome) []byte {
	start := len(dst)
	dst = beginFrame(dst, TagWelcome)
	dst = appendUint(dst, fieldVersion, uint64(w.Version))
	dst = appendUint(dst, fieldFeatures, uint64(w.Features))
	dst = appendUint(dst, fieldMaxFrame, w.MaxFrame)
	dst = appendBool(dst, fieldReadOnly, w.ReadOnly)
	if w.Features&FeatureLeases != 0 {
		dst = appendUint(dst, fieldInstance, w.Instance)
	}
	if w.Features&FeatureSessions != 0 {
		dst = appendBytes(dst, fieldStore, w.Store[:])
		dst = appendUint(dst, fieldGeneration, w.Generation)
		dst = appendUint(dst, fieldWindow, uint64(w.Window))
		dst = appendUint(dst, fieldSessionLease, w.Lease)
	}
	return endFrame(dst, start)
}

// AppendRenewed appends that an iterator that was to resume reads a later state
// than before. It comes before the iterator's entries.
func AppendRenewed(dst []byte, id uint32) []byte { return appendPlain(dst, TagRenewed, id) }

// AppendDrain appends the notice that the server is about to close the
// connection once it has answered what was sent: the client should send its
// next calls on another one.
func AppendDrain(dst []byte) []byte {
	return append(dst, 1, TagDrain)
}

// AppendGoodbye appends the reason why the connection is closed after it.
func AppendGoodbye(dst []byte, err error) []byte {
	start := len(dst)
	dst = beginFrame(dst, TagGoodbye)
	dst = appendBytes(dst, fieldGoodbyeCode, string(codeOf(err)))
	dst = appendBytes(dst, fieldGoodbyeWords, reason(err))
	return endFrame(dst, start)
}

// AppendHeartbeat appends an empty frame, which every peer passes over: it only
// shows that this side lives.
func AppendHeartbeat(dst []byte) []byte {
	return append(dst, 0)
}

// A Page is a message of entries under construction, in either dialect: in
// many-level's one message for all of them, in multileveldown's one each.
type Page struct {
	dialect Dialect
	id, seq uint32
	start   int // where the frame begins in dst
	entries int
}

// widePrefix is how many bytes the length of a large message takes that grows
// datum by datum: a varint of fixed width, for moving the message to make room
// for its length would cost more than the bytes that are saved. It is enough for
// 256 MiB.
const widePrefix = 4

// maxWide is the greatest length, in bytes, that such a prefix can hold.
const maxWide = 1<<(7*widePrefix) - 1

// Begin starts a page at the end of dst.
func (p *Page) Begin(dst []byte, d Dialect, id, seq uint32) []byte {
	*p = Page{dialect: d, id: id, seq: seq, start: len(dst)}
	if d == Multileveldown {
		return dst
	}
	dst = append(dst, 0, 0, 0, 0, TagIteratorData)
	dst = appendUint(dst, fieldID, uint64(id))
	return appendUint(dst, fieldSeq, uint64(seq))
}

// Add appends an entry. A nil key or value is left out: in many-level's dialect
// at most one of the two may be nil, and always the same one of a page.
func (p *Page) Add(dst, key, value []byte) []byte {
	p.entries++
	if p.dialect != Multileveldown {
		n := len(dst)
		size := 4 + len(key) + len(value)
		if key == nil || value == nil || len(key)|len(value) > 0x7f || size > cap(dst)-n {
			dst = appendOptional(dst, fieldData, key)
			return appendOptional(dst, fieldData, value)
		}
		// Nearly every one: what is above without a look at the room for each part.
		dst = dst[:n+size]
		d := dst[n:]
		d[0], d[1] = fieldData<<3|typeBytes, byte(len(key))
		d = d[2+copy(d[2:], key):]
		d[0], d[1] = fieldData<<3|typeBytes, byte(len(value))
		copy(d[2:], value)
		return dst
	}
	size := 2 + uvarintLen(uint64(p.id))
	if key != nil {
		size += bytesLen(len(key))
	}
	if value != nil {
		size += bytesLen(len(value))
	}
	dst = binary.AppendUvarint(dst, uint64(size))
	dst = append(dst, TagIteratorData, fieldID<<3)
	dst = binary.AppendUvarint(dst, uint64(p.id))
	dst = appendOptional(dst, fieldEntryKey, key)
	return appendOptional(dst, fieldEntryValue, value)
}

// Entries returns how many entries the page has, Size how many bytes, given dst.
func (p *Page) Entries() int        { return p.entries }
func (p *Page) Size(dst []byte) int { return len(dst) - p.start }

// End finishes the page. A page without entries leaves nothing in dst, for an
// empty list of data would be taken for the end of the iterator.
func (p *Page) End(dst []byte) []byte {
	if p.dialect == Multileveldown {
		return dst
	}
	if p.entries == 0 {
		return dst[:p.start]
	}
	return endWide(dst, p.start)
}

// endWide puts the length into a message that begins at start with room for it.
func endWide(dst []byte, start int) []byte {
	size := len(dst) - start - widePrefix
	if size > maxWide {
		return endHuge(dst, start, size)
	}
	for i := range widePrefix {
		dst[start+i] = byte(size>>(7*i)) | 0x80
	}
	dst[start+widePrefix-1] &^= 0x80
	return dst
}

// endHuge moves a message to where its length, of any width, leaves it, for a
// message of more than 256 MiB.
func endHuge(dst []byte, start, size int) []byte {
	var prefix [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(prefix[:], uint64(size))
	end := start + n + size
	dst = slices.Grow(dst, max(0, end-len(dst)))[:end]
	copy(dst[start+n:], dst[start+widePrefix:start+widePrefix+size])
	copy(dst[start:], prefix[:n])
	return dst
}

// Response is what a server sends, decoded. The same Response is decoded into
// again and again; its slices alias the frame, except Values, whose list is
// reused.
type Response struct {
	Tag byte
	ID  uint32
	Seq uint32 // of an iterator's message in the many-level dialect

	// Err is the failure that the message tells of, if any: an [*mld.Error]
	// with Remote set, or [mld.ErrNotFound] itself in a callback.
	Err error
	// Value is a get's result; nil is absent.
	Value []byte
	// Values are a get-many's results; a nil one is absent.
	Values [][]byte
	// Data are the keys and values of an iterator's message, for [NextDatum] to
	// walk; End says that it was the last one.
	Data []byte
	End  bool

	Welcome Welcome
}

// reset empties the response, keeping the memory of its lists.
func (r *Response) reset() {
	*r = Response{Values: emptied(r.Values)}
}

// ErrUnknownTag is returned by [Response.Decode] for a message that it does not
// know and that is to be passed over.
var ErrUnknownTag error = &mld.Error{Code: mld.CodeProtocol, Msg: "a message with an unknown tag"}

// Decode decodes the body of a frame from a server that speaks dialect d, which
// must not be Auto. Its error is [mld.ErrProtocol]; a failure that the server
// tells of is no error of Decode's but in Err.
func (r *Response) Decode(d Dialect, body []byte) error {
	r.reset()
	if len(body) == 0 {
		return &mld.Error{Code: mld.CodeProtocol, Msg: "an empty message"}
	}
	r.Tag = body[0]
	s := scanner{rest: body[1:]}
	switch r.Tag {
	case TagCallback, TagGetManyCallback:
		return r.decodeCallback(d, &s)
	case TagIteratorData:
		return r.decodeIteratorData(d, body, &s)
	case TagIteratorError, TagIteratorEnd:
		if d == Multileveldown {
			return ErrUnknownTag
		}
		return r.decodeIteratorEnd(&s)
	case TagWelcome:
		return r.decodeWelcome(&s)
	case TagDrain:
		return nil
	case TagRenewed:
		return r.decodeRenewed(&s)
	case TagGoodbye:
		return r.decodeGoodbye(&s)
	default:
		return ErrUnknownTag
	}
}

// check returns the error of a message that does not decode or lacks a required
// field.
func (r *Response) check(s *scanner, complete bool) error {
	switch {
	case s.bad:
		return &mld.Error{Code: mld.CodeProtocol, Msg: fmt.Sprintf("the server's message %d does not decode", r.Tag)}
	case !complete:
		return &mld.Error{Code: mld.CodeProtocol, Msg: fmt.Sprintf("the server's message %d lacks a required field", r.Tag)}
	default:
		return nil
	}
}

func (r *Response) decodeCallback(d Dialect, s *scanner) error {
	var f failure
	hasID := false
	for s.next() {
		switch s.field {
		case fieldID:
			r.ID, hasID = s.id()
		case fieldError:
			f.text = s.data()
		case fieldResult: // and fieldResults
			if r.Tag == TagCallback {
				r.Value = s.data()
			} else {
				r.decodeResult(s)
			}
		case fieldCode:
			f.code = s.data()
		case fieldReason:
			f.words = s.data()
		}
	}
	if r.Tag == TagCallback && f.notFound(d) {
		r.Err = mld.ErrNotFound
	} else {
		r.Err = f.err(d)
	}
	return r.check(s, hasID)
}

func (r *Response) decodeResult(s *scanner) {
	inner := scanner{rest: s.data()}
	var value []byte
	for inner.next() {
		if inner.field == fieldResultValue {
			value = inner.data()
		}
	}
	s.bad = s.bad || inner.bad
	r.Values = append(r.Values, value)
}

// decodeIteratorData decodes the one entry of multileveldown's message or the
// many of many-level's. Both are read where they stand, so their fields must
// stand together, which those of every known server do.
func (r *Response) decodeIteratorData(d Dialect, body []byte, s *scanner) error {
	var f failure
	hasID, hasSeq := false, d == Multileveldown
	first, last, lastField := 0, 0, 0 // the data are body[first:last]
	for {
		if first > 0 && d == ManyLevel && last == len(body)-len(s.rest) {
			// What follows a datum is nearly always another one.
			s.rest = passData(s.rest)
			last = len(body) - len(s.rest)
		}
		at := len(body) - len(s.rest)
		if !s.next() {
			break
		}
		switch {
		case s.field == fieldID:
			r.ID, hasID = s.id()
		case d == ManyLevel && s.field == fieldSeq:
			r.Seq, hasSeq = s.uint32(), true
		case d == Multileveldown && s.field == fieldError:
			f.text = s.data()
		case d == Multileveldown && s.field == fieldCode:
			f.code = s.data()
		case d == Multileveldown && s.field == fieldReason:
			f.words = s.data()
		case s.field == fieldData, // and fieldEntryKey
			d == Multileveldown && s.field == fieldEntryValue:
			s.data()
			if first == 0 {
				first, last = at, at
			} else if last != at || d == Multileveldown && s.field <= lastField {
				return &mld.Error{Code: mld.CodeProtocol, Msg: "the data of an iterator is scattered"}
			}
			last, lastField = len(body)-len(s.rest), s.field
		}
	}
	r.Err = f.err(d)
	r.End = r.Err != nil || first == 0
	if !r.End {
		r.Data = body[first:last]
	}
	return r.check(s, hasID && hasSeq)
}

// passData passes over the data of less than 128 bytes that a message goes on with.
func passData(rest []byte) []byte {
	for len(rest) >= 2 && rest[0] == fieldData<<3|typeBytes && int(rest[1]) <= min(0x7f, len(rest)-2) {
		rest = rest[2+int(rest[1]):]
	}
	return rest
}

// decodeIteratorEnd decodes the last message of a many-level iterator.
func (r *Response) decodeIteratorEnd(s *scanner) error {
	var f failure
	hasID, hasSeq := false, false
	for s.next() {
		switch {
		case s.field == fieldID:
			r.ID, hasID = s.id()
		case s.field == fieldSeq:
			r.Seq, hasSeq = s.uint32(), true
		case r.Tag == TagIteratorEnd: // which has no more
		case s.field == fieldIterError:
			f.text = s.data()
		case s.field == fieldCode:
			f.code = s.data()
		case s.field == fieldReason:
			f.words = s.data()
		}
	}
	r.Err, r.End = f.err(ManyLevel), true
	return r.check(s, hasID && hasSeq && (r.Err != nil || r.Tag == TagIteratorEnd))
}

func (r *Response) decodeGoodbye(s *scanner) error {
	var f failure
	for s.next() {
		switch s.field {
		case fieldGoodbyeCode:
			f.code = s.data()
		case fieldGoodbyeWords:
			f.words = s.data()
		}
	}
	r.Err = f.err(ManyLevel)
	return r.check(s, r.Err != nil)
}

func (r *Response) decodeRenewed(s *scanner) error {
	hasID := false
	for s.next() {
		if s.field == fieldID {
			r.ID, hasID = s.id()
		}
	}
	return r.check(s, hasID)
}

// decodeWelcome decodes a welcome. What belongs to a feature that is not offered
// is passed over.
func (r *Response) decodeWelcome(s *scanner) error {
	for s.next() {
		switch s.field {
		case fieldVersion:
			r.Welcome.Version = s.uint32()
		case fieldFeatures:
			r.Welcome.Features = Features(s.uint64())
		case fieldMaxFrame:
			r.Welcome.MaxFrame = s.uint64()
		case fieldReadOnly:
			r.Welcome.ReadOnly = s.boolean()
		case fieldStore:
			if n := copy(r.Welcome.Store[:], s.data()); n != len(r.Welcome.Store) || n != len(s.bytes) {
				s.bad = true
			}
		case fieldGeneration:
			r.Welcome.Generation = s.uint64()
		case fieldInstance:
			r.Welcome.Instance = s.uint64()
		case fieldWindow:
			r.Welcome.Window = s.uint32()
		case fieldSessionLease:
			r.Welcome.Lease = s.uint64()
		}
	}
	w := &r.Welcome
	if w.Features&FeatureSessions == 0 {
		w.Store, w.Generation, w.Window, w.Lease = ClientID{}, 0, 0, 0
	}
	if w.Features&FeatureLeases == 0 {
		w.Instance = 0
	}
	return r.check(s, w.Version != 0)
}

// NextDatum takes the first datum off the data of an iterator's message: a key
// or a value, in turn or always the same, as the iterator was opened. It
// returns false when data is empty. The datum aliases data and is not nil.
func NextDatum(data []byte) (datum, rest []byte, ok bool) {
	if len(data) >= 2 && data[0]&0x87 == typeBytes && int(data[1]) <= min(0x7f, len(data)-2) {
		end := 2 + int(data[1])
		return data[2:end:end], data[end:], true // nearly every one
	}
	s := scanner{rest: data}
	if !s.next() || s.typ != typeBytes {
		return nil, nil, false
	}
	return s.bytes, s.rest, true
}

// AppendDatum appends a datum as [NextDatum] takes it off.
func AppendDatum(dst, datum []byte) []byte {
	return appendBytes(dst, fieldData, datum)
}

// saturate returns n as a limit on the wire, where -1 is none.
func saturate(n int) int64 {
	if n < 0 {
		return -1
	}
	// JavaScript writes integers up to 2^53 there and can read no larger ones.
	return int64(min(uint64(n), 1<<53, math.MaxInt64))
}
