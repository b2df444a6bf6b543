package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMain is what the servers of the benchmark are as well, for they are the
// program that started them.
func TestMain(m *testing.M) {
	if run, ok := child(); ok {
		exit(run())
		return
	}
	os.Exit(m.Run())
}

// TestFailover kills hosts, a few.
func TestFailover(t *testing.T) {
	cases := []partyCase{{"pebble", 2, 0}, {"leveldb", 1, 1}, {raveLevel, 1, 0}}
	r, err := measureFailover(t.Context(), settings{}, cases, 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range r.Failover.Parties {
		if len(p.First) != 2 || len(p.All) != 2 {
			t.Errorf("%s has %d figures and %d", p.title(), len(p.First), len(p.All))
		}
		for i := range p.First {
			if p.First[i] <= 0 || p.First[i] > p.All[i] {
				t.Errorf("%s: the first took %v, all %v", p.title(), p.First[i], p.All[i])
			}
		}
	}
	if len(r.Failover.Redials) == 0 {
		t.Error("no redials were counted")
	}
	var text bytes.Buffer
	if err := r.writeTables(&text, ""); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "| mld, pebble | 2 |") {
		t.Errorf("the tables are\n%s", text.String())
	}
}

// TestPeers runs every workload once on every peer that is installed, briefly.
func TestPeers(t *testing.T) {
	s := settings{keys: 2000, valueSize: 100, cache: 8 << 20, rounds: 1, time: 10 * time.Millisecond}
	r, err := measureAll(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range workloads() {
		if len(r.workload(w.id).figures(mldName)) != 1 {
			t.Errorf("%s: mld has no figure", w.id)
		}
	}
	for i, p := range r.Workloads[0].Peers {
		has := false
		for _, w := range r.Workloads {
			has = has || len(w.Peers[i].PerSecond) > 0
		}
		if !has {
			t.Errorf("%s has no figure", p.Name)
		}
	}
	if len(r.Memory) == 0 {
		t.Error("no memory was measured")
	}
	file := filepath.Join(t.TempDir(), "report.json")
	if err := r.writeJSON(file); err != nil {
		t.Fatal(err)
	}
	again, err := readReport(file)
	if err != nil {
		t.Fatal(err)
	}
	var a, b bytes.Buffer
	if err := r.writeTables(&a, "figures"); err != nil {
		t.Fatal(err)
	}
	if err := again.writeTables(&b, "figures"); err != nil {
		t.Fatal(err)
	}
	if a.String() != b.String() {
		t.Error("a report that was written and read has other tables")
	}
}

// TestGrowth measures growth with the size of values: of few entries.
func TestGrowth(t *testing.T) {
	s := settings{keys: 200, valueSize: 100, cache: 64 << 20, rounds: 1, time: 10 * time.Millisecond}
	r, err := measureGrowth(t.Context(), s, "values")
	if err != nil {
		t.Fatal(err)
	}
	var tables strings.Builder
	if err := r.writeTables(&tables, ""); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(tables.String(), "\n| values of 65536 B, 200 keys |"); n != 5 {
		t.Errorf("%d tables, want 5:\n%s", n, tables.String())
	}
}

// TestBeside measures a quiet client beside each of the busy ones, briefly.
func TestBeside(t *testing.T) {
	s := settings{keys: 2000, valueSize: 100, cache: 64 << 20, rounds: 1, time: 30 * time.Millisecond}
	r, err := measureBeside(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range neighbours() {
		for _, op := range []op{opGet, opPut} {
			quiet := r.besideOf(op, n.ID, mldName)
			if quiet == nil || len(quiet.P99) != 1 || quiet.P99[0] < quiet.Median[0] || quiet.Median[0] <= 0 {
				t.Errorf("%s beside %s: %+v", op, n.Title, quiet)
			} else if n.ID != alone && quiet.Neighbour[0] <= 0 {
				t.Errorf("%s: it did nothing", n.Title)
			}
		}
	}
	var tables strings.Builder
	if err := r.writeTables(&tables, ""); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := r.writeCharts(dir); err != nil {
		t.Fatal(err)
	}
	if charts, _ := os.ReadDir(dir); len(charts) > 0 {
		t.Errorf("it writes over %s", charts[0].Name())
	}
	if n := strings.Count(tables.String(), "\n| "); n < 2*len(neighbours()) {
		t.Errorf("%d lines:\n%s", n, tables.String())
	}
}

// TestVerification has the drivers find values that are wrong, missing, or for
// another request.
func TestVerification(t *testing.T) {
	b := &bench{data: &data{keys: 10, valueSize: 40}, settings: settings{time: time.Hour}}
	w := &workload{op: opGet, inFlight: 2, conns: 1}
	for name, c := range map[string]*fakePipe{
		"a value of another key": {value: func(key []byte) []byte { return bytes.Repeat([]byte("x"), 40) }},
		"a value too short":      {value: func(key []byte) []byte { return key }},
		"an answer twice":        {value: rightValue, places: []int{0, 0}},
		"an answer to nothing":   {value: rightValue, places: []int{0, 2}},
	} {
		if _, err := newPipeWorker(b, w, c).work(time.Now().Add(time.Hour)); err == nil {
			t.Errorf("%s is not noticed", name)
		}
	}
	if n, err := newPipeWorker(b, w, &fakePipe{value: rightValue, places: []int{1, 0}}).work(time.Now().Add(time.Millisecond)); n == 0 || err != nil {
		t.Errorf("right answers: %d, %v", n, err)
	}
}

// TestVerificationOfHandles does the same with clients of libraries.
func TestVerificationOfHandles(t *testing.T) {
	b := &bench{data: &data{keys: 10, valueSize: 40}, settings: settings{time: time.Hour}}
	whole := make([]int, 10)
	for i := range whole {
		whole[i] = i
	}
	for name, c := range map[string]struct {
		op    op
		right bool
		keys  []int // of a scan, in its order
		value func(key []byte) []byte
	}{
		"a right get":              {op: opGet, right: true, value: rightValue},
		"a wrong get":              {op: opGet, value: func([]byte) []byte { return rightValue(makeKey(77)) }},
		"a right scan":             {op: opScan, right: true, keys: whole, value: rightValue},
		"a scan that lacks one":    {op: opScan, keys: whole[1:], value: rightValue},
		"a scan with one twice":    {op: opScan, keys: []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 8}, value: rightValue},
		"a scan out of order":      {op: opScan, keys: []int{0, 1, 2, 4, 3, 5, 6, 7, 8, 9}, value: rightValue},
		"a scan with wrong values": {op: opScan, keys: whole, value: func([]byte) []byte { return make([]byte, 40) }},
	} {
		h := &fakeHandle{keys: c.keys, value: c.value}
		w := &workload{op: c.op}
		do := b.calls
		if c.op == opScan {
			do = b.scan
		}
		if _, err := do(t.Context(), h, w, time.Now().Add(time.Millisecond)); (err == nil) != c.right {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// fakeHandle answers by itself.
type fakeHandle struct {
	handle
	keys  []int
	value func(key []byte) []byte
}

func (h *fakeHandle) get(_ context.Context, key []byte) ([]byte, io.Closer, error) {
	return h.value(key), nil, nil
}

func (h *fakeHandle) scan(_ context.Context, visit func(key, value []byte) bool) error {
	for _, i := range h.keys {
		if key := makeKey(i); !visit(key, h.value(key)) {
			break
		}
	}
	return nil
}

func rightValue(key []byte) []byte {
	value := make([]byte, 40)
	setValue(value, key)
	return value
}

// fakePipe answers by itself.
type fakePipe struct {
	pipe
	keys   [][]byte
	next   int
	places []int
	value  func(key []byte) []byte
}

func (p *fakePipe) get(key []byte) { p.keys = append(p.keys, bytes.Clone(key)) }

func (p *fakePipe) flush() error {
	p.next = 0
	p.keys = p.keys[max(0, len(p.keys)-2):]
	return nil
}

func (p *fakePipe) answer() (int, []byte, error) {
	place := p.next
	if p.places != nil {
		place = p.places[p.next]
	}
	p.next++
	return place, p.value(p.keys[place%len(p.keys)]), nil
}

func TestZipf(t *testing.T) {
	d := &data{keys: 1000}
	d.draw()
	counts := make(map[uint32]int)
	for _, i := range d.zipf {
		if int(i) >= d.keys {
			t.Fatalf("key %d of %d", i, d.keys)
		}
		counts[i]++
	}
	most := 0
	for _, n := range counts {
		most = max(most, n)
	}
	// The sum of 1/k^0.99 up to 1000 is 7.73.
	if share := float64(most) / drawn; share < 0.127 || share > 0.131 {
		t.Errorf("the most frequent key is %.3f of all, want 0.129", share)
	}
}

func TestRatios(t *testing.T) {
	r, ok := ratios([]float64{1, 4, 9}, []float64{1, 2, 3})
	if !ok || r != (spread{2, 1, 3}) {
		t.Errorf("%v, %v", r, ok)
	}
	if _, ok := ratios(nil, []float64{1}); ok {
		t.Error("a ratio of nothing")
	}
}

func TestShort(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0.00", 9.99: "9.99", 9.996: "10.0", 99.96: "100", 999.4: "999", 999.6: "1.00k", 12345: "12.3k", 999_600: "1.00M", 19.3e6: "19.3M",
	} {
		if got := short(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}

func TestReplaceSection(t *testing.T) {
	const text = "prose\n<!-- figures: begin -->\nold\n<!-- figures: end -->\nmore\n"
	got, err := replaceSection([]byte(text), "figures", []byte("new\n"))
	if want := strings.Replace(text, "old", "new", 1); err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := replaceSection([]byte("prose"), "figures", nil); err == nil {
		t.Error("a document without marks is taken")
	}
}
