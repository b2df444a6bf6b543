package server

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/wire"
)

// otherCalls is where the calls with the tags of the extensions are counted.
const otherCalls = wire.TagIteratorSeek + 1

// counters are what the server counts since it began.
type counters struct {
	accepted, refused atomic.Uint64 // connections
	calls             [otherCalls + 1]atomic.Uint64
	commits           atomic.Uint64
	malformed         atomic.Uint64
	overloads         atomic.Uint64
	shed              atomic.Uint64 // connections whose clients read too slowly
	repeated          atomic.Uint64 // numbered writes that were decided before
	resumed, renewed  atomic.Uint64 // iterators
	expired           atomic.Uint64 // leases
	sent              atomic.Uint64
}

// Stats returns what the store tells of itself, if it does, with figures of the
// server added to its metrics, their names beginning with "server_".
func (s *Server) Stats(ctx context.Context) (mld.Stats, error) {
	stats, err := s.visible.Stats(ctx)
	if errors.Is(err, mld.ErrUnsupported) {
		stats = mld.Stats{Engine: "unknown"}
	} else if err != nil {
		return stats, err
	}
	metrics := make(map[string]float64, len(stats.Metrics)+32)
	for name, v := range stats.Metrics {
		metrics[name] = v
	}
	s.mu.Lock()
	metrics["server_connections"] = float64(len(s.mu.conns))
	busy := 0
	for c := range s.mu.conns {
		if c.phase.Load() != idle {
			busy++
		}
	}
	metrics["server_connections_busy"] = float64(busy)
	s.mu.Unlock()
	n := &s.counters
	metrics["server_connections_accepted_total"] = float64(n.accepted.Load())
	metrics["server_connections_refused_total"] = float64(n.refused.Load())
	metrics["server_commits_total"] = float64(n.commits.Load())
	metrics["server_malformed_messages_total"] = float64(n.malformed.Load())
	metrics["server_overloads_total"] = float64(n.overloads.Load())
	metrics["server_in_flight_bytes"] = float64(s.inFlight.Load())
	metrics["server_open_iterators"] = float64(s.iterators.Load())
	metrics["server_open_snapshots"] = float64(s.snapshots.Load())
	metrics["server_unread_bytes"] = float64(s.unread.Load())
	metrics["server_slow_readers_cut_total"] = float64(n.shed.Load())
	metrics["server_sent_bytes_total"] = float64(n.sent.Load())
	if s.opts.Sessions != nil {
		metrics["server_sessions"] = float64(s.opts.Sessions.Len())
		metrics["server_repeated_writes_total"] = float64(n.repeated.Load())
	}
	leases, oldest := s.leased()
	metrics["server_leases"] = float64(leases)
	if leases > 0 {
		metrics["server_lease_oldest_seconds"] = time.Since(oldest).Seconds()
	}
	metrics["server_leases_expired_total"] = float64(n.expired.Load())
	metrics["server_iterators_resumed_total"] = float64(n.resumed.Load())
	metrics["server_iterators_renewed_total"] = float64(n.renewed.Load())
	metrics["server_writes_failed"] = 0
	if s.failure.Load() != nil {
		metrics["server_writes_failed"] = 1
	}
	for tag, name := range callNames {
		metrics["server_"+name+"_total"] = float64(n.calls[tag].Load())
	}
	stats.Metrics = metrics
	return stats, nil
}

var callNames = [otherCalls + 1]string{
	wire.TagGet:           "gets",
	wire.TagPut:           "puts",
	wire.TagDelete:        "deletes",
	wire.TagBatch:         "batches",
	wire.TagIterator:      "iterators",
	wire.TagClear:         "clears",
	wire.TagGetMany:       "get_manys",
	wire.TagIteratorClose: "iterator_closes",
	wire.TagIteratorAck:   "iterator_acks",
	wire.TagIteratorSeek:  "iterator_seeks",
	otherCalls:            "other_calls",
}
