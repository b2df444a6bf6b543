package robustness

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/client"
	"github.com/multileveldown/mld/store/memstore"
	"github.com/multileveldown/mld/wire"
)

// The tests of this file show a fault of the npm packages with a real host and a
// real client, and the same with ours.

// side is a host with clients of the same make.
type side struct {
	name     string
	right    bool // it has no faults
	greeting int  // what the host says in bytes before it answers, if clients wait for it
	message  int  // after how many bytes from the host a scan of entries of 200 is in a later message
	start    func(t *testing.T) (address string)
	watch    wire.Dialect // what a client of ours speaks to the host
	put      func(t *testing.T, address, key, value string)
	scan     func(t *testing.T, address string, o *mld.IterOptions) []string
}

func sides() []side {
	list := []side{{
		name:    "ours",
		right:   true,
		message: 15_000,
		start:   startOurs,
		watch:   wire.ManyLevel,
		put: func(t *testing.T, address, key, value string) {
			c := client.New(tcp(address), nil)
			defer c.Close()
			if err := c.Put(t.Context(), []byte(key), []byte(value), nil); err != nil {
				t.Error(err)
			}
		},
		scan: func(t *testing.T, address string, o *mld.IterOptions) []string {
			c := client.New(tcp(address), nil)
			defer c.Close()
			strict := *o
			strict.Strict = true
			var keys []string
			for e, err := range mld.All(t.Context(), c, &strict) {
				if err != nil {
					t.Fatal(err)
				}
				keys = append(keys, string(e.Key))
				time.Sleep(time.Millisecond) // as the Node client does
			}
			return keys
		},
	}}
	for _, d := range []wire.Dialect{wire.ManyLevel, wire.Multileveldown} {
		list = append(list, side{
			name:    d.String(),
			message: map[wire.Dialect]int{wire.ManyLevel: 30_000, wire.Multileveldown: 15_000}[d],
			start:   func(t *testing.T) string { return startNodeHost(t, d.String()) },
			watch:   d,
			put: func(t *testing.T, address, key, value string) {
				runNode(t, d.String(), address, "put", key, value)
			},
			scan: func(t *testing.T, address string, o *mld.IterOptions) []string {
				options := map[string]any{"reverse": o.Reverse}
				if o.Limit > 0 {
					options["limit"] = o.Limit
				}
				text, err := json.Marshal(options)
				if err != nil {
					t.Fatal(err)
				}
				var keys []string
				if err := json.Unmarshal(runNode(t, d.String(), address, "scan", string(text)), &keys); err != nil {
					t.Fatal(err)
				}
				return keys
			},
		})
	}
	return list
}

// startOurs serves a store in memory by TCP.
func startOurs(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stop, err := serve(memstore.New(), l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return l.Addr().String()
}

func node(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("there is no node in PATH: install Node.js 18 or later, then run `make test`, which installs the packages")
	}
	return exec.CommandContext(t.Context(), path, args...)
}

// startNodeHost starts a real host with a store in memory.
func startNodeHost(t *testing.T, dialect string) string {
	t.Helper()
	cmd := node(t, "../interop/js/host.js", "--dialect", dialect)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		cmd.Wait() //nolint:errcheck // it has done its work
	})
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	var ready struct{ Address string }
	if err == nil {
		err = json.Unmarshal(line, &ready)
	}
	if err != nil {
		cmd.Process.Kill() //nolint:errcheck // it may have ended
		cmd.Wait()         //nolint:errcheck // it did not start
		t.Fatalf("the host did not start (`make test` installs the packages): %v, having printed %q\n%s", err, line, stderr.Bytes())
	}
	return ready.Address
}

// runNode runs the real client to its end and returns what it printed.
func runNode(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := node(t, append([]string{"js/sidebyside.js"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%q: %v\n%s", args, err, stderr.Bytes())
	}
	return out
}

// TestLostAnswer: somebody puts "old", which is done, but the answer is lost;
// somebody else sees it and puts "new"; then the first one's connection is made
// anew, and it sends its put again.
func TestLostAnswer(t *testing.T) {
	for _, s := range sides() {
		t.Run(s.name, func(t *testing.T) {
			address := s.start(t)
			other := client.New(tcp(address), &client.Options{Dialect: s.watch})
			defer other.Close()
			p := startProxy(t, address, s.greeting, false)

			var putting sync.WaitGroup
			putting.Go(func() { s.put(t, p.address, "k", "old") })
			key := []byte("k")
			for {
				v, err := other.Get(t.Context(), key)
				if err == nil && string(v) == "old" {
					break
				}
				if err != nil && err != mld.ErrNotFound {
					t.Fatal(err)
				}
			}
			if err := other.Put(t.Context(), key, []byte("new"), nil); err != nil {
				t.Fatal(err)
			}
			p.cutAll()
			putting.Wait()
			got, err := other.Get(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			if (string(got) == "new") != s.right {
				t.Errorf("the value is %q", got)
			}
			t.Logf("somebody put %q after %q was there: the value is %q", "new", "old", got)
		})
	}
}

// TestResumedScan: a scan whose consumer takes its time loses its connection.
func TestResumedScan(t *testing.T) {
	// Keys of two lengths, each the beginning of the next.
	var keys []string
	for i := range 100 {
		keys = append(keys, fmt.Sprintf("k%03d", i), fmt.Sprintf("k%03dz", i))
	}
	for _, scan := range []struct {
		name string
		o    mld.IterOptions
	}{
		{"forward", mld.IterOptions{}},
		{"limit", mld.IterOptions{Range: mld.Range{Limit: 120}}},
		{"reverse", mld.IterOptions{Range: mld.Range{Reverse: true}}},
	} {
		for _, s := range sides() {
			t.Run(scan.name+"/"+s.name, func(t *testing.T) {
				address := s.start(t)
				loader := client.New(tcp(address), &client.Options{Dialect: s.watch})
				defer loader.Close()
				var b mld.Batch
				for _, key := range keys {
					b.Put([]byte(key), make([]byte, 200))
				}
				if err := loader.Apply(t.Context(), &b, nil); err != nil {
					t.Fatal(err)
				}
				want := slices.Clone(keys)
				if scan.o.Reverse {
					slices.Reverse(want)
				}
				if scan.o.Limit > 0 {
					want = want[:scan.o.Limit]
				}
				p := startProxy(t, address, s.message, true)
				got := s.scan(t, p.address, &scan.o)
				if right := slices.Equal(got, want); right != s.right {
					t.Errorf("the scan is right: %v", right)
				}
				t.Logf("%d keys, want %d: %s", len(got), len(want), difference(got, want))
			})
		}
	}
}

// difference says how many keys are missing and how many are there too often.
func difference(got, want []string) string {
	n := map[string]int{}
	for _, key := range want {
		n[key]--
	}
	for _, key := range got {
		n[key]++
	}
	missing, repeated := 0, 0
	for _, d := range n {
		missing += max(-d, 0)
		repeated += max(d, 0)
	}
	return fmt.Sprintf("%d missing, %d too many", missing, repeated)
}
