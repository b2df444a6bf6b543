package wire

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/multileveldown/mld"
)

var remote = func(code mld.Code, msg string) error { return &mld.Error{Code: code, Msg: msg, Remote: true} }

func TestCapturedResponses(t *testing.T) {
	for _, c := range []struct {
		name    string
		dialect Dialect // Auto: the same in both
		frame   string
		want    Response
		differs bool // ours says more, or its length takes more bytes
	}{
		{"done", Auto, `03 00 0800`, Response{Tag: TagCallback}, false},
		{"empty value", Auto, `05 00 0800 1a00`, Response{Tag: TagCallback, Value: []byte{}}, false},
		{"value", Auto, `0b 00 08 ffffffff0f 1a03"abc"`, Response{Tag: TagCallback, ID: 1<<32 - 1, Value: []byte("abc")}, false},
		{"an empty error is none", Auto, `05 00 0800 1200`, Response{Tag: TagCallback}, true},
		{"missing", Multileveldown, `0d 00 0800 1208"NotFound"`, Response{Tag: TagCallback, Err: mld.ErrNotFound}, false},
		{"missing in LevelDB", Multileveldown, `0f 00 0800 120a"NotFound: "`, Response{Tag: TagCallback, Err: mld.ErrNotFound}, true},
		{"missing", ManyLevel, `14 00 0805 120f"LEVEL_NOT_FOUND"`, Response{Tag: TagCallback, ID: 5, Err: mld.ErrNotFound}, false},
		{"values", Auto, `0e 02 0800 1a03 0a0131 1a00 1a02 0a00`, Response{Tag: TagGetManyCallback, Values: [][]byte{[]byte("1"), nil, {}}}, false},
		{"no values", Auto, `03 02 0800`, Response{Tag: TagGetManyCallback}, false},
		{"an entry", Multileveldown, `09 01 0800 1a0161 220131`, Response{Tag: TagIteratorData, Data: unhex(`1a0161 220131`)}, false},
		{"a key", Multileveldown, `06 01 0800 1a0161`, Response{Tag: TagIteratorData, Data: unhex(`1a0161`)}, false},
		{"a value", Multileveldown, `06 01 0800 220131`, Response{Tag: TagIteratorData, Data: unhex(`220131`)}, false},
		{"an empty value", Multileveldown, `05 01 0800 2200`, Response{Tag: TagIteratorData, Data: unhex(`2200`)}, false},
		{"end", Multileveldown, `03 01 0800`, Response{Tag: TagIteratorData, End: true}, false},
		{"error", Multileveldown, `0a 01 0800 1205"broke"`, Response{Tag: TagIteratorData, Err: remote(mld.CodeInternal, "broke"), End: true}, true},
		{"an entry", ManyLevel, `0b 01 0801 1000 1a0161 1a0131`, Response{Tag: TagIteratorData, ID: 1, Data: unhex(`1a0161 1a0131`)}, true},
		{"an empty list is the end", ManyLevel, `05 01 0801 1000`, Response{Tag: TagIteratorData, ID: 1, End: true}, true},
		{"end", ManyLevel, `05 04 0801 1000`, Response{Tag: TagIteratorEnd, ID: 1, End: true}, false},
		{
			"error", ManyLevel, `19 03 0801 1002 1a12"LEVEL_REMOTE_ERROR"`,
			Response{Tag: TagIteratorError, ID: 1, Seq: 2, Err: remote(mld.CodeInternal, "LEVEL_REMOTE_ERROR"), End: true},
			true,
		},
		{
			"welcome", Auto, `0b 40 0801 100f 1880808020 2001`,
			Response{Tag: TagWelcome, Welcome: Welcome{Version: 1, Features: 15, MaxFrame: DefaultMaxFrame, ReadOnly: true}},
			false,
		},
		{
			"welcome with sessions", Auto, `00 40 0801 1030 1880808020 2000 3807 2a10"0123456789abcdef" 3003 408020 4880b8e929`,
			Response{Tag: TagWelcome, Welcome: Welcome{
				Version: 1, Features: FeatureSessions | FeatureLeases, MaxFrame: DefaultMaxFrame,
				Store: ClientID([]byte("0123456789abcdef")), Generation: 3, Instance: 7, Window: 4096, Lease: 87710720,
			}},
			false,
		},
		{"renewed", Auto, `03 43 0807`, Response{Tag: TagRenewed, ID: 7}, false},
		{"drain", Auto, `01 41`, Response{Tag: TagDrain}, false},
		{"goodbye", Auto, `13 42 0a08"PROTOCOL" 1206"so bad"`, Response{Tag: TagGoodbye, Err: remote(mld.CodeProtocol, "so bad")}, false},
		{
			"refused, with a reason", Multileveldown, `22 00 0807 1204"no! " 820107"REFUSED" 8a0104"no! "`,
			Response{Tag: TagCallback, ID: 7, Err: remote(mld.CodeRefused, "no! ")},
			false,
		},
		{
			"refused, with a reason", ManyLevel, `2b 00 0807 120d"LEVEL_REFUSED" 820107"REFUSED" 8a0104"no! "`,
			Response{Tag: TagCallback, ID: 7, Err: remote(mld.CodeRefused, "no! ")},
			false,
		},
	} {
		for _, d := range dialects {
			if c.dialect != Auto && c.dialect != d {
				continue
			}
			t.Run(d.String()+"/"+c.name, func(t *testing.T) {
				frame := unhex(c.frame)
				frame[0] = byte(len(frame) - 1)
				got := decodeResponse(t, d, body(t, frame))
				if !reflect.DeepEqual(got, &c.want) {
					t.Errorf("got  %+v\nwant %+v", got, &c.want)
				}
				if ours := encodeResponse(nil, d, &c.want); bytes.Equal(ours, frame) == c.differs {
					t.Errorf("ours sends %x for %x", ours, frame)
				}
			})
		}
	}
}

