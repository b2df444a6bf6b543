package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/multileveldown/mld"
)

// stream returns frames of many sizes, with empty ones between them, and their
// bodies.
func stream(sizes ...int) (stream []byte, bodies [][]byte) {
	for i, n := range sizes {
		b := bytes.Repeat([]byte{byte('a' + i%26)}, n)
		stream = AppendHeartbeat(AppendFrame(stream, b))
		if n > 0 {
			bodies = append(bodies, b)
		}
	}
	return stream, bodies
}

// readAll returns copies of the frames that a reader brings before its error.
func readAll(r io.Reader, limit int) (bodies [][]byte, err error) {
	f := NewFrameReader(r, limit)
	for {
		body, err := f.Next()
		if err != nil {
			return bodies, err
		}
		bodies = append(bodies, bytes.Clone(body))
	}
}

func TestFrameReaderSplits(t *testing.T) {
	in, want := stream(1, 0, 2, 127, 128, 0, 300, 5000, 3)
	check := func(t *testing.T, r io.Reader) {
		t.Helper()
		got, err := readAll(r, 5000)
		if err != io.EOF || !slices.EqualFunc(got, want, bytes.Equal) {
			t.Fatalf("%d frames and %v, want %d and EOF", len(got), err, len(want))
		}
	}
	t.Run("whole", func(t *testing.T) { check(t, bytes.NewReader(in)) })
	t.Run("one byte", func(t *testing.T) { check(t, iotest.OneByteReader(bytes.NewReader(in))) })
	t.Run("half", func(t *testing.T) { check(t, iotest.HalfReader(bytes.NewReader(in))) })
	t.Run("error with data", func(t *testing.T) { check(t, iotest.DataErrReader(bytes.NewReader(in))) })
	t.Run("every split", func(t *testing.T) {
		for i := range in {
			check(t, io.MultiReader(bytes.NewReader(in[:i]), bytes.NewReader(in[i:])))
		}
	})
	t.Run("every end", func(t *testing.T) {
		boundary := map[int]bool{}
		for rest := in; len(rest) > 0; {
			boundary[len(in)-len(rest)] = true
			size, n := binary.Uvarint(rest)
			rest = rest[n+int(size):]
		}
		for i := range in {
			want := io.ErrUnexpectedEOF
			if boundary[i] {
				want = io.EOF
			}
			if _, err := readAll(bytes.NewReader(in[:i]), 5000); err != want {
				t.Fatalf("a stream that ends after %d bytes: %v, want %v", i, err, want)
			}
		}
	})
}

func TestFrameReaderError(t *testing.T) {
	broken := errors.New("broken")
	in := AppendFrame(nil, []byte("abc"))
	f := NewFrameReader(io.MultiReader(bytes.NewReader(in), iotest.ErrReader(broken)), 10)
	if body, err := f.Next(); string(body) != "abc" || err != nil {
		t.Fatalf("%q, %v", body, err)
	}
	for range 2 {
		if _, err := f.Next(); err != broken {
			t.Fatalf("%v, want the reader's error, and again", err)
		}
	}
	f = NewFrameReader(readerFunc(func([]byte) (int, error) { return 0, nil }), 10)
	if _, err := f.Next(); err != io.ErrNoProgress {
		t.Errorf("a reader that brings nothing: %v", err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestFrameReaderPrefix(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     string
		err      error
	}{
		{"overlong", "8100 61", "a", io.EOF},
		{"overlong to ten bytes", "81808080808080808000 61", "a", io.EOF},
		{"overlong empty frame", "80808000 01 61", "a", io.EOF},
		{"eleven bytes", "8180808080808080808000 61", "", mld.ErrProtocol},
		{"more than 64 bits", "ffffffffffffffffff02", "", mld.ErrProtocol},
		{"no end of it", "ffffffffffffffffffffffffffffff", "", mld.ErrProtocol},
		{"cut", "8080", "", io.ErrUnexpectedEOF},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, r := range []io.Reader{bytes.NewReader(unhex(c.in)), iotest.OneByteReader(bytes.NewReader(unhex(c.in)))} {
				got, err := readAll(r, 100)
				if !errors.Is(err, c.err) || string(bytes.Join(got, nil)) != c.want {
					t.Errorf("%q, %v; want %q, %v", got, err, c.want, c.err)
				}
			}
		})
	}
}

