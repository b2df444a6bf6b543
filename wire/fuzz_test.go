package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/multileveldown/mld"
)

// seedBodies adds what npm clients or servers of a dialect sent, and what ours
// would send.
func seedBodies(f *testing.F, d Dialect, fromClient bool) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, s := range readSessions(f) {
		if s.dialect != d {
			continue
		}
		stream := s.s2c
		if fromClient {
			stream = s.c2s
		}
		for _, b := range frames(f, stream) {
			f.Add(b)
		}
	}
	var stream []byte
	for range 200 {
		if fromClient {
			stream = encodeRequest(stream, d, randomRequest(rng, d))
		} else {
			stream = encodeResponse(stream, d, randomResponse(rng, d))
		}
	}
	for _, b := range frames(f, stream) {
		f.Add(b)
	}
}

func FuzzRequestMultileveldown(f *testing.F) { fuzzRequest(f, Multileveldown) }
func FuzzRequestManyLevel(f *testing.F)      { fuzzRequest(f, ManyLevel) }

// fuzzRequest sees that what decodes keeps its limits and, when it is encoded
// and decoded again, its meaning.
func fuzzRequest(f *testing.F, d Dialect) {
	seedBodies(f, d, true)
	limits := &Limits{Key: 100, Value: 1000, BatchOps: 10, Keys: 10}
	f.Fuzz(func(t *testing.T, in []byte) {
		var r, again Request
		hasID, err := r.Decode(d, in, limits)
		for range 2 { // the second time into what the first one left
			if hasIDAgain, errAgain := again.Decode(d, in, limits); hasID != hasIDAgain || fmt.Sprint(err) != fmt.Sprint(errAgain) {
				t.Fatalf("%v, %v and then %v, %v", hasID, err, hasIDAgain, errAgain)
			}
		}
		if err != nil {
			if !errors.Is(err, mld.ErrProtocol) && !errors.Is(err, mld.ErrInvalidArgument) && !errors.Is(err, mld.ErrLimitExceeded) {
				t.Fatalf("an error that is none of the three: %v", err)
			}
			return
		}
		if hasID != (r.Tag != TagHello) || len(r.Key) > limits.Key || len(r.Value) > limits.Value || len(r.Ops) > limits.BatchOps || len(r.Keys) > limits.Keys {
			t.Fatalf("hasID %v: %+v", hasID, r)
		}
		// What ours never says.
		r.Bookmark = nil
		if r.Tag == TagIterator {
			r.Consumed = 0
			if !r.Opens {
				r.Snapshot = 0
			}
		}
		r.Range.Limit = int(min(int64(r.Range.Limit), 1<<53))
		again = Request{}
		if _, err := again.Decode(d, body(t, encodeRequest(nil, d, &r)), limits); err != nil {
			t.Fatalf("%+v: %v", r, err)
		}
		if !reflect.DeepEqual(r, again) {
			t.Fatalf("\n%+v\n%+v", r, again)
		}
	})
}

func FuzzResponseMultileveldown(f *testing.F) { fuzzResponse(f, Multileveldown) }
func FuzzResponseManyLevel(f *testing.F)      { fuzzResponse(f, ManyLevel) }

func fuzzResponse(f *testing.F, d Dialect) {
	seedBodies(f, d, false)
	f.Fuzz(func(t *testing.T, in []byte) {
		var r, again Response
		err := r.Decode(d, in)
		for range 2 {
			if errAgain := again.Decode(d, in); fmt.Sprint(err) != fmt.Sprint(errAgain) {
				t.Fatalf("%v and then %v", err, errAgain)
			}
		}
		if err != nil {
			if !errors.Is(err, mld.ErrProtocol) {
				t.Fatal(err)
			}
			return
		}
		data := dataOf(r.Data)
		if r.End && len(data) > 0 || r.Err != nil && (r.Tag == TagIteratorData && !r.End) || r.Tag == TagIteratorData && !r.End && len(data) == 0 {
			t.Fatalf("%+v", r)
		}
		// What no server says: results beside an error, an end without its tag.
		if r.Err != nil {
			r.Value, r.Values = nil, nil
		}
		if d == ManyLevel && r.Tag == TagIteratorData && r.End {
			r.Tag = TagIteratorEnd
		}
		again = Response{}
		if err := again.Decode(d, body(t, encodeResponse(nil, d, &r))); err != nil {
			t.Fatalf("%+v: %v", r, err)
		}
		if !reflect.DeepEqual(data, dataOf(again.Data)) {
			t.Fatalf("\n%q\n%q", data, dataOf(again.Data))
		}
		r.Data, again.Data = nil, nil
		if !reflect.DeepEqual(r, again) {
			t.Fatalf("\n%+v\n%+v", r, again)
		}
	})
}

