//go:build !mutant_record_outside && !mutant_no_record && !mutant_early_ack && !mutant_watermark

package server

// The faults that tests must find. One of them is built in with a build tag of
// its name, to see that they do.
const (
	// The record of a session is stored after the batch that it tells of.
	mutantRecordOutside = false
	// No record is kept, and none asked.
	mutantNoRecord = false
	// Writes are answered before they are applied.
	mutantEarlyAck = false
	// Every write is taken to say that all before it have been answered.
	mutantWatermark = false
)
