package memnet

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestTransfer sends more than the buffer holds, in pieces of odd sizes, both
// ways at once.
func TestTransfer(t *testing.T) {
	a, b := Pipe()
	data := make([]byte, 5*bufferSize+123)
	for i := range data {
		data[i] = byte(i * 7 >> 3)
	}
	var wg sync.WaitGroup
	for _, ends := range [][2]*Conn{{a, b}, {b, a}} {
		wg.Go(func() {
			for i, n := 0, 1; i < len(data); n = n*3%10007 + 1 {
				end := min(i+n, len(data))
				if _, err := ends[0].Write(data[i:end]); err != nil {
					t.Error(err)
				}
				i = end
			}
			ends[0].CloseWrite()
		})
		wg.Go(func() {
			got, err := io.ReadAll(ends[1])
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("read %d bytes of %d, %v", len(got), len(data), err)
			}
		})
	}
	wg.Wait()
}

func TestEnds(t *testing.T) {
	for _, test := range []struct {
		name                    string
		end                     func(a *Conn)
		aRead, aWrite           error
		bReads                  string
		bReadAfter, bWriteAfter error
	}{
		{"close", func(a *Conn) { a.Close() }, net.ErrClosed, net.ErrClosed, "hi", io.EOF, syscall.EPIPE},
		{"close write", func(a *Conn) { a.CloseWrite() }, nil, net.ErrClosed, "hi", io.EOF, nil},
		{"reset", (*Conn).Reset, syscall.ECONNRESET, syscall.ECONNRESET, "", syscall.ECONNRESET, syscall.ECONNRESET},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, b := Pipe()
			a.Write([]byte("hi"))
			b.Write([]byte("there"))
			test.end(a)
			if _, err := a.Read(make([]byte, 9)); !errors.Is(err, test.aRead) {
				t.Errorf("a reads: %v; want %v", err, test.aRead)
			}
			if _, err := a.Write([]byte("x")); !errors.Is(err, test.aWrite) {
				t.Errorf("a writes: %v; want %v", err, test.aWrite)
			}
			p := make([]byte, 9)
			if test.bReads != "" {
				if n, err := b.Read(p); string(p[:n]) != test.bReads || err != nil {
					t.Errorf("b reads %q, %v", p[:n], err)
				}
			}
			if _, err := b.Read(p); !errors.Is(err, test.bReadAfter) {
				t.Errorf("b reads: %v; want %v", err, test.bReadAfter)
			}
			if _, err := b.Write([]byte("x")); !errors.Is(err, test.bWriteAfter) {
				t.Errorf("b writes: %v; want %v", err, test.bWriteAfter)
			}
		})
	}
}

// TestWaits ends each kind of wait, of which the bubble knows that it is one.
func TestWaits(t *testing.T) {
	full := func(c *Conn) { c.Write(make([]byte, bufferSize)) }
	read := func(c *Conn) error { _, err := c.Read(make([]byte, 1)); return err }
	write := func(c *Conn) error { _, err := c.Write(make([]byte, 1)); return err }
	for _, test := range []struct {
		name string
		op   func(a *Conn) error
		end  func(a, b *Conn)
		want error
	}{
		{"read, data", read, func(_, b *Conn) { b.Write([]byte("x")) }, nil},
		{"read, close", read, func(a, _ *Conn) { a.Close() }, net.ErrClosed},
		{"read, close of the other end", read, func(_, b *Conn) { b.Close() }, io.EOF},
		{"read, deadline", read, func(a, _ *Conn) { a.SetReadDeadline(time.Now().Add(time.Hour)) }, os.ErrDeadlineExceeded},
		{"write, room", write, func(_, b *Conn) { b.Read(make([]byte, 9)) }, nil},
		{"write, close", write, func(a, _ *Conn) { a.Close() }, net.ErrClosed},
		{"write, close of the other end", write, func(_, b *Conn) { b.Close() }, syscall.EPIPE},
		{"write, deadline", write, func(a, _ *Conn) { a.SetDeadline(time.Now().Add(time.Hour)) }, os.ErrDeadlineExceeded},
		{"write, reset", write, func(_, b *Conn) { b.Reset() }, syscall.ECONNRESET},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := Pipe()
				full(a)
				done := make(chan error, 1)
				go func() { done <- test.op(a) }()
				synctest.Wait()
				select {
				case err := <-done:
					t.Fatalf("did not wait: %v", err)
				default:
				}
				test.end(a, b)
				if err := <-done; !errors.Is(err, test.want) {
					t.Fatalf("%v; want %v", err, test.want)
				}
			})
		})
	}
}

func TestDeadlineMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe()
		a.SetReadDeadline(time.Now().Add(-time.Second))
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("after the deadline: %v", err)
		}
		a.SetReadDeadline(time.Now().Add(time.Second))
		a.SetReadDeadline(time.Time{})
		time.Sleep(time.Minute)
		b.Write([]byte("x"))
		if _, err := a.Read(make([]byte, 1)); err != nil {
			t.Fatalf("with the deadline taken away: %v", err)
		}
	})
}

func TestListener(t *testing.T) {
	l := Listen("here")
	go func() {
		c, err := l.Dial(t.Context())
		if err != nil || c.RemoteAddr().String() != "here" || c.RemoteAddr().Network() != "mem" {
			t.Errorf("Dial = %v", err)
			return
		}
		c.Write([]byte("x"))
	}()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Dial(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("Dial with an ended context: %v", err)
	}
	l.Close()
	if _, err := l.Dial(t.Context()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("Dial of a closed listener: %v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("Accept of a closed listener: %v", err)
	}
}
