package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/party"
	"github.com/multileveldown/mld/server"
	"github.com/multileveldown/mld/session"
	"github.com/multileveldown/mld/store/hotcache"
	"github.com/multileveldown/mld/store/memstore"
	"github.com/multileveldown/mld/store/namespace"
	"github.com/multileveldown/mld/wire"
)

// What --sessions takes.
const (
	sessionsOn  = "on"
	sessionsOff = "off"
)

// serveFlags are those of mld serve.
type serveFlags struct {
	app       *app
	flags     *cobra.Command
	addresses []string
	stdio     bool
	store     string
	sync      string
	dialect   string
	readOnly  bool
	prefix    string
	sublevels []string
	cache     byteSize
	values    byteSize
	memtable  byteSize
	limits    limitFlags
	idle      time.Duration
	message   time.Duration
	write     time.Duration
	busyPoll  time.Duration
	grace     time.Duration
	logLevel  string

	sessions       string
	sessionLease   time.Duration
	maxSessions    count
	snapshotLease  time.Duration
	maxSnapshotAge time.Duration

	// What check makes of them.
	logger    *slog.Logger
	endpoints []endpoint
	within    []byte // the prefix of what is served
}

func (a *app) serveCommand() *cobra.Command {
	f := &serveFlags{app: a}
	c := &cobra.Command{
		Use:   "serve [DIR]",
		Short: "Serve the store in a directory, or one in memory",
		Long: `Serve the store in DIR, which is one of Pebble or LevelDB, or a directory that is
empty or not there yet: then a store is created in it. A directory of something
else is left as it is. Without DIR, --store memory serves a store that is gone
when the server ends.

For each address of --listen one line is written to stdout when clients can
connect; it has the word "listening" and the address, which --db takes. With
--stdio, stdin and stdout are a connection, and the lines go to stderr; the
server ends when stdin does, and does not listen unless --listen is given.

Writes of clients of this project are numbered, and one that is sent again, after
a connection was lost or the server was killed, is not done again. What is
remembered for that is kept in the store, in keys that no client can see. With
--sessions off there is no such promise; with --readonly there are no writes.

There is no authentication: whoever can connect can read, and unless --readonly
is given, write everything. A unix socket is for its owner only.

SIGINT and SIGTERM drain: nothing new is accepted, and connections end when what
they have sent is answered, or after --grace. A second signal cuts them. The
store is closed in either case, and a third signal ends the process at once.`,
		Example: lines(
			`mld serve ./db`,
			`mld serve ./db --listen unix:/run/user/1000/db.sock`,
			`mld serve ./db --listen tcp://127.0.0.1:0 --readonly --sublevel users`,
			`mld serve --store memory`,
			`mld get --db 'exec:ssh host mld serve --stdio ./db' greeting`,
		),
		Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: a.runE(func(ctx context.Context, args []string) error {
			if len(args) == 0 {
				return f.run(ctx, "")
			}
			if args[0] == "" {
				return usageError("DIR is empty")
			}
			return f.run(ctx, args[0])
		}),
	}
	f.flags = c
	flags := c.Flags()
	flags.SortFlags = false // they are in groups
	flags.StringArrayVar(&f.addresses, "listen", nil, "an address to listen on, tcp://HOST:PORT or unix:PATH; may be given\n"+
		"more than once; port 0 is any that is free (default "+defaultAddress+")")
	flags.BoolVar(&f.stdio, "stdio", false, "serve one connection on stdin and stdout")
	choiceFlag(c, &f.store, "store", "", "what DIR holds, or what to create in it (default: what DIR holds, or\n"+
		"pebble)", enginePebble, engineLevelDB, engineMemory)
	choiceFlag(c, &f.sync, "sync", syncWrites, "when a write that does not say so itself counts as done: sync, when it is\n"+
		"on disk; nosync, when the system has it", syncWrites, noSyncWrites)
	choiceFlag(c, &f.dialect, "dialect", wire.Auto.String(), "what Node clients speak", wire.Auto.String(), wire.ManyLevel.String(), wire.Multileveldown.String())
	flags.BoolVar(&f.readOnly, "readonly", false, "refuse writes, and do not write to DIR")
	flags.StringVar(&f.prefix, "prefix", "", "serve only the keys that begin with this, without it")
	flags.StringArrayVar(&f.sublevels, "sublevel", nil, "serve only the sublevel of this name; given more than once, the second is\n"+
		"within the first")
	c.MarkFlagsMutuallyExclusive("prefix", "sublevel")
	flags.Var(&f.cache, "cache", "the memory for blocks that were read (default 64MiB; 32MiB for leveldb)")
	f.values = 32 << 20
	flags.Var(&f.values, "value-cache", "the memory for values that were read, which come from there in a third of\nthe time; 0 is none")
	flags.Var(&f.memtable, "memtable", "how much is written to memory before it becomes a table on disk (default\n8MiB; 4MiB for leveldb)")
	flags.DurationVar(&f.idle, "idle-timeout", 0, "close a connection that has sent nothing for so long (default never)")
	flags.DurationVar(&f.message, "message-timeout", 2*time.Minute, "close a connection that has not sent the whole of a message so long after\nits beginning; 0 is never")
	flags.DurationVar(&f.write, "write-timeout", 2*time.Minute, "close a connection that has not taken an answer for so long; 0 is\nnever")
	flags.DurationVar(&f.busyPoll, "busy-poll", 100*time.Microsecond, "how long a connection looks for the next message before it sleeps, which\nmakes answers faster and the processor busier; 10ms at the most, 0 is\nnot at all")
	choiceFlag(c, &f.sessions, "sessions", sessionsOn, "whether writes that are sent again are recognised", sessionsOn, sessionsOff)
	flags.DurationVar(&f.sessionLease, "session-lease", 24*time.Hour, "how long a client that is not connected is remembered")
	f.maxSessions = 100_000
	flags.Var(&f.maxSessions, "max-sessions", "clients that are remembered")
	flags.DurationVar(&f.snapshotLease, "snapshot-lease", time.Minute, "how long the iterators and snapshots of a client that lost its\nconnection wait for its next one; 0 closes them")
	flags.DurationVar(&f.maxSnapshotAge, "max-snapshot-age", time.Hour, "how old they may be then")
	flags.DurationVar(&f.grace, "grace", 10*time.Second, "how long a signal lets connections drain")
	choiceFlag(c, &f.logLevel, "log-level", "warn", "the least that is logged, on stderr", "debug", "info", "warn", "error")
	f.limits.add(c)
	return c
}

