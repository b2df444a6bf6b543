package server_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/server"
	"github.com/multileveldown/mld/store/memstore"
	"github.com/multileveldown/mld/wire"
)

// TestIdleTimeout has a connection that sends nothing ended, one that is slow to
// send a message kept, and none that waits for an answer.
func TestIdleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newSpy()
		srv := server.New(store, &server.Options{IdleTimeout: time.Minute, MessageTimeout: time.Hour})
		p := dial(t, srv)
		p.hello()
		frame := wire.AppendGet(nil, 1, []byte("a"), 0)
		for i := range frame {
			time.Sleep(59 * time.Second)
			p.send(frame[i : i+1])
		}
		p.expect(1, mld.ErrNotFound)
		p.send(wire.AppendGet(nil, 2, []byte("slow"), 0))
		<-store.holding
		time.Sleep(time.Hour)
		close(store.hold)
		p.expect(2, mld.ErrNotFound)
		begun := time.Now()
		r := p.receive()
		if r.Tag != wire.TagGoodbye || !errors.Is(r.Err, mld.ErrLimitExceeded) || !strings.Contains(r.Err.Error(), "idle-timeout") {
			t.Errorf("received tag %d, %v", r.Tag, r.Err)
		}
		if took := time.Since(begun); took != time.Minute {
			t.Errorf("ended after %v", took)
		}
		p.expectEnd()
	})
}

// TestMessageTimeout has connections ended that stop within a message, or drip it,
// wherever in their life and in the message that is, at the time that counts from
// where it began; and none that is silent between two messages.
func TestMessageTimeout(t *testing.T) {
	get := wire.AppendGet(nil, 1, []byte("a"), 0)
	large := wire.AppendPut(nil, 2, []byte("a"), make([]byte, 300<<10), 0)
	tooLarge := wire.AppendPut(nil, 2, []byte("a"), make([]byte, 2<<20), 0)
	for _, test := range []struct {
		name  string
		begin []byte // what comes at once
		calls int    // how many answers that has
		drip  []byte // what comes at a byte in 7 seconds
	}{
		{"first byte", get[:1], 0, nil},
		{"drip", get[:1], 0, get[1 : len(get)-1]},
		{"large", large[:200<<10], 0, large[200<<10:]},
		{"behind a whole message", slices.Concat(get, get[:3]), 1, nil},
		{"refused", tooLarge[:1<<20], 1, tooLarge[1<<20:]},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := server.New(memstore.New(), &server.Options{
					MessageTimeout: time.Minute, Limits: server.Limits{Frame: 1 << 20},
				})
				conn := connect(t, srv)
				p := newPeer(t, conn, wire.ManyLevel)
				time.Sleep(time.Hour)
				p.hello()
				time.Sleep(time.Hour)
				p.send(get[:2])
				time.Sleep(59 * time.Second)
				p.send(get[2:])
				p.expect(1, mld.ErrNotFound)
				time.Sleep(time.Hour)
				sent := make(chan struct{})
				defer func() { p.rw.Close(); <-sent }()
				go func() {
					defer close(sent)
					p.rw.Write(test.begin)
					for _, b := range test.drip {
						time.Sleep(7 * time.Second)
						if _, err := p.rw.Write([]byte{b}); err != nil {
							return
						}
					}
				}()
				begun := time.Now()
				conn.SetReadDeadline(begun.Add(time.Hour))
				for range test.calls {
					p.receive()
				}
				r := p.receive()
				if r.Tag != wire.TagGoodbye {
					t.Fatalf("received tag %d, want a goodbye", r.Tag)
				}
				wantLimit(t, r.Err, "message-timeout")
				if took := time.Since(begun); took != time.Minute {
					t.Errorf("ended after %v", took)
				}
				p.expectEnd()
			})
		})
	}
}

// TestMessageTimeoutOfOne has a client kept whose messages each take nearly as
// long as they may, with no pause between them.
func TestMessageTimeoutOfOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := dial(t, server.New(memstore.New(), &server.Options{MessageTimeout: time.Minute}))
		p.hello()
		frame := wire.AppendGet(nil, 1, []byte("a"), 0)
		rest := frame
		for range 5 {
			p.send(rest[:len(rest)-1])
			time.Sleep(59 * time.Second)
			// The end of a message and the beginning of the next.
			p.send(append(frame[len(frame)-1:], frame[:2]...))
			p.expect(1, mld.ErrNotFound)
			rest = frame[2:]
		}
	})
}

