package server_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/internal/memnet"
	"github.com/multileveldown/mld/server"
	"github.com/multileveldown/mld/store/memstore"
	"github.com/multileveldown/mld/wire"
)

var rewrite = flag.Bool("rewrite", false, "write what the server answers into testdata/scripts")

// TestScripts plays what stands in testdata/scripts. A script is lines:
//
//	server dialect=D readonly hook=H   begins a server over an empty store
//	store a=1 b=2                      puts entries into the store
//	connect                            begins a connection
//	> MESSAGE                          is sent; lines in a row in one write
//	> frame HEX, > bytes HEX           a body, or bytes as they are
//	end                                ends the client's side
//	# ...                              a comment
//	< MESSAGE                          is what came back, and < closed the end
//
// A message is the name of its tag and its fields in the order of the wire, by
// name or number: get id=1 key="a". Text and nested messages in braces are bytes
// fields, numbers are varints. With -rewrite the answers are written anew.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/scripts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts:", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var got string
			synctest.Test(t, func(t *testing.T) { got = play(t, string(text)) })
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, have := strings.Split(string(text), "\n"), strings.Split(got, "\n")
			for i := range min(len(want), len(have)) {
				if want[i] != have[i] {
					t.Fatalf("%s:%d:\nwant %s\ngot  %s", file, i+1, want[i], have[i])
				}
			}
			if len(want) != len(have) {
				t.Fatalf("%s: %d lines, and the server makes it %d", file, len(want), len(have))
			}
		})
	}
}

// play runs a script and returns it with the answers that came.
func play(t *testing.T, script string) string {
	var out strings.Builder
	var store *memstore.Store
	var srv *server.Server
	var end *memnet.Conn
	dialect := wire.Auto
	var sent []byte
	hangUp := func() {
		if end != nil {
			end.Close()
			synctest.Wait()
			end = nil
		}
	}
	exchange := func() {
		if sent == nil {
			return
		}
		if _, err := end.Write(sent); err != nil && len(sent) > 0 {
			t.Fatal(err)
		}
		sent = nil
		synctest.Wait()
		received, closed := drainPipe(t, end)
		out.WriteString(printFrames(dialect, received))
		if closed {
			out.WriteString("< closed\n")
		}
	}
	for line := range strings.Lines(script) {
		line = strings.TrimSuffix(line, "\n")
		if !strings.HasPrefix(line, ">") {
			exchange()
		}
		if strings.HasPrefix(line, "<") {
			continue
		}
		out.WriteString(line + "\n")
		command, rest, _ := strings.Cut(line, " ")
		switch command {
		case "", "#":
		case "server":
			hangUp()
			if srv != nil {
				srv.Close()
			}
			store = memstore.New()
			o := scriptOptions(t, rest)
			dialect = o.Dialect
			srv = server.New(store, o)
		case "store":
			for pair := range strings.FieldsSeq(rest) {
				key, value, _ := strings.Cut(pair, "=")
				if err := store.Put(t.Context(), []byte(key), []byte(value), nil); err != nil {
					t.Fatal(err)
				}
			}
		case "close-store":
			store.Close()
		case "connect":
			hangUp()
			end = connect(t, srv)
			if rest != "" { // how the answers are to be printed
				dialect = dialectNamed(t, rest)
			}
		case "speaks":
			dialect = dialectNamed(t, rest)
		case ">":
			if sent == nil {
				sent = []byte{}
			}
			sent = appendScripted(t, sent, rest)
		case "end":
			sent = []byte{}
			if err := end.CloseWrite(); err != nil {
				t.Fatal(err)
			}
		default:
			t.Fatalf("unknown line %q", line)
		}
	}
	exchange()
	hangUp()
	srv.Close()
	return out.String()
}

// connect begins a connection to srv and returns the client's end.
func connect(t testing.TB, srv *server.Server) *memnet.Conn {
	t.Helper()
	client, end := memnet.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.ServeConn(context.Background(), end)
	}()
	t.Cleanup(func() {
		client.Close()
		<-done
	})
	return client
}

func dialectNamed(t testing.TB, name string) wire.Dialect {
	d, err := wire.ParseDialect(name)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func scriptOptions(t *testing.T, words string) *server.Options {
	o := &server.Options{Limits: server.Limits{Frame: 1 << 10, Key: 16, Value: 64, BatchOps: 3, Keys: 3, Iterators: 2, Snapshots: 1}}
	for word := range strings.FieldsSeq(words) {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "dialect":
			o.Dialect = dialectNamed(t, value)
		case "readonly":
			o.ReadOnly = true
		case "hook":
			o.BeforeWrite = scriptHooks[value]
			if o.BeforeWrite == nil {
				t.Fatalf("no hook %q", value)
			}
		default:
			t.Fatalf("no option %q", word)
		}
	}
	return o
}

