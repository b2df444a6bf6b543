//go:build mutant_no_record

package server

const (
	mutantRecordOutside = false
	mutantNoRecord      = true
	mutantEarlyAck      = false
	mutantWatermark     = false
)
