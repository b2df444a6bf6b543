package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/leveldbstore"
	"github.com/multileveldown/mld/store/pebblestore"
	"github.com/multileveldown/mld/store/reserved"
)

var seed = flag.Uint64("seed", uint64(time.Now().UnixNano()), "of the random tests")

// newStore returns a directory with a store of these operations.
func newStore(t *testing.T, engine string, ops ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "db")
	cliWith(t, strings.NewReader(strings.Join(ops, "\n")), "batch", "--db", dir, "--create", engine).ok(t)
	return dir
}

func put(key, value string) string {
	return fmt.Sprintf(`{"type":"put","key":%q,"value":%q}`, key, value)
}

func TestScan(t *testing.T) {
	t.Parallel()
	dir := newStore(t, engineLevelDB, put("a", "1"), put("b", "2"), put("ba", "3"), put("c", "4"),
		`{"type":"put","key_base64":"/wA=","value":"tab\tnewline\n\\ é\u0007"}`)
	for _, c := range []struct {
		args string
		want string
	}{
		{"", "a\t1\nb\t2\nba\t3\nc\t4\n\\xff\\x00\ttab\\tnewline\\n\\\\ é\\x07\n"},
		{"--gt a --lt c", "b\t2\nba\t3\n"},
		{"--gte a --lte b", "a\t1\nb\t2\n"},
		{"--prefix b", "b\t2\nba\t3\n"},
		{"--prefix b --gt b", "ba\t3\n"},
		{"--prefix b --lt ba", "b\t2\n"},
		{"--prefix b --gte a --lt z", "b\t2\nba\t3\n"},
		{"--reverse --limit 2 --lt c --keys", "ba\nb\n"},
		{"--values --limit 2", "1\n2\n"},
		{"--gte ff --key-encoding hex --value-encoding base64", "ff00\tdGFiCW5ld2xpbmUKXCDDqQc=\n"},
		{`--prefix \xff --key-encoding escaped --keys`, "\\xff\\x00\n"},
		{"--prefix /w== --key-encoding base64 --keys", "/wA=\n"},
		{"--prefix b -0", "b\x002\x00ba\x003\x00"},
		{"--prefix b -0 --keys", "b\x00ba\x00"},
		{"--prefix b --format json", `{"key":"b","value":"2"}` + "\n" + `{"key":"ba","value":"3"}` + "\n"},
		{"--gt c --format json", `{"key_base64":"/wA=","value":"tab\tnewline\n\\ é\u0007"}` + "\n"},
		{"--limit 1 --format json --keys", `{"key":"a"}` + "\n"},
		{"--limit 1 --format json --values", `{"value":"1"}` + "\n"},
		{"--gt c --lt b", ""},
	} {
		if got := cli(t, append([]string{"scan", "--db", dir}, strings.Fields(c.args)...)...).ok(t); got != c.want {
			t.Errorf("scan %s:\n%q, want\n%q", c.args, got, c.want)
		}
	}
	// An empty bound is one.
	if got := cli(t, "scan", "--db", dir, "--lt", "").ok(t); got != "" {
		t.Errorf("below the empty key: %q", got)
	}
	for _, args := range []string{"--limit 0", "--limit x", "--keys --values", "-0 --format json", "--gt zz --key-encoding hex", "a"} {
		cli(t, append([]string{"scan", "--db", dir}, strings.Fields(args)...)...).failed(t, exitUsage)
	}
}

func TestGetAndPut(t *testing.T) {
	t.Parallel()
	dir := newStore(t, enginePebble)
	binary := "\x00\xff\n"
	cliWith(t, strings.NewReader(binary), "put", "--db", dir, "a", "-").ok(t)
	cli(t, "put", "--db", dir, "--key-encoding", "hex", "00ff", "--value-encoding", "base64", "AAE=").ok(t)
	cliWith(t, strings.NewReader("0001\n"), "put", "--db", dir, "--key-encoding", "escaped", `\n\\`, "--value-encoding", "hex", "-").ok(t)
	cli(t, "put", "--db", dir, "", "").ok(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"a"}, binary},
		{[]string{"a", "--value-encoding", "escaped"}, `\x00\xff\n` + "\n"},
		{[]string{"--key-encoding", "base64", "AP8="}, "\x00\x01"},
		{[]string{"\n\\", "--value-encoding", "hex"}, "0001\n"},
		{[]string{""}, ""},
	} {
		if got := cli(t, append([]string{"get", "--db", dir}, c.args...)...).ok(t); got != c.want {
			t.Errorf("get %q: %q, want %q", c.args, got, c.want)
		}
	}
	cli(t, "put", "--db", dir, "--key-encoding", "hex", "0", "").failed(t, exitUsage, `"0" is not hex`)
	cli(t, "put", "--db", dir, "a", "--value-encoding", "escaped", `\q`).failed(t, exitUsage, `no escape \q`)
	cli(t, "get", "--db", dir).failed(t, exitUsage, "arg", "mld get --help")
}

