package pebblestore

import (
	"context"

	"github.com/multileveldown/mld"
)

// Stats implements [mld.Statser]. MemoryBytes is what the block cache and the
// memtables hold.
func (s *Store) Stats(ctx context.Context) (mld.Stats, error) {
	if err := s.begin(ctx, "stats"); err != nil {
		return mld.Stats{}, err
	}
	defer s.end()
	m := s.db.Metrics()
	total := m.Total()
	return mld.Stats{
		Engine:      "pebble",
		Path:        s.dir,
		DiskBytes:   int64(m.DiskSpaceUsage()),
		MemoryBytes: m.BlockCache.Size + int64(m.MemTable.Size),
		Metrics: map[string]float64{
			"block_cache_bytes":        float64(m.BlockCache.Size),
			"block_cache_hits_total":   float64(m.BlockCache.Hits),
			"block_cache_misses_total": float64(m.BlockCache.Misses),
			"compaction_debt_bytes":    float64(m.Compact.EstimatedDebt),
			"compactions_total":        float64(m.Compact.Count),
			"flushes_total":            float64(m.Flush.Count),
			"iterators":                float64(m.TableIters),
			"memtable_bytes":           float64(m.MemTable.Size),
			"memtables":                float64(m.MemTable.Count),
			"read_amplification":       float64(m.ReadAmp()),
			"snapshots":                float64(m.Snapshots.Count),
			"tables":                   float64(total.TablesCount),
			"tables_bytes":             float64(total.TablesSize),
			"wal_bytes":                float64(m.WAL.Size),
			"wal_written_bytes_total":  float64(m.WAL.BytesWritten),
		},
	}, nil
}
