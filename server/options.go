package server

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/internal/socket"
	"github.com/multileveldown/mld/session"
	"github.com/multileveldown/mld/wire"
)

// Options configure a [Server]. Nil is the zero value, and a zero field has the
// default that its comment states.
type Options struct {
	// Dialect is what clients speak; [wire.Auto], the default, tells it by
	// their first messages. A client of this project says what it speaks and is
	// understood in any case.
	Dialect wire.Dialect

	// ReadOnly refuses every write with [mld.ErrReadOnly].
	ReadOnly bool

	// Durability is that of the writes that do not ask for one, as those of the
	// npm packages never do. By default the store chooses.
	Durability mld.Durability

	// BeforeWrite, where it is set, is called before each put, delete, batch and
	// clear, and may change or refuse it; see [Write].
	BeforeWrite func(w *Write) error

	// Sessions remembers, where it is set, what numbered writes came to, so that
	// those that a client sends again are not done again. It must be of the
	// store that is served, or where that is one of package store/namespace that was
	// made for it, of the store below; and be closed after the server. By default clients
	// are told that there are no sessions, and a write that is sent again is
	// done again.
	Sessions *session.Registry

	// SnapshotLease is for how long, after a connection has ended, the iterators
	// and snapshots that a client of this project had open are kept for its
	// next one. The default is 1 minute; negative keeps none.
	SnapshotLease time.Duration

	// MaxSnapshotAge is how long ago an iterator or a snapshot may have been
	// opened that is kept without a connection: it keeps from the store the
	// room that was freed since. The default is 1 hour; negative is no limit.
	MaxSnapshotAge time.Duration

	// Limits bound what connections may take of this process.
	Limits Limits

	// IdleTimeout closes a connection that has sent nothing for so long.
	// By default none is closed: an npm client may be silent for days. A peer
	// that is gone is found by TCP's own keep-alive.
	IdleTimeout time.Duration

	// MessageTimeout closes a connection that has begun to send a message, its
	// first or a later one, and has not sent all of it for so long, slowly or
	// not at all. The default is 2 minutes; negative is never.
	MessageTimeout time.Duration

	// WriteTimeout closes a connection that has not taken an answer for so
	// long. The default is 2 minutes; negative is never.
	WriteTimeout time.Duration

	// BusyPoll is for how long a connection looks for the next message again
	// and again before it sleeps, over sockets on Linux with more than one
	// processor: to be woken takes longer than most calls. It is not done for
	// some time where it was in vain, nor by two connections of a program at
	// once, and other goroutines go first. The default is 100 µs, the most 10 ms;
	// negative is not at all.
	BusyPoll time.Duration

	// Logger gets what goes wrong with a connection, at level Info, and what
	// goes wrong in this process, at level Error. By default nothing is logged.
	Logger *slog.Logger
}

// Limits bound what connections may take. A zero field has the default that
// its comment states; a negative one is no limit. Errors name a limit by the
// flag of the command, which is in parentheses.
type Limits struct {
	// Connections is how many there may be at a time (max-connections); 16,384.
	Connections int
	// Frame is the size of a message in bytes (max-frame); 64 MiB.
	Frame int
	// Key and Value are their sizes in bytes (max-key, max-value); 1 MiB and
	// the size of a frame.
	Key   int
	Value int
	// BatchOps is the number of operations in a batch (max-batch-ops); 1,048,576.
	BatchOps int
	// Keys is the number of keys in a get-many (max-keys); 65,536.
	Keys int
	// Answer is the size in bytes of the answer to a get-many (max-answer); 64 MiB.
	Answer int
	// Iterators is how many a connection may have open (max-iterators); 1,024.
	// TotalIterators is how many all may have, with those that are kept of clients
	// that have lost their connection (max-total-iterators); 8,192.
	Iterators      int
	TotalIterators int
	// Snapshots is how many a connection may have open (max-snapshots); 64.
	// TotalSnapshots is how many all may have, with those that are kept
	// (max-total-snapshots); 4,096.
	Snapshots      int
	TotalSnapshots int
	// ClientLeases is how many iterators and snapshots together are kept of a
	// client that has lost its connection (max-client-leases); 256. Leases is
	// how many are kept of all of them (max-leases); 4,096. What is above is
	// closed with the connection.
	ClientLeases int
	Leases       int
	// Page is the size in bytes of a message of entries that a client may ask
	// for (max-page); 256 KiB.
	Page int
	// ConnUnread is the size in bytes of the largest answer, or entry of an
	// iterator, that may wait for a client to read it (max-connection-unread); three
	// quarters of Unread. A larger one is refused. Smaller ones are not gathered
	// beyond 64 KiB, or a page.
	ConnUnread int
	// Unread is how many bytes of answers may wait for all clients together to
	// read them (max-unread); 192 MiB. Above that, the connections are closed whose
	// clients have let the server wait for the longest.
	Unread int
	// ConnInFlight is how many bytes the buffers of one connection may have
	// (max-connection-bytes), counted as for InFlight; three quarters of that.
	// One that is receiving the largest message while it sends the largest
	// answer takes up to a quarter more than both, and for each operation of a
	// large batch there are 112 bytes.
	ConnInFlight int
	// InFlight is how many bytes the buffers of all connections may have
	// together (max-in-flight-bytes); 256 MiB. Of each buffer, of which a
	// connection has one to read and one to write, the first 128 KiB are not
	// counted.
	InFlight int
}

