package wire

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/multileveldown/mld"
)

// captured are messages that the npm clients sent, and what they mean.
var captured = []struct {
	name    string
	dialect Dialect // Auto: the same in both
	frame   string
	want    Request
	differs bool // ours says less
}{
	{"put", Auto, `09 01 0800 120161 1a0131`, Request{Tag: TagPut, Key: []byte("a"), Value: []byte("1")}, false},
	{"put nothing", Auto, `08 01 0800 120165 1a00`, Request{Tag: TagPut, Key: []byte("e"), Value: []byte{}}, false},
	{"get", Auto, `06 00 0800 120165`, Request{Tag: TagGet, Key: []byte("e")}, false},
	{"get with another id", Auto, `06 00 0805 120178`, Request{Tag: TagGet, ID: 5, Key: []byte("x")}, false},
	{"get-many", Auto, `0c 06 0800 120161 120178 120165`, Request{Tag: TagGetMany, Keys: [][]byte{[]byte("a"), []byte("x"), []byte("e")}}, false},
	{"batch", Auto, `1a 03 0800 120b 0a03"put" 120162 1a0132 1208 0a03"del" 120165`, Request{Tag: TagBatch, Ops: []mld.Op{
		{Kind: mld.OpPut, Key: []byte("b"), Value: []byte("2")}, {Kind: mld.OpDelete, Key: []byte("e")},
	}}, false},
	{"clear", Auto, `09 05 0800 1204 3801 4000`, Request{Tag: TagClear}, false},
	{"iterate", Multileveldown, `0f 04 0800 1020 1a08 0801 1001 3801 4000`, Request{Tag: TagIterator, Opens: true, Credit: 32}, false},
	{"credit", Multileveldown, `05 04 0800 1020`, Request{Tag: TagIterator, Credit: 32}, false},
	{"close", Multileveldown, `05 04 0800 1000`, Request{Tag: TagIterator}, false},
	{"close with options", Multileveldown, `0f 04 0800 1000 1a08 0801 1001 3801 4000`, Request{Tag: TagIterator}, true},
	{"close without a number", Multileveldown, `03 04 0800`, Request{Tag: TagIterator}, true},
	{"iterate", ManyLevel, `11 04 0801 1000 1a08 0801 1001 3801 4000 2000`, Request{Tag: TagIterator, ID: 1, Opens: true}, false},
	{
		"resume", ManyLevel, `14 04 0801 1000 1a08 0801 1001 3801 4000 2005 2a0161`,
		Request{Tag: TagIterator, ID: 1, Opens: true, Consumed: 5, Bookmark: []byte("a")},
		true,
	},
	{
		"resume a seek", ManyLevel, `13 04 0801 1003 1a08 0801 1001 3801 4000 2000 3200`,
		Request{Tag: TagIterator, ID: 1, Seq: 3, Opens: true, Seek: []byte{}},
		false,
	},
	{
		"two bounds on one side", ManyLevel, `1d 04 0801 1000 1a14 0801 1001 1a0161 220162 2a0178 320179 3801 4000 2000`,
		Request{Tag: TagIterator, ID: 1, Opens: true, Range: mld.Range{GTE: []byte("b"), LTE: []byte("y")}},
		true,
	},
	{
		"two bounds on one side", Multileveldown, `15 04 0801 1020 1a0e 0801 1001 1a0161 220162 3801 4000`,
		Request{Tag: TagIterator, ID: 1, Opens: true, Credit: 32, Range: mld.Range{GT: []byte("a"), GTE: []byte("b")}},
		false,
	},
	{"acknowledge", ManyLevel, `07 08 0801 1000 1801`, Request{Tag: TagIteratorAck, ID: 1, Consumed: 1}, false},
	{"close", ManyLevel, `03 07 0801`, Request{Tag: TagIteratorClose, ID: 1}, false},
	{"seek", ManyLevel, `08 09 0803 1001 1a0162`, Request{Tag: TagIteratorSeek, ID: 3, Seq: 1, Seek: []byte("b")}, false},
}

func TestCapturedRequests(t *testing.T) {
	for _, c := range captured {
		for _, d := range dialects {
			if c.dialect != Auto && c.dialect != d {
				continue
			}
			t.Run(d.String()+"/"+c.name, func(t *testing.T) {
				frame := unhex(c.frame)
				got := decodeRequest(t, d, body(t, frame))
				if !reflect.DeepEqual(got, &c.want) {
					t.Errorf("got  %+v\nwant %+v", got, &c.want)
				}
				if ours := encodeRequest(nil, d, &c.want); bytes.Equal(ours, frame) == c.differs {
					t.Errorf("ours sends %x for %x", ours, frame)
				}
			})
		}
	}
}

