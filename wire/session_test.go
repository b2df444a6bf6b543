package wire

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// A session is what an npm client and an npm server said to each other on one
// connection; testdata/sessions/README.md tells how they were recorded.
type session struct {
	dialect  Dialect
	name     string
	c2s, s2c []byte
}

func readSessions(t testing.TB) []session {
	t.Helper()
	var sessions []session
	for _, d := range dialects {
		files, err := filepath.Glob(filepath.Join("testdata", "sessions", d.String(), "*.c2s"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no sessions of %s: %v", d, err)
		}
		for _, file := range files {
			s := session{dialect: d, name: strings.TrimSuffix(filepath.Base(file), ".c2s")}
			if s.c2s, err = os.ReadFile(file); err != nil {
				t.Fatal(err)
			}
			if s.s2c, err = os.ReadFile(strings.TrimSuffix(file, ".c2s") + ".s2c"); err != nil {
				t.Fatal(err)
			}
			sessions = append(sessions, s)
		}
	}
	return sessions
}

// TestSessions decodes every message that the npm packages sent, compares what
// was decoded with testdata/decoded, and sees that ours would send the same
// bytes. After a change that is meant: go test ./wire -run TestSessions -rewrite
func TestSessions(t *testing.T) {
	for _, s := range readSessions(t) {
		t.Run(s.dialect.String()+"/"+s.name, func(t *testing.T) {
			var text strings.Builder
			for _, b := range frames(t, s.c2s) {
				r := decodeRequest(t, s.dialect, b)
				fmt.Fprintf(&text, "C %s\n", describeRequest(r))
				checkRequestBytes(t, s.dialect, b, r)
			}
			for _, b := range frames(t, s.s2c) {
				r := decodeResponse(t, s.dialect, b)
				fmt.Fprintf(&text, "S %s\n", describeResponse(r))
				checkResponseBytes(t, s.dialect, b, r)
			}
			compareFile(t, filepath.Join("testdata", "decoded", s.dialect.String(), s.name+".txt"), text.String())
		})
	}
}

// checkRequestBytes sees that our client sends what the npm client sent. It
// cannot where it never says what that said: the options of an iterator that is
// closed, a bookmark, or a bound that does not hold beside another.
func checkRequestBytes(t *testing.T, d Dialect, sent []byte, r *Request) {
	t.Helper()
	ours := encodeRequest(nil, d, r)
	if !bytes.Equal(ours, AppendFrame(nil, sent)) {
		bounds := d == ManyLevel && (r.Range.GTE != nil || r.Range.LTE != nil) && len(ours) < 1+len(sent)
		if closes := d == Multileveldown && r.Tag == TagIterator && r.Credit == 0; !closes && r.Bookmark == nil && !bounds {
			t.Errorf("the npm client sent\n%x, ours sends\n%x", AppendFrame(nil, sent), ours)
		}
	}
	again := decodeRequest(t, d, body(t, ours))
	again.Bookmark, again.Consumed = r.Bookmark, r.Consumed
	if !reflect.DeepEqual(r, again) {
		t.Errorf("%x decodes to\n%+v, and sent again to\n%+v", sent, r, again)
	}
}

// checkResponseBytes sees that our server sends what the npm server sent, but
// for the length of a page and for what it adds to an error.
func checkResponseBytes(t *testing.T, d Dialect, sent []byte, r *Response) {
	t.Helper()
	ours := body(t, encodeResponse(nil, d, r))
	if bytes.Equal(ours, sent) {
		return
	}
	if r.Err == nil {
		t.Errorf("the npm server sent\n%x, ours sends\n%x", sent, ours)
	}
	again := decodeResponse(t, d, ours)
	if again.Tag != r.Tag || again.ID != r.ID || again.Seq != r.Seq || !reflect.DeepEqual(again.Err, r.Err) {
		t.Errorf("%x decodes to\n%+v, and sent again to\n%+v", sent, r, again)
	}
}

func compareFile(t *testing.T, file, got string) {
	t.Helper()
	if *rewrite {
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (-rewrite accepts it):\n%s", file, firstDifference(string(want), got))
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return fmt.Sprintf("line %d: want %s\n         got  %s", i+1, w[i], g[i])
		}
	}
	return fmt.Sprintf("want %d lines, got %d", len(w), len(g))
}
