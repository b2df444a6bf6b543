package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"syscall"

	"github.com/multileveldown/mld"
)

const (
	// bufferSize is how large a reader's buffer is at first, and after a time
	// without large frames; maxBuffer how large traffic alone makes it.
	bufferSize = 4 << 10
	maxBuffer  = 64 << 10

	// keptBuffer is the largest buffer that outlives the frame that needed it,
	// and patience for how many reads it then waits for another such frame.
	keptBuffer = 1 << 20
	patience   = 64

	// headSize is how much of the body of a frame that is too large is kept: a
	// tag and an id, and then some.
	headSize = 32
)

// errPrefix is returned when the length of a frame is not a varint of 64 bits.
var errPrefix error = &mld.Error{Code: mld.CodeProtocol, Msg: "the length of a frame is not a number of 64 bits"}

// FrameTooLargeError is returned by [FrameReader.Next] for a frame above the
// limit. It is [mld.ErrLimitExceeded]. The reader stands behind the head;
// [FrameReader.Skip], or else the next call of Next, passes over the rest, and
// the stream goes on after it.
type FrameTooLargeError struct {
	// Size is the length that the frame claims, Limit the one that is allowed,
	// both in bytes.
	Size  uint64
	Limit int
	// Head is the beginning of the body, so that whoever sent it can be told.
	// It is valid until the next call of a method of the reader.
	Head []byte
}

func (e *FrameTooLargeError) Error() string {
	return fmt.Sprintf("a frame of %d bytes exceeds the limit of %d (max-frame)", e.Size, e.Limit)
}

// Unwrap returns [mld.ErrLimitExceeded].
func (e *FrameTooLargeError) Unwrap() error { return mld.ErrLimitExceeded }

// FrameReader splits a stream into frames. It is used by one goroutine.
type FrameReader struct {
	// Reserve, where it is set, is asked before the buffer takes delta more
	// bytes of memory, and told with a negative delta when it gives them back.
	// Its error is returned by Next and ends the reader.
	Reserve func(delta int) error

	r     io.Reader
	limit int
	buf   []byte // buf[pos:] was read and not returned yet
	pos   int
	skip  uint64 // what is left of a frame that was too large
	small int    // reads since a large frame
	err   error  // what the stream ended with
}

// NewFrameReader returns a reader of the frames of r, whose bodies may have up to limit bytes.
func NewFrameReader(r io.Reader, limit int) *FrameReader {
	return &FrameReader{r: r, limit: limit, buf: make([]byte, 0, bufferSize)}
}

// Buffered reports whether the next call of Next returns without reading.
func (f *FrameReader) Buffered() bool {
	if f.skip > 0 {
		return false
	}
	for {
		size, n := f.prefix()
		if n > 0 && size == 0 {
			f.pos += n // an empty frame
			continue
		}
		if size > uint64(f.limit) {
			size = min(size, headSize)
		}
		return n < 0 || n > 0 && size <= uint64(len(f.buf)-f.pos-n)
	}
}

// Begun reports whether a part of the next frame has been read, or of one that is
// passed over. An io.Reader may ask it when it is read from.
func (f *FrameReader) Begun() bool { return f.pos < len(f.buf) || f.skip > 0 }

// prefix returns the length of the frame that the buffer begins with and how
// many bytes that length takes: 0 when it is not whole, less when it never will
// be.
func (f *FrameReader) prefix() (size uint64, n int) {
	if f.pos < len(f.buf) && f.buf[f.pos] < 0x80 {
		return uint64(f.buf[f.pos]), 1
	}
	return binary.Uvarint(f.buf[f.pos:])
}

