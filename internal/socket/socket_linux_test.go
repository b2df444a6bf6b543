package socket

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// pair returns the two ends of a connection, of which one is a Socket.
func pair(t *testing.T, network string) (s *Socket, ours, other net.Conn) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if other, err = net.Dial(network, l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	if ours, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close() })
	if s = Of(ours); s == nil {
		t.Fatal("a socket is none")
	}
	return s, ours, other
}

func eachNetwork(t *testing.T, f func(t *testing.T, network string)) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) { f(t, network) })
	}
}

// An echo answers what it reads until the stream ends.
type echo struct {
	*Socket
	ours   net.Conn
	waits  chan struct{} // gets each time at which it begins to wait, if not nil
	left   int           // how many reads were left out
	row    int           // how many of them one after the other
	most   int           // the most of that
	waited int           // how often it began to wait
	looked int           // how often it looked whether the stream has ended
}

func (e *echo) serve() (err error) {
	buf := make([]byte, 16)
	f := func() bool {
		for {
			var n int
			if n, err = e.Read(buf); err == syscall.EAGAIN {
				e.wait()
				return true
			} else if err != nil {
				return false
			}
			if _, err = e.Write(buf[:n]); err != nil {
				return false
			}
		}
	}
	for {
		waited := e.Serve(f)
		if waited == nil {
			return err
		}
		if !e.Guessed() || !errors.Is(waited, os.ErrDeadlineExceeded) {
			return waited
		}
		e.looked++
		if err := e.ours.SetReadDeadline(time.Time{}); err != nil {
			return err
		}
	}
}

func (e *echo) wait() {
	e.waited++
	var until time.Time
	if e.Guessed() {
		e.left++
		e.row++
		e.most = max(e.most, e.row)
		until = time.Now().Add(200 * time.Millisecond)
	} else {
		e.row = 0
	}
	e.ours.SetReadDeadline(until)  //nolint:errcheck // or the test takes for ever
	if e.waits != nil && !e.full { // else it only looks for a deadline
		e.waits <- struct{}{}
	}
}

// TestQuestions asks one question at a time: after a few, no read is in vain, but
// for one now and then, and no part of a question is left to lie.
func TestQuestions(t *testing.T) {
	eachNetwork(t, func(t *testing.T, network string) {
		s, ours, other := pair(t, network)
		e := &echo{Socket: s, ours: ours, waits: make(chan struct{})}
		done := make(chan error, 1)
		go func() { done <- e.serve() }()
		const questions = 1000
		for i := range questions {
			<-e.waits
			question := bytes.Repeat([]byte{byte(i)}, i%(i/200*10+2)+1) // from some time on above a buffer
			if _, err := other.Write(question); err != nil {
				t.Fatal(err)
			}
			answer := make([]byte, len(question))
			if _, err := io.ReadFull(other, answer); err != nil || !bytes.Equal(answer, question) {
				t.Fatalf("question %d was answered %v, %v", i, answer, err)
			}
		}
		<-e.waits
		other.Close()
		if err := <-done; err != io.EOF {
			t.Fatalf("the end was %v", err)
		}
		if e.left < questions*3/4 || e.most > probe {
			t.Errorf("%d reads were left out, %d of them one after the other", e.left, e.most)
		}
		if e.looked > questions/100 {
			t.Errorf("%d times something lay unread", e.looked)
		}
	})
}

// TestStream sends far more than a buffer takes, in pieces of all sizes.
func TestStream(t *testing.T) {
	eachNetwork(t, func(t *testing.T, network string) {
		s, ours, other := pair(t, network)
		done := make(chan error, 1)
		go func() {
			done <- (&echo{Socket: s, ours: ours}).serve()
			ours.Close()
		}()
		sent := make([]byte, 1<<20)
		for i := range sent {
			sent[i] = byte(i % 251)
		}
		go func() {
			for rest, size := sent, 1; len(rest) > 0; size = size%97 + 1 {
				n := min(size, len(rest))
				if _, err := other.Write(rest[:n]); err != nil {
					t.Error(err)
					break
				}
				rest = rest[n:]
			}
			other.(interface{ CloseWrite() error }).CloseWrite() //nolint:errcheck // the reader will see
		}()
		got, err := io.ReadAll(other)
		if err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%d bytes came back, not what was sent: %v", len(got), err)
		}
		if err := <-done; err != io.EOF {
			t.Errorf("the end was %v", err)
		}
	})
}