func TestRequestExtensions(t *testing.T) {
	for _, c := range []struct {
		frame string
		want  Request
	}{
		{`05 40 0801 1002`, Request{Tag: TagHello, Version: 1, Dialect: ManyLevel}},
		{`05 41 0803 1007`, Request{Tag: TagSnapshotOpen, ID: 3, Snapshot: 7}},
		{`05 42 0803 1007`, Request{Tag: TagSnapshotClose, ID: 3, Snapshot: 7}},
		{`03 43 0803`, Request{Tag: TagStats, ID: 3}},
		{`09 00 0801 120161 880107`, Request{Tag: TagGet, ID: 1, Key: []byte("a"), Snapshot: 7}},
		{`0b 01 0801 120161 1a00 800101`, Request{Tag: TagPut, ID: 1, Key: []byte("a"), Value: []byte{}, Durability: mld.DurabilitySync}},
		{`09 02 0801 120161 800102`, Request{Tag: TagDelete, ID: 1, Key: []byte("a"), Durability: mld.DurabilityNoSync}},
		{`06 03 0801 800102`, Request{Tag: TagBatch, ID: 1, Durability: mld.DurabilityNoSync}},
		{`06 06 0801 880109`, Request{Tag: TagGetMany, ID: 1, Snapshot: 9}},
		{`03 44 0803`, Request{Tag: TagSessionEnd, ID: 3}},
		{`1b 40 0801 1002 1a10"0123456789abcdef" 2001 2800`, Request{Tag: TagHello, Version: 1, Dialect: ManyLevel, Client: ClientID([]byte("0123456789abcdef")), Session: true}},
		{`0f 02 0801 120161 800102 980105 a00102`, Request{Tag: TagDelete, ID: 1, Key: []byte("a"), Durability: mld.DurabilityNoSync, N: 5, Watermark: 3}},
	} {
		for _, d := range dialects {
			got := decodeRequest(t, d, body(t, unhex(c.frame)))
			if !reflect.DeepEqual(got, &c.want) {
				t.Errorf("%s: got  %+v\nwant %+v", c.frame, got, &c.want)
			}
			if ours := encodeRequest(nil, d, &c.want); !bytes.Equal(ours, unhex(c.frame)) {
				t.Errorf("%s: ours sends %x", c.frame, ours)
			}
		}
	}
	// A durability that this version does not know is the most careful one.
	if got := decodeRequest(t, ManyLevel, unhex(`02 0801 120161 800163`)); got.Durability != mld.DurabilitySync {
		t.Errorf("an unknown durability is %s", got.Durability)
	}
	// Fields in another order, unknown ones of every type, and overlong numbers.
	want := &Request{Tag: TagGet, ID: 1, Key: []byte("a")}
	if got := decodeRequest(t, ManyLevel, unhex(`00 f80701 fa070141 f9070102030405060708 fd0701020304 12 8100 61 08 8100`)); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	// The last one of a field holds.
	want = &Request{Tag: TagClear, ID: 2, Range: mld.Range{LT: []byte("b")}}
	if got := decodeRequest(t, ManyLevel, unhex(`05 0801 0802 1207 220161 3802 4001 1207 2a0162 3801 4000`)); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

func TestRequestOptions(t *testing.T) {
	const none = -1
	for _, c := range []struct {
		options              string
		limit                int64
		keysOnly, valuesOnly bool
	}{
		{`0801 1001 3801 4000`, none, false, false},
		{`0801 1000 3801 4000`, none, true, false},
		{`0800 1001 3801 4000`, none, false, true},
		{`0800 1000 3801 4000`, none, false, true}, // as the npm hosts have it
		{`0801 1001 3800 4000`, 0, false, false},
		{`0801 1001`, 0, false, false}, // absent is 0
		{`0801 1001 3806`, 3, false, false},
		{`0801 1001 3805`, none, false, false}, // -3
		{`0801 1001 38 808080808040`, min(1<<40, math.MaxInt), false, false},
		{`0801 1001 38 feffffffffffffffff01`, math.MaxInt, false, false},
		{`0801 1001 38 ffffffffffffffffff01`, none, false, false},
	} {
		frame := append(unhex(`04 0801 1001 2000`), appendBytes(nil, fieldOptions, unhex(c.options))...)
		for _, d := range dialects {
			r := decodeRequest(t, d, frame)
			limit := int64(none)
			if r.Limited {
				limit = int64(r.Range.Limit)
			}
			if limit != c.limit || r.KeysOnly != c.keysOnly || r.ValuesOnly != c.valuesOnly {
				t.Errorf("%s %s: limit %d, keys only %v, values only %v", d, c.options, limit, r.KeysOnly, r.ValuesOnly)
			}
		}
	}
}

func TestRequestErrors(t *testing.T) {
	limits := &Limits{Key: 4, Value: 5, BatchOps: 2, Keys: 2}
	for _, c := range []struct {
		name    string
		dialect Dialect // Auto: both
		body    string
		want    error
		id      int // -1: none
		text    string
	}{
		{"empty", Auto, ``, mld.ErrProtocol, -1, "empty"},
		{"unknown tag", Auto, `0a 0807`, mld.ErrProtocol, 7, "unknown tag 10"},
		{"unknown tag without id", Auto, `ff`, mld.ErrProtocol, -1, "unknown tag 255"},
		{"unknown in the dialect", Multileveldown, `07 0807`, mld.ErrProtocol, 7, "unknown tag 7"},
		{"no id", Auto, `00 120161`, mld.ErrProtocol, -1, "no id"},
		{"id of 33 bits", Auto, `00 08 8080808010 120161`, mld.ErrProtocol, -1, "does not decode"},
		{"id of another type", Auto, `00 0a0101 120161`, mld.ErrProtocol, -1, "does not decode"},
		{"no key", Auto, `00 0807`, mld.ErrProtocol, 7, "no key"},
		{"key cut", Auto, `00 0807 120561`, mld.ErrProtocol, 7, "does not decode"},
		{"key that claims 2^40", Auto, `00 0807 12 808080808020 61`, mld.ErrProtocol, 7, "does not decode"},
		{"group", Auto, `00 0807 120161 1b 1c`, mld.ErrProtocol, 7, "does not decode"},
		{"field number of 40 bits", Auto, `00 0807 80808080808001 00 120161`, mld.ErrProtocol, 7, "does not decode"},
		{"put without value", Auto, `01 0807 120161`, mld.ErrInvalidArgument, 7, "value"},
		{"empty key", Multileveldown, `00 0807 1200`, mld.ErrInvalidArgument, 7, "key cannot be an empty Buffer"},
		{"empty key in a batch", Multileveldown, `03 0807 1209 0a03"put" 1200 1a00`, mld.ErrInvalidArgument, 7, "key cannot be an empty Buffer"},
		{"empty key in a get-many", Multileveldown, `06 0807 120161 1200`, mld.ErrInvalidArgument, 7, "key cannot be an empty Buffer"},
		{"long key", Auto, `00 0807 1205"abcde"`, mld.ErrLimitExceeded, 7, "5 bytes of a key exceed the limit of 4 (max-key)"},
		{"long value", Auto, `01 0807 120161 1a06"abcdef"`, mld.ErrLimitExceeded, 7, "max-value"},
		{"long value, id last", Auto, `01 120161 1a06"abcdef" 0807`, mld.ErrLimitExceeded, 7, "max-value"},
		{"many keys", Auto, `06 0807 120161 120161 120161`, mld.ErrLimitExceeded, 7, "max-keys"},
		{"long key in a get-many, id last", Auto, `06 1205"abcde" 0807`, mld.ErrLimitExceeded, 7, "max-key"},
		{"many ops, id last", Auto, `03 1208 0a03"del" 120161 1208 0a03"del" 120161 1208 0a03"del" 120161 0807`, mld.ErrLimitExceeded, 7, "max-batch-ops"},
		{"long bound", Auto, `05 0807 1207 1a05"abcde"`, mld.ErrLimitExceeded, 7, "max-key"},
		{"op of another type", Auto, `03 0807 1208 0a03"pug" 120161`, mld.ErrInvalidArgument, 7, "neither"},
		{"op without type", Auto, `03 0807 1203 120161`, mld.ErrProtocol, 7, "no type"},
		{"op without key", Auto, `03 0807 1205 0a03"del"`, mld.ErrProtocol, 7, "no key"},
		{"op without value", Auto, `03 0807 1208 0a03"put" 120161`, mld.ErrInvalidArgument, 7, "value"},
		{"op that does not decode", Auto, `03 0807 1202 0a05`, mld.ErrProtocol, 7, "does not decode"},
		{"malformed after what makes no sense", Auto, `03 0807 1208 0a03"pug" 120161 12`, mld.ErrProtocol, 7, "does not decode"},
		{"options that do not decode", Auto, `05 0807 1202 1a05`, mld.ErrProtocol, 7, "does not decode"},
		{"iterator without seq", ManyLevel, `04 0807 1a00 2000`, mld.ErrProtocol, 7, "no seq"},
		{"iterator without options", ManyLevel, `04 0807 1000 2000`, mld.ErrProtocol, 7, "no options"},
		{"iterator without consumed", ManyLevel, `04 0807 1000 1a00`, mld.ErrProtocol, 7, "no consumed"},
		{"acknowledgement without seq", ManyLevel, `08 0807 1800`, mld.ErrProtocol, 7, "no seq"},
		{"acknowledgement without consumed", ManyLevel, `08 0807 1000`, mld.ErrProtocol, 7, "no consumed"},
		{"seek without target", ManyLevel, `09 0807 1000`, mld.ErrProtocol, 7, "no target"},
		{"snapshot without number", Auto, `41 0807`, mld.ErrProtocol, 7, "no snapshot"},
		{"hello of a client with a short id", Auto, `40 0801 1002 1a03"abc"`, mld.ErrProtocol, -1, "does not decode"},
		{"number without watermark", Auto, `02 0801 120161 980105`, mld.ErrProtocol, 1, "number 5 and the watermark 5"},
		{"watermark without number", Auto, `02 0801 120161 a00105`, mld.ErrProtocol, 1, "watermark"},
		{"watermark below zero", Auto, `02 0801 120161 980105 a00106`, mld.ErrProtocol, 1, "watermark"},
		{"hello without version", Auto, `40 1001`, mld.ErrProtocol, -1, "no version"},
		{"hello without dialect", Auto, `40 0801`, mld.ErrProtocol, -1, "dialect"},
		{"hello in an unknown dialect", Auto, `40 0801 1003`, mld.ErrProtocol, -1, "dialect"},
		{"hello that does not decode", Auto, `40 08`, mld.ErrProtocol, -1, "does not decode"},
	} {
		for _, d := range dialects {
			if c.dialect != Auto && c.dialect != d {
				continue
			}
			t.Run(d.String()+"/"+c.name, func(t *testing.T) {
				var r Request
				hasID, err := r.Decode(d, unhex(c.body), limits)
				if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
					t.Errorf("%v, want %v that says %q", err, c.want, c.text)
				}
				if hasID != (c.id >= 0) || hasID && r.ID != uint32(c.id) {
					t.Errorf("hasID %v, id %d, want %d", hasID, r.ID, c.id)
				}
			})
		}
	}
	// An empty key is a key to many-level.
	decodeRequest(t, ManyLevel, unhex(`00 0807 1200`))
}