func TestResponseErrors(t *testing.T) {
	for _, c := range []struct {
		name    string
		dialect Dialect // Auto: both
		body    string
		want    error
	}{
		{"empty", Auto, ``, mld.ErrProtocol},
		{"unknown tag", Auto, `07 0801`, ErrUnknownTag},
		{"unknown in the dialect", Multileveldown, `04 0801 1000`, ErrUnknownTag},
		{"callback without id", Auto, `00 1a00`, mld.ErrProtocol},
		{"id of 33 bits", Auto, `00 08 8080808010`, mld.ErrProtocol},
		{"get-many without id", Auto, `02`, mld.ErrProtocol},
		{"value cut", Auto, `00 0801 1a05`, mld.ErrProtocol},
		{"value that does not decode", Auto, `02 0801 1a02 0a05`, mld.ErrProtocol},
		{"data without seq", ManyLevel, `01 0801 1a00`, mld.ErrProtocol},
		{"end without seq", ManyLevel, `04 0801`, mld.ErrProtocol},
		{"error without error", ManyLevel, `03 0801 1000`, mld.ErrProtocol},
		{"scattered data", ManyLevel, `01 0801 1a00 1000 1a00`, mld.ErrProtocol},
		{"scattered data, of several", ManyLevel, `01 0801 1a00 1a0161 1000 1a00 1a00`, mld.ErrProtocol},
		{"data cut short", ManyLevel, `01 0801 1000 1a00 1a0161 1a0261`, mld.ErrProtocol},
		{"value before key", Multileveldown, `01 0801 2200 1a00`, mld.ErrProtocol},
		{"two keys", Multileveldown, `01 0801 1a00 1a00`, mld.ErrProtocol},
		{"scattered entry", Multileveldown, `01 1a00 0801 2200`, mld.ErrProtocol},
		{"welcome without version", Auto, `40 1001`, mld.ErrProtocol},
		{"welcome cut", Auto, `40 0801 10`, mld.ErrProtocol},
		{"goodbye without reason", Auto, `42`, mld.ErrProtocol},
	} {
		for _, d := range dialects {
			if c.dialect != Auto && c.dialect != d {
				continue
			}
			var r Response
			if err := r.Decode(d, unhex(c.body)); !errors.Is(err, c.want) {
				t.Errorf("%s, %s: %v, want %v", d, c.name, err, c.want)
			}
		}
	}
}