func (f *serveFlags) run(ctx context.Context, dir string) (err error) {
	if err := f.check(dir); err != nil {
		return err
	}
	// From here on signals wait until there is something to end.
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)

	if f.store != engineMemory && !f.readOnly && len(f.within) == 0 {
		return f.serveParty(ctx, dir, f.partyOptions(), signals)
	}
	store, err := f.open(dir)
	if errors.Is(err, mld.ErrLocked) && isHosted(ctx, dir) {
		return f.serveParty(ctx, dir, &party.Options{GuestOnly: true}, signals)
	}
	if err != nil {
		return err
	}
	defer func() {
		if cerr := store.Close(); err == nil {
			err = cerr
		}
	}()
	served := store
	if len(f.within) > 0 {
		served = namespace.NewServed(store, f.within)
	}
	listeners, err := f.listenAll(ctx)
	if err != nil {
		return err
	}
	return f.serveSessions(ctx, store, served, listeners, signals)
}

// serveSessions serves a store, or a part of it, with the sessions that it has,
// unless they are not kept.
func (f *serveFlags) serveSessions(ctx context.Context, store, served mld.Store, listeners []net.Listener, signals <-chan os.Signal) error {
	o := f.options()
	if f.sessions == sessionsOn && !f.readOnly {
		registry, err := session.Open(ctx, store, &session.Options{Prefix: f.within, Lease: f.sessionLease, MaxSessions: int(f.maxSessions), Logger: f.logger})
		if err != nil {
			for _, l := range listeners {
				l.Close()
			}
			return err
		}
		defer registry.Close()
		o.Sessions = registry
	}
	return f.serve(server.New(served, o), listeners, signals, ctx.Done())
}

