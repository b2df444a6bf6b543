package pebblestore

import (
	"sync/atomic"

	"github.com/multileveldown/mld"
)

// syncs makes the promised durabilities of Pebble's. A write that Pebble does not
// sync is in the memory of the process when it is acknowledged, and would be lost
// with that. So all writes are committed as synced ones, for which Pebble writes the
// log out and syncs it before they are acknowledged; and that fsync is left out
// while nobody waits for one.
type syncs struct {
	waiting atomic.Int64 // writes that are to be on disk
}

// begin is called before a write, and end after it.
func (s *syncs) begin(d mld.Durability) {
	if d != mld.DurabilityNoSync {
		s.waiting.Add(1)
	}
}

func (s *syncs) end(d mld.Durability) {
	if d != mld.DurabilityNoSync {
		s.waiting.Add(-1)
	}
}

// logFile is a log. One goroutine at a time writes and syncs it.
type logFile struct {
	guardedFile
	syncs   *syncs
	written bool // since the last fsync
}

// Write implements [vfs.File].
func (f *logFile) Write(p []byte) (int, error) {
	f.written = true
	return f.guardedFile.Write(p)
}

// Sync implements [vfs.File].
func (f *logFile) Sync() error {
	if f.syncs.waiting.Load() == 0 {
		return nil
	}
	f.written = false
	return f.guardedFile.Sync()
}

// SyncData implements [vfs.File].
func (f *logFile) SyncData() error {
	if f.syncs.waiting.Load() == 0 {
		return nil
	}
	f.written = false
	return f.guardedFile.SyncData()
}

// Close implements [vfs.File]. What is synced in the next log must not be there
// without what is in this one.
func (f *logFile) Close() error {
	if f.written {
		_ = f.guardedFile.Sync() // which keeps its error to itself
	}
	return f.guardedFile.Close()
}
