// Package workload puts load on an [mld.Store], through one handle or several,
// and measures how fast it answers.
//
// The workloads are those of one kind of operation (get, put, scan …), a mix of
// gets and puts, and the six of Cooper et al., "Benchmarking Cloud Serving
// Systems with YCSB" (SoCC 2010). They differ from that paper's program in that
// a record is one value rather than ten fields, and in that keys are in the
// order of their insertion.
//
// All entries are the package's own: their keys are a prefix and ten digits, and
// each value follows from its key and a version, so that whatever is read can be
// verified. See [Bench].
package workload
