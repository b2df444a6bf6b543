package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// quick are the flags of a run that is over soon.
var quick = []string{"--keys", "500", "--warmup", "10ms", "--duration", "100ms", "--in-flight", "4"}

// bench runs mld bench quickly.
func bench(t *testing.T, args ...string) result {
	t.Helper()
	return cli(t, append(append([]string{"bench"}, quick...), args...)...)
}

func TestBench(t *testing.T) {
	t.Parallel()
	p := serve(t, "--store", "memory")
	cli(t, "put", "--db", p.address, "bench:theirs", "1").ok(t)
	var report benchReport
	out := bench(t, "--db", p.address, "--clients", "3", "--workload", "get,put-sync,batch,ycsb-e", "--json").ok(t)
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatal(err)
	}
	if report.Store != p.address || len(report.Workloads) != 4 {
		t.Fatalf("%s", out)
	}
	for i, operations := range []string{"get", "put", "batch", "insert scan"} {
		w := report.Workloads[i]
		var names []string
		for _, o := range w.Operations {
			names = append(names, o.Operation)
			l := o.LatencySeconds
			if o.Operations == 0 || o.Errors > 0 || o.NotFound > 0 || o.OperationsPerSecond <= 0 || o.BytesPerSecond <= 0 ||
				l.Min <= 0 || l.Min > l.P50 || l.P50 > l.Max || l.Max > 60 {
				t.Errorf("%s: %+v", w.Workload, o)
			}
		}
		if got := strings.Join(names, " "); got != operations || w.Seconds < 0.1 {
			t.Errorf("%+v; want %s", w, operations)
		}
	}
	if got := cli(t, "scan", "--db", p.address).ok(t); got != "bench:theirs\t1\n" {
		t.Errorf("what is left: %.200q", got)
	}
	p.stop()
}

func TestBenchDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "db")
	out := bench(t, "--db", dir, "--create", "pebble", "--workload", "put", "--sync", "nosync", "--keep").ok(t)
	lines := strings.Split(out, "\n")
	if len(lines) != 3 || !strings.HasPrefix(strings.TrimSpace(lines[0]), "workload ") || len(strings.Fields(lines[1])) != 13 {
		t.Errorf("%s", out)
	}
	if got := strings.Count(cli(t, "scan", "--db", dir, "--keys").ok(t), "\n"); got != 500 {
		t.Errorf("%d entries were kept, want 500", got)
	}
	bench(t, "--db", dir, "--clients", "2").failed(t, exitUsage, "--clients 2", dir)

	// What is there is used, by one that may not write.
	p := serve(t, dir, "--readonly")
	bench(t, "--db", p.address, "--workload", "get").failed(t, exitRefused, `"bench:"`, "read-only", "--no-preload --keep")
	out = bench(t, "--db", p.address, "--workload", "get", "--no-preload", "--keep", "--keys", "1000", "--rate", "1000").ok(t)
	if !strings.Contains(out, " get operations found no entry\n") {
		t.Errorf("%s", out)
	}
	p.stop()
}

func TestBenchRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		text string
	}{
		{[]string{"--workload", "get,nothing"}, "ycsb-a"},
		{[]string{"--prefix", ""}, "--prefix"},
		{[]string{"--keys", "none"}, "--keys"},
		{[]string{"--duration", "0s"}, "--duration"},
		{[]string{"--distribution", "normal"}, "zipfian"},
		{[]string{"--rate", "-1"}, "Rate is -1"},
		{[]string{"--read-fraction", "2"}, "ReadFraction is 2"},
	} {
		bench(t, append(c.args, "--db", t.TempDir(), "--create", "pebble")...).failed(t, exitUsage, c.text)
	}
	dir := t.TempDir()
	bench(t, "--db", dir).failed(t, exitOpen, dir)
}

// TestBenchKeepsOut is about an entry of somebody else among those of the bench.
func TestBenchKeepsOut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bench(t, "--db", dir, "--create", "pebble", "--workload", "get", "--keep").ok(t)
	cli(t, "put", "--db", dir, "bench:0000000007", "theirs").ok(t)
	bench(t, "--db", dir, "--workload", "get").failed(t, exitUsage, "bench:0000000007", "another prefix")
	if got := cli(t, "get", "--db", dir, "bench:0000000007").ok(t); got != "theirs" {
		t.Errorf("the entry became %q", got)
	}
}

// TestBenchWrongValue is about a server whose entries are spoilt meanwhile.
func TestBenchWrongValue(t *testing.T) {
	t.Parallel()
	p := serve(t, "--store", "memory")
	done := make(chan result, 1)
	go func() {
		defer close(done)
		done <- cli(t, "bench", "--db", p.address, "--workload", "get", "--keys", "1", "--duration", "50s")
	}()
	const key = "bench:0000000000"
	for cli(t, "get", "--db", p.address, key).code != exitOK { // until it is loaded
	}
	cli(t, "put", "--db", p.address, key, "theirs").ok(t)
	(<-done).failed(t, exitFailed, key, "not one that was written")
	p.stop()
}

func TestShortDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0ns", 999: "999ns", 1000: "1.00µs", 12345: "12.3µs", 123456: "123µs", 1234567: "1.23ms", 61 * time.Second: "61.0s",
	} {
		if got := shortDuration(d); got != want {
			t.Errorf("%d ns: %s, want %s", d, got, want)
		}
	}
}
