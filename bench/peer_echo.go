package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/multileveldown/mld/wire"
)

// echoPeer is a server that reads as many bytes as a get has and writes as many as
// its answer: what a round trip costs without anything else.
type echoPeer struct {
	network   string
	process   *process
	address   string
	request   []byte
	answer    int // the length of an answer
	valueSize int
}

func (p *echoPeer) name() string {
	if p.network == "unix" {
		return "raw echo, unix socket"
	}
	return "raw echo"
}

func (p *echoPeer) start(_ context.Context, b *bench) (err error) {
	p.measure(b.data.valueSize)
	p.process, p.address, err = b.serveSelf("echo", p.network, fmt.Sprint(len(p.request)), fmt.Sprint(p.answer))
	return err
}

// measure makes a get, and takes the size of its answer. The numbers of requests
// have three bytes for the most part.
func (p *echoPeer) measure(valueSize int) {
	const id = 1 << 20
	p.valueSize = valueSize
	p.request = wire.AppendGet(nil, id, makeKey(0), 0)
	p.answer = len(wire.AppendValue(nil, id, make([]byte, valueSize)))
}

func (p *echoPeer) lacks(w *workload) bool { return w.op != opGet || w.conns > 1 || w.inFlight > 1 }
func (p *echoPeer) memory() int64          { return 0 }
func (p *echoPeer) close() error           { return p.process.stop() }

func (p *echoPeer) pipe(ctx context.Context, _ *workload) (pipe, error) {
	c, err := dialUntil(ctx, p.network, p.address)
	if err != nil {
		return nil, err
	}
	return &echoPipe{c: c, request: bytes.Clone(p.request), in: make([]byte, p.answer), value: make([]byte, p.valueSize)}, nil
}

type echoPipe struct {
	c       net.Conn
	request []byte
	key     []byte
	in      []byte
	value   []byte
}

func (p *echoPipe) get(key []byte)  { p.key = key }
func (p *echoPipe) put(_, _ []byte) {}
func (p *echoPipe) Close() error    { return p.c.Close() }

func (p *echoPipe) flush() error {
	copy(p.request, p.key)
	_, err := p.c.Write(p.request)
	return err
}

// answer checks that the server has echoed, and returns the value that a store
// would have.
func (p *echoPipe) answer() (place int, value []byte, err error) {
	if _, err := io.ReadFull(p.c, p.in); err != nil {
		return 0, nil, err
	}
	if string(p.in[:keyLen]) != string(p.key) {
		return 0, nil, errors.New("the echo is not what was sent")
	}
	setValue(p.value, p.key)
	return 0, p.value, nil
}

// serveEcho is the server, in its own process.
func serveEcho(l net.Listener, request, response int) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			in, out := make([]byte, request), make([]byte, response)
			for {
				if _, err := io.ReadFull(c, in); err != nil {
					return
				}
				copy(out, in)
				if _, err := c.Write(out); err != nil {
					return
				}
			}
		}()
	}
}