var scriptHooks = map[string]func(*server.Write) error{
	"refuse": func(w *server.Write) error {
		return fmt.Errorf("no %s from %s", w.Kind, w.Conn.RemoteAddr)
	},
	"readonly": func(*server.Write) error { return mld.ErrReadOnly },
	"notfound": func(*server.Write) error {
		return &mld.Error{Code: mld.CodeRefused, Msg: "the user was NotFound"}
	},
	"panic": func(*server.Write) error { panic("a hook with a fault") },
}

// drainPipe returns what is in the pipe, and whether the other end was closed.
func drainPipe(t testing.TB, end *memnet.Conn) (received []byte, closed bool) {
	t.Helper()
	// The pipe's reads prefer a passed deadline over data, so a reader of its
	// own takes what there is.
	var buf bytes.Buffer
	done := make(chan error, 1)
	go func() {
		_, err := io.Copy(&buf, end)
		done <- err
	}()
	synctest.Wait()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
		return buf.Bytes(), true
	default:
		end.SetReadDeadline(past)
		<-done
		end.SetReadDeadline(never)
		return buf.Bytes(), false
	}
}

// A schema names the fields of a message. Those without an entry in inner are
// varints or bytes, as they come.
type schema struct {
	tag    byte
	fields map[string]int
	inner  map[int]*schema
	zigzag int // the field that is so encoded
}

var (
	optionsSchema = &schema{
		fields: map[string]int{"keys": 1, "values": 2, "gt": 3, "gte": 4, "lt": 5, "lte": 6, "limit": 7, "reverse": 8},
		zigzag: 7,
	}
	requestSchemas = map[string]*schema{
		"get": {tag: 0, fields: map[string]int{"id": 1, "key": 2, "snapshot": 17}},
		"put": {tag: 1, fields: map[string]int{"id": 1, "key": 2, "value": 3, "durability": 16}},
		"del": {tag: 2, fields: map[string]int{"id": 1, "key": 2, "durability": 16}},
		"batch": {tag: 3, fields: map[string]int{"id": 1, "op": 2, "durability": 16}, inner: map[int]*schema{
			2: {fields: map[string]int{"type": 1, "key": 2, "value": 3}},
		}},
		"iterator": {tag: 4, fields: map[string]int{"id": 1, "batch": 2, "options": 3, "page": 18}, inner: map[int]*schema{3: optionsSchema}},
		"open": {
			tag: 4, fields: map[string]int{"id": 1, "seq": 2, "options": 3, "consumed": 4, "bookmark": 5, "seek": 6, "snapshot": 17, "page": 18},
			inner: map[int]*schema{3: optionsSchema},
		},
		"clear":          {tag: 5, fields: map[string]int{"id": 1, "options": 2}, inner: map[int]*schema{2: optionsSchema}},
		"many":           {tag: 6, fields: map[string]int{"id": 1, "key": 2, "snapshot": 17}},
		"close":          {tag: 7, fields: map[string]int{"id": 1}},
		"ack":            {tag: 8, fields: map[string]int{"id": 1, "seq": 2, "consumed": 3}},
		"seek":           {tag: 9, fields: map[string]int{"id": 1, "seq": 2, "target": 3}},
		"hello":          {tag: 64, fields: map[string]int{"version": 1, "dialect": 2}},
		"snapshot":       {tag: 65, fields: map[string]int{"id": 1, "snapshot": 2}},
		"close-snapshot": {tag: 66, fields: map[string]int{"id": 1, "snapshot": 2}},
		"stats":          {tag: 67, fields: map[string]int{"id": 1}},
		"tag99":          {tag: 99, fields: map[string]int{"id": 1}},
	}

	failureFields = map[int]string{16: "code", 17: "reason"}
	goodbyeNames  = map[int]string{1: "code", 2: "reason"}
	responseNames = map[byte]struct {
		name   string
		fields map[int]string
	}{
		0:  {"callback", map[int]string{1: "id", 2: "error", 3: "value"}},
		1:  {"data", map[int]string{1: "id", 2: "seq", 3: "data"}},
		2:  {"many", map[int]string{1: "id", 2: "error", 3: "value"}},
		3:  {"iterator-error", map[int]string{1: "id", 2: "seq", 3: "error"}},
		4:  {"iterator-end", map[int]string{1: "id", 2: "seq"}},
		64: {"welcome", map[int]string{1: "version", 2: "features", 3: "max-frame", 4: "readonly"}},
		65: {"drain", nil},
		66: {"goodbye", goodbyeNames},
	}
	entryNames = map[int]string{1: "id", 2: "error", 3: "key", 4: "value"} // multileveldown's data
)

