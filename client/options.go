package client

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/internal/socket"
	"github.com/multileveldown/mld/wire"
)

// Options configure a client. Nil, and each zero field, mean the defaults.
type Options struct {
	// Dialect is what is spoken to the server: [wire.ManyLevel], which is the
	// default, or [wire.Multileveldown].
	Dialect wire.Dialect

	// ExactlyOnce is whether a write that has to be sent again is done once. The
	// default is [ExactlyOnceAuto]: where the server offers it.
	ExactlyOnce ExactlyOnce

	// NoRetry makes calls fail with [mld.ErrConnectionLost] when their
	// connection is lost, or cannot be made, instead of sending them (again) on
	// the next one. A write's error is also [mld.ErrNotSent] or
	// [mld.ErrOutcomeUnknown]. Iterators fail likewise. The client reconnects
	// all the same, for calls to come.
	NoRetry bool

	// BackoffMin and BackoffMax bound the wait between two attempts to connect,
	// which doubles from one to the next and is cut short at random by up to
	// half. It starts anew after a connection that was of use. The defaults are
	// 10 ms and 5 s.
	BackoffMin time.Duration
	BackoffMax time.Duration

	// DialTimeout bounds one attempt to connect. The default is 10 s.
	DialTimeout time.Duration

	// MaxPending and MaxPendingBytes bound how many calls wait for an answer,
	// and how many bytes of keys and values they have, while there is no
	// connection: one more fails with [mld.ErrLimitExceeded]. The defaults are
	// 65,536 and 256 MiB. While there is a connection, callers wait for room on
	// it and nothing piles up.
	MaxPending      int
	MaxPendingBytes int

	// MaxFrame is the greatest size of a message that is read, in bytes. A call
	// whose answer is larger fails with [mld.ErrLimitExceeded]. The default is
	// [wire.DefaultMaxFrame]. What may be sent, the server says.
	MaxFrame int

	// KeepAliveInterval is after what silence of the server it is asked for a
	// sign of life, KeepAliveTimeout after how much in all the connection
	// counts as lost, give or take a quarter of the interval. The defaults are
	// 5 s and 10 s. A negative interval asks and cuts nothing.
	KeepAliveInterval time.Duration
	KeepAliveTimeout  time.Duration

	// BusyPoll is for how long who waits for an answer looks for it again and
	// again before it sleeps, over sockets on Linux with more than one
	// processor. To sleep and be woken takes longer than most answers do, and
	// costs the server, too, where that is on the same machine. It is not done
	// for some time where it was in vain, nor by two at once in a program, and
	// other goroutines go first. The default is 200 µs, the most 10 ms; negative is
	// not at all.
	BusyPoll time.Duration

	// Logger is told of connections and why they end. Nil discards.
	Logger *slog.Logger

	// Events are called back.
	Events Events
}

// Events are functions that a client calls. Nil ones are not called. They are
// called one after the other, never together, and hold up the connecting while
// they run; they must not call [Client.Close].
type Events struct {
	// OnState is called after each change of state, with why the last
	// connection, or the last attempt at one, ended, or nil.
	OnState func(s State, lastErr error)
}

func (o *Options) withDefaults() Options {
	var d Options
	if o != nil {
		d = *o
	}
	set(&d.Dialect, wire.ManyLevel)
	set(&d.BackoffMin, 10*time.Millisecond)
	set(&d.BackoffMax, max(5*time.Second, d.BackoffMin))
	set(&d.DialTimeout, 10*time.Second)
	set(&d.MaxPending, 1<<16)
	set(&d.MaxPendingBytes, 256<<20)
	set(&d.MaxFrame, wire.DefaultMaxFrame)
	set(&d.KeepAliveInterval, 5*time.Second)
	set(&d.KeepAliveTimeout, max(10*time.Second, d.KeepAliveInterval))
	set(&d.BusyPoll, 200*time.Microsecond)
	d.BusyPoll = min(d.BusyPoll, socket.MaxBusyPoll)
	set(&d.Logger, slog.New(slog.DiscardHandler))
	return d
}

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
		return &mld.Error{Code: mld.CodeInvalidArgument, Op: "client options", Msg: fmt.Sprintf(format, args...)}
	}
	switch {
	case d.Dialect != wire.ManyLevel && d.Dialect != wire.Multileveldown:
		return refuse("Dialect is %v: a client speaks many-level or multileveldown", d.Dialect)
	case d.ExactlyOnce > ExactlyOnceOff:
		return refuse("ExactlyOnce is %d", d.ExactlyOnce)
	case d.BackoffMin < 0 || d.BackoffMax < d.BackoffMin:
		return refuse("BackoffMin is %v and BackoffMax %v", d.BackoffMin, d.BackoffMax)
	case d.DialTimeout < 0:
		return refuse("DialTimeout is %v", d.DialTimeout)
	case d.MaxPending < 0 || d.MaxPendingBytes < 0 || d.MaxFrame < 0:
		return refuse("MaxPending is %d, MaxPendingBytes %d, MaxFrame %d", d.MaxPending, d.MaxPendingBytes, d.MaxFrame)
	case d.KeepAliveInterval > 0 && d.KeepAliveTimeout < d.KeepAliveInterval:
		return refuse("KeepAliveTimeout is %v, less than KeepAliveInterval, which is %v", d.KeepAliveTimeout, d.KeepAliveInterval)
	}
	return nil
}
