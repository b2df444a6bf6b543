package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
)

// redisServer is two processes of redis-server: one that writes nothing to disk,
// and, if a workload needs it, one whose log is synced before it answers, and not
// rewritten meanwhile.
type redisServer struct {
	plain, synced *process
	dir           string
	ports         map[bool]int // by whether it syncs
}

func (s *redisServer) start(ctx context.Context, b *bench) error {
	if s.plain != nil {
		return nil
	}
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		return errNotInstalled
	}
	s.dir, s.ports = b.dir, map[bool]int{}
	if s.plain, err = s.run(ctx, b, bin, false, "--appendonly", "no"); err != nil || !b.synced {
		return err
	}
	s.synced, err = s.run(ctx, b, bin, true, "--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0")
	return err
}

// run starts a process and fills it.
func (s *redisServer) run(ctx context.Context, b *bench, bin string, sync bool, args ...string) (*process, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s.ports[sync] = port
	dir, err := makeDir(s.dir, fmt.Sprintf("redis-%v", sync))
	if err != nil {
		return nil, err
	}
	p, err := startQuiet(filepath.Join(dir, "log"), bin, append(args, "--bind", "127.0.0.1", "--port", strconv.Itoa(port),
		"--unixsocket", s.socket(sync), "--dir", dir, "--save", "", "--maxclients", "20000")...)
	if err != nil {
		return nil, err
	}
	c, err := waitDial(ctx, "tcp", s.address(sync))
	if err != nil {
		return p, fmt.Errorf("redis-server: %w", err)
	}
	return p, fillPipe(b.data, newRedisPipe(c))
}

func (s *redisServer) address(sync bool) string { return fmt.Sprintf("127.0.0.1:%d", s.ports[sync]) }

func (s *redisServer) socket(sync bool) string {
	return filepath.Join(s.dir, fmt.Sprintf("redis-%v.sock", sync))
}

func (s *redisServer) dial(ctx context.Context, sync, unix bool) (net.Conn, error) {
	if unix {
		return dialUntil(ctx, "unix", s.socket(sync))
	}
	return dialUntil(ctx, "tcp", s.address(sync))
}

// redisPeer are connections to the servers of one kind.
type redisPeer struct {
	label  string
	server *redisServer
	owns   bool
	unix   bool
}

func (p *redisPeer) name() string                              { return p.label }
func (p *redisPeer) start(ctx context.Context, b *bench) error { return p.server.start(ctx, b) }
func (p *redisPeer) lacks(w *workload) bool                    { return w.shared }

func (p *redisPeer) memory() int64 {
	if !p.owns {
		return 0
	}
	return p.server.plain.memory()
}

func (p *redisPeer) close() error {
	if !p.owns {
		return nil
	}
	return errors.Join(p.server.plain.stop(), p.server.synced.stop())
}

func (p *redisPeer) pipe(ctx context.Context, w *workload) (pipe, error) {
	c, err := p.server.dial(ctx, w.sync, p.unix)
	if err != nil {
		return nil, err
	}
	return newRedisPipe(c), nil
}

// redisPipe speaks RESP.
type redisPipe struct {
	c     net.Conn
	in    *bufio.Reader
	out   []byte
	place int // of the last answer
}

func newRedisPipe(c net.Conn) *redisPipe { return &redisPipe{c: c, in: bufio.NewReaderSize(c, 64<<10)} }

func (p *redisPipe) get(key []byte) { p.out = appendCommand(p.out, "*2\r\n$3\r\nGET\r\n", key) }

func (p *redisPipe) put(key, value []byte) {
	p.out = appendCommand(p.out, "*3\r\n$3\r\nSET\r\n", key, value)
}

// batch adds one request that puts entries together.
func (p *redisPipe) batch(entries []entry) {
	args := make([][]byte, 0, 2*len(entries))
	for _, e := range entries {
		args = append(args, e.key, e.value)
	}
	p.out = appendCommand(p.out, fmt.Sprintf("*%d\r\n$4\r\nMSET\r\n", 1+len(args)), args...)
}

func appendCommand(dst []byte, head string, args ...[]byte) []byte {
	dst = append(dst, head...)
	for _, arg := range args {
		dst = append(dst, '$')
		dst = strconv.AppendInt(dst, int64(len(arg)), 10)
		dst = append(dst, "\r\n"...)
		dst = append(dst, arg...)
		dst = append(dst, "\r\n"...)
	}
	return dst
}

func (p *redisPipe) flush() error {
	_, err := p.c.Write(p.out)
	p.out, p.place = p.out[:0], -1
	return err
}

func (p *redisPipe) answer() (place int, value []byte, err error) {
	p.place++
	line, err := p.in.ReadSlice('\n')
	if err != nil {
		return 0, nil, err
	}
	if len(line) < 3 {
		return 0, nil, fmt.Errorf("redis answers %q", line)
	}
	head := line[1 : len(line)-2]
	switch line[0] {
	case '+':
		return p.place, nil, nil
	case '$':
		n := 0
		for _, digit := range head {
			if digit < '0' || digit > '9' {
				return 0, nil, fmt.Errorf("redis has no such key: %q", line)
			}
			n = 10*n + int(digit-'0')
		}
		if n+2 <= p.in.Size() {
			value, err := p.in.Peek(n + 2)
			if err != nil {
				return 0, nil, err
			}
			_, err = p.in.Discard(n + 2)
			return p.place, value[:n], err
		}
		value := make([]byte, n+2)
		_, err := io.ReadFull(p.in, value)
		return p.place, value[:n], err
	default:
		return 0, nil, fmt.Errorf("redis answers %q", line)
	}
}

func (p *redisPipe) Close() error { return p.c.Close() }

// fillPipe puts all entries through a pipe, which it closes.
func fillPipe(d *data, p pipe) error {
	defer p.Close()
	sent := 0
	drain := func() error {
		if err := p.flush(); err != nil {
			return err
		}
		for ; sent > 0; sent-- {
			if _, _, err := p.answer(); err != nil {
				return err
			}
		}
		return nil
	}
	err := d.each(func(key, value []byte) error {
		p.put(key, value)
		if sent++; sent < 1000 {
			return nil
		}
		return drain()
	})
	if err != nil {
		return err
	}
	return drain()
}