// TestFull writes more than a socket takes while nobody reads.
func TestFull(t *testing.T) {
	eachNetwork(t, func(t *testing.T, network string) {
		s, ours, other := pair(t, network)
		large := make([]byte, 16<<20)
		full := make(chan int, 1)
		s.Full = func(left int) { full <- left }
		done := make(chan error, 1)
		go func() {
			n, err := s.Write(large)
			if err == nil && (n != len(large) || !s.Waited()) {
				err = errors.New("a part was written")
			}
			done <- err
		}()
		if left := <-full; left <= 0 || left >= len(large) {
			t.Errorf("%d bytes are left", left)
		}
		if _, err := io.ReadFull(other, make([]byte, len(large))); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if n, err := s.Write([]byte("few")); n != 3 || err != nil || s.Waited() {
			t.Errorf("a small write: %d, %v", n, err)
		}

		s.Full = func(int) { ours.SetWriteDeadline(time.Unix(1, 0)) } //nolint:errcheck // Write will tell
		if _, err := s.Write(large); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("at the deadline: %v", err)
		}
	})
}

// TestHiddenEnd has a stream end with what is read last, of which the kernel tells
// once, when the read after it is left out: looking finds the end.
func TestHiddenEnd(t *testing.T) {
	s, ours, other := pair(t, "tcp")
	e := &echo{Socket: s, ours: ours, waits: make(chan struct{}, 10)}
	done := make(chan error, 1)
	go func() { done <- e.serve() }()
	for range habit + 1 {
		<-e.waits
		if _, err := other.Write([]byte("question")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(other, make([]byte, 8)); err != nil {
			t.Fatal(err)
		}
	}
	<-e.waits
	// One segment has both.
	raw, err := other.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_CORK, 1)
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Write([]byte("last")); err != nil {
		t.Fatal(err)
	}
	if err := other.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(io.LimitReader(other, 4)); err != nil || string(got) != "last" {
		t.Errorf("read %q, %v", got, err)
	}
	if err := <-done; err != io.EOF || e.looked != 1 {
		t.Errorf("the end was %v, looked %d times", err, e.looked)
	}
}

// TestInterrupt ends a wait, by each of the ways.
func TestInterrupt(t *testing.T) {
	eachNetwork(t, func(t *testing.T, network string) {
		for _, c := range []struct {
			name string
			how  func(s *Socket, ours, other net.Conn)
			want error
		}{
			{"a deadline", func(_ *Socket, ours, _ net.Conn) { ours.SetReadDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded}, //nolint:errcheck // see want
			{"close", func(_ *Socket, ours, _ net.Conn) { ours.Close() }, net.ErrClosed},
			{"shutdown", func(s *Socket, _, _ net.Conn) { s.Shutdown() }, io.EOF},
			{"the other end", func(_ *Socket, _, other net.Conn) { other.Close() }, io.EOF},
		} {
			s, ours, other := pair(t, network)
			e := &echo{Socket: s, ours: ours, waits: make(chan struct{}, 10)}
			done := make(chan error, 1)
			go func() { done <- e.serve() }()
			<-e.waits
			c.how(s, ours, other)
			if err := <-done; !errors.Is(err, c.want) {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	})
}

// TestReset has the other end break the connection.
func TestReset(t *testing.T) {
	s, ours, other := pair(t, "tcp")
	e := &echo{Socket: s, ours: ours, waits: make(chan struct{}, 10)}
	done := make(chan error, 1)
	go func() { done <- e.serve() }()
	<-e.waits
	if err := other.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	other.Close()
	err := <-done
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "read" || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("reading ended with %v", err)
	}
	if _, err := s.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("writing ended with %v", err)
	}
}

// embedding is a stream that reads otherwise than what it embeds.
type embedding struct{ *net.TCPConn }

func TestOf(t *testing.T) {
	_, ours, _ := pair(t, "tcp")
	if Of(embedding{ours.(*net.TCPConn)}) != nil {
		t.Error("what embeds a socket is one")
	}
	if a, _ := net.Pipe(); Of(a) != nil {
		t.Error("a pipe is a socket")
	}
}