// check refuses what contradicts itself or makes no sense, before anything is
// opened, and works out the rest.
func (f *serveFlags) check(dir string) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.logLevel)); err != nil {
		return err
	}
	f.logger = slog.New(slog.NewTextHandler(f.app.stderr, &slog.HandlerOptions{Level: level}))
	memory := f.store == engineMemory
	switch {
	case f.flags.Flags().Changed("db") || f.flags.Flags().Changed("timeout"):
		return usageError("--db and --timeout are of no use here: give the directory as the argument, without --db")
	case memory && dir != "":
		return usageError("--store memory and a directory, %s, exclude each other", dir)
	case !memory && dir == "":
		return usageError("give the directory of the store, or --store memory; see 'mld serve --help'")
	case f.idle < 0 || f.message < 0 || f.write < 0 || f.busyPoll < 0 || f.grace < 0:
		return usageError("--idle-timeout, --message-timeout, --write-timeout, --busy-poll and --grace must not be negative")
	case f.sessionLease <= 0 || f.maxSnapshotAge <= 0 || f.snapshotLease < 0:
		return usageError("--session-lease and --max-snapshot-age must be positive, and --snapshot-lease not negative")
	}
	if memory {
		for _, name := range []string{"sync", "cache", "value-cache", "memtable"} {
			if f.flags.Flags().Changed(name) {
				return usageError("--%s is of no use with --store memory", name)
			}
		}
	}
	addresses := f.addresses
	if len(addresses) == 0 && !f.stdio {
		addresses = []string{defaultAddress}
	}
	for _, address := range addresses {
		e, err := parseAddress(address)
		if err != nil {
			return err
		}
		f.endpoints = append(f.endpoints, e)
	}
	f.within = []byte(f.prefix)
	if len(f.sublevels) > 0 {
		var err error
		if f.within, err = namespace.Sublevel(f.sublevels...); err != nil {
			return usageError("--sublevel: %w", err)
		}
	}
	if f.flags.Flags().Changed("sessions") && f.sessions == sessionsOn && f.readOnly {
		return usageError("no sessions are kept with --readonly, for there are no writes")
	}
	return nil
}

func (f *serveFlags) open(dir string) (mld.Store, error) {
	if f.store == engineMemory {
		return memstore.New(), nil
	}
	store, err := openDirectory(dir, f.engine())
	if err != nil || f.values == 0 {
		return store, err
	}
	return hotcache.New(store, &hotcache.Options{Bytes: int64(f.values)}), nil
}

// engine returns how the directory is opened.
func (f *serveFlags) engine() engineOptions {
	o := engineOptions{
		engine:     f.store,
		create:     f.store,
		readOnly:   f.readOnly,
		durability: durability(f.sync),
		cache:      int64(f.cache),
		memtable:   int64(f.memtable),
		logger:     f.logger,
	}
	if f.readOnly {
		o.create = ""
	} else if o.create == "" {
		o.create = enginePebble
	}
	return o
}

// listenAll listens on all addresses or on none.
func (f *serveFlags) listenAll(ctx context.Context) ([]net.Listener, error) {
	var listeners []net.Listener
	for _, e := range f.endpoints {
		l, err := e.listen(ctx)
		if err != nil {
			for _, l := range listeners {
				l.Close()
			}
			return nil, err
		}
		listeners = append(listeners, l)
	}
	return listeners, nil
}

// serveParty serves as a member of the party of the directory: as its host, or by way
// of the process that is.
func (f *serveFlags) serveParty(ctx context.Context, dir string, o *party.Options, signals <-chan os.Signal) (err error) {
	if _, err := findEngine(dir, f.engine()); err != nil {
		return err
	}
	p, err := party.JoinContext(ctx, dir, o)
	if err != nil {
		return openError(err)
	}
	defer func() {
		if cerr := p.Close(); err == nil {
			err = cerr
		}
	}()
	listeners, err := f.listenAll(ctx)
	if err != nil {
		return err
	}
	switch {
	case len(f.within) > 0:
		return f.serve(server.New(namespace.New(p, f.within), f.options()), listeners, signals, ctx.Done())
	case f.readOnly || f.sessions == sessionsOff:
		return f.serve(server.New(p, f.options()), listeners, signals, ctx.Done())
	}
	return f.serve(p, listeners, signals, ctx.Done())
}

