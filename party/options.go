package party

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/client"
	"github.com/multileveldown/mld/server"
	"github.com/multileveldown/mld/session"
	"github.com/multileveldown/mld/store/leveldbstore"
	"github.com/multileveldown/mld/store/pebblestore"
)

// Engine is what opens a directory.
type Engine string

// The engines.
const (
	Pebble  Engine = "pebble"
	LevelDB Engine = "leveldb"
)

// Options configure a member of a party. Nil is the zero value, and a zero field
// has the default that its comment states. Each member has its own; what it says of
// the store and the serving holds while that member is the host.
type Options struct {
	// Engine is what a directory without a store gets one of; [Pebble] by
	// default. If it is given, Join fails on a directory that has a store of
	// another engine.
	Engine Engine

	// Pebble and LevelDB are the options of the engines. Their Lock, and what
	// says whether a store is to be made, are not used.
	Pebble  *pebblestore.Options
	LevelDB *leveldbstore.Options

	// Open, where it is set, opens the store in the directory instead, which
	// must be there. It is called with the file LOCK in the directory locked, for
	// as long as the store is open, and must not lock that file itself.
	Open func(dir string) (mld.Store, error)

	// Wrap, where it is set, puts something before a store that has been opened,
	// through which all reads and writes go, such as a cache. To close it closes
	// the store.
	Wrap func(mld.Store) mld.Store

	// Durability is that of writes which ask for none. By default the engine's
	// own options have it, and they write when it is on disk.
	Durability mld.Durability

	// Client is how the member behaves as a guest. Its Dialect and its
	// DialTimeout are not used, and its BackoffMin and BackoffMax have defaults
	// of 200 µs and 1 s here: they space out attempts after a host that accepts
	// connections and drops them.
	Client *client.Options

	// Server is how the member serves as the host. Its Sessions must not be set,
	// and its SnapshotLease not be negative.
	Server *server.Options

	// Sessions say how the host remembers the writes of its guests.
	Sessions *session.Options

	// GuestOnly makes a member that never becomes the host.
	GuestOnly bool

	// NoNode keeps Node processes out: the host does not listen for them, and no
	// host of theirs is joined.
	NoNode bool

	// JoinTimeout is for how long Join waits for a directory that is locked by a
	// process which does not answer. The default is 5 s. The opening of a store,
	// which can take longer after a crash, does not count.
	JoinTimeout time.Duration

	// DrainTimeout is for how long Close lets the guests of a host finish what
	// they have under way, half-read iterators among it. The default is 100 ms.
	DrainTimeout time.Duration

	// RetryMin and RetryMax bound the wait of a member that found neither a host
	// nor the lock free before it looks again. The wait doubles from one to the
	// next and is cut short at random by up to half. The defaults are 500 µs and
	// 250 ms.
	RetryMin time.Duration
	RetryMax time.Duration

	// OnRole is called after each change of the member's role or of its host, one
	// call after the other, and may use the party but not close it.
	OnRole func(Event)

	// Logger gets changes of roles at level Info, what fails at levels Warn and
	// Error. Nil discards.
	Logger *slog.Logger
}

func (o *Options) withDefaults() Options {
	var d Options
	if o != nil {
		d = *o
	}
	set(&d.JoinTimeout, 5*time.Second)
	set(&d.DrainTimeout, 100*time.Millisecond)
	set(&d.RetryMin, 500*time.Microsecond)
	set(&d.RetryMax, max(250*time.Millisecond, d.RetryMin))
	set(&d.Logger, slog.New(slog.DiscardHandler))
	c := client.Options{}
	if d.Client != nil {
		c = *d.Client
	}
	c.Dialect = 0
	c.DialTimeout = forever
	set(&c.BackoffMin, 200*time.Microsecond)
	set(&c.BackoffMax, max(time.Second, c.BackoffMin))
	set(&c.Logger, d.Logger)
	d.Client = &c
	s := server.Options{}
	if d.Server != nil {
		s = *d.Server
	}
	set(&s.Logger, d.Logger)
	set(&s.Durability, d.Durability)
	d.Server = &s
	return d
}

// forever is how long a member looks for a host.
const forever = 100 * 365 * 24 * time.Hour

// set gives a zero field its default.
func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate returns an error that is [mld.ErrInvalidArgument] when the options
// contradict each other or make no sense. Nil is valid.
func (o *Options) Validate() error {
	d := o.withDefaults()
	refuse := func(format string, args ...any) error {
		return &mld.Error{Code: mld.CodeInvalidArgument, Op: "party options", Msg: fmt.Sprintf(format, args...)}
	}
	switch {
	case d.Engine != "" && d.Engine != Pebble && d.Engine != LevelDB:
		return refuse("there is no engine %q", d.Engine)
	case d.Engine != "" && d.Open != nil:
		return refuse("Engine and Open exclude each other")
	case d.Server.Sessions != nil:
		return refuse("Server.Sessions is set: the party has its own, see Sessions")
	case d.Server.SnapshotLease < 0:
		return refuse("Server.SnapshotLease is negative: it is by the offer of leases that guests know the host")
	case d.Pebble != nil && d.Pebble.ReadOnly || d.LevelDB != nil && d.LevelDB.ReadOnly:
		return refuse("a store that is opened for reading alone cannot be hosted")
	case d.JoinTimeout < 0 || d.DrainTimeout < 0:
		return refuse("JoinTimeout is %v and DrainTimeout %v", d.JoinTimeout, d.DrainTimeout)
	case d.RetryMin < 0 || d.RetryMax < d.RetryMin:
		return refuse("RetryMin is %v and RetryMax %v", d.RetryMin, d.RetryMax)
	}
	return d.Client.Validate()
}