// FuzzDetect sees that a message which tells a dialect has an id in it, or does
// not decode, and that ours tell what they are.
func FuzzDetect(f *testing.F) {
	for _, d := range dialects {
		seedBodies(f, d, true)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		d := Detect(in)
		if d == Auto {
			return
		}
		var r Request
		hasID, err := r.Decode(d, in, &Limits{})
		if in[0] == TagHello {
			if err == nil && r.Dialect != d {
				t.Fatalf("a hello of %s is taken for %s", r.Dialect, d)
			}
			return
		}
		if !hasID && (!errors.Is(err, mld.ErrProtocol) || strings.Contains(err.Error(), "has no id")) {
			t.Fatalf("%s, and no id: %v", d, err)
		}
		if err == nil {
			if d2 := Detect(body(t, encodeRequest(nil, d, &r))); d2 != d {
				t.Fatalf("%s, and then %s", d, d2)
			}
		}
	})
}

// FuzzPeekID sees that an id which is peeked at is the one that is decoded,
// where the message has one only.
func FuzzPeekID(f *testing.F) {
	for _, d := range dialects {
		seedBodies(f, d, true)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		id, ok := PeekID(in)
		if !ok {
			return
		}
		head := AppendGet(nil, id, nil, 0)
		if again, ok := PeekID(body(t, head)); !ok || again != id {
			t.Fatalf("%d, and then %d, %v", id, again, ok)
		}
		if cut, ok := PeekID(in[:min(len(in), headSize)]); !ok || cut != id {
			t.Fatalf("%d, and from the head %d, %v", id, cut, ok)
		}
	})
}

// FuzzNextDatum sees that data are walked to their end, or to what is none, and
// are the same when they are put together again.
func FuzzNextDatum(f *testing.F) {
	f.Add(unhex(`1a0161 1a00`))
	f.Add(append(unhex(`1a8101`), make([]byte, 129)...))
	f.Add(unhex(`1a81800061 1a00`))
	f.Add(unhex(`1a0161 220131`))
	f.Add(unhex(`1a0561`))
	f.Add(unhex(`1801 1a00`))
	f.Fuzz(func(t *testing.T, in []byte) {
		var data [][]byte
		var again []byte
		rest := in
		for {
			datum, after, ok := NextDatum(rest)
			if !ok {
				break
			}
			if datum == nil || len(after)+len(datum)+2 > len(rest) || !bytes.HasSuffix(rest[:len(rest)-len(after)], datum) {
				t.Fatalf("%x: %x and %x", rest, datum, after)
			}
			data, again, rest = append(data, datum), appendBytes(again, fieldData, datum), after
		}
		if !reflect.DeepEqual(data, dataOf(again)) {
			t.Fatalf("%q, and then %q", data, dataOf(again))
		}
	})
}

// FuzzFrameReader sees that a stream has the same frames, errors and end however
// it is split, and that a reader which has the next frame does not read.
func FuzzFrameReader(f *testing.F) {
	for _, s := range readSessions(f) {
		f.Add(s.c2s, uint64(1), 100)
		f.Add(s.s2c, uint64(2), 30)
	}
	in, _ := stream(1, 0, 300, 5000, 2)
	f.Add(in, uint64(3), 4000)
	f.Add(unhex(`8080808080 20 01`), uint64(4), 100)
	f.Add(unhex(`8180808080808080808000 61`), uint64(5), 100)
	f.Fuzz(func(t *testing.T, in []byte, splits uint64, limit int) {
		limit = max(0, limit%10_000)
		want := readEvents(t, bytes.NewReader(in), limit)
		rng := rand.New(rand.NewPCG(splits, 0))
		rest := in
		got := readEvents(t, readerFunc(func(p []byte) (int, error) {
			if len(rest) == 0 {
				return 0, io.EOF
			}
			n := copy(p, rest[:min(len(rest), rng.IntN(1<<rng.IntN(16)))])
			rest = rest[n:]
			return n, nil
		}), limit)
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("split: %q\nwhole: %q", got, want)
		}
	})
}

func readEvents(t *testing.T, r io.Reader, limit int) (events []string) {
	reads := 0
	f := NewFrameReader(readerFunc(func(p []byte) (int, error) { reads++; return r.Read(p) }), limit)
	skipNow := false
	for {
		buffered, before := f.Buffered(), reads
		body, err := f.Next()
		if buffered && reads != before {
			t.Fatal("Next reads though something is buffered")
		}
		var large *FrameTooLargeError
		switch {
		case err == nil:
			if len(body) == 0 || len(body) > limit {
				t.Fatalf("a frame of %d bytes", len(body))
			}
			events = append(events, string(body))
		case errors.As(err, &large):
			events = append(events, fmt.Sprintf("%v %x", err, large.Head))
			if skipNow = !skipNow; skipNow {
				if err := f.Skip(); err != nil {
					return append(events, err.Error())
				}
			}
		default:
			return append(events, err.Error())
		}
	}
}
