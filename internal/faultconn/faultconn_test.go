package faultconn

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multileveldown/mld/internal/memnet"
)

// TestCut cuts each direction at each byte of six and looks what both ends see.
func TestCut(t *testing.T) {
	const text = "abcdef"
	for _, kind := range []Kind{EOF, Reset} {
		readErr, writeErr := io.EOF, error(syscall.EPIPE)
		if kind == Reset {
			readErr, writeErr = syscall.ECONNRESET, syscall.ECONNRESET
		}
		for after := range len(text) {
			near, far := memnet.Pipe()
			c := New(near, Plan{}, Plan{Cut: true, Kind: kind, After: after, Chunk: 2})
			if n, err := c.Write([]byte(text)); n != after || !errors.Is(err, writeErr) {
				t.Errorf("%v after %d: Write = %d, %v; want %v", kind, after, n, err, writeErr)
			}
			if _, err := c.Read(make([]byte, 9)); !errors.Is(err, readErr) {
				t.Errorf("%v after %d: Read = %v; want %v", kind, after, err, readErr)
			}
			got, err := io.ReadAll(far)
			if kind == EOF && (string(got) != text[:after] || err != nil) {
				t.Errorf("the other end read %q, %v; want %q", got, err, text[:after])
			}
			if kind == Reset && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the other end read %q, %v", got, err)
			}

			near, far = memnet.Pipe()
			far.Write([]byte(text))
			c = New(near, Plan{Cut: true, Kind: kind, After: after, Chunk: 4}, Plan{})
			p := make([]byte, len(text))
			n, err := io.ReadFull(c, p)
			if string(p[:n]) != text[:after] || err == nil {
				t.Errorf("%v after %d: read %q, %v", kind, after, p[:n], err)
			}
			if _, err := c.Write([]byte("x")); !errors.Is(err, writeErr) {
				t.Errorf("%v after %d: Write = %v; want %v", kind, after, err, writeErr)
			}
			if read, wrote := c.Transferred(); read != after || wrote != 0 {
				t.Errorf("Transferred = %d, %d", read, wrote)
			}
		}
	}
}

func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := memnet.Pipe()
		c := New(near, Plan{}, Plan{Cut: true, Kind: Silence, After: 3})
		done := make(chan error, 1)
		go func() { // waits before silence falls
			_, err := c.Read(make([]byte, 9))
			done <- err
		}()
		synctest.Wait()
		if n, err := c.Write([]byte("abcdef")); n != 6 || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
		p := make([]byte, 9)
		if n, err := far.Read(p); string(p[:n]) != "abc" || err != nil {
			t.Fatalf("the other end read %q, %v", p[:n], err)
		}
		far.Write([]byte("answer"))
		time.Sleep(time.Hour)
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("Read returned %v in silence", err)
		default:
		}
		c.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Fatalf("Read = %v", err)
		}
		if _, err := c.Write(p); !errors.Is(err, net.ErrClosed) {
			t.Fatalf("Write after Close = %v", err)
		}
	})
}

func TestDelayAndChunks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := memnet.Pipe()
		c := New(near, Plan{Chunk: 1, Delay: time.Second}, Plan{})
		far.Write([]byte("abc"))
		start := time.Now()
		p := make([]byte, 3)
		if n, err := c.Read(p); n != 1 || err != nil {
			t.Fatalf("Read = %d, %v", n, err)
		}
		if _, err := io.ReadFull(c, p[:2]); err != nil || string(p[:2]) != "bc" {
			t.Fatalf("Read = %q, %v", p, err)
		}
		if d := time.Since(start); d != 3*time.Second {
			t.Fatalf("took %v", d)
		}
	})
}