// TestLimitsBeforeMemory sees that lists are cut at their limit, not after
// they have been built.
func TestLimitsBeforeMemory(t *testing.T) {
	many := append([]byte{TagGetMany, 0x08, 0x01}, bytes.Repeat([]byte{0x12, 0x00}, 1<<20)...)
	batch := append([]byte{TagBatch, 0x08, 0x01}, bytes.Repeat(unhex(`1207 0a03"del" 1200`), 1<<17)...)
	limits := &Limits{Keys: 100, BatchOps: 100}
	var r Request
	for _, b := range [][]byte{many, batch} {
		if _, err := r.Decode(ManyLevel, b, limits); !errors.Is(err, mld.ErrLimitExceeded) {
			t.Fatal(err)
		}
		if cap(r.Keys) > 200 || cap(r.Ops) > 200 {
			t.Errorf("room for %d keys and %d ops, at a limit of 100", cap(r.Keys), cap(r.Ops))
		}
	}
	// Without a limit the lists are built, and do not outlive the next message.
	if _, err := r.Decode(ManyLevel, many, &Limits{}); err != nil || len(r.Keys) != 1<<20 {
		t.Fatalf("%v, %d keys", err, len(r.Keys))
	}
	if _, err := r.Decode(ManyLevel, many[:7], &Limits{}); err != nil || len(r.Keys) != 2 || cap(r.Keys) > keptList {
		t.Errorf("%v, %d keys and room for %d", err, len(r.Keys), cap(r.Keys))
	}
	keys := r.Keys
	if _, err := r.Decode(ManyLevel, unhex(`43 0801`), &Limits{}); err != nil || keys[0] != nil {
		t.Errorf("%v; a request keeps the keys of the one before: %q", err, keys)
	}
}

