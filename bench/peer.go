package main

import (
	"context"
	"errors"
	"io"
)

// peer is something that is measured. How it is measured depends on which of
// piper, opener and runner it implements as well.
type peer interface {
	name() string
	// start starts the peer with all entries. It returns errNotInstalled where
	// something is missing on this machine.
	start(ctx context.Context, b *bench) error
	// lacks reports whether the peer cannot do a workload, or does in it only
	// what another one does.
	lacks(w *workload) bool
	// memory returns the resident memory of the peer's server, 0 for one that
	// has none of its own.
	memory() int64
	close() error
}

var errNotInstalled = errors.New("not installed")

// piper is a peer whose protocol the benchmark speaks itself.
type piper interface {
	pipe(ctx context.Context, w *workload) (pipe, error)
}

// pipe is one connection on which requests are sent together and their answers
// read together. A pipe is used by one goroutine.
type pipe interface {
	// get and put add a request. The slices may be reused when they return.
	get(key []byte)
	put(key, value []byte)
	// flush sends what was added.
	flush() error
	// answer reads the answer to the next of the requests that were sent, of
	// which there are n, and returns its place among them and, of a get, the
	// value, which is valid until the next call.
	answer() (place int, value []byte, err error)
	io.Closer
}

// opener is a peer that is used through a library, as its users would.
type opener interface {
	// open returns a client, or the store itself, which goroutines share.
	open(ctx context.Context, w *workload) (handle, error)
}

// handle is one client of a peer, or a store in this process. Its methods may be
// called together.
type handle interface {
	// get returns the value of key, which is valid until release, which may be
	// nil, is closed.
	get(ctx context.Context, key []byte) (value []byte, release io.Closer, err error)
	put(ctx context.Context, key, value []byte) error
	// batch puts entries together, all or none.
	batch(ctx context.Context, entries []entry) error
	// scan calls visit for the entries of a store in the workload's order, until
	// that returns false. The slices are valid until visit returns.
	scan(ctx context.Context, visit func(key, value []byte) bool) error
	io.Closer
}

type entry struct{ key, value []byte }

// warmer is an opener whose store reads from disk what it has not read yet. It is
// read once as a whole, so that no row is about that.
type warmer interface {
	opener
	// warms reports whether that is to be done through this peer.
	warms() bool
}

// runner is a peer that measures itself, in another process.
type runner interface {
	run(ctx context.Context, w *workload) (perSecond float64, err error)
}

// peers returns all there are, in the order of the tables.
func peers() []peer {
	server := &mldServer{name: "mld-pebble", engine: "pebble"}
	redis := &redisServer{}
	manyLevel, multileveldown := &nodeHost{dialect: "many-level"}, &nodeHost{dialect: "multileveldown"}
	return []peer{
		&inProcess{},
		&mldPeer{label: mldName, server: server, owns: true},
		&mldPeer{label: "mld, at least once", server: server, atLeastOnce: true},
		&mldPeer{label: "mld, unix socket", server: server, unix: true},
		&mldPeer{
			label: "mld, no value cache", server: &mldServer{name: "mld-no-value-cache", engine: "pebble", noValues: true},
			owns: true, reads: true,
		},
		&redisPeer{label: "Redis", server: redis, owns: true},
		&redisPeer{label: "Redis, unix socket", server: redis, unix: true},
		&echoPeer{network: "tcp"},
		&echoPeer{network: "unix"},
		&grpcPeer{},
		&rpcPeer{},
		&etcdPeer{},
		&nodePeer{label: "many-level on classic-level", host: manyLevel},
		&nodePeer{label: "many-level on mld", host: manyLevel, server: server},
		&nodePeer{label: "multileveldown on leveldown", host: multileveldown},
		&nodePeer{label: "multileveldown on mld", host: multileveldown, server: server},
		&levelDB{},
		&mldPeer{label: "mld over LevelDB", server: &mldServer{name: "mld-leveldb", engine: "leveldb"}, owns: true},
	}
}

// mldName is the peer that the others are compared with.
const mldName = "mld"
