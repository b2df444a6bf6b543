package wire

import (
	"bytes"
	"io"
	"testing"

	"github.com/multileveldown/mld"
)

// hot are the messages that are encoded and decoded again and again. Encoding
// into a buffer that is large enough, and decoding into a message that was
// decoded into before, take no memory.
var hotRequests = []struct {
	name   string
	encode func(dst []byte) []byte
}{
	{"Get", func(dst []byte) []byte { return AppendGet(dst, 1000, key16, 0) }},
	{"Put", func(dst []byte) []byte { return AppendPut(dst, 1000, key16, value100, mld.DurabilitySync) }},
	{"Delete", func(dst []byte) []byte { return AppendDelete(dst, 1000, key16, mld.DurabilityDefault) }},
	{"Batch10", func(dst []byte) []byte { return AppendBatch(dst, 1000, ops10, mld.DurabilityNoSync) }},
	{"GetMany10", func(dst []byte) []byte { return AppendGetMany(dst, 1000, keys10, 7) }},
	{"Clear", func(dst []byte) []byte {
		return AppendClear(dst, 1000, &mld.Range{GTE: key16, LT: key16}, -1, mld.DurabilitySync)
	}},
	{"Iterator", func(dst []byte) []byte { return AppendIterator(dst, ManyLevel, &openAll) }},
	{"IteratorAck", func(dst []byte) []byte { return AppendIteratorAck(dst, 1000, 3, 12345) }},
	{"IteratorSeek", func(dst []byte) []byte { return AppendIteratorSeek(dst, 1000, 3, key16) }},
	{"IteratorClose", func(dst []byte) []byte { return AppendIteratorClose(dst, ManyLevel, 1000) }},
}

var hotResponses = []struct {
	name   string
	encode func(dst []byte) []byte
}{
	{"OK", func(dst []byte) []byte { return AppendOK(dst, 1000) }},
	{"Value", func(dst []byte) []byte { return AppendValue(dst, 1000, value100) }},
	{"NotFound", func(dst []byte) []byte { return AppendError(dst, ManyLevel, 1000, mld.ErrNotFound) }},
	{"Many10", func(dst []byte) []byte { return AppendMany(dst, 1000, keys10) }},
	{"Page100", func(dst []byte) []byte {
		var p Page
		dst = p.Begin(dst, ManyLevel, 1000, 3)
		for range 100 {
			dst = p.Add(dst, key16, value100)
		}
		return p.End(dst)
	}},
	{"IteratorEnd", func(dst []byte) []byte { return AppendIteratorEnd(dst, ManyLevel, 1000, 3) }},
}

var (
	key16    = []byte("0123456789abcdef")
	value100 = bytes.Repeat([]byte("v"), 100)
	keys10   [][]byte
	ops10    []mld.Op
	openAll  = IteratorOpen{ID: 1000, Keys: true, Values: true, Limit: -1, PageBytes: 1 << 16, Range: mld.Range{GTE: key16}}
)

func init() {
	for range 10 {
		keys10 = append(keys10, key16)
		ops10 = append(ops10, mld.Op{Kind: mld.OpPut, Key: key16, Value: value100})
	}
}

func TestAllocations(t *testing.T) {
	none := func(name string, f func()) {
		t.Helper()
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
	buf := make([]byte, 0, 64<<10)
	var request Request
	for _, m := range hotRequests {
		none("encoding "+m.name, func() { m.encode(buf) })
		b := body(t, m.encode(nil))
		none("decoding "+m.name, func() { request.Decode(ManyLevel, b, &DefaultLimits) })
	}
	var response Response
	for _, m := range hotResponses {
		none("encoding "+m.name, func() { m.encode(buf) })
		b := body(t, m.encode(nil))
		none("decoding "+m.name, func() { response.Decode(ManyLevel, b) })
	}
	for _, d := range dialects {
		missing := body(t, AppendError(nil, d, 1, mld.ErrNotFound))
		none("decoding a missing key", func() { response.Decode(d, missing) })
	}
	entry := body(t, func() []byte {
		var p Page
		return p.End(p.Add(p.Begin(nil, Multileveldown, 1, 0), key16, value100))
	}())
	none("decoding an entry", func() { response.Decode(Multileveldown, entry) })
	get := body(t, AppendGet(nil, 1, key16, 0))
	none("Detect", func() { Detect(get) })

	in := bytes.NewReader(bytes.Repeat(AppendGet(nil, 1, key16, 0), 1000))
	frames := NewFrameReader(in, DefaultMaxFrame)
	none("reading frames", func() {
		in.Seek(0, io.SeekStart)
		for range 1000 {
			if _, err := frames.Next(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func BenchmarkEncodeRequest(b *testing.B) {
	for _, m := range hotRequests {
		b.Run(m.name, func(b *testing.B) {
			b.ReportAllocs()
			var buf []byte
			for b.Loop() {
				buf = m.encode(buf[:0])
			}
			b.SetBytes(int64(len(buf)))
		})
	}
}

func BenchmarkDecodeRequest(b *testing.B) {
	for _, m := range hotRequests {
		b.Run(m.name, func(b *testing.B) {
			body := body(b, m.encode(nil))
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			var r Request
			for b.Loop() {
				if _, err := r.Decode(ManyLevel, body, &DefaultLimits); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncodeResponse(b *testing.B) {
	for _, m := range hotResponses {
		b.Run(m.name, func(b *testing.B) {
			b.ReportAllocs()
			var buf []byte
			for b.Loop() {
				buf = m.encode(buf[:0])
			}
			b.SetBytes(int64(len(buf)))
		})
	}
}

func BenchmarkDecodeResponse(b *testing.B) {
	for _, m := range hotResponses {
		b.Run(m.name, func(b *testing.B) {
			body := body(b, m.encode(nil))
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			var r Response
			for b.Loop() {
				if err := r.Decode(ManyLevel, body); err != nil {
					b.Fatal(err)
				}
				for data := r.Data; len(data) > 0; {
					_, data, _ = NextDatum(data)
				}
			}
		})
	}
}

func BenchmarkFrameReader(b *testing.B) {
	for _, size := range []int{20, 1000, 100_000} {
		b.Run(map[int]string{20: "20B", 1000: "1kB", 100_000: "100kB"}[size], func(b *testing.B) {
			stream := bytes.Repeat(AppendFrame(nil, make([]byte, size)), max(1, 100_000/size))
			in := bytes.NewReader(nil)
			r := NewFrameReader(in, DefaultMaxFrame)
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				if in.Len() == 0 && !r.Buffered() {
					in.Reset(stream)
				}
				if _, err := r.Next(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDetect(b *testing.B) {
	body := body(b, AppendPut(nil, 1000, key16, value100, 0))
	b.ReportAllocs()
	for b.Loop() {
		Detect(body)
	}
}