// TestWriteTimeout has a client that does not read cut, and no sooner than that.
func TestWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		store.Put(t.Context(), []byte("a"), make([]byte, 1<<20), nil)
		var log bytes.Buffer
		srv := server.New(store, &server.Options{WriteTimeout: time.Minute, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		p, healthy := dial(t, srv), dial(t, srv)
		time.Sleep(time.Hour) // the deadline is that of a write, not of a connection
		p.send(wire.AppendGet(nil, 1, []byte("a"), 0))
		time.Sleep(59 * time.Second)
		synctest.Wait()
		healthy.send(wire.AppendStats(nil, 1))
		if r := healthy.expect(1, nil); !bytes.Contains(r.Value, []byte(`"server_connections":2`)) {
			t.Errorf("cut too early: %s", r.Value)
		}
		time.Sleep(2 * time.Second)
		healthy.send(wire.AppendStats(nil, 2))
		if r := healthy.expect(2, nil); !bytes.Contains(r.Value, []byte(`"server_connections":1`)) || !bytes.Contains(r.Value, []byte(`"server_in_flight_bytes":0`)) {
			t.Errorf("not cut: %s", r.Value)
		}
		if !strings.Contains(log.String(), "(write-timeout)") {
			t.Errorf("the log does not say why: %s", &log)
		}
		if _, err := io.Copy(io.Discard, p.rw); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	})
}

// TestHeartbeat has an extended client shown that the server lives while its
// call takes long, or its message is long under way; and no other client.
func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newSpy()
		srv := server.New(store, &server.Options{WriteTimeout: 5 * time.Second})
		extended, npm := connect(t, srv), connect(t, srv)
		hello := wire.AppendHello(nil, &wire.Hello{Version: 1, Dialect: wire.ManyLevel})
		extended.Write(hello)
		synctest.Wait()
		drainPipe(t, extended)
		extended.Write(wire.AppendGet(nil, 1, []byte("slow"), 0))
		npm.Write(wire.AppendGet(nil, 1, []byte("slow"), 0))
		<-store.holding
		<-store.holding
		time.Sleep(10*time.Second + time.Millisecond)
		beats, closed := drainPipe(t, extended)
		if closed || len(bytes.Trim(beats, "\x00")) > 0 || len(beats) < 8 || len(beats) > 10 {
			t.Errorf("in 10 seconds came %x", beats)
		}
		if got, _ := drainPipe(t, npm); len(got) > 0 {
			t.Errorf("a client that did not say hello was sent %x", got)
		}
		close(store.hold)
		synctest.Wait()
		drainPipe(t, extended)
		// Idle: nothing. A part of a message: signs of life.
		time.Sleep(10 * time.Second)
		if got, _ := drainPipe(t, extended); len(got) > 0 {
			t.Errorf("an idle client was sent %x", got)
		}
		extended.Write([]byte{9, 0, 8})
		time.Sleep(10*time.Second + time.Millisecond)
		if got, _ := drainPipe(t, extended); len(got) < 8 {
			t.Errorf("a client that is slow to send was sent %x", got)
		}
	})
}

// TestHeartbeatWithinAnswer has none within a message that a slow client reads.
func TestHeartbeatWithinAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		value := bytes.Repeat([]byte("v"), 1<<20)
		store.Put(t.Context(), []byte("a"), value, nil)
		p := dial(t, server.New(store, nil))
		p.hello()
		p.send(wire.AppendGet(nil, 1, []byte("a"), 0))
		time.Sleep(10 * time.Second)
		if r := p.expect(1, nil); !bytes.Equal(r.Value, value) {
			t.Error("the value is not what was put")
		}
	})
}

// TestClientsThatDoNotRead has many of them, each with iterators open, cost
// little memory, and others be served.
func TestClientsThatDoNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const clients, iterators = 100, 20
		store := memstore.New()
		for i := range 2000 {
			store.Put(t.Context(), fmt.Appendf(nil, "%06d", i), make([]byte, 1000), nil)
		}
		srv := server.New(store, nil)
		heap := func() int64 {
			synctest.Wait() // what is at work takes more
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			return int64(m.HeapAlloc)
		}
		ask := func(d wire.Dialect) []byte {
			var frames []byte
			for id := range uint32(iterators) {
				frames = wire.AppendIterator(frames, d, &wire.IteratorOpen{ID: id, Keys: true, Values: true, Limit: -1, Credit: 1 << 30})
			}
			return frames
		}
		before := heap()
		for i := range clients {
			d := wire.Dialect(1 + i%2)
			newPeer(t, connect(t, srv), d).send(ask(d))
		}
		// The buffers of the pipe, 64 KiB each way, and one of answers.
		if grown := heap() - before; grown > clients*300<<10 {
			t.Errorf("%d clients that do not read take %d KiB each", clients, grown/clients>>10)
		}
		healthy := dial(t, srv)
		for id := uint32(1); id <= 200; id++ {
			healthy.send(wire.AppendGet(nil, id, []byte("000001"), 0))
			healthy.expect(id, nil)
		}
	})
}
