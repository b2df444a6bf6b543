//go:build mutant_early_ack

package server

const (
	mutantRecordOutside = false
	mutantNoRecord      = false
	mutantEarlyAck      = true
	mutantWatermark     = false
)
