//go:build mutant_record_outside

package server

const (
	mutantRecordOutside = true
	mutantNoRecord      = false
	mutantEarlyAck      = false
	mutantWatermark     = false
)