const (
	defaultConnections = 16384
	defaultAnswer      = 64 << 20
	defaultIterators   = 1024

	defaultTotalIterators = 8192
	defaultTotalSnapshots = 4096

	defaultSnapshots    = 64
	defaultUnread       = 192 << 20
	defaultClientLeases = 256
	defaultLeases       = 4096
	defaultPage         = 256 << 10
	defaultInFlight     = 256 << 20

	defaultMessageTimeout = 2 * time.Minute
	defaultWriteTimeout   = 2 * time.Minute

	defaultSnapshotLease  = time.Minute
	defaultMaxSnapshotAge = time.Hour
	defaultBusyPoll       = 100 * time.Microsecond
)

// withDefaults returns the options with every default filled in.
func (o *Options) withDefaults() Options {
	var d Options
	if o != nil {
		d = *o
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	if d.MessageTimeout == 0 {
		d.MessageTimeout = defaultMessageTimeout
	}
	if d.WriteTimeout == 0 {
		d.WriteTimeout = defaultWriteTimeout
	}
	if d.BusyPoll == 0 {
		d.BusyPoll = defaultBusyPoll
	}
	d.BusyPoll = min(d.BusyPoll, socket.MaxBusyPoll)
	if d.SnapshotLease == 0 {
		d.SnapshotLease = defaultSnapshotLease
	}
	if d.MaxSnapshotAge == 0 {
		d.MaxSnapshotAge = defaultMaxSnapshotAge
	}
	l := &d.Limits
	for _, field := range []struct {
		value *int
		def   int
	}{
		{&l.Connections, defaultConnections},
		{&l.Frame, wire.DefaultMaxFrame},
		{&l.Key, wire.DefaultLimits.Key},
		{&l.Value, wire.DefaultLimits.Value},
		{&l.BatchOps, wire.DefaultLimits.BatchOps},
		{&l.Keys, wire.DefaultLimits.Keys},
		{&l.Answer, defaultAnswer},
		{&l.Iterators, defaultIterators},
		{&l.TotalIterators, defaultTotalIterators},
		{&l.Snapshots, defaultSnapshots},
		{&l.TotalSnapshots, defaultTotalSnapshots},
		{&l.Unread, defaultUnread},
		{&l.ConnUnread, 0}, // by default a part of Unread, see below
		{&l.ClientLeases, defaultClientLeases},
		{&l.Leases, defaultLeases},
		{&l.Page, defaultPage},
		{&l.InFlight, defaultInFlight},
		{&l.ConnInFlight, 0}, // by default a part of InFlight, see below
	} {
		switch {
		case *field.value == 0:
			*field.value = field.def
		case *field.value < 0:
			*field.value = int(^uint(0) >> 1)
		}
	}
	if l.ConnUnread == 0 {
		l.ConnUnread = l.Unread - l.Unread/4
	}
	if l.ConnInFlight == 0 {
		l.ConnInFlight = l.InFlight - l.InFlight/4
	}
	return d
}

// message returns the limits that the decoder of messages holds.
func (l *Limits) message() wire.Limits {
	return wire.Limits{Key: l.Key, Value: l.Value, BatchOps: l.BatchOps, Keys: l.Keys}
}

// errLimit is returned for what would go above a limit.
func errLimit(what string, limit int, flag string) error {
	return &mld.Error{Code: mld.CodeLimitExceeded, Msg: fmt.Sprintf("more than %d %s (%s)", limit, what, flag)}
}
