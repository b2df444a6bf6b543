package main

import "fmt"

// op is what a workload does.
type op string

const (
	opGet   op = "get"
	opPut   op = "put"
	opMixed op = "mixed"
	opBatch op = "batch"
	opScan  op = "scan"
)

// batchLen is how many puts a batch has.
const batchLen = 100

// workload is one thing to measure, a table of the results.
type workload struct {
	id    string // also the name of the figure
	title string
	note  string // a sentence below the title

	op       op
	inFlight int // on each connection
	conns    int
	puts     int // in a batch
	// shared has each call made by a goroutine of its own, all of which share
	// the connection's client; else one goroutine writes inFlight requests and
	// reads their answers, where a peer's protocol can be spoken so.
	shared bool
	// only names the peers that take part, by a part of their names; none is
	// all that can.
	only []string

	zipf     bool
	reads    float64 // the part of gets in a mix
	sync     bool
	reverse  bool
	keysOnly bool
}

// unit is what is counted.
func (w *workload) unit() string {
	switch w.op {
	case opScan:
		return "entries"
	case opBatch:
		return "puts"
	}
	return "operations"
}

// writes reports whether the workload changes the store.
func (w *workload) writes() bool { return w.op == opPut || w.op == opMixed || w.op == opBatch }

// workloads are in the order in which they run: those that write come last, so
// that the others find the tables as they were made.
func workloads() []workload {
	return []workload{
		{id: "get", title: "get, 64 in flight on one connection", op: opGet, inFlight: 64, conns: 1},
		{id: "get-zipf", title: "get, 64 in flight on one connection, Zipfian", op: opGet, inFlight: 64, conns: 1, zipf: true},
		{id: "get-shared", title: "get, 64 goroutines on one client", op: opGet, inFlight: 64, conns: 1, shared: true},
		{id: "get-one", title: "get, 1 in flight", op: opGet, inFlight: 1, conns: 1},
		{id: "get-one-client", title: "get, 1 in flight, through the Go client", op: opGet, inFlight: 1, conns: 1, shared: true, only: []string{mldName, "raw echo"}},
		{id: "get-64-conns", title: "get, 64 connections with 1 in flight each", op: opGet, inFlight: 1, conns: 64},
		{id: "get-1000-conns", title: "get, 1,000 connections with 1 in flight each", op: opGet, inFlight: 1, conns: 1000, only: []string{"mld", "Redis"}},
		{id: "scan", title: "scan of all entries, forwards", op: opScan, inFlight: 1, conns: 1, shared: true},
		{id: "scan-reverse", title: "scan of all entries, in reverse", op: opScan, inFlight: 1, conns: 1, shared: true, reverse: true},
		{id: "scan-keys", title: "scan of all keys, without values", op: opScan, inFlight: 1, conns: 1, shared: true, keysOnly: true},
		{id: "mixed-95", title: "95 % gets, 5 % puts, 64 in flight on one connection", op: opMixed, inFlight: 64, conns: 1, reads: 0.95},
		{id: "mixed-50", title: "half gets, half puts, 64 in flight on one connection", op: opMixed, inFlight: 64, conns: 1, reads: 0.5},
		{id: "put", title: "put, not synced, 64 in flight on one connection", op: opPut, inFlight: 64, conns: 1},
		{id: "put-shared", title: "put, not synced, 64 goroutines on one client", op: opPut, inFlight: 64, conns: 1, shared: true},
		{id: "put-one", title: "put, not synced, 1 in flight", op: opPut, inFlight: 1, conns: 1},
		{id: "put-64-conns", title: "put, not synced, 64 connections with 1 in flight each", op: opPut, inFlight: 1, conns: 64},
		{id: "put-sync", title: "put, synced, 64 in flight on one connection", op: opPut, inFlight: 64, conns: 1, sync: true, note: "Pebble in process has 64 goroutines here, for one would wait for each sync alone."},
		{id: "put-sync-shared", title: "put, synced, 64 goroutines on one client", op: opPut, inFlight: 64, conns: 1, shared: true, sync: true},
		{id: "put-sync-64-conns", title: "put, synced, 64 connections with 1 in flight each", op: opPut, inFlight: 1, conns: 64, sync: true},
		{id: "batch", title: fmt.Sprintf("batches of %d puts, not synced, 1 in flight", batchLen), op: opBatch, puts: batchLen, inFlight: 1, conns: 1, shared: true},
	}
}