func TestClear(t *testing.T) {
	t.Parallel()
	dir := newStore(t, enginePebble, put("a", ""), put("b", ""), put("c", ""), put("d", ""), put("e", ""))
	for _, args := range []string{"", "--limit 1", "--reverse", "--all --prefix a", "--all --limit 0"} {
		cli(t, append([]string{"clear", "--db", dir}, strings.Fields(args)...)...).failed(t, exitUsage, "--")
	}
	for _, c := range []struct{ args, left string }{
		{"--gte b --limit 1", "a c d e"},
		{"--all --reverse --limit 1", "a c d"},
		{"--prefix c", "a d"},
		{"--all", ""},
	} {
		cli(t, append([]string{"clear", "--db", dir}, strings.Fields(c.args)...)...).ok(t)
		if got := strings.Join(strings.Fields(cli(t, "scan", "--db", dir, "--keys").ok(t)), " "); got != c.left {
			t.Errorf("after clear %s: %s, want %s", c.args, got, c.left)
		}
	}
}

// TestReserved looks that the commands that open a directory leave the keys alone
// that a server keeps there for itself.
func TestReserved(t *testing.T) {
	t.Parallel()
	record, next := mld.ReservedPrefix+"record", "\xff\xffmld\x01"
	for _, engine := range []string{enginePebble, engineLevelDB} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			dir := newStore(t, engine, put("a", "1"))
			direct := func(use func(s mld.Store) error) {
				t.Helper()
				s, err := openDirectory(dir, engineOptions{})
				if err == nil {
					err = errors.Join(use(s), s.Close())
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			direct(func(s mld.Store) error {
				return errors.Join(s.Put(t.Context(), []byte(record), []byte("kept"), nil), s.Put(t.Context(), []byte(next), nil, nil))
			})
			const encoding = "--key-encoding=hex"
			key := hex.EncodeToString([]byte(record))
			cli(t, "get", "--db", dir, encoding, key).failed(t, exitNotFound)
			cli(t, "put", "--db", dir, encoding, key, "x").failed(t, exitRefused, "reserved")
			cli(t, "del", "--db", dir, encoding, key).failed(t, exitRefused, "reserved")
			for _, args := range [][]string{{"scan"}, {"export"}} {
				out := cli(t, append(args, "--db", dir)...).ok(t)
				if strings.Contains(out, "kept") || strings.Contains(out, base64.StdEncoding.EncodeToString([]byte(record))) {
					t.Errorf("%s shows a reserved key: %s", args[0], out)
				}
			}
			cli(t, "clear", "--db", dir, "--all").ok(t)
			direct(func(s mld.Store) error {
				left, err := mld.Collect(t.Context(), s, nil)
				left = slices.DeleteFunc(left, func(e mld.Entry) bool { return string(e.Key) == mld.ReservedPrefix+"m" }) // of the sessions
				if err == nil && (len(left) != 1 || string(left[0].Key) != record || string(left[0].Value) != "kept") {
					t.Errorf("clear --all left %q", left)
				}
				return err
			})
		})
	}
}

func TestBatch(t *testing.T) {
	t.Parallel()
	dir := newStore(t, enginePebble, put("a", "1"), put("b", "2"))
	const unchanged = "a\t1\nb\t2\n"
	for _, c := range []struct{ line, text string }{
		{`{"type":"put","key":"c"}`, `"value" is missing`},
		{`{"type":"put","value":"c"}`, `"key" is missing`},
		{`{"key":"c","value":"3"}`, `"type" is missing`},
		{`{"type":"get","key":"c"}`, `"get"`},
		{`{"type":"del","key":"c","value":"3"}`, "no value"},
		{`{"type":"put","key":"c","value":3}`, "no JSON object of the expected form"},
		{`{"type":"put","key":"c","key_base64":"Yw==","value":"3"}`, "exclude"},
		{`{"type":"put","key_base64":"?","value":"3"}`, "base64"},
		{`{"type":"put","key":"c","valeu":"3"}`, "valeu"},
		{`{"type":"put","key":"c","value":"3"} x`, "after the JSON object"},
		{`{"type":"put","key":"c","value":"3"`, "no JSON object"},
		{`[]`, "no JSON object"},
		{`put c 3`, "no JSON object"},
		{"{\"type\":\"put\",\"key\":\"\xff\",\"value\":\"3\"}", "not UTF-8"},
		{`{"type":"put","key":"c","value":"\ud83d"}`, "half a character"},
		{`{"type":"put","key":"c","value":"\\\ude00"}`, "half a character"},
	} {
		input := `{"type":"del","key":"a"}` + "\n\n" + c.line + "\n" + put("d", "4") + "\n"
		cliWith(t, strings.NewReader(input), "batch", "--db", dir).failed(t, exitUsage, "line 3", c.text)
		if got := cli(t, "scan", "--db", dir).ok(t); got != unchanged {
			t.Fatalf("after %s: scan: %q", c.line, got)
		}
	}
	input := `{"type":"del","key":"a"}` + "\n" + `{"type":"put","key":"c","value":"\ud83d\ude00\\ud83d"}`
	cliWith(t, strings.NewReader(input), "batch", "--db", dir).ok(t)
	if got := cli(t, "scan", "--db", dir).ok(t); got != "b\t2\nc\t😀\\\\ud83d\n" {
		t.Errorf("scan: %q", got)
	}
	cliWith(t, strings.NewReader(""), "batch", "--db", dir).ok(t)
}