func TestBatchWithUnknownKind(t *testing.T) {
	frame := AppendBatch(nil, 1, []mld.Op{{Kind: 77, Key: []byte("k"), Value: []byte("v")}}, mld.DurabilityDefault)
	var r Request
	if _, err := r.Decode(ManyLevel, body(t, frame), &DefaultLimits); !errors.Is(err, mld.ErrInvalidArgument) {
		t.Errorf("%v", err)
	}
}

func TestPeekID(t *testing.T) {
	for _, c := range []struct {
		body string
		id   uint32
		ok   bool
	}{
		{``, 0, false},
		{`00`, 0, false},
		{`00 0800`, 0, true},
		{`63 08 ffffffff0f 12`, math.MaxUint32, true},
		{`00 08 8080808010`, 0, false},
		{`00 120161 0801`, 0, false},
		{`00 08`, 0, false},
		{`00 0a0161`, 0, false},
	} {
		if id, ok := PeekID(unhex(c.body)); id != c.id || ok != c.ok {
			t.Errorf("%s: %d, %v", c.body, id, ok)
		}
	}
}

// randomBytes returns nil, an empty slice, or bytes.
func randomBytes(rng *rand.Rand) []byte {
	n := rng.IntN(300)
	if rng.IntN(3) > 0 {
		n = rng.IntN(4) - 1
	}
	if n < 0 {
		return nil
	}
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(rng.Uint32())
	}
	return p
}

