package robustness

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/multileveldown/mld/client"
	"github.com/multileveldown/mld/internal/faultconn"
)

// links are the connections that one client makes, one after the other, each of
// which fails in its own way.
type links struct {
	dial  client.DialFunc
	kinds []faultconn.Kind
	every int           // bytes from one cut to the next, on average; 0 cuts nothing
	in    bool          // only bytes that are received count for that
	delay time.Duration // at most, before each read and each write
	chunk int           // at most, in bytes; 0 is no limit
	cuts  *atomic.Int64 // counts those that came

	mu   sync.Mutex // everything below
	rnd  *rand.Rand
	open map[*link]struct{}
	down bool
}

// link is one connection.
type link struct {
	*faultconn.Conn
	stream  io.ReadWriteCloser
	links   *links
	in, out faultconn.Plan
	once    sync.Once
}

func (l *links) Dial(ctx context.Context) (io.ReadWriteCloser, error) {
	stream, err := l.dial(ctx)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		stream.Close()
		return nil, syscall.ECONNREFUSED
	}
	k := &link{stream: stream, links: l}
	for _, p := range []*faultconn.Plan{&k.in, &k.out} {
		if l.delay > 0 {
			p.Delay = time.Duration(l.rnd.Int64N(int64(l.delay)))
		}
		if l.chunk > 0 {
			p.Chunk = 1 + l.rnd.IntN(l.chunk)
		}
	}
	if l.every > 0 {
		cut := &k.out
		if l.in || l.rnd.IntN(2) == 0 {
			cut = &k.in
		}
		cut.Cut, cut.Kind = true, l.kinds[l.rnd.IntN(len(l.kinds))]
		cut.After = int(l.rnd.ExpFloat64() * float64(l.every))
	}
	k.Conn = faultconn.New(stream, k.in, k.out)
	if l.open == nil {
		l.open = map[*link]struct{}{}
	}
	l.open[k] = struct{}{}
	return k, nil
}

// Close closes the link, and counts its cut if that has come.
func (k *link) Close() error {
	k.once.Do(func() {
		read, wrote := k.Transferred()
		if k.in.Cut && read >= k.in.After || k.out.Cut && wrote >= k.out.After {
			k.links.cuts.Add(1)
		}
		k.links.mu.Lock()
		delete(k.links.open, k)
		k.links.mu.Unlock()
	})
	return k.Conn.Close()
}

// cut cuts the connections that there are, and with down refuses new ones until
// it is called without. Nothing is received any more when it has returned.
func (l *links) cut(down bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = down
	for k := range l.open {
		k.stream.Close()
	}
}

// tcp dials an address. A reset of the stream is one on the wire, too.
func tcp(address string) client.DialFunc {
	return func(ctx context.Context) (io.ReadWriteCloser, error) {
		d := net.Dialer{KeepAlive: -1}
		c, err := d.DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		return resettable{c.(*net.TCPConn)}, nil
	}
}

type resettable struct{ *net.TCPConn }

func (r resettable) Reset() {
	r.SetLinger(0)
	r.Close()
}
