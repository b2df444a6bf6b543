package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/client"
	"github.com/multileveldown/mld/wire"
)

// mldServer is `mld serve` in a process of its own. It is started once, for all
// peers that use it.
type mldServer struct {
	name      string // of its directory and its socket
	engine    string
	noValues  bool // has no value cache, and a block cache for all of the data instead
	process   *process
	tcp, unix string // the addresses
}

func (s *mldServer) start(b *bench) error {
	if s.process != nil {
		return nil
	}
	dirOf := b.data.pebbleDir
	if s.engine == "leveldb" {
		dirOf = b.data.leveldbDir
	}
	dir, err := dirOf(s.name)
	if err != nil {
		return err
	}
	bin, err := b.command()
	if err != nil {
		return err
	}
	socket := filepath.Join(b.dir, s.name+".sock")
	// Writes say themselves whether they are synced, except those of the npm
	// clients, which cannot.
	blocks, values := s.caches(b)
	args := []string{
		"serve", dir, "--sync", "nosync", "--cache", strconv.FormatInt(blocks, 10), "--value-cache", values,
		"--listen", "tcp://127.0.0.1:0", "--listen", "unix:" + socket,
	}
	s.process, err = startProcess(bin, append(args, strings.Fields(b.serve)...)...)
	if err != nil {
		return err
	}
	for range 2 {
		line, err := s.process.line()
		if err != nil {
			return err
		}
		address := line[strings.LastIndex(line, " ")+1:]
		if strings.HasPrefix(address, "tcp:") {
			s.tcp = address
		} else {
			s.unix = address
		}
	}
	return nil
}

// caches returns how the server's memory is used: for all values and some blocks,
// or for all blocks.
func (s *mldServer) caches(b *bench) (blocks int64, values string) {
	if s.noValues {
		return b.cache, "none"
	}
	const overhead = 24 // what an entry takes in the value cache besides its key and its value
	data := int64(b.data.keys) * int64(keyLen+b.data.valueSize+overhead)
	return min(b.cache, max(data/4, 8<<20)), strconv.FormatInt(max(data, 8<<20), 10)
}

func (s *mldServer) stop() error {
	p := s.process
	s.process = nil
	return p.stop()
}

// mldPeer are connections to a server of one kind.
type mldPeer struct {
	label       string
	server      *mldServer
	owns        bool // stops the server and reports its memory
	unix        bool
	atLeastOnce bool
	reads       bool // takes part in reads only, with many in flight
}

func (p *mldPeer) name() string { return p.label }

func (p *mldPeer) start(_ context.Context, b *bench) error { return p.server.start(b) }

func (p *mldPeer) lacks(w *workload) bool {
	if p.atLeastOnce {
		return !w.writes() || w.op == opMixed // reads are the same
	}
	if p.reads {
		return w.op != opScan && (w.op != opGet && w.op != opMixed || w.inFlight == 1)
	}
	return p.server.engine == "leveldb" && w.conns > 64
}

func (p *mldPeer) memory() int64 {
	if !p.owns {
		return 0
	}
	return p.server.process.memory()
}

func (p *mldPeer) warms() bool { return p.owns }

func (p *mldPeer) close() error {
	if !p.owns {
		return nil
	}
	return p.server.stop()
}

func (p *mldPeer) address() string {
	if p.unix {
		return p.server.unix
	}
	return p.server.tcp
}

func (p *mldPeer) open(ctx context.Context, w *workload) (handle, error) {
	dial, err := client.Dialer(p.address())
	if err != nil {
		return nil, err
	}
	o := &client.Options{ExactlyOnce: client.ExactlyOnceRequire}
	if p.atLeastOnce {
		o.ExactlyOnce = client.ExactlyOnceOff
	}
	c := client.New(dial, o)
	if err := c.WaitReady(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return &storeHandle{c, w, mldWrite(w.sync), c.Close}, nil
}

func (p *mldPeer) pipe(ctx context.Context, w *workload) (pipe, error) {
	network, address := "tcp", strings.TrimPrefix(p.address(), "tcp://")
	if p.unix {
		network, address = "unix", strings.TrimPrefix(p.address(), "unix:")
	}
	c, err := dialUntil(ctx, network, address)
	if err != nil {
		return nil, err
	}
	m := &mldPipe{c: c, frames: wire.NewFrameReader(c, wire.DefaultMaxFrame), durability: mldWrite(w.sync).Durability}
	if !p.atLeastOnce && w.writes() {
		if err := m.begin(); err != nil {
			c.Close()
			return nil, err
		}
	}
	return m, nil
}

// mldPipe speaks this project's protocol, with numbered writes if it has begun a
// session.
type mldPipe struct {
	c          net.Conn
	frames     *wire.FrameReader
	durability mld.Durability
	out        []byte
	response   wire.Response

	id       uint32 // the last that was given
	first    uint32 // the one before those that were sent last
	answered int    // of those
	session  bool
	n        uint64 // the number of the last write
	settled  uint64 // up to where writes have been answered
}

// begin asks for a session and waits for the answer.
func (p *mldPipe) begin() error {
	var id wire.ClientID
	rand.Read(id[:]) // never fails
	p.out = wire.AppendHello(p.out, &wire.Hello{Version: wire.ProtocolVersion, Dialect: wire.ManyLevel, Client: id, Session: true})
	if err := p.flush(); err != nil {
		return err
	}
	body, err := p.frames.Next()
	if err != nil {
		return err
	}
	if err := p.response.Decode(wire.ManyLevel, body); err != nil {
		return err
	}
	if p.response.Tag != wire.TagWelcome || p.response.Welcome.Features&wire.FeatureSessions == 0 {
		return fmt.Errorf("the server offers no sessions")
	}
	p.session = true
	return nil
}

func (p *mldPipe) get(key []byte) {
	p.id++
	p.out = wire.AppendGet(p.out, p.id, key, 0)
}

func (p *mldPipe) put(key, value []byte) {
	p.id++
	start := len(p.out)
	p.out = wire.AppendPut(p.out, p.id, key, value, p.durability)
	if p.session {
		p.n++
		p.out = wire.NumberWrite(p.out, start, p.n, p.settled)
	}
}

func (p *mldPipe) flush() error {
	_, err := p.c.Write(p.out)
	p.out = p.out[:0]
	return err
}

// answer must be called for all requests of a flush before the next put.
func (p *mldPipe) answer() (place int, value []byte, err error) {
	for {
		body, err := p.frames.Next()
		if err != nil {
			return 0, nil, err
		}
		if err := p.response.Decode(wire.ManyLevel, body); err != nil {
			return 0, nil, err
		}
		if p.response.Tag == wire.TagGoodbye {
			return 0, nil, fmt.Errorf("the server ends the connection: %w", p.response.Err)
		}
		if p.response.Tag != wire.TagCallback {
			continue
		}
		place = int(p.response.ID - p.first - 1)
		if p.answered++; p.answered == int(p.id-p.first) {
			p.first, p.answered, p.settled = p.id, 0, p.n
		}
		return place, p.response.Value, p.response.Err
	}
}

// Close ends the session, too, so that the server forgets it.
func (p *mldPipe) Close() error {
	defer p.c.Close()
	if !p.session {
		return nil
	}
	p.id++
	p.out = wire.AppendSessionEnd(p.out, p.id)
	if err := p.flush(); err != nil {
		return err
	}
	_, _, err := p.answer()
	return err
}
