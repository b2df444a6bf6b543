package pebblestore

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/multileveldown/mld"
)

// slowLogs is a file system whose logs take long to sync, while there is a gate.
type slowLogs struct {
	vfs.FS
	gate  atomic.Pointer[gate]
	syncs atomic.Int32
}

// gate stops who comes until it is opened.
type gate struct{ reached, open chan struct{} }

func newGate() *gate { return &gate{make(chan struct{}, 1), make(chan struct{})} }

func (fs *slowLogs) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, c)
	if err == nil && strings.HasSuffix(name, ".log") {
		f = &slowLog{f, fs}
	}
	return f, err
}

type slowLog struct {
	vfs.File
	fs *slowLogs
}

func (f *slowLog) SyncData() error {
	f.fs.syncs.Add(1)
	if g := f.fs.gate.Load(); g != nil {
		g.reached <- struct{}{}
		<-g.open
	}
	return f.File.SyncData()
}

// TestBesideSynced has a write that is not synced come while another one's fsync
// goes on, and two that are synced, which share the next fsync.
func TestBesideSynced(t *testing.T) {
	fs := &slowLogs{FS: vfs.NewMem()}
	s, err := Open("db", &Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	g := newGate()
	fs.gate.Store(g)
	before := fs.syncs.Load()
	done := make(chan error, 3)
	put := func(key string) {
		done <- s.Put(context.Background(), []byte(key), nil, mld.Sync)
	}
	go put("first")
	<-g.reached
	if err := s.Put(t.Context(), []byte("beside"), nil, mld.NoSync); err != nil {
		t.Fatal(err)
	}
	go put("second")
	go put("third")
	// Both are in the store, and so wait for the fsync, when they can be read.
	for _, key := range []string{"second", "third"} {
		for {
			if _, err := s.Get(t.Context(), []byte(key)); err == nil {
				break
			}
		}
	}
	select {
	case err := <-done:
		t.Fatalf("a synced write was done before its fsync: %v", err)
	default:
	}
	fs.gate.Store(nil)
	close(g.open)
	for range 3 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	// The one that came between being read and waiting may need one more.
	if n := fs.syncs.Load() - before; n < 2 || n > 3 {
		t.Errorf("three writes took %d fsyncs", n)
	}
}
