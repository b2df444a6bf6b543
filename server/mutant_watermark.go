//go:build mutant_watermark

package server

const (
	mutantRecordOutside = false
	mutantNoRecord      = false
	mutantEarlyAck      = false
	mutantWatermark     = true
)
