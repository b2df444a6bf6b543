package workload

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Result is what was measured of one workload.
type Result struct {
	// Workload is its name.
	Workload string
	// Elapsed is from when the first measured operation could start to when the
	// last had ended.
	Elapsed time.Duration
	// Operations are those that were done, by kind.
	Operations []Operation
	// Unstarted is how many operations of a fixed rate were due and not yet
	// started when the time was over: the store did not keep up.
	Unstarted int64
	// Err is the first of the errors that were counted, or nil.
	Err error
}

// Operation is what was measured of the operations of a kind.
type Operation struct {
	Kind Kind
	// Count is how many succeeded; Entries how many entries they read or wrote,
	// and Bytes the size of those entries' keys and values.
	Count, Entries, Bytes int64
	// Errors is how many failed. They are in no other figure.
	Errors int64
	// NotFound is how many of Count asked for a key that was not there.
	NotFound int64
	Latency  Latency
}

// Latency is the distribution of the time that an operation took: from its
// start, or with a fixed rate from when it should have started. The percentiles
// are exact to one part in a thousand.
type Latency struct {
	Min, Mean, P50, P90, P99, P999, Max time.Duration
}

// maxLatency is the longest that a histogram tells apart.
const maxLatency = time.Hour

// recorder counts operations. Several workers share one.
type recorder struct {
	mu sync.Mutex
	// What follows is protected by mu.
	kinds [kinds]*tally
	err   error
}

// tally is what is known of the operations of a kind.
type tally struct {
	Operation
	latencies *hdrhistogram.Histogram
	sum       time.Duration
}

func newTally(k Kind) *tally {
	return &tally{Operation: Operation{Kind: k}, latencies: hdrhistogram.New(1, int64(maxLatency), 3)}
}

// outcome is how an operation ended.
type outcome struct {
	kind     Kind
	latency  time.Duration
	entries  int64
	bytes    int64
	notFound bool
	err      error
}

func (r *recorder) record(o *outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.kinds[o.kind]
	if t == nil {
		t = newTally(o.kind)
		r.kinds[o.kind] = t
	}
	if o.err != nil {
		t.Errors++
		if r.err == nil {
			r.err = o.err
		}
		return
	}
	if t.Count == 0 || o.latency < t.Latency.Min {
		t.Latency.Min = o.latency
	}
	t.Latency.Max = max(t.Latency.Max, o.latency)
	t.Count++
	t.Entries += o.entries
	t.Bytes += o.bytes
	if o.notFound {
		t.NotFound++
	}
	t.sum += o.latency
	t.latencies.RecordValue(int64(min(max(o.latency, 0), maxLatency))) //nolint:errcheck // it is in the range
}

func (t *tally) merge(from *tally) {
	if from.Count > 0 && (t.Count == 0 || from.Latency.Min < t.Latency.Min) {
		t.Latency.Min = from.Latency.Min
	}
	t.Latency.Max = max(t.Latency.Max, from.Latency.Max)
	t.Count += from.Count
	t.Entries += from.Entries
	t.Bytes += from.Bytes
	t.Errors += from.Errors
	t.NotFound += from.NotFound
	t.sum += from.sum
	t.latencies.Merge(from.latencies)
}

// operation returns what there is to tell.
func (t *tally) operation() Operation {
	if t.Count == 0 {
		return t.Operation
	}
	o := t.Operation
	o.Latency.Mean = t.sum / time.Duration(t.Count)
	for p, field := range map[float64]*time.Duration{
		50: &o.Latency.P50, 90: &o.Latency.P90, 99: &o.Latency.P99, 99.9: &o.Latency.P999,
	} {
		// A bucket is named by its upper end, which may be above the maximum.
		*field = min(time.Duration(t.latencies.ValueAtQuantile(p)), o.Latency.Max)
	}
	return o
}

// addTo adds what the recorders have to a result.
func addTo(result *Result, recorders []*recorder) {
	for k := range kinds {
		var sum *tally
		for _, r := range recorders {
			if t := r.kinds[k]; t != nil {
				if sum == nil {
					sum = newTally(k)
				}
				sum.merge(t)
			}
		}
		if sum != nil {
			result.Operations = append(result.Operations, sum.operation())
		}
	}
	for _, r := range recorders {
		if result.Err == nil {
			result.Err = r.err
		}
	}
}
