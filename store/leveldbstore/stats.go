package leveldbstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/syndtr/goleveldb/leveldb"

	"github.com/multileveldown/mld"
)

// Stats implements [mld.Statser]. MemoryBytes is what the block cache holds; the
// write buffers come on top of it, up to twice [Options.WriteBufferBytes].
func (s *Store) Stats(ctx context.Context) (mld.Stats, error) {
	if err := s.beginRead(ctx, "stats"); err != nil {
		return mld.Stats{}, err
	}
	defer s.reads.RUnlock()
	var db leveldb.DBStats
	if err := s.db.Stats(&db); err != nil {
		return mld.Stats{}, s.fail("stats", nil, err)
	}
	disk, err := diskBytes(s.dir)
	if err != nil {
		return mld.Stats{}, s.fail("stats", nil, err)
	}
	metrics := map[string]float64{
		"open_tables":                  float64(db.OpenedTablesCount),
		"open_iterators":               float64(db.AliveIterators),
		"open_snapshots":               float64(db.AliveSnapshots),
		"block_cache_bytes":            float64(db.BlockCacheSize),
		"block_cache_hits_total":       float64(db.BlockCache.HitCount),
		"block_cache_misses_total":     float64(db.BlockCache.MissCount),
		"read_bytes_total":             float64(db.IORead),
		"written_bytes_total":          float64(db.IOWrite),
		"write_delays_total":           float64(db.WriteDelayCount),
		"write_delay_seconds_total":    db.WriteDelayDuration.Seconds(),
		"memtable_compactions_total":   float64(db.MemComp),
		"level0_compactions_total":     float64(db.Level0Comp),
		"other_compactions_total":      float64(db.NonLevel0Comp),
		"seek_compactions_total":       float64(db.SeekComp),
		"compaction_read_bytes_total":  float64(db.LevelRead.Sum()),
		"compaction_write_bytes_total": float64(db.LevelWrite.Sum()),
	}
	for level, tables := range db.LevelTablesCounts {
		metrics[fmt.Sprintf("level%d_tables", level)] = float64(tables)
		metrics[fmt.Sprintf("level%d_bytes", level)] = float64(db.LevelSizes[level])
	}
	return mld.Stats{
		Engine:      "leveldb",
		Path:        s.dir,
		DiskBytes:   disk,
		MemoryBytes: int64(db.BlockCacheSize),
		Metrics:     metrics,
	}, nil
}

// diskBytes returns the size of the files in dir. Compaction may delete some of
// them meanwhile.
func diskBytes(dir string) (int64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	var total int64
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		total += info.Size()
	}
	return total, nil
}