func TestFrameReaderBuffered(t *testing.T) {
	for _, c := range []struct {
		in   string
		want bool
	}{
		{"", false},
		{"00", false},
		{"8000", false},
		{"0000 8000", false},
		{"01", false},
		{"01 61", true},
		{"00 8000 01 61", true},
		{"02 61", false},
		{"80", false},
		{"8100 61", true},
		{"ffffffffffffffffffff01", true}, // which Next refuses
		{"ff01" + "00", false},           // above the limit, and its head is not there
		{"ff01" + fmt.Sprintf("%064x", 0), true},
	} {
		in := unhex(c.in)
		f := NewFrameReader(bytes.NewReader(append(AppendFrame(nil, []byte("first")), in...)), 100)
		if f.Buffered() {
			t.Fatal("something is buffered before the first read")
		}
		if _, err := f.Next(); err != nil {
			t.Fatal(err)
		}
		if got := f.Buffered(); got != c.want {
			t.Errorf("%s: Buffered is %v", c.in, got)
		}
		reads := 0
		f.r = readerFunc(func([]byte) (int, error) { reads++; return 0, io.EOF })
		if f.Next(); (reads == 0) != c.want {
			t.Errorf("%s: Buffered was %v and Next read %d times", c.in, c.want, reads)
		}
	}
}

// TestFrameReaderHolds holds every frame while more is buffered, as a server
// does that executes together what arrived together.
func TestFrameReaderHolds(t *testing.T) {
	rng := newRand(t)
	var sizes []int
	for range 2000 {
		sizes = append(sizes, 1+rng.IntN(1+rng.IntN(3000)))
	}
	in, want := stream(sizes...)
	f := NewFrameReader(readerFunc(func(p []byte) (int, error) {
		n := min(len(in), 1+rng.IntN(20000))
		n = copy(p, in[:n])
		in = in[n:]
		if n == 0 {
			return 0, io.EOF
		}
		return n, nil
	}), 3000)
	var held [][]byte
	most := 0
	for i := 0; i < len(want); {
		body, err := f.Next()
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, body)
		if f.Buffered() {
			continue
		}
		for _, b := range held {
			if !bytes.Equal(b, want[i]) {
				t.Fatalf("frame %d changed while it was held", i)
			}
			if cap(b) != len(b) {
				t.Fatalf("appending to frame %d would write over the next", i)
			}
			i++
		}
		most = max(most, len(held))
		held = held[:0]
	}
	if most < 10 {
		t.Errorf("at most %d frames were held together", most)
	}
}

func TestFrameTooLarge(t *testing.T) {
	for _, size := range []int{101, 1000, 100_000} {
		for _, skip := range []bool{true, false} {
			t.Run(fmt.Sprintf("%d skip %v", size, skip), func(t *testing.T) {
				large := AppendPut(nil, 77, []byte("k"), make([]byte, size), mld.DurabilityDefault)
				in := slices.Concat(AppendFrame(nil, []byte("before")), large, AppendFrame(nil, []byte("after")))
				for _, r := range []io.Reader{bytes.NewReader(in), iotest.OneByteReader(bytes.NewReader(in))} {
					f := NewFrameReader(r, 100)
					if body, err := f.Next(); string(body) != "before" || err != nil {
						t.Fatalf("%q, %v", body, err)
					}
					_, err := f.Next()
					var e *FrameTooLargeError
					if !errors.As(err, &e) || !errors.Is(err, mld.ErrLimitExceeded) || mld.CodeOf(err) != mld.CodeLimitExceeded {
						t.Fatalf("%v, want a FrameTooLargeError", err)
					}
					if id, ok := PeekID(e.Head); e.Size <= uint64(size) || e.Limit != 100 || len(e.Head) != headSize || !ok || id != 77 {
						t.Errorf("%+v", e)
					}
					if f.Buffered() {
						t.Error("Buffered within a frame that is to be skipped")
					}
					if skip {
						if err := f.Skip(); err != nil {
							t.Fatal(err)
						}
					}
					if body, err := f.Next(); string(body) != "after" || err != nil {
						t.Fatalf("%q, %v", body, err)
					}
					if _, err := f.Next(); err != io.EOF {
						t.Fatal(err)
					}
				}
				f := NewFrameReader(bytes.NewReader(large[:len(large)-1]), 100)
				f.Next()
				if err := f.Skip(); err != io.ErrUnexpectedEOF {
					t.Errorf("skipping past the end: %v", err)
				}
			})
		}
	}
}