// partyOptions returns the options of a member that may be the host.
func (f *serveFlags) partyOptions() *party.Options {
	eo := f.engine()
	o := partyOptions(f.store, eo)
	o.Server = f.options()
	o.Sessions = &session.Options{Lease: f.sessionLease, MaxSessions: int(f.maxSessions), Logger: f.logger}
	if o.Server.SnapshotLease < 0 {
		// Guests know the host by its offer of leases, so there is a short one.
		o.Server.SnapshotLease = time.Nanosecond
	}
	if f.values > 0 {
		o.Wrap = func(s mld.Store) mld.Store { return hotcache.New(s, &hotcache.Options{Bytes: int64(f.values)}) }
	}
	return o
}

// service is what serves: a server, or a party.
type service interface {
	Serve(l net.Listener) error
	ServeConn(ctx context.Context, stream io.ReadWriteCloser) error
	Shutdown(ctx context.Context) error
	Close() error
}

// serve serves until a signal comes, done is closed, the connection on stdin ends, or
// a listener fails.
func (f *serveFlags) serve(srv service, listeners []net.Listener, signals <-chan os.Signal, done <-chan struct{}) error {
	ended := make(chan error, len(listeners)+1)
	for _, l := range listeners {
		go func() { ended <- srv.Serve(l) }()
	}
	if err := f.announce(listeners); err != nil {
		f.logger.Warn("the addresses could not be written", "err", err)
	}
	if f.stdio {
		stream := newStdio(f.app.stdin, f.app.stdout)
		go func() { ended <- srv.ServeConn(context.Background(), stream) }()
	}
	var err error
	select {
	case err = <-ended:
	case s := <-signals:
		f.logger.Info("draining; a second signal cuts", "signal", s.String())
	case <-done:
	}
	if derr := f.drain(srv, signals); derr != nil {
		return derr
	}
	return err
}

// announce says where clients can connect, and who may.
func (f *serveFlags) announce(listeners []net.Listener) error {
	w := f.app.stdout
	if f.stdio {
		w = f.app.stderr
	}
	for _, l := range listeners {
		if tcp, ok := l.Addr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
			fmt.Fprintf(f.app.stderr, "mld: warning: %s can be reached from other machines, and there is no authentication\n", addressOf(l))
		}
		if _, err := fmt.Fprintf(w, "listening on %s\n", addressOf(l)); err != nil {
			return err
		}
	}
	return nil
}

// drain shuts the server down, and cuts it when a second signal comes.
func (f *serveFlags) drain(srv service, signals <-chan os.Signal) error {
	ctx, cancel := context.WithTimeout(context.Background(), f.grace)
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- srv.Shutdown(ctx) }()
	select {
	case err := <-drained:
		if errors.Is(err, context.DeadlineExceeded) {
			f.logger.Warn("some connections had to be cut", "grace", f.grace)
		}
		return nil
	case s := <-signals:
		// A third one ends the process, should the store hang.
		signal.Reset(syscall.SIGINT, syscall.SIGTERM)
		srv.Close()
		<-drained
		sig, _ := s.(syscall.Signal)
		return &signalError{sig}
	}
}

func (f *serveFlags) options() *server.Options {
	o := &server.Options{
		ReadOnly:       f.readOnly,
		Limits:         f.limits.limits(),
		IdleTimeout:    f.idle,
		MessageTimeout: f.message,
		WriteTimeout:   f.write,
		BusyPoll:       f.busyPoll,
		Logger:         f.logger,

		SnapshotLease:  f.snapshotLease,
		MaxSnapshotAge: f.maxSnapshotAge,
	}
	if o.SnapshotLease == 0 {
		o.SnapshotLease = -1
	}
	if o.MessageTimeout == 0 {
		o.MessageTimeout = -1
	}
	if o.BusyPoll == 0 {
		o.BusyPoll = -1
	}
	if o.WriteTimeout == 0 {
		o.WriteTimeout = -1
	}
	o.Dialect, _ = wire.ParseDialect(f.dialect) // the flag takes no other
	return o
}
