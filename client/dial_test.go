package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/multileveldown/mld"
)

// commandVar makes the test's own program play a command, see TestMain.
const commandVar = "MLD_CLIENT_TEST_COMMAND"

// playCommand does as a command that a client starts: it copies its input to
// its output until the end, or fails.
func playCommand(how string) int {
	switch how {
	case "cat":
		io.Copy(os.Stdout, os.Stdin)
		return 0
	case "fail":
		fmt.Fprintln(os.Stderr, "no such directory")
		return 3
	default: // hang
		select {}
	}
}

func TestDialer(t *testing.T) {
	for _, test := range []struct {
		url  string
		want string // in the error
	}{
		{"tcp://host:9000", ""},
		{"tcp://[::1]:9000", ""},
		{"tcp://host:9000/", ""},
		{"unix:///run/socket", ""},
		{"unix:socket", ""},
		{`exec:ssh "a host" mld`, ""},
		{"", "no scheme"},
		{"host", "no scheme"},
		{"host:9000", `scheme "host"`},
		{"http://host:9000", `scheme "http"`},
		{"tcp://host", "no port"},
		{"tcp://host:http-of-old", "port"},
		{"tcp://host:99999", "99999"},
		{"tcp://host:1/path", "more than"},
		{"tcp://me@host:1", "more than"},
		{"unix://socket", "unix:socket"},
		{"unix:", "no path"},
		{"exec:", "no command"},
		{"exec:  ", "no command"},
		{`exec:a "b`, "not closed"},
	} {
		_, err := Dialer(test.url)
		if test.want == "" {
			if err != nil {
				t.Errorf("%s: %v", test.url, err)
			}
			continue
		}
		wantIs(t, test.url, err, mld.ErrInvalidArgument)
		if !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v; want %q", test.url, err, test.want)
		}
	}
	_, err := Dialer()
	wantIs(t, "no URL", err, mld.ErrInvalidArgument)
	_, err = Dialer("tcp://host:1", "nonsense")
	wantIs(t, "a bad one among several", err, mld.ErrInvalidArgument)
}

func TestSplitCommand(t *testing.T) {
	got, err := splitCommand(` ssh  -o 'A B' host"s name" ""	--x`)
	want := []string{"ssh", "-o", "A B", "hosts name", "", "--x"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

// echo accepts connections and sends back what comes.
func echo(t *testing.T, network, address string) string {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			io.Copy(c, c)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-ended })
	return l.Addr().String()
}

// TestDialEach sends a line over each kind of stream and back.
func TestDialEach(t *testing.T) {
	t.Setenv(commandVar, "cat")
	dir := t.TempDir()
	t.Chdir(dir)
	socket := filepath.Join(dir, "socket")
	urls := []string{
		"tcp://" + echo(t, "tcp", "127.0.0.1:0"),
		"unix://" + echo(t, "unix", socket),
		"unix:socket",
		fmt.Sprintf("exec:%q", os.Args[0]),
	}
	for _, u := range urls {
		dial, err := Dialer(u)
		if err != nil {
			t.Fatal(err)
		}
		stream, err := dial(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", u, err)
		}
		fmt.Fprintln(stream, "hello")
		if line, err := bufio.NewReader(stream).ReadString('\n'); line != "hello\n" {
			t.Errorf("%s: %q, %v", u, line, err)
		}
		if err := stream.Close(); err != nil {
			t.Errorf("%s: Close: %v", u, err)
		}
	}
}

// TestDialInTurn has several addresses, of which some refuse.
func TestDialInTurn(t *testing.T) {
	dir := t.TempDir()
	good, other := filepath.Join(dir, "good"), filepath.Join(dir, "other")
	echo(t, "unix", good)
	echo(t, "unix", other)
	gone := "unix://" + filepath.Join(dir, "gone")
	dial, err := Dialer(gone, "unix://"+good, "unix://"+other)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{good, other, good} {
		stream, err := dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := stream.(net.Conn).RemoteAddr().String(); got != want {
			t.Errorf("dialled %s; want %s", got, want)
		}
		stream.Close()
	}
	dial, _ = Dialer(gone, gone+"2")
	_, err = dial(t.Context())
	wantIs(t, "all refused", err, mld.ErrConnectionLost, syscall.ENOENT)
	for _, u := range []string{gone, gone + "2"} {
		if !strings.Contains(err.Error(), u) {
			t.Errorf("%v; want %s in it", err, u)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = dial(ctx)
	wantIs(t, "ended context", err, context.Canceled)
}

// TestCommandEnds looks what a command that fails leaves in the error, and that
// one that hangs is killed.
func TestCommandEnds(t *testing.T) {
	t.Setenv(commandVar, "fail")
	stream, err := startCommand(t.Context(), []string{os.Args[0]})
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.ReadAll(stream)
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "no such directory") {
		t.Errorf("reading from a command that failed: %v", err)
	}
	stream.Close()

	t.Setenv(commandVar, "hang")
	if stream, err = startCommand(t.Context(), []string{os.Args[0]}); err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	if err := stream.Close(); err != nil {
		t.Error(err)
	}
	if d := time.Since(before); d < commandGrace {
		t.Errorf("killed after %v", d)
	}
	if stream.(*command).err == nil {
		t.Error("the command was not killed")
	}

	_, err = startCommand(t.Context(), []string{filepath.Join(t.TempDir(), "none")})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("starting what is not there: %v", err)
	}
}
