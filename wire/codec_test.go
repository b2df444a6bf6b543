package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/multileveldown/mld"
)

var (
	rewrite = flag.Bool("rewrite", false, "write what the tests got over the files of what they expect")
	seed    = flag.Uint64("seed", uint64(time.Now().UnixNano()), "what random tests begin with")
)

// newRand returns random numbers that -seed brings again.
func newRand(t testing.TB) *rand.Rand {
	t.Helper()
	t.Logf("-seed %d", *seed)
	return rand.New(rand.NewPCG(*seed, 0))
}

var dialects = []Dialect{Multileveldown, ManyLevel}

// frames splits a stream into the bodies of its frames.
func frames(t testing.TB, stream []byte) [][]byte {
	t.Helper()
	var bodies [][]byte
	r := NewFrameReader(bytes.NewReader(stream), DefaultMaxFrame)
	for {
		body, err := r.Next()
		if err == io.EOF {
			return bodies
		}
		if err != nil {
			t.Fatalf("frame %d: %v", len(bodies), err)
		}
		bodies = append(bodies, bytes.Clone(body))
	}
}

// body returns the body of the only frame in a stream.
func body(t testing.TB, stream []byte) []byte {
	t.Helper()
	bodies := frames(t, stream)
	if len(bodies) != 1 {
		t.Fatalf("%d frames, want 1: %x", len(bodies), stream)
	}
	return bodies[0]
}

func decodeRequest(t testing.TB, d Dialect, body []byte) *Request {
	t.Helper()
	var r Request
	hasID, err := r.Decode(d, body, &DefaultLimits)
	if err != nil {
		t.Fatalf("%s: %x: %v", d, body, err)
	}
	if hasID != (r.Tag != TagHello) {
		t.Fatalf("%s: %x: hasID is %v", d, body, hasID)
	}
	return &r
}

func decodeResponse(t testing.TB, d Dialect, body []byte) *Response {
	t.Helper()
	var r Response
	if err := r.Decode(d, body); err != nil {
		t.Fatalf("%s: %x: %v", d, body, err)
	}
	return &r
}

// encodeRequest does what a client does to send r.
func encodeRequest(dst []byte, d Dialect, r *Request) []byte {
	limit := -1
	if r.Limited {
		limit = r.Range.Limit
	}
	if r.N > 0 {
		plain := *r
		plain.N, plain.Watermark = 0, 0
		start := len(dst)
		return NumberWrite(encodeRequest(dst, d, &plain), start, r.N, r.Watermark)
	}
	switch r.Tag {
	case TagGet:
		return AppendGet(dst, r.ID, r.Key, r.Snapshot)
	case TagPut:
		return AppendPut(dst, r.ID, r.Key, r.Value, r.Durability)
	case TagDelete:
		return AppendDelete(dst, r.ID, r.Key, r.Durability)
	case TagBatch:
		return AppendBatch(dst, r.ID, r.Ops, r.Durability)
	case TagGetMany:
		return AppendGetMany(dst, r.ID, r.Keys, r.Snapshot)
	case TagClear:
		return AppendClear(dst, r.ID, &r.Range, limit, r.Durability)
	case TagIterator:
		switch {
		case r.Opens:
			open := &IteratorOpen{
				ID: r.ID, Seq: r.Seq, Keys: !r.ValuesOnly, Values: !r.KeysOnly, Range: r.Range, Limit: limit,
				Credit: r.Credit, Seek: r.Seek, Snapshot: r.Snapshot, PageBytes: r.PageBytes,
				Lease: r.Lease, Resume: r.Resume, Strict: r.Strict,
			}
			if r.Narrowed {
				open.Bounds = &r.Bounds
			}
			return AppendIterator(dst, d, open)
		case r.Credit == 0:
			return AppendIteratorClose(dst, d, r.ID)
		default:
			return AppendIteratorCredit(dst, r.ID, r.Credit)
		}
	case TagIteratorClose:
		return AppendIteratorClose(dst, d, r.ID)
	case TagIteratorAck:
		return AppendIteratorAck(dst, r.ID, r.Seq, r.Consumed)
	case TagIteratorSeek:
		return AppendIteratorSeek(dst, r.ID, r.Seq, r.Seek)
	case TagHello:
		return AppendHello(dst, &Hello{Version: r.Version, Dialect: r.Dialect, Client: r.Client, Session: r.Session, Answered: r.Answered})
	case TagSnapshotOpen:
		return AppendSnapshotOpen(dst, r.ID, r.Snapshot)
	case TagSnapshotClose:
		return AppendSnapshotClose(dst, r.ID, r.Snapshot)
	case TagStats:
		return AppendStats(dst, r.ID)
	case TagSessionEnd:
		return AppendSessionEnd(dst, r.ID)
	default:
		panic(fmt.Sprintf("tag %d", r.Tag))
	}
}