// randomEntries returns entries with every kind of byte, in order.
func randomEntries(t *testing.T, n int) []mld.Entry {
	t.Helper()
	t.Logf("-seed %d", *seed)
	random := rand.New(rand.NewPCG(*seed, 0))
	some := func(most int) []byte {
		b := make([]byte, random.IntN(most))
		alphabet := [...]string{"abc", "\"\\\n\r\t\x00\x1f\x7f/<>&", "é\u2028😀", "\xff\xfe\x80"}[random.IntN(4)]
		for i := range b {
			b[i] = alphabet[random.IntN(len(alphabet))]
		}
		return b
	}
	entries := make([]mld.Entry, n)
	for i := range entries {
		// The number keeps keys apart, and what follows is of any kind.
		entries[i] = mld.Entry{Key: append(fmt.Appendf(nil, "%06d", i), some(10)...), Value: some(100)}
	}
	entries[0].Key = []byte{}
	return entries
}

func TestExportAndImport(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	want := randomEntries(t, 5000)
	source := filepath.Join(t.TempDir(), "source")
	store, err := leveldbstore.Open(source, nil)
	if err != nil {
		t.Fatal(err)
	}
	var b mld.Batch
	for _, e := range want {
		b.Put(e.Key, e.Value)
	}
	if err := store.Apply(ctx, &b, nil); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}

	// A directory is exported into a server, and that into another directory.
	p := serve(t, "--store", "memory")
	first := cli(t, "export", "--db", source)
	first.ok(t)
	if first.stderr != "" {
		t.Errorf("stderr, which is no terminal, has %q", first.stderr)
	}
	checkNDJSON(t, first.stdout, want)
	cliWith(t, strings.NewReader(first.stdout), "import", "--db", p.address, "--batch-size", "99").ok(t)
	second := cli(t, "export", "--db", p.address).ok(t)
	target := filepath.Join(t.TempDir(), "target")
	cliWith(t, strings.NewReader(second), "import", "--db", target, "--create", "pebble").ok(t)

	copied, err := pebblestore.Open(target, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer copied.Close()
	got, err := mld.Collect(ctx, reserved.Hide(copied), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(got, want, func(a, b mld.Entry) bool { return bytes.Equal(a.Key, b.Key) && bytes.Equal(a.Value, b.Value) }) {
		t.Errorf("%d entries came out of %d, or others", len(got), len(want))
	}
}

// checkNDJSON reads lines as another program would.
func checkNDJSON(t *testing.T, text string, want []mld.Entry) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	for i, e := range want {
		var fields map[string]string
		if err := d.Decode(&fields); err != nil {
			t.Fatalf("entry %d: %v", i, err)
		}
		for name, b := range map[string][]byte{"key": e.Key, "value": e.Value} {
			got, ok := fields[name]
			if encoded, isBase64 := fields[name+"_base64"]; isBase64 {
				raw, err := base64.StdEncoding.DecodeString(encoded)
				if err != nil || ok {
					t.Fatalf("entry %d: %v", i, fields)
				}
				got, ok = string(raw), true
			}
			if !ok || got != string(b) {
				t.Fatalf("entry %d: %s is %q, want %q", i, name, got, b)
			}
		}
	}
	if d.More() {
		t.Error("there are more entries than expected")
	}
}

