package main

import (
	"encoding/json"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/multileveldown/mld/party"
	"github.com/multileveldown/mld/store/pebblestore"
)

// TestParty has several processes on one directory.
func TestParty(t *testing.T) {
	for _, engine := range []string{enginePebble, engineLevelDB} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "db")
			cli(t, "party", dir).failed(t, exitOpen, dir)
			cli(t, "put", "--db", dir, "--create", engine, "a", "1").ok(t)
			if out := cli(t, "party", dir); out.code != exitNotFound || !strings.Contains(out.stdout, "nobody") {
				t.Errorf("nobody hosts: %+v", out)
			}

			first := serve(t, dir)
			second := serve(t, dir)
			cli(t, "put", "--db", dir, "b", "2").ok(t)
			cli(t, "put", "--db", second.address, "c", "3").ok(t)
			for _, db := range []string{dir, first.address, second.address} {
				if got := cli(t, "scan", "--db", db).ok(t); got != "a\t1\nb\t2\nc\t3\n" {
					t.Errorf("scan of %s: %q", db, got)
				}
			}
			before := look(t, dir)
			if before.PID != first.cmd.Process.Pid || before.Guests != 1 || before.Engine != engine || before.Epoch == 0 {
				t.Errorf("party: %+v", before)
			}
			if got := cli(t, "party", dir).ok(t); !strings.Contains(got, "process "+strconv.Itoa(before.PID)) {
				t.Errorf("party: %s", got)
			}
			// Readers of a part of it, and of it all, that are no members.
			part := serve(t, dir, "--prefix", "b", "--readonly")
			if got := cli(t, "scan", "--db", part.address).ok(t); got != "\t2\n" {
				t.Errorf("scan of a part: %q", got)
			}
			cli(t, "put", "--db", part.address, "x", "y").failed(t, exitRefused)

			first.kill()
			cli(t, "put", "--db", second.address, "d", "4").ok(t)
			if got := cli(t, "get", "--db", dir, "d").ok(t); got != "4" {
				t.Errorf("get d: %q", got)
			}
			after := look(t, dir)
			if after.PID != second.cmd.Process.Pid || after.Epoch <= before.Epoch {
				t.Errorf("party: %+v, and before %+v", after, before)
			}
			part.stop()
			second.stop()
			if got := cli(t, "get", "--db", dir, "d").ok(t); got != "4" {
				t.Errorf("get d: %q", got)
			}
		})
	}
	t.Run("locked", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		s, err := pebblestore.Open(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		cli(t, "get", "--db", dir, "a").failed(t, exitLocked, dir, "locked")
		cli(t, "put", "--db", dir, "a", "1").failed(t, exitLocked, dir, "locked")
		if out := cli(t, "party", dir); out.code != exitLocked || !strings.Contains(out.stdout, "does not listen") {
			t.Errorf("locked: %+v", out)
		}
	})
}

func look(t *testing.T, dir string) party.Status {
	t.Helper()
	var s party.Status
	if err := json.Unmarshal([]byte(cli(t, "party", dir, "--json").ok(t)), &s); err != nil {
		t.Fatal(err)
	}
	return s
}