// TestFrameClaims sees that a length which is only claimed takes no memory.
func TestFrameClaims(t *testing.T) {
	for _, c := range []struct {
		name  string
		claim uint64
		limit int
		sent  int
		want  error
	}{
		{"seven bytes that claim 2^40", 1 << 40, DefaultMaxFrame, 0, io.ErrUnexpectedEOF},
		{"seven bytes and no limit", 1 << 40, math.MaxInt, 0, io.ErrUnexpectedEOF},
		{"the most, and no limit", math.MaxInt, math.MaxInt, 100, io.ErrUnexpectedEOF},
		{"2^40 and a head", 1 << 40, DefaultMaxFrame, 100, mld.ErrLimitExceeded},
		{"within the limit", DefaultMaxFrame, DefaultMaxFrame, 100_000, io.ErrUnexpectedEOF},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := append(binary.AppendUvarint(nil, c.claim), make([]byte, c.sent)...)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			f := NewFrameReader(bytes.NewReader(in), c.limit)
			_, err := f.Next()
			runtime.ReadMemStats(&after)
			if !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if got, most := after.TotalAlloc-before.TotalAlloc, uint64(6*c.sent+5*bufferSize); got > most {
				t.Errorf("%d bytes were allocated for %d that arrived, want at most %d", got, c.sent, most)
			}
		})
	}
}

func TestFrameReaderMemory(t *testing.T) {
	account := 0
	f := NewFrameReader(nil, 1<<30)
	f.Reserve = func(delta int) error {
		if delta == 0 {
			t.Error("Reserve was asked for nothing")
		}
		account += delta
		if account != cap(f.buf)+delta-bufferSize {
			t.Errorf("the account has %d after %+d for a buffer of %d", account, delta, cap(f.buf))
		}
		return nil
	}
	read := func(size int) {
		t.Helper()
		f.r, f.err = bytes.NewReader(AppendFrame(nil, make([]byte, size))), nil
		if body, err := f.Next(); err != nil || len(body) != size {
			t.Fatalf("%d bytes, %v", len(body), err)
		}
	}
	for _, size := range []int{1, 3000, 5000, 70_000, 1 << 20, 20 << 20} {
		read(size)
		if need := size + 5; cap(f.buf) > max(maxBuffer, need+need/8) {
			t.Errorf("a frame of %d bytes has a buffer of %d", size, cap(f.buf))
		}
	}
	f.r = bytes.NewReader(nil)
	if _, err := f.Next(); err != io.EOF || cap(f.buf) != bufferSize || account != 0 {
		t.Errorf("%v; after a frame of 20 MiB an idle reader keeps %d bytes", err, cap(f.buf))
	}

	// A buffer for frames that are a little large stays for the next of them.
	read(500_000)
	kept := cap(f.buf)
	for range patience / 2 {
		read(10)
	}
	read(500_000)
	if cap(f.buf) != kept {
		t.Errorf("a buffer of %d became one of %d", kept, cap(f.buf))
	}
	for range patience + 1 {
		read(10)
	}
	if cap(f.buf) > maxBuffer {
		t.Errorf("a buffer of %d remains after %d small reads", cap(f.buf), patience+1)
	}

	read(500_000)
	f.Relax()
	if read(10); cap(f.buf) > maxBuffer {
		t.Errorf("a buffer of %d remains after Relax", cap(f.buf))
	}

	full := errors.New("full")
	f.Reserve = func(int) error { return full }
	f.r, f.err = bytes.NewReader(AppendFrame(nil, make([]byte, 1<<20))), nil
	for range 2 {
		if _, err := f.Next(); err != full {
			t.Errorf("%v, want the error of Reserve, and again", err)
		}
	}
	f.Reserve = func(delta int) error { account += delta; return nil }
	if f.Release(); account != 0 {
		t.Errorf("%d bytes remain on the account", account)
	}
}

// TestFrameReaderGrows has a reader that is sent more at a time than its buffer
// holds take it in one read soon, wherever its frames end: what comes in one read
// is done together, and synced once.
func TestFrameReaderGrows(t *testing.T) {
	const frames = 64
	together := bytes.Repeat(AppendPut(nil, 1000, key16, value100, 0), frames)
	reads := 0
	in := &bytes.Reader{}
	f := NewFrameReader(readerFunc(func(p []byte) (int, error) {
		reads++
		return in.Read(p)
	}), DefaultMaxFrame)
	for range 3 {
		in.Reset(together)
		reads = 0
		for range frames {
			if _, err := f.Next(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if reads != 1 {
		t.Errorf("%d bytes that were there took %d reads", len(together), reads)
	}
	if cap(f.buf) > maxBuffer {
		t.Errorf("the buffer has %d bytes", cap(f.buf))
	}
}