// randomResponse returns what a server can send.
func randomResponse(rng *rand.Rand, d Dialect) *Response {
	tags := []byte{TagCallback, TagGetManyCallback, TagIteratorData, TagWelcome, TagDrain, TagGoodbye, TagIteratorError, TagIteratorEnd}
	if d == Multileveldown {
		tags = tags[:len(tags)-2]
	}
	r := &Response{Tag: tags[rng.IntN(len(tags))], ID: randomNumber(rng)}
	failed := func() error {
		codes := []mld.Code{mld.CodeRefused, mld.CodeLimitExceeded, mld.CodeOutcomeUnknown, "LATER"}
		return remote(codes[rng.IntN(len(codes))], string(randomBytes(rng)))
	}
	switch r.Tag {
	case TagCallback:
		switch rng.IntN(4) {
		case 0:
			r.Err = failed()
		case 1:
			r.Err = mld.ErrNotFound
		default:
			r.Value = randomBytes(rng)
		}
	case TagGetManyCallback:
		if rng.IntN(4) == 0 {
			r.Err = failed()
			break
		}
		for range rng.IntN(5) {
			r.Values = append(r.Values, randomBytes(rng))
		}
	case TagIteratorData:
		if d == ManyLevel {
			r.Seq = randomNumber(rng)
			for range 1 + rng.IntN(5) {
				r.Data = appendBytes(r.Data, fieldData, randomBytes(rng))
			}
			break
		}
		if rng.IntN(5) == 0 {
			r.Err = failed()
		} else {
			r.Data = appendOptional(r.Data, fieldEntryKey, randomBytes(rng))
			r.Data = appendOptional(r.Data, fieldEntryValue, randomBytes(rng))
		}
		r.End = r.Data == nil
	case TagIteratorError:
		r.Seq, r.Err, r.End = randomNumber(rng), failed(), true
	case TagIteratorEnd:
		r.Seq, r.End = randomNumber(rng), true
	case TagWelcome:
		r.ID, r.Welcome = 0, Welcome{Version: 1 + randomNumber(rng)>>1, Features: Features(rng.Uint64()), MaxFrame: rng.Uint64(), ReadOnly: rng.IntN(2) == 0}
	case TagDrain:
		r.ID = 0
	case TagGoodbye:
		r.ID, r.Err = 0, failed()
	}
	return r
}

func TestResponseRoundTrip(t *testing.T) {
	rng := newRand(t)
	for _, d := range dialects {
		var stream []byte
		var want []*Response
		for range 5000 {
			r := randomResponse(rng, d)
			stream = encodeResponse(stream, d, r)
			want = append(want, r)
		}
		var got Response // reused, as a client does
		for i, b := range frames(t, stream) {
			if err := got.Decode(d, b); err != nil {
				t.Fatalf("%s: %v for %+v", d, err, want[i])
			}
			if len(got.Values) == 0 {
				got.Values = nil
			}
			if !reflect.DeepEqual(&got, want[i]) {
				t.Fatalf("%s: %x\ngot  %+v\nwant %+v", d, b, &got, want[i])
			}
		}
	}
}