func TestImportSaysHowFarItGot(t *testing.T) {
	t.Parallel()
	dir := newStore(t, enginePebble)
	input := strings.Repeat(`{"key":"a","value":"1"}`+"\n", 4) + `{"key":"b","value":"1"}` + "\n" + "{\n"
	cliWith(t, strings.NewReader(input), "import", "--db", dir, "--batch-size", "2").
		failed(t, exitUsage, "imported up to line 4, which are 4 entries", "line 6")
	if got := cli(t, "scan", "--db", dir).ok(t); got != "a\t1\n" {
		t.Errorf("scan: %q", got)
	}
	cliWith(t, strings.NewReader(input), "import", "--db", dir).failed(t, exitUsage, "nothing was imported", "line 6")
	cliWith(t, strings.NewReader(`{"type":"del","key":"a"}`), "import", "--db", dir).failed(t, exitUsage, `no type "del"`)

	p := serve(t, "--store", "memory", "--max-key", "2")
	cliWith(t, strings.NewReader(`{"key":"a","value":"1"}`+"\n"+`{"key":"abc","value":"1"}`), "import", "--db", p.address, "--batch-size", "1").
		failed(t, exitRefused, "imported up to line 1, which are 1 entries", "max-key")
}

func TestInterruptedImport(t *testing.T) {
	t.Parallel()
	dir := newStore(t, enginePebble)
	stdin, w := io.Pipe()
	defer w.Close()
	ctx, cancel := context.WithCancel(context.Background())
	stderr := newLog()
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"import", "--db", dir, "--batch-size", "1"}, stdin, io.Discard, stderr)
	}()
	// The second line is read when the first batch is on its way.
	for range 3 {
		fmt.Fprintln(w, `{"key":"a","value":"1"}`)
	}
	cancel()
	if code := <-ended; code != exitFailed || !strings.Contains(stderr.String(), "interrupted") {
		t.Errorf("exit code %d; stderr:\n%s", code, stderr)
	}
}

func TestNobodyReads(t *testing.T) {
	t.Parallel()
	dir := newStore(t, enginePebble, put("a", strings.Repeat("x", 1<<20)), put("b", "1"))
	for _, args := range [][]string{{"scan"}, {"export"}, {"get", "a"}} {
		var stderr bytes.Buffer
		cmd := exec.Command(binary, append(args, "--db", dir)...)
		cmd.Env = environment()
		cmd.Stderr = &stderr
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(stdout, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		stdout.Close()
		if err := cmd.Wait(); err != nil || stderr.Len() > 0 {
			t.Errorf("%v: %v; stderr: %s", args, err, &stderr)
		}
	}
}

func TestNoServer(t *testing.T) {
	t.Parallel()
	// One that takes connections and says nothing.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "tcp://" + l.Addr().String()
	cli(t, "get", "--db", address, "--timeout", "50ms", "a").failed(t, exitOpen, "no answer from "+address+" within 50ms")
	cli(t, "scan", "--db", address, "--timeout", "50ms").failed(t, exitOpen, "no answer from "+address)
	cli(t, "put", "--db", address, "--timeout", "50ms", "a", "1").failed(t, exitUnknown, "no answer from "+address, "may have taken effect")
	l.Close()
	// None at all.
	cli(t, "get", "--db", address, "--timeout", "50ms", "a").failed(t, exitOpen, "no answer from "+address, "refused")
	cli(t, "put", "--db", address, "--timeout", "50ms", "a", "1").failed(t, exitOpen, "no answer from "+address)
	// No address.
	cli(t, "get", "--db", "http://x", "a").failed(t, exitUsage, "http")
	cli(t, "get", "--db", address, "--timeout", "-1s", "a").failed(t, exitUsage, "--timeout")
}

func TestEnvironment(t *testing.T) {
	dir := newStore(t, enginePebble, put("a", "1"))
	t.Setenv(dbEnv, dir)
	var stdout, stderr bytes.Buffer
	if code := run(context.Background(), []string{"get", "a"}, nil, &stdout, &stderr); code != exitOK || stdout.String() != "1" {
		t.Errorf("exit code %d, %q; stderr:\n%s", code, &stdout, &stderr)
	}
}

func TestExportIsOfOneState(t *testing.T) {
	t.Parallel()
	dir := newStore(t, enginePebble)
	var input strings.Builder
	for i := range 2000 { // more than all buffers on the way hold
		fmt.Fprintf(&input, `{"key":"%06d","value":"%s"}`+"\n", i, strings.Repeat("x", 8<<10))
	}
	cliWith(t, strings.NewReader(input.String()), "import", "--db", dir).ok(t)
	p := serve(t, dir)
	var stderr bytes.Buffer
	cmd := exec.Command(binary, "export", "--db", p.address)
	cmd.Env = environment()
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(stdout, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	p.kill()
	serve(t, dir, "--listen", p.address)
	if _, err := io.Copy(io.Discard, stdout); err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitFailed || !strings.Contains(stderr.String(), "the export is incomplete, it ends after") {
		t.Errorf("%v; stderr:\n%s", err, &stderr)
	}
}
