package server_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/multileveldown/mld/internal/memnet"
	"github.com/multileveldown/mld/server"
	"github.com/multileveldown/mld/store/memstore"
	"github.com/multileveldown/mld/wire"
)

// sessions returns what recorded Node clients sent, each as bodies of frames.
func sessions(tb testing.TB) (all [][][]byte) {
	files, err := filepath.Glob("../wire/testdata/sessions/*/*.c2s")
	if err != nil || len(files) == 0 {
		tb.Fatal("no recorded sessions: ", err)
	}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			tb.Fatal(err)
		}
		in := wire.NewFrameReader(f, 1<<20)
		var bodies [][]byte
		for {
			body, err := in.Next()
			if err != nil {
				break
			}
			bodies = append(bodies, slices.Clone(body))
		}
		f.Close()
		all = append(all, bodies)
	}
	return all
}

func frames(bodies [][]byte) (sent []byte) {
	for _, body := range bodies {
		sent = wire.AppendFrame(sent, body)
	}
	return sent
}

// FuzzBytes sends any bytes.
func FuzzBytes(f *testing.F) {
	for _, bodies := range sessions(f) {
		f.Add(frames(bodies))
		f.Add(frames(append([][]byte{{wire.TagHello, 8, 1, 16, 2}}, bodies...)))
	}
	f.Add([]byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x20, 0})
	f.Fuzz(func(t *testing.T, sent []byte) { withstand(t, sent) })
}

// FuzzSessions sends a recorded session with changes that leave it in frames:
// three bytes each say which message is changed, how and where.
func FuzzSessions(f *testing.F) {
	recorded := sessions(f)
	for i := range recorded {
		f.Add(uint8(i), true, []byte{3, 0, 0, 1, 3, 5})
		f.Add(uint8(i), false, []byte{1, 1, 0, 2, 2, 0, 5, 4, 3, 7, 5, 9, 4, 6, 1})
	}
	f.Fuzz(func(t *testing.T, session uint8, hello bool, changes []byte) {
		bodies := slices.Clone(recorded[int(session)%len(recorded)])
		for ; len(changes) >= 3 && len(bodies) > 0; changes = changes[3:] {
			i := int(changes[0]) % len(bodies)
			body, arg := slices.Clone(bodies[i]), changes[2]
			at := int(arg) % len(body)
			switch changes[1] % 7 {
			case 0: // again
				bodies = slices.Insert(bodies, i, body)
			case 1:
				bodies = slices.Delete(bodies, i, i+1)
			case 2: // another order
				j := int(arg) % len(bodies)
				bodies[i], bodies[j] = bodies[j], bodies[i]
			case 3:
				body[at] ^= 1 << (changes[1] / 7 % 8)
				bodies[i] = body
			case 4:
				bodies[i] = body[:at+1]
			case 5: // another tag
				body[0] = arg % 70
				bodies[i] = body
			case 6:
				bodies[i] = slices.Insert(body, at, 0xff)
			}
		}
		if hello {
			bodies = append([][]byte{{wire.TagHello, 8, 1, 16, 1 + session%2}}, bodies...)
		}
		withstand(t, frames(bodies))
	})
}

// withstand sends bytes to a server and ends, and demands that the server ends
// the connection, holds nothing of it any more, and that another client can read
// the store.
func withstand(t *testing.T, sent []byte) {
	store := memstore.New()
	for i := range 100 {
		store.Put(t.Context(), fmt.Appendf(nil, "k%02d", i), fmt.Appendf(nil, "v%02d", i), nil)
	}
	srv := server.New(store, &server.Options{Limits: server.Limits{Frame: 1 << 16, Key: 100, Iterators: 10, Snapshots: 2, InFlight: 1 << 20}})
	client, end := memnet.Pipe()
	done := make(chan error, 1)
	go func() { done <- srv.ServeConn(t.Context(), end) }()
	client.SetDeadline(time.Now().Add(10 * time.Second))
	go func() {
		client.Write(sent) // the server may end it before
		client.CloseWrite()
	}()
	received, err := io.Copy(io.Discard, client)
	if err != nil {
		t.Fatalf("the server does not end: %v", err)
	}
	<-done
	if n := inFlight(t, srv); n != 0 {
		t.Fatalf("%v bytes in flight after the end", n)
	}
	if most := 1000 * (len(sent) + 100); received > int64(most) {
		t.Fatalf("%d bytes of answers to %d", received, len(sent))
	}
	p := dial(t, srv)
	p.send(wire.AppendIterator(nil, p.d, &wire.IteratorOpen{ID: 1, Keys: true, Values: true, Limit: -1}))
	for {
		if r := p.receive(); r.End {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
			break
		}
		p.send(wire.AppendIteratorAck(nil, 1, 0, 0))
	}
	p.rw.Close()
}