// TestPage sees that a page in either dialect brings its entries, and what each
// message says of them.
func TestPage(t *testing.T) {
	entries := []mld.Entry{
		{Key: []byte("a"), Value: []byte("1")},
		{Key: bytes.Repeat([]byte("k"), 127), Value: bytes.Repeat([]byte("v"), 127)},
		{Key: []byte("b"), Value: bytes.Repeat([]byte("v"), 128)},
		{Key: []byte{}, Value: []byte{}},
		{Key: bytes.Repeat([]byte("k"), 200), Value: bytes.Repeat([]byte("v"), 70_000)},
	}
	for _, mode := range []string{"entries", "keys", "values"} {
		for _, d := range dialects {
			var want [][]byte
			var p Page
			dst := p.Begin([]byte("before"), d, 300, 2)
			for _, e := range entries {
				switch mode {
				case "keys":
					e.Value = nil
				case "values":
					e.Key = nil
				}
				dst = p.Add(dst, e.Key, e.Value)
				for _, datum := range [][]byte{e.Key, e.Value} {
					if datum != nil {
						want = append(want, datum)
					}
				}
			}
			if p.Entries() != len(entries) {
				t.Errorf("%d entries", p.Entries())
			}
			size := p.Size(dst)
			dst = p.End(dst)
			if size != len(dst)-len("before") || !bytes.HasPrefix(dst, []byte("before")) {
				t.Errorf("%s: the page has %d bytes, Size said %d", d, len(dst)-len("before"), size)
			}
			var got [][]byte
			bodies := frames(t, dst[len("before"):])
			if n := map[Dialect]int{Multileveldown: len(entries), ManyLevel: 1}[d]; len(bodies) != n {
				t.Errorf("%s: %d messages for %d entries", d, len(bodies), len(entries))
			}
			for _, b := range bodies {
				r := decodeResponse(t, d, b)
				if r.ID != 300 || d == ManyLevel && r.Seq != 2 || r.End || r.Err != nil {
					t.Errorf("%s: %+v", d, r)
				}
				got = append(got, dataOf(r.Data)...)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s, %s: the data differ", d, mode)
			}
		}
	}
	var p Page
	for _, d := range dialects {
		if dst := p.End(p.Begin([]byte("before"), d, 1, 1)); string(dst) != "before" {
			t.Errorf("%s: a page without entries leaves %x", d, dst)
		}
	}
}

// TestHuge does with small messages what is done with those of more than
// 256 MiB: the length becomes another number of bytes.
func TestHuge(t *testing.T) {
	for _, size := range []int{10, 200, 20_000, 1 << 21} {
		want := bytes.Repeat([]byte("0123456789"), size/10)
		dst := append(make([]byte, len("before")+widePrefix), want...)
		dst = endHuge(dst, len("before"), len(want))
		if got := dst[len("before"):]; !bytes.Equal(got, AppendFrame(nil, want)) {
			t.Errorf("a message of %d bytes became one of %d", len(want), len(got))
		}
	}
}

func TestMany(t *testing.T) {
	values := [][]byte{[]byte("1"), nil, {}, make([]byte, 70_000)}
	var m Many
	dst := m.Begin([]byte("before"), 300)
	for _, v := range values {
		dst = m.Add(dst, v)
	}
	if got := m.Cancel(bytes.Clone(dst)); string(got) != "before" {
		t.Errorf("Cancel leaves %x", got)
	}
	size := m.Size(dst)
	dst = m.End(dst)[len("before"):]
	if size != len(dst) {
		t.Errorf("%d bytes, Size said %d", len(dst), size)
	}
	got, want := body(t, dst), body(t, AppendMany(nil, 300, values))
	if !bytes.Equal(got, want) {
		t.Error("Many and AppendMany differ")
	}
	if r := decodeResponse(t, ManyLevel, got); !reflect.DeepEqual(r.Values, values) {
		t.Error("the values differ")
	}
}

func TestNextDatum(t *testing.T) {
	for _, c := range []struct {
		data, datum, rest string
		ok                bool
	}{
		{``, ``, ``, false}, {`1a00`, ``, ``, true}, {`1a0161 1a00`, `61`, `1a00`, true}, {`1a0261`, ``, ``, false}, {`1801`, ``, ``, false},
	} {
		datum, rest, ok := NextDatum(unhex(c.data))
		if ok != c.ok || !bytes.Equal(datum, unhex(c.datum)) || !bytes.Equal(rest, unhex(c.rest)) || ok && datum == nil {
			t.Errorf("%s: %x, %x, %v", c.data, datum, rest, ok)
		}
	}
	for _, want := range [][]byte{{}, []byte("a"), make([]byte, 127), make([]byte, 128), make([]byte, 70_000)} {
		datum, rest, ok := NextDatum(AppendDatum(AppendDatum(nil, want), []byte("next")))
		if !ok || !bytes.Equal(datum, want) || !bytes.Equal(rest, AppendDatum(nil, []byte("next"))) {
			t.Errorf("a datum of %d bytes became %d, %v", len(want), len(datum), ok)
		}
	}
}