// Next returns the body of the next frame, which is never empty: empty frames
// are passed over. The slice is valid until Next or Skip is called at a time
// when [FrameReader.Buffered] is false, so all that arrived together can be
// held together.
//
// At the end of the stream Next returns [io.EOF] between two frames and
// [io.ErrUnexpectedEOF] within one, for a length that is no number
// [mld.ErrProtocol], and for a frame that is too large a [*FrameTooLargeError].
// The reader can go on only after that, after [os.ErrDeadlineExceeded], and after
// [syscall.EAGAIN], with which a stream says that nothing has arrived yet.
func (f *FrameReader) Next() ([]byte, error) {
	if f.skip > 0 {
		if err := f.Skip(); err != nil {
			return nil, err
		}
	}
	for {
		size, n := f.prefix()
		have := uint64(len(f.buf) - f.pos - n)
		switch {
		case n < 0:
			return nil, errPrefix
		case n > 0 && size == 0:
			f.pos += n
			continue
		case n > 0 && size > uint64(f.limit):
			head := min(size, headSize)
			if have >= head {
				return nil, f.tooLarge(size, n, int(head))
			}
			size = head
		case n > 0 && size <= have:
			start := f.pos + n
			f.pos = start + int(size)
			return f.buf[start:f.pos:f.pos], nil
		}
		if err := f.fill(n + int(min(size, math.MaxInt/2))); err != nil {
			if err == io.EOF && f.pos < len(f.buf) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}

// tooLarge takes the head of a frame off the buffer.
func (f *FrameReader) tooLarge(size uint64, n, headLen int) error {
	head := f.buf[f.pos+n : f.pos+n+headLen]
	f.pos += n + headLen
	f.skip = size - uint64(headLen)
	return &FrameTooLargeError{Size: size, Limit: f.limit, Head: head}
}

// Skip passes over the rest of the frame that Next refused.
func (f *FrameReader) Skip() error {
	for f.skip > 0 {
		if f.pos == len(f.buf) {
			if err := f.fill(1); err != nil {
				if err == io.EOF {
					err = io.ErrUnexpectedEOF
				}
				return err
			}
		}
		n := min(f.skip, uint64(len(f.buf)-f.pos))
		f.pos += int(n)
		f.skip -= n
	}
	return nil
}

// fill reads at least once, making room for a frame of need bytes.
func (f *FrameReader) fill(need int) error {
	if f.err != nil {
		return f.err
	}
	if size := f.size(need); size != cap(f.buf) {
		if err := f.resize(size); err != nil {
			return err
		}
	} else {
		f.buf = f.buf[:copy(f.buf, f.buf[f.pos:])]
	}
	f.pos = 0
	for range 100 {
		n, err := f.r.Read(f.buf[len(f.buf):cap(f.buf)])
		f.buf = f.buf[:len(f.buf)+n]
		if err == syscall.EAGAIN {
			return err
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			f.err = err
		}
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// size returns how large the buffer should be for the next read. It grows only
// by what has arrived: it at most doubles, and when it was full, so a length
// that is only claimed takes no memory.
func (f *FrameReader) size(need int) int {
	have, size := len(f.buf)-f.pos, cap(f.buf)
	full := len(f.buf) == size
	f.small++
	if need > maxBuffer {
		f.small = 0
	}
	switch {
	case full && (need > size || size < maxBuffer):
		return min(2*size, max(need+need/8, maxBuffer))
	case size <= maxBuffer, need > maxBuffer, have > maxBuffer, size <= keptBuffer && f.small <= patience:
		return size
	case have == 0 && need <= bufferSize:
		return bufferSize
	default:
		return min(size, max(2*have, maxBuffer))
	}
}

// resize moves what is buffered into a buffer of another size.
func (f *FrameReader) resize(size int) error {
	if f.Reserve != nil {
		if err := f.Reserve(size - cap(f.buf)); err != nil {
			f.err = err
			return err
		}
	}
	buf := make([]byte, len(f.buf)-f.pos, size)
	copy(buf, f.buf[f.pos:])
	f.buf = buf
	return nil
}

// Relax makes the next read give back the memory that past large frames took, and
// not only a later one. It is for times when memory is short.
func (f *FrameReader) Relax() { f.small = patience }

// Release gives back, to Reserve, all that the buffer took beyond its first
// size. The reader must not be used any more.
func (f *FrameReader) Release() {
	if f.Reserve != nil {
		_ = f.Reserve(bufferSize - cap(f.buf)) // giving back cannot fail
	}
	f.buf = nil
}

// AppendFrame appends a frame with the given body, for use by tests and tools;
// the messages of this package append their own frames.
func AppendFrame(dst, body []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(body))), body...)
}

// beginFrame appends room for the length of a frame and its tag; endFrame, given
// the length of dst before, puts the length in.
func beginFrame(dst []byte, tag byte) []byte {
	return append(dst, 0, tag)
}

func endFrame(dst []byte, start int) []byte {
	size := len(dst) - start - 1
	if size < 0x80 {
		dst[start] = byte(size)
		return dst
	}
	var length [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(length[:], uint64(size))
	dst = append(dst, length[:n-1]...)
	copy(dst[start+n:], dst[start+1:start+1+size])
	copy(dst[start:], length[:n])
	return dst
}
