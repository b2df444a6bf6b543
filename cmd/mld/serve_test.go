package main

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/multileveldown/mld/internal/unixsocket"
	"github.com/multileveldown/mld/wire"
)

func TestServe(t *testing.T) {
	for _, engine := range []string{enginePebble, engineLevelDB} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "new", "db")
			p := serve(t, dir, "--store", engine)
			cli(t, "put", "--db", p.address, "a", "1").ok(t)
			cli(t, "--db", p.address, "put", "b", "-5").failed(t, exitUsage, "-5", "mld put --help")
			cli(t, "--db", p.address, "put", "--sync", "nosync", "--", "b", "-5").ok(t)
			if got := cli(t, "get", "--db", p.address, "b").ok(t); got != "-5" {
				t.Errorf("get b: %q", got)
			}
			cli(t, "del", "--db", p.address, "b", "none").ok(t)
			cli(t, "get", "--db", p.address, "b").failed(t, exitNotFound, `get "b" at `+p.address+`: not found`)

			if got := cli(t, "get", "--db", dir, "a").ok(t); got != "1" {
				t.Errorf("in the directory that is served, get a: %q", got)
			}

			p.kill()
			p = serve(t, dir)
			if got := cli(t, "get", "--db", p.address, "a").ok(t); got != "1" {
				t.Errorf("after a crash, get a: %q", got)
			}
			if got := cli(t, "stats", "--db", p.address, "--json").ok(t); !strings.Contains(got, `"engine":"`+engine+`"`) {
				t.Errorf("stats: %s", got)
			}
			p.stop()
			if got := cli(t, "get", "--db", dir, "a").ok(t); got != "1" {
				t.Errorf("in the directory, get a: %q", got)
			}
		})
	}
	t.Run(engineMemory, func(t *testing.T) {
		t.Parallel()
		p := serve(t, "--store", "memory")
		cli(t, "put", "--db", p.address, "a", "1").ok(t)
		if got := cli(t, "scan", "--db", p.address).ok(t); got != "a\t1\n" {
			t.Errorf("scan: %q", got)
		}
		if got := cli(t, "stats", "--db", p.address).ok(t); !strings.HasPrefix(got, "engine ") || !strings.Contains(got, "server_puts_total") {
			t.Errorf("stats: %s", got)
		}
		p.stop()
	})
}

func TestServeRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, c := range []struct {
		name  string
		args  []string
		texts []string
	}{
		{"no directory", nil, []string{"--store memory"}},
		{"memory and a directory", []string{"--store", "memory", dir}, []string{dir}},
		{"memory that syncs", []string{"--store", "memory", "--sync", "sync"}, []string{"--sync"}},
		{"an engine that there is not", []string{"--store", "bolt", dir}, []string{"bolt", "pebble, leveldb, memory"}},
		{"a size", []string{"--max-frame", "many", dir}, []string{"--max-frame", "64KiB"}},
		{"an address", []string{"--listen", "http://x", dir}, []string{"http://x", "tcp://HOST:PORT"}},
		{"an address without port", []string{"--listen", "tcp://localhost", dir}, []string{"tcp://localhost", "port"}},
		{"--db", []string{"--db", dir}, []string{"--db"}},
		{"a sublevel", []string{"--sublevel", "a b", "--store", "memory"}, []string{"a b"}},
		{"two parts", []string{"--sublevel", "a", "--prefix", "b", dir}, []string{"prefix", "sublevel"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cli(t, append([]string{"serve"}, c.args...)...).failed(t, exitUsage, c.texts...)
		})
	}
	cli(t, "serve", "--readonly", filepath.Join(dir, "none")).failed(t, exitOpen, "none", "no store")
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("the directory was written to: %v, %v", entries, err)
	}
}

func TestAddressInUse(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	address := "tcp://" + l.Addr().String()
	cli(t, "serve", "--store", "memory", "--listen", address).failed(t, exitOpen, "listen on "+address+": another process listens there")
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{enginePebble, engineLevelDB} {
		t.Run(engine, func(t *testing.T) {
			dir := t.TempDir()
			cli(t, "put", "--db", dir, "--create", engine, "a", "1").ok(t)
			before := tree(t, dir)
			p := serve(t, dir, "--readonly")
			cli(t, "put", "--db", p.address, "b", "2").failed(t, exitRefused, "read-only")
			cli(t, "clear", "--db", p.address, "--all").failed(t, exitRefused, "read-only")
			if got := cli(t, "scan", "--db", p.address).ok(t); got != "a\t1\n" {
				t.Errorf("scan: %q", got)
			}
			p.stop()
			same(t, before, tree(t, dir))
		})
	}
}