// encodeResponse does what a server does to send r.
func encodeResponse(dst []byte, d Dialect, r *Response) []byte {
	switch r.Tag {
	case TagCallback:
		switch {
		case r.Err != nil:
			return AppendError(dst, d, r.ID, r.Err)
		case r.Value != nil:
			return AppendValue(dst, r.ID, r.Value)
		default:
			return AppendOK(dst, r.ID)
		}
	case TagGetManyCallback:
		if r.Err != nil {
			return AppendManyError(dst, d, r.ID, r.Err)
		}
		return AppendMany(dst, r.ID, r.Values)
	case TagIteratorData, TagIteratorError, TagIteratorEnd:
		switch {
		case r.Err != nil:
			return AppendIteratorError(dst, d, r.ID, r.Seq, r.Err)
		case r.End:
			return AppendIteratorEnd(dst, d, r.ID, r.Seq)
		}
		var p Page
		dst = p.Begin(dst, d, r.ID, r.Seq)
		data := dataOf(r.Data)
		switch {
		case d == ManyLevel:
			for _, datum := range data {
				dst = p.Add(dst, datum, nil)
			}
		case len(data) == 2:
			dst = p.Add(dst, data[0], data[1])
		case r.Data[0]>>3 == fieldEntryKey:
			dst = p.Add(dst, data[0], nil)
		default:
			dst = p.Add(dst, nil, data[0])
		}
		return p.End(dst)
	case TagWelcome:
		return AppendWelcome(dst, &r.Welcome)
	case TagDrain:
		return AppendDrain(dst)
	case TagRenewed:
		return AppendRenewed(dst, r.ID)
	case TagGoodbye:
		return AppendGoodbye(dst, r.Err)
	default:
		panic(fmt.Sprintf("tag %d", r.Tag))
	}
}

// dataOf returns the data of an iterator's message, which must have some.
func dataOf(data []byte) [][]byte {
	var list [][]byte
	for len(data) > 0 {
		datum, rest, ok := NextDatum(data)
		if !ok {
			panic(fmt.Sprintf("data that is none: %x", data))
		}
		list, data = append(list, datum), rest
	}
	return list
}

// describeRequest returns one line with all that was decoded.
func describeRequest(r *Request) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s id=%d", TagName(r.Tag), r.ID)
	describe := func(name string, p []byte) {
		if p != nil {
			fmt.Fprintf(&b, " %s=%s", name, short(p))
		}
	}
	number := func(name string, n uint64) {
		if n != 0 {
			fmt.Fprintf(&b, " %s=%d", name, n)
		}
	}
	word := func(name string, is bool) {
		if is {
			b.WriteString(" " + name)
		}
	}
	describe("key", r.Key)
	describe("value", r.Value)
	for _, k := range r.Keys {
		describe("key", k)
	}
	for i := range r.Ops {
		fmt.Fprintf(&b, " %s(%s", r.Ops[i].Kind, short(r.Ops[i].Key))
		if r.Ops[i].Value != nil {
			fmt.Fprintf(&b, ", %s", short(r.Ops[i].Value))
		}
		b.WriteString(")")
	}
	word("opens", r.Opens)
	number("seq", uint64(r.Seq))
	number("credit", uint64(r.Credit))
	number("consumed", r.Consumed)
	describe("gt", r.Range.GT)
	describe("gte", r.Range.GTE)
	describe("lt", r.Range.LT)
	describe("lte", r.Range.LTE)
	if r.Limited {
		fmt.Fprintf(&b, " limit=%d", r.Range.Limit)
	}
	word("reverse", r.Range.Reverse)
	word("keys-only", r.KeysOnly)
	word("values-only", r.ValuesOnly)
	describe("bookmark", r.Bookmark)
	describe("seek", r.Seek)
	return b.String()
}

// describeResponse returns one line with all that was decoded.
func describeResponse(r *Response) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d id=%d", r.Tag, r.ID)
	if r.Seq != 0 {
		fmt.Fprintf(&b, " seq=%d", r.Seq)
	}
	var e *mld.Error
	if errors.As(r.Err, &e) {
		fmt.Fprintf(&b, " error=%s %q", e.Code, e.Msg)
	}
	if r.Value != nil {
		fmt.Fprintf(&b, " value=%s", short(r.Value))
	}
	for _, v := range r.Values {
		if v == nil {
			b.WriteString(" absent")
		} else {
			fmt.Fprintf(&b, " %s", short(v))
		}
	}
	if !r.End {
		for _, datum := range dataOf(r.Data) {
			fmt.Fprintf(&b, " %s", short(datum))
		}
	} else {
		b.WriteString(" end")
	}
	return b.String()
}

// short returns bytes as a quoted string, cut when they are many.
func short(p []byte) string {
	const most = 40
	if len(p) > most {
		return fmt.Sprintf("%q…(%d)", p[:most], len(p))
	}
	return fmt.Sprintf("%q", p)
}

// unhex returns the bytes of a hexadecimal string, which may have spaces, and
// words in quotation marks that stand for themselves.
func unhex(s string) []byte {
	var out []byte
	for i, part := range strings.Split(s, `"`) {
		if i%2 == 1 {
			out = append(out, part...)
			continue
		}
		p, err := hex.DecodeString(strings.ReplaceAll(part, " ", ""))
		if err != nil {
			panic(err)
		}
		out = append(out, p...)
	}
	return out
}