// randomDatum returns a byte, or more: what is legal in every dialect.
func randomDatum(rng *rand.Rand) []byte { return append(randomBytes(rng), byte(rng.Uint32())) }

func randomNumber(rng *rand.Rand) uint32 { return rng.Uint32() >> rng.IntN(32) }

// randomRequest returns a request that a client can send.
func randomRequest(rng *rand.Rand, d Dialect) *Request {
	tags := []byte{
		TagGet, TagPut, TagDelete, TagBatch, TagIterator, TagClear, TagGetMany, TagHello, TagSnapshotOpen, TagSnapshotClose, TagStats, TagSessionEnd,
		TagIteratorClose, TagIteratorAck, TagIteratorSeek,
	}
	if d == Multileveldown {
		tags = tags[:len(tags)-3]
	}
	r := &Request{Tag: tags[rng.IntN(len(tags))], ID: randomNumber(rng)}
	options := func() {
		r.Range = mld.Range{GT: randomBytes(rng), LTE: randomBytes(rng), Reverse: rng.IntN(2) == 0}
		if d == Multileveldown || rng.IntN(2) == 0 {
			r.Range.LT = randomBytes(rng)
		}
		if d == ManyLevel && r.Range.LTE != nil {
			r.Range.LT = nil
		}
		if r.Limited = rng.IntN(2) == 0; r.Limited {
			r.Range.Limit = int(randomNumber(rng) >> 1)
		}
	}
	switch r.Tag {
	case TagGet:
		r.Key, r.Snapshot = randomDatum(rng), randomNumber(rng)
	case TagPut:
		r.Key, r.Value, r.Durability = randomDatum(rng), append([]byte{}, randomBytes(rng)...), mld.Durability(rng.IntN(3))
	case TagDelete:
		r.Key, r.Durability = randomDatum(rng), mld.Durability(rng.IntN(3))
	case TagBatch:
		r.Durability = mld.Durability(rng.IntN(3))
		for range rng.IntN(5) {
			op := mld.Op{Kind: mld.OpDelete, Key: randomDatum(rng)}
			if rng.IntN(2) == 0 {
				op.Kind, op.Value = mld.OpPut, append([]byte{}, randomBytes(rng)...)
			}
			r.Ops = append(r.Ops, op)
		}
	case TagGetMany:
		r.Snapshot = randomNumber(rng)
		for range rng.IntN(5) {
			r.Keys = append(r.Keys, randomDatum(rng))
		}
	case TagClear:
		options()
		r.Durability = mld.Durability(rng.IntN(3))
	case TagIterator:
		if d == Multileveldown {
			if r.Credit = randomNumber(rng); r.Credit > 0 && rng.IntN(2) == 0 {
				break
			}
			r.Opens = r.Credit > 0
		} else {
			r.Opens, r.Seq, r.Seek, r.PageBytes = true, randomNumber(rng), randomBytes(rng), randomNumber(rng)
		}
		if r.Opens {
			options()
			r.Snapshot = randomNumber(rng)
			if r.Lease = uint64(randomNumber(rng)); r.Lease > 0 {
				r.Resume, r.Strict = rng.IntN(2) == 0, rng.IntN(2) == 0
			}
			r.KeysOnly = rng.IntN(2) == 0
			r.ValuesOnly = !r.KeysOnly && rng.IntN(2) == 0
		}
	case TagIteratorAck:
		r.Seq, r.Consumed = randomNumber(rng), rng.Uint64()
	case TagIteratorSeek:
		r.Seq, r.Seek = randomNumber(rng), append([]byte{}, randomBytes(rng)...)
	case TagHello:
		r.ID, r.Version, r.Dialect = 0, 1+randomNumber(rng)>>1, dialects[rng.IntN(2)]
		if rng.IntN(2) == 0 {
			r.Client[15], r.Session, r.Answered = 1, rng.IntN(2) == 0, rng.IntN(2) == 0
		}
	case TagSnapshotOpen, TagSnapshotClose:
		r.Snapshot = 1 + randomNumber(rng)>>1
	}
	if r.IsWrite() && rng.IntN(2) == 0 {
		r.N = 1 + rng.Uint64()>>rng.IntN(64)
		r.Watermark = r.N - 1 - uint64(rng.IntN(int(min(r.N, 200))))
	}
	return r
}