func TestServePart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	entries := `{"key":"!a!!b!k","value":"1"}` + "\n" + `{"key":"!a!k","value":"2"}` + "\n" + `{"key":"k","value":"3"}` + "\n"
	cliWith(t, strings.NewReader(entries), "import", "--db", dir, "--create", "pebble").ok(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--sublevel", "a"}, "!b!k\t1\nk\t2\n"},
		{[]string{"--sublevel", "a", "--sublevel", "b"}, "k\t1\n"},
		{[]string{"--prefix", "!a!!"}, "b!k\t1\n"},
	} {
		p := serve(t, append(c.args, dir)...)
		if got := cli(t, "scan", "--db", p.address).ok(t); got != c.want {
			t.Errorf("%v: scan: %q, want %q", c.args, got, c.want)
		}
		cli(t, "clear", "--db", p.address, "--all").ok(t)
		cli(t, "put", "--db", p.address, "new", "").ok(t)
		stats := cli(t, "stats", "--db", p.address, "--json").ok(t)
		if !strings.Contains(stats, `"server_sessions":`) || strings.Contains(stats, dir) || strings.Contains(stats, "disk_bytes") {
			t.Errorf("%v: stats: %s", c.args, stats)
		}
		p.stop()
		if got := cli(t, "scan", "--db", dir, "--keys", "--gt", "k").ok(t); got != "" {
			t.Errorf("%v: %q can be seen", c.args, got)
		}
		if got := cli(t, "get", "--db", dir, "k").ok(t); got != "3" {
			t.Errorf("%v: what is outside was changed", c.args)
		}
		cliWith(t, strings.NewReader(entries), "import", "--db", dir).ok(t)
		cli(t, "del", "--db", dir, "!a!new", "!a!!b!new", "!a!!new").ok(t)
	}
}

func TestDialect(t *testing.T) {
	t.Parallel()
	p := serve(t, "--store", "memory", "--dialect", "multileveldown")
	cli(t, "put", "--db", p.address, "--dialect", "multileveldown", "a", "1").ok(t)
	if got := cli(t, "scan", "--db", p.address, "--dialect", "multileveldown").ok(t); got != "a\t1\n" {
		t.Errorf("scan: %q", got)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	p := serve(t, "--store", "memory", "--max-key", "4", "--max-value", "1KiB", "--max-connections", "1")
	cli(t, "put", "--db", p.address, "12345", "").failed(t, exitRefused, "max-key")
	cli(t, "put", "--db", p.address, "1234", strings.Repeat("x", 1025)).failed(t, exitRefused, "max-value")
	cli(t, "put", "--db", p.address, "1234", strings.Repeat("x", 1024)).ok(t)
}

// stubborn is a connection of a client that does not end it when it is asked to.
func stubborn(t *testing.T, p *process) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.address, "tcp://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	hello := wire.AppendHello(nil, &wire.Hello{Version: wire.ProtocolVersion, Dialect: wire.ManyLevel})
	if _, err := conn.Write(hello); err != nil {
		t.Fatal(err)
	}
	next(t, conn) // the welcome
	return conn
}

// next reads something that the server says.
func next(t *testing.T, conn net.Conn) {
	t.Helper()
	if n, err := conn.Read(make([]byte, 4096)); n == 0 || err != nil {
		t.Fatalf("the server said nothing: %v", err)
	}
}

func TestSignals(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no signals")
	}
	for _, c := range []struct {
		name   string
		second syscall.Signal
		code   int
	}{
		{"drain", 0, exitOK},
		{"interrupt", syscall.SIGINT, 130},
		{"terminate", syscall.SIGTERM, 143},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "db")
			p := serve(t, dir, "--grace", "1h")
			conn := stubborn(t, p)
			cli(t, "put", "--db", p.address, "a", "1").ok(t)
			p.signal(syscall.SIGTERM)
			next(t, conn) // that it drains
			if c.second == 0 {
				conn.Close()
			} else {
				p.signal(c.second)
			}
			if code := p.wait(); code != c.code {
				t.Errorf("exit code %d, want %d; stderr:\n%s", code, c.code, p.stderr)
			}
			if got := cli(t, "get", "--db", dir, "a").ok(t); got != "1" {
				t.Errorf("get a: %q", got)
			}
		})
	}
	t.Run("grace", func(t *testing.T) {
		t.Parallel()
		p := serve(t, "--store", "memory", "--grace", "1ms")
		conn := stubborn(t, p)
		p.signal(syscall.SIGTERM)
		if code := p.wait(); code != exitOK || !strings.Contains(p.stderr.String(), "had to be cut") {
			t.Errorf("exit code %d; stderr:\n%s", code, p.stderr)
		}
		conn.Close()
	})
}

