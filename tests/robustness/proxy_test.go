package robustness

import (
	"net"
	"sync"
	"testing"
)

// proxy stands between a client and a server and loses what the server says.
type proxy struct {
	address string
	target  string
	l       net.Listener
	wg      sync.WaitGroup

	mu    sync.Mutex // everything below
	conns map[net.Conn]struct{}
	quota int  // how many bytes of the server's still pass, before
	cut   bool // the connection is cut; else what follows is lost
}

// noQuota lets everything pass.
const noQuota = -1

func startProxy(t *testing.T, target string, quota int, cut bool) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{address: l.Addr().String(), target: target, l: l, conns: map[net.Conn]struct{}{}, quota: quota, cut: cut}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.cutAll()
		p.wg.Wait()
	})
	return p
}

// cutAll cuts the connections that there are. From then on all passes.
func (p *proxy) cutAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.quota = noQuota
	for c := range p.conns {
		c.Close()
	}
}

func (p *proxy) accept() {
	for {
		near, err := p.l.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", p.target)
		if err != nil {
			near.Close()
			continue
		}
		p.mu.Lock()
		p.conns[near], p.conns[far] = struct{}{}, struct{}{}
		p.mu.Unlock()
		p.wg.Go(func() { p.pass(near, far, func(b []byte) ([]byte, bool) { return b, false }) })
		p.wg.Go(func() { p.pass(far, near, p.answer) })
	}
}

// answer returns how much of what the server said passes, and whether the
// connection is cut after that.
func (p *proxy) answer(b []byte) ([]byte, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.quota == noQuota || len(b) <= p.quota {
		if p.quota != noQuota {
			p.quota -= len(b)
		}
		return b, false
	}
	b = b[:p.quota]
	p.quota = 0
	if p.cut {
		p.quota = noQuota
	}
	return b, p.cut
}

func (p *proxy) pass(from, to net.Conn, filter func([]byte) ([]byte, bool)) {
	defer func() {
		from.Close()
		to.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, from)
		delete(p.conns, to)
	}()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		passes, cut := filter(buf[:n])
		if _, werr := to.Write(passes); err != nil || werr != nil || cut {
			return
		}
	}
}