func TestRequestRoundTrip(t *testing.T) {
	rng := newRand(t)
	for _, d := range dialects {
		var stream []byte
		var want []*Request
		for range 5000 {
			r := randomRequest(rng, d)
			stream = encodeRequest(stream, d, r)
			want = append(want, r)
		}
		bodies := frames(t, stream)
		if len(bodies) != len(want) {
			t.Fatalf("%d frames for %d messages", len(bodies), len(want))
		}
		var got Request // reused, as a server does
		for i, b := range bodies {
			if _, err := got.Decode(d, b, &DefaultLimits); err != nil {
				t.Fatalf("%s: %v for %+v", d, err, want[i])
			}
			if len(got.Keys) == 0 {
				got.Keys = nil
			}
			if len(got.Ops) == 0 {
				got.Ops = nil
			}
			if !reflect.DeepEqual(&got, want[i]) {
				t.Fatalf("%s: %x\ngot  %+v\nwant %+v", d, b, &got, want[i])
			}
		}
	}
}

// TestIteratorBounds decodes the bounds that an iterator had at first, which only
// one with a lease has, and refuses those that are malformed or too long.
func TestIteratorBounds(t *testing.T) {
	limits := &Limits{Key: 4}
	for _, d := range []Dialect{ManyLevel, Multileveldown} {
		open := IteratorOpen{
			ID: 1, Keys: true, Limit: -1, Credit: 1, Lease: 7, Resume: true,
			Range:  mld.Range{GT: []byte("m"), LT: []byte("x"), Reverse: true},
			Bounds: &mld.Range{GTE: []byte{}, LT: []byte("x")},
		}
		decode := func() (r Request, err error) {
			_, err = r.Decode(d, body(t, AppendIterator(nil, d, &open)), limits)
			return r, err
		}
		r, err := decode()
		want := mld.Range{GTE: []byte{}, LT: []byte("x"), Reverse: true}
		if err != nil || !r.Narrowed || !reflect.DeepEqual(r.Bounds, want) || string(r.Range.GT) != "m" {
			t.Errorf("%v: %+v, %v", d, r, err)
		}
		open.Bounds.LT = []byte("12345")
		if _, err := decode(); !errors.Is(err, mld.ErrLimitExceeded) {
			t.Errorf("%v: a long bound: %v", d, err)
		}
		open.Bounds, open.Lease = nil, 0
		frame := body(t, AppendIterator(nil, d, &open))
		bad := append(appendUint(bytes.Clone(frame), fieldLease, 1), appendBytes(nil, fieldBounds, "\x1a\x05x")...)
		if _, err := r.Decode(d, bad, limits); !errors.Is(err, mld.ErrProtocol) {
			t.Errorf("%v: malformed bounds: %v", d, err)
		}
		if _, err := r.Decode(d, appendBytes(frame, fieldBounds, "\x1a\x01x"), limits); err != nil || r.Narrowed {
			t.Errorf("%v: bounds without a lease: %+v, %v", d, r, err)
		}
	}
}
