package main

import (
	"github.com/spf13/cobra"

	"github.com/multileveldown/mld/server"
	"github.com/multileveldown/mld/wire"
)

// limitFlags are the limits of a server.
type limitFlags struct {
	connections, batchOps, keys, clientLeases, leases                           count
	iterators, totalIterators, snapshots, totalSnapshots                        count
	frame, key, value, answer, page, connUnread, unread, connInFlight, inFlight byteSize
}

func (f *limitFlags) add(c *cobra.Command) {
	*f = limitFlags{
		connections:  16384,
		frame:        wire.DefaultMaxFrame,
		key:          byteSize(wire.DefaultLimits.Key),
		value:        byteSize(wire.DefaultLimits.Value),
		batchOps:     count(wire.DefaultLimits.BatchOps),
		keys:         count(wire.DefaultLimits.Keys),
		answer:       64 << 20,
		clientLeases: 256,
		leases:       4096,
		page:         256 << 10,
		unread:       192 << 20,
		inFlight:     256 << 20,

		iterators:      1024,
		totalIterators: 8192,
		snapshots:      64,
		totalSnapshots: 4096,
	}
	flags := c.Flags()
	flags.Var(&f.connections, "max-connections", "connections at a time")
	flags.Var(&f.frame, "max-frame", "the size of a message")
	flags.Var(&f.key, "max-key", "the size of a key")
	flags.Var(&f.value, "max-value", "the size of a value")
	flags.Var(&f.batchOps, "max-batch-ops", "operations in a batch")
	flags.Var(&f.keys, "max-keys", "keys in a get-many")
	flags.Var(&f.answer, "max-answer", "the size of the answer to a get-many")
	flags.Var(&f.iterators, "max-iterators", "open iterators of a connection")
	flags.Var(&f.totalIterators, "max-total-iterators", "open iterators of all connections, with those that wait for clients to\ncome back")
	flags.Var(&f.snapshots, "max-snapshots", "open snapshots of a connection")
	flags.Var(&f.totalSnapshots, "max-total-snapshots", "open snapshots of all connections, with those that wait for clients to\ncome back")
	flags.Var(&f.clientLeases, "max-client-leases", "iterators and snapshots that wait for one client to come back")
	flags.Var(&f.leases, "max-leases", "iterators and snapshots that wait for clients to come back")
	flags.Var(&f.page, "max-page", "the size of a message of entries")
	flags.Var(&f.connUnread, "max-connection-unread", "the size of an answer that may wait for its client to read it (default\nthree quarters of --max-unread)")
	flags.Var(&f.unread, "max-unread", "answers that wait for clients to read them, over all connections; above\nthat, those that have waited for the longest are cut")
	flags.Var(&f.connInFlight, "max-connection-bytes", "what messages being received or answered take of one connection (default\nthree quarters of --max-in-flight-bytes)")
	flags.Var(&f.inFlight, "max-in-flight-bytes", "what messages being received or answered take over all connections")
}

func (f *limitFlags) limits() server.Limits {
	return server.Limits{
		Connections:  int(f.connections),
		Frame:        int(f.frame),
		Key:          int(f.key),
		Value:        int(f.value),
		BatchOps:     int(f.batchOps),
		Keys:         int(f.keys),
		Answer:       int(f.answer),
		ClientLeases: int(f.clientLeases),
		Leases:       int(f.leases),
		Page:         int(f.page),
		ConnUnread:   int(f.connUnread),
		Unread:       int(f.unread),
		ConnInFlight: int(f.connInFlight),
		InFlight:     int(f.inFlight),

		Iterators:      int(f.iterators),
		TotalIterators: int(f.totalIterators),
		Snapshots:      int(f.snapshots),
		TotalSnapshots: int(f.totalSnapshots),
	}
}
