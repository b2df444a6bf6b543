package workload

import (
	"fmt"
	"time"

	"github.com/multileveldown/mld"
)

// DefaultPrefix begins the keys of all entries that a [Bench] makes.
const DefaultPrefix = "bench:"

// Options say what load is put on a store. Nil, and each zero field, mean the
// defaults.
type Options struct {
	// Prefix begins the keys of all entries. The default is [DefaultPrefix].
	Prefix string

	// Keys is how many entries there are, ValueSize the bytes of their values.
	// The defaults are 100,000 and 100.
	Keys      int
	ValueSize int

	// BatchSize is how many entries a batch puts. The default is 100.
	BatchSize int
	// ScanLength is how many entries a scan reads; it begins at a key that is
	// chosen. The default is all entries. YCSB E has a length of its own.
	ScanLength int

	// InFlight is how many operations are under way at a time on each handle.
	// The default is 1.
	InFlight int
	// Rate is how many operations are started a second, over all handles, as
	// long as the store keeps up. The latency of one that starts late, because
	// those before it took long, counts from when it was due. The default is
	// none: each operation starts when the one before it ends.
	Rate float64

	// Warmup and Duration are how long each workload runs before it is
	// measured, and while it is. The defaults are none and 10 s.
	Warmup   time.Duration
	Duration time.Duration

	// Distribution is how keys are chosen. The default is the workload's own:
	// Latest for YCSB D, Zipfian for the others of YCSB, and else Uniform.
	Distribution Distribution
	// ReadFraction is the fraction of gets in the workload mixed, 0 to 1. Nil is
	// a half.
	ReadFraction *float64

	// Write modifies the writes of all workloads but put-sync.
	Write *mld.WriteOptions

	// Seed is what all choices follow from.
	Seed uint64

	// Timeout is after what time without an answer a run is given up. The
	// default is never.
	Timeout time.Duration

	// OnProgress is called each second of a run, and now and then while entries
	// are loaded, never by two goroutines at a time.
	OnProgress func(Progress)
}

// Progress is how far something has got.
type Progress struct {
	// What is the name of the workload, or what is done before or after it.
	What string
	// Elapsed of Total is how much of the time is over; Total is 0 where it is
	// not known.
	Elapsed, Total time.Duration
	// Entries is how many were read or written in all, and EntriesPerSecond how
	// many a second since the last call.
	Entries          int64
	EntriesPerSecond float64
}

func (o *Options) withDefaults() Options {
	var d Options
	if o != nil {
		d = *o
	}
	set(&d.Prefix, DefaultPrefix)
	set(&d.Keys, 100_000)
	set(&d.ValueSize, 100)
	set(&d.BatchSize, 100)
	set(&d.InFlight, 1)
	set(&d.Duration, 10*time.Second)
	if d.OnProgress == nil {
		d.OnProgress = func(Progress) {}
	}
	return d
}

// set gives a zero field its default.
func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate returns an error that is [mld.ErrInvalidArgument] when the options
// contradict each other or make no sense. Nil is valid.
func (o *Options) Validate() error {
	d := o.withDefaults()
	refuse := func(format string, args ...any) error {
		return &mld.Error{Code: mld.CodeInvalidArgument, Op: "bench options", Msg: fmt.Sprintf(format, args...)}
	}
	switch {
	case d.Keys < 0 || d.Keys > maxKeys/2:
		return refuse("Keys is %d, not 1 to %d", d.Keys, int64(maxKeys/2))
	case d.ValueSize < 0 || d.BatchSize < 0 || d.ScanLength < 0 || d.InFlight < 0:
		return refuse("ValueSize is %d, BatchSize %d, ScanLength %d, InFlight %d", d.ValueSize, d.BatchSize, d.ScanLength, d.InFlight)
	case !(d.Rate >= 0 && d.Rate <= 1e9):
		return refuse("Rate is %v", d.Rate)
	case d.Warmup < 0 || d.Duration < 0 || d.Timeout < 0:
		return refuse("Warmup is %v, Duration %v, Timeout %v", d.Warmup, d.Duration, d.Timeout)
	case d.ReadFraction != nil && !(*d.ReadFraction >= 0 && *d.ReadFraction <= 1):
		return refuse("ReadFraction is %v, not 0 to 1", *d.ReadFraction)
	}
	if d.Distribution != "" {
		if err := d.Distribution.validate(); err != nil {
			return refuse("%v", err)
		}
	}
	return nil
}