// appendScripted appends what a line of a script says is to be sent.
func appendScripted(t *testing.T, dst []byte, line string) []byte {
	t.Helper()
	name, rest, _ := strings.Cut(line, " ")
	if name == "frame" || name == "bytes" {
		raw, err := hex.DecodeString(strings.ReplaceAll(rest, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		if name == "bytes" {
			return append(dst, raw...)
		}
		return wire.AppendFrame(dst, raw)
	}
	s, ok := requestSchemas[name]
	if !ok {
		t.Fatalf("no message %q", name)
	}
	body, rest := s.append(t, []byte{s.tag}, rest)
	if rest != "" {
		t.Fatalf("left over: %q", rest)
	}
	return wire.AppendFrame(dst, body)
}

// append appends the fields that text begins with, and returns what follows
// their closing brace.
func (s *schema) append(t *testing.T, dst []byte, text string) (_ []byte, rest string) {
	t.Helper()
	for {
		text = strings.TrimLeft(text, " ")
		if text == "" {
			return dst, ""
		}
		if text[0] == '}' {
			return dst, text[1:]
		}
		i := strings.IndexAny(text, "={")
		if i < 0 {
			t.Fatalf("no value at %q", text)
		}
		name, kind := text[:i], text[i]
		text = text[i+1:]
		field, ok := s.fields[name]
		if !ok {
			n, err := strconv.Atoi(name)
			if err != nil {
				t.Fatalf("no field %q", name)
			}
			field = n
		}
		switch {
		case kind == '{':
			inner := s.inner[field]
			if inner == nil {
				inner = &schema{}
			}
			var body []byte
			body, text = inner.append(t, nil, text)
			dst = appendBytesField(dst, field, body)
		case text[0] == '"':
			quoted, err := strconv.QuotedPrefix(text)
			if err != nil {
				t.Fatal(err)
			}
			text = text[len(quoted):]
			value, _ := strconv.Unquote(quoted)
			dst = appendBytesField(dst, field, []byte(value))
		default:
			digits, after, _ := strings.Cut(text, " ")
			if i := strings.IndexByte(digits, '}'); i >= 0 {
				digits, after = text[:i], text[i:]
			}
			text = after
			n, err := strconv.ParseInt(digits, 0, 64)
			if err != nil {
				t.Fatal(err)
			}
			dst = binary.AppendUvarint(dst, uint64(field)<<3)
			if field == s.zigzag {
				dst = binary.AppendVarint(dst, n)
			} else {
				dst = binary.AppendUvarint(dst, uint64(n))
			}
		}
	}
}

func appendBytesField(dst []byte, field int, value []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(field)<<3|2)
	return append(binary.AppendUvarint(dst, uint64(len(value))), value...)
}

// printFrames returns the messages of a server, one a line.
func printFrames(d wire.Dialect, received []byte) string {
	var out strings.Builder
	for len(received) > 0 {
		size, n := binary.Uvarint(received)
		if n <= 0 || size > uint64(len(received)-n) {
			fmt.Fprintf(&out, "< part of a message: %x\n", received)
			break
		}
		body := received[n : n+int(size)]
		received = received[n+int(size):]
		out.WriteString("<" + printMessage(d, body) + "\n")
	}
	return out.String()
}

func printMessage(d wire.Dialect, body []byte) string {
	if len(body) == 0 {
		return " heartbeat"
	}
	message, ok := responseNames[body[0]]
	if !ok {
		return fmt.Sprintf(" %x", body)
	}
	if body[0] == wire.TagIteratorData && d == wire.Multileveldown {
		message.fields = entryNames
	}
	return " " + message.name + printFields(body[1:], body[0], message.fields)
}

func printFields(body []byte, tag byte, names map[int]string) string {
	var out strings.Builder
	r := bufio.NewReader(bytes.NewReader(body))
	for {
		key, err := binary.ReadUvarint(r)
		if err != nil {
			return out.String()
		}
		name := names[int(key>>3)]
		if name == "" {
			name = failureFields[int(key>>3)]
		}
		v, _ := binary.ReadUvarint(r)
		if name == "" && tag == wire.TagWelcome {
			continue // what is not spoken of here
		}
		if key&7 == 0 {
			fmt.Fprintf(&out, " %s=%d", name, v)
			continue
		}
		data := make([]byte, v)
		io.ReadFull(r, data)
		if tag == wire.TagGetManyCallback && name == "value" {
			fmt.Fprintf(&out, " {%s}", strings.TrimSpace(printFields(data, 0, map[int]string{1: "value"})))
		} else {
			fmt.Fprintf(&out, " %s=%q", name, data)
		}
	}
}
