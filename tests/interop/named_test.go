package interop

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// serveNamed serves connections that begin with a line that names a store, as
// host.js --named does, and returns the address. Each connection is handed to
// serve with its store's name and its number among those of that name, from 0.
// The connections end with the test.
func serveNamed(t testing.TB, serve func(ctx context.Context, name string, n int, conn net.Conn)) (addr string) {
	t.Helper()
	l := listen(t)
	ctx, cancel := context.WithCancel(context.Background())
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex // protects following
		counts = make(map[string]int)
	)
	t.Cleanup(func() {
		l.Close()
		cancel()
		wg.Wait()
	})

	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				defer context.AfterFunc(ctx, func() { conn.Close() })()
				name, err := readLine(conn)
				if err != nil {
					return
				}
				mu.Lock()
				n := counts[name]
				counts[name]++
				mu.Unlock()
				serve(ctx, name, n, conn)
			})
		}
	})
	return l.Addr().String()
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// dialNamed connects to a store of a server of named stores.
func dialNamed(ctx context.Context, addr, name string) (io.ReadWriteCloser, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, name+"\n"); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// readLine reads up to a newline, and not a byte more.
func readLine(r io.Reader) (string, error) {
	var line strings.Builder
	var b [1]byte
	for {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return "", err
		}
		if b[0] == '\n' {
			return line.String(), nil
		}
		line.WriteByte(b[0])
	}
}
