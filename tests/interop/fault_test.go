package interop

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/server"
	"github.com/multileveldown/mld/store/memstore"
)

// The tests of this file show with real clients that the server does not have
// the faults of the two packages' hosts that such a client can meet. What takes
// bytes that no client sends is tested with the server.

// TestRefusalIsAnswered: the host of multileveldown answers what a hook refused
// without an id, and the call hangs.
func TestRefusalIsAnswered(t *testing.T) {
	refuse := &server.Options{BeforeWrite: func(*server.Write) error { return errors.New("the shop is shut") }}
	testRefusal(t, refuse, map[string]nodeError{
		multileveldown: {Message: "the shop is shut"},
		// A guest has its own words for every failure, and no room for ours.
		manyLevel: {Message: "Could not get value", Code: "LEVEL_REFUSED"},
	})
}

// TestPanicIsAnswered: a hook that throws ends the process of either host.
func TestPanicIsAnswered(t *testing.T) {
	panics := &server.Options{BeforeWrite: func(*server.Write) error { panic("the shop is on fire") }}
	testRefusal(t, panics, map[string]nodeError{
		manyLevel: {Message: "Could not get value", Code: "LEVEL_REMOTE_ERROR"},
	})
}

// testRefusal checks that a server with these options answers every write with
// an error, of that text where one is given, does none of them, and goes on. Of
// the two hosts, neither asks a hook before a clear.
func testRefusal(t *testing.T, o *server.Options, want map[string]nodeError) {
	for _, dialect := range dialects {
		t.Run(dialect, func(t *testing.T) {
			store := memstore.New()
			if err := store.Put(t.Context(), []byte("a"), []byte("1"), nil); err != nil {
				t.Fatal(err)
			}
			answers := makeCalls(t, dialect, serve(t, store, o),
				call{"put", "b", "2"}, call{"del", "a"}, call{"batch", []object{{"type": "del", "key": "a"}}},
				call{"clear"}, call{"clear", object{"gte": "a", "limit": 1}},
				call{"iterate"},
			)
			last := len(answers) - 1
			for i, a := range answers[:last] {
				wanted, given := want[dialect]
				if a.Error == nil || given && *a.Error != wanted {
					t.Errorf("write %d: got %s, want the error %+v", i, a, wanted)
				}
			}
			if got := string(answers[last].Value); got != `[["a","1"]]` {
				t.Errorf("after the writes were refused the store has %s", got)
			}
		})
	}
}

// failingReads is a store whose reads fail.
type failingReads struct{ mld.Store }

var errDisk = &mld.Error{Code: mld.CodeIO, Msg: "the disk is gone"}

func (failingReads) Get(context.Context, []byte) ([]byte, error)         { return nil, errDisk }
func (failingReads) GetMany(context.Context, [][]byte) ([][]byte, error) { return nil, errDisk }
func (failingReads) NewSnapshot(context.Context) (mld.Snapshot, error)   { return nil, errDisk }
func (failingReads) NewIterator(context.Context, *mld.IterOptions) (mld.Iterator, error) {
	return nil, errDisk
}

// TestFailedReadIsAnswered: a getMany that fails ends the process of either host.
func TestFailedReadIsAnswered(t *testing.T) {
	for _, dialect := range dialects {
		t.Run(dialect, func(t *testing.T) {
			answers := makeCalls(t, dialect, serve(t, failingReads{memstore.New()}, nil),
				call{"getMany", []string{"a", "b"}}, call{"get", "a"}, call{"iterate"},
				call{"put", "a", "1"},
			)
			last := len(answers) - 1
			for i, a := range answers[:last] {
				switch {
				case a.Error == nil:
					t.Errorf("read %d: got %s, want an error", i, a)
				case dialect == manyLevel && a.Error.Code != "LEVEL_IO_ERROR",
					dialect == multileveldown && !strings.Contains(a.Error.Message, "disk is gone"):
					t.Errorf("read %d: got the error %+v, which does not tell what failed", i, *a.Error)
				}
			}
			if answers[last].Error != nil {
				t.Errorf("a write after the failed reads: %s", answers[last])
			}
		})
	}
}

// TestMessagesAreBounded: the host of many-level sizes a message by the first
// rows, so that small rows followed by large ones make one of any size.
func TestMessagesAreBounded(t *testing.T) {
	const (
		small, large = 100, 200
		size         = 64 << 10
		most         = 512 << 10
	)
	store := memstore.New()
	var b mld.Batch
	for i := range small + large {
		key := binary.BigEndian.AppendUint16([]byte("k"), uint16(i))
		if i < small {
			b.Put(key, nil)
		} else {
			b.Put(key, make([]byte, size))
		}
	}
	if err := store.Apply(t.Context(), &b, nil); err != nil {
		t.Fatal(err)
	}

	for _, dialect := range dialects {
		t.Run(dialect, func(t *testing.T) {
			sent := &recorder{Listener: listen(t)}
			srv := server.New(store, nil)
			var wg sync.WaitGroup
			wg.Go(func() { srv.Serve(sent) })
			answers := makeCalls(t, dialect, sent.Addr().String(), call{"count"})
			srv.Close()
			wg.Wait()

			if got := string(answers[0].Value); got != "300" {
				t.Errorf("read %s entries, want 300", got)
			}
			if got := sent.largestFrame(t); got > most {
				t.Errorf("the largest message has %d bytes, want at most %d", got, most)
			}
		})
	}
}

// recorder keeps what is written to the connection that it accepts.
type recorder struct {
	net.Listener
	sent []byte
}

type recorderConn struct {
	net.Conn
	r *recorder
}

func (r *recorder) Accept() (net.Conn, error) {
	conn, err := r.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return recorderConn{conn, r}, nil
}

func (c recorderConn) Write(p []byte) (int, error) {
	c.r.sent = append(c.r.sent, p...)
	return c.Conn.Write(p)
}

// largestFrame returns the size of the largest message that was sent.
func (r *recorder) largestFrame(t *testing.T) int {
	largest := 0
	for rest := r.sent; len(rest) > 0; {
		size, n := binary.Uvarint(rest)
		if n <= 0 || uint64(len(rest)-n) < size {
			t.Fatalf("%d bytes are left that are no frame", len(rest))
		}
		largest = max(largest, int(size))
		rest = rest[n+int(size):]
	}
	return largest
}
