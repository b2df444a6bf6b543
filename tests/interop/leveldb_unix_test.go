//go:build unix

package interop

import (
	"errors"
	"os/exec"
	"strconv"
	"testing"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/leveldbstore"
)

// TestNodeKilled opens what Node has left that was killed after a compaction: its
// manifest is then ahead of its log, of which nothing may be passed over.
func TestNodeKilled(t *testing.T) {
	for _, pkg := range levelDBPackages {
		t.Run(pkg, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			n := "0"
			die := func(flags ...string) {
				t.Helper()
				out, err := nodeCommand(t, "leveldb-dir.js", append([]string{pkg, dir, "die", n}, flags...)...).Output()
				if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.Exited() {
					t.Fatalf("it was not killed: %v, having printed %q", err, out)
				}
				n = string(out)
			}
			// Each opening after a death makes a table of the log, and the fourth
			// table sets off a compaction.
			for range 4 {
				die()
			}
			die("--compacted")
			s, err := leveldbstore.Open(dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			entries, err := mld.Collect(t.Context(), s, &mld.IterOptions{KeysOnly: true})
			if err != nil || strconv.Itoa(len(entries)) != n {
				t.Errorf("%d of %s entries are there: %v", len(entries), n, err)
			}
		})
	}
}
