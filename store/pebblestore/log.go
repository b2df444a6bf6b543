package pebblestore

import "sync"

// syncs makes the promised durabilities of Pebble's. A write that Pebble does not
// sync is in the memory of the process when it is acknowledged, and would be lost
// with that. So all writes are committed as synced ones, for which Pebble writes its
// log out; but an fsync of the log then does nothing, and whoever wants his write on
// disk waits for one here. So nobody else does, and those who came while there was
// an fsync share the next one.
type syncs struct {
	mu      sync.Mutex // held over no fsync
	turn    sync.Cond  // an fsync has ended
	logs    map[*logFile]struct{}
	started uint64 // how many fsyncs have
	ended   uint64
}

func newSyncs() *syncs {
	s := &syncs{logs: make(map[*logFile]struct{})}
	s.turn.L = &s.mu
	return s
}

// wait returns when all that was written to logs before it was called is on disk,
// or the store has failed.
func (s *syncs) wait() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for covering := s.started + 1; s.ended < covering; {
		if s.started > s.ended {
			s.turn.Wait()
			continue
		}
		s.started++
		logs := make([]*logFile, 0, 2)
		for f := range s.logs {
			logs = append(logs, f)
		}
		s.mu.Unlock()
		for _, f := range logs {
			f.flush()
		}
		s.mu.Lock()
		s.ended = s.started
		s.turn.Broadcast()
	}
}

// logFile is a log. One goroutine at a time writes and closes it.
type logFile struct {
	guardedFile
	syncs *syncs

	mu      sync.Mutex // held over an fsync, and before syncs.mu
	written bool       // since the last fsync; guarded by syncs.mu
	closed  bool       // guarded by mu
}

// newLogFile returns a log, which is synced from now on.
func (s *syncs) newLogFile(f guardedFile) *logFile {
	log := &logFile{guardedFile: f, syncs: s}
	s.mu.Lock()
	s.logs[log] = struct{}{}
	s.mu.Unlock()
	return log
}

// flush has what was written to the log on disk.
func (f *logFile) flush() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.syncs.mu.Lock()
	written := f.written && !f.closed
	f.written = false
	f.syncs.mu.Unlock()
	if written {
		_ = f.guardedFile.SyncData() // it keeps its error to itself
	}
}

// Write implements [vfs.File].
func (f *logFile) Write(p []byte) (int, error) {
	n, err := f.guardedFile.Write(p)
	f.syncs.mu.Lock()
	f.written = true
	f.syncs.mu.Unlock()
	return n, err
}

// Sync and SyncData implement [vfs.File]. They do nothing, see syncs.
func (f *logFile) Sync() error     { return nil }
func (f *logFile) SyncData() error { return nil }

// Close implements [vfs.File]. What is synced in the next log must not be there
// without what is in this one.
func (f *logFile) Close() error {
	f.flush()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.syncs.mu.Lock()
	delete(f.syncs.logs, f)
	f.syncs.mu.Unlock()
	return f.guardedFile.Close()
}