func TestStdio(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "db")
	db := "exec:" + binary + " serve --stdio '" + dir + "'"
	cli(t, "put", "--db", db, "a", "1").ok(t)
	if got := cli(t, "get", "--db", db, "a").ok(t); got != "1" {
		t.Errorf("get a: %q", got)
	}
	if got := cli(t, "scan", "--db", dir).ok(t); got != "a\t1\n" {
		t.Errorf("scan: %q", got)
	}
	if got := cliWith(t, strings.NewReader(""), "serve", "--stdio", dir).ok(t); got != "" {
		t.Errorf("stdout has %q, which is not the wire", got)
	}
	cli(t, "get", "--db", "exec:"+binary+" serve --stdio --readonly '"+dir+"/none'", "--timeout", "5s", "a").
		failed(t, exitOpen, "none", "no store")

	// Signals end it although its input stays open.
	stdin, w := io.Pipe()
	defer w.Close()
	stderr := newLog()
	ended := make(chan int, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		ended <- run(ctx, []string{"serve", "--stdio", "--store", "memory", "--listen", "tcp://127.0.0.1:0"}, stdin, io.Discard, stderr)
	}()
	stderr.waitFor("listening on tcp://127.0.0.1:")
	cancel()
	if code := <-ended; code != exitOK {
		t.Errorf("exit code %d; stderr:\n%s", code, stderr)
	}
}

// outside is a listener that says that it can be reached from elsewhere.
type outside struct{ net.Listener }

func (outside) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4zero, Port: 1} }

func TestWarnsOfOtherMachines(t *testing.T) {
	var stdout, stderr strings.Builder
	f := &serveFlags{app: &app{stdout: &stdout, stderr: &stderr}}
	inside, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inside.Close()
	if err := f.announce([]net.Listener{inside, outside{}}); err != nil {
		t.Fatal(err)
	}
	if want := "mld: warning: tcp://0.0.0.0:1 can be reached from other machines, and there is no authentication\n"; stderr.String() != want {
		t.Errorf("stderr: %q", stderr.String())
	}
	if got := strings.Count(stdout.String(), "listening on tcp://"); got != 2 {
		t.Errorf("stdout: %q", stdout.String())
	}
}

func TestUnixSocket(t *testing.T) {
	t.Parallel()
	// A test's own directory may have a long path.
	dir, err := os.MkdirTemp("", "mld")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "s")
	start := func() *process { return serve(t, "--store", "memory", "--listen", "unix:"+path) }

	p := start()
	if p.address != "unix://"+path {
		t.Errorf("listening on %s", p.address)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket's mode: %v, %v", info.Mode(), err)
	}
	cli(t, "put", "--db", p.address, "a", "1").ok(t)

	// Another one does not take it from a server that lives.
	cli(t, "serve", "--store", "memory", "--listen", "unix:"+path).failed(t, exitOpen, path, "another process listens there")
	if got := cli(t, "get", "--db", p.address, "a").ok(t); got != "1" {
		t.Errorf("get a: %q", got)
	}

	// A socket that a crash left is replaced; one that is no longer served is
	// removed.
	p.kill()
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	p = start()
	cli(t, "put", "--db", p.address, "a", "1").ok(t)
	p.stop()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}

	// What is not a socket stays.
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	cli(t, "serve", "--store", "memory", "--listen", "unix:"+path).failed(t, exitOpen, path, "not a socket")
	if b, err := os.ReadFile(path); string(b) != "precious" {
		t.Errorf("the file has %q, %v", b, err)
	}

	// The system would truncate a path that is too long.
	long := filepath.Join(dir, strings.Repeat("x", unixsocket.MaxPath-len(dir)))
	cli(t, "serve", "--store", "memory", "--listen", "unix:"+long).failed(t, exitUsage, "the path has")
	p = serve(t, "--store", "memory", "--listen", "unix:"+long[:unixsocket.MaxPath])
	cli(t, "get", "--db", p.address, "a").failed(t, exitNotFound)
	p.stop()
}
