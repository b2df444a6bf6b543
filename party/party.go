package party

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/client"
	"github.com/multileveldown/mld/store/reserved"
)

// Party is the membership of a process in the party of a directory, and as such the
// store in it. Its methods may be called together. A process may have several on
// one directory; they are members like those of other processes.
type Party struct {
	dir    string // absolute, without symbolic links
	o      Options
	client *client.Client

	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	engine  *engine // written by dial, under mu
	guessed bool    // there was nothing to know the engine by; dial's own

	telling  sync.WaitGroup // of tellAll
	settling sync.WaitGroup // of settle
	serving  sync.WaitGroup // of the connections of Serve

	cutting context.Context // ends with cut, and then a draining does
	cut     context.CancelFunc
	done    chan struct{} // closed when all is

	route atomic.Pointer[route] // of new calls

	told []Event       // that OnRole is to be told; under mu
	tell chan struct{} // wakes who tells; has room for one

	mu      sync.Mutex
	now     Event
	changed chan struct{} // closed at the next change
	blocked error         // why neither the lock nor a host could be had, last
	failed  error         // why this process cannot host, if it tried last
	opening bool          // it has the lock and opens the store
	host    *host         // while this process is it
	last    *record       // of the last host that was met
	closed  bool
}

// route is where calls go: to a store, or, where that is nil, they wait for another
// route.
type route struct {
	store mld.Store
	next  chan struct{} // closed when this is not the route any more
}

// Join makes the process a member of the party of a directory, which need not be
// there yet, and waits until it is the host or has a host that answers. A store is
// made where there is none. Nil options mean the defaults.
//
// The error is [mld.ErrLocked] if a process has the directory locked and does not
// answer, such as a program that uses the engine alone; [mld.ErrInvalidArgument] if
// the directory holds something else, or the options make no sense; and else what
// kept the process from opening the store, such as [mld.ErrIO] for a directory that
// it may not write to, a disk that is full, or a file system that has no locks.
func Join(dir string, o *Options) (*Party, error) {
	return JoinContext(context.Background(), dir, o)
}

// JoinContext is [Join] with a context for the time until it returns.
func JoinContext(ctx context.Context, dir string, o *Options) (*Party, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p := &Party{o: o.withDefaults(), changed: make(chan struct{}), tell: make(chan struct{}, 1), done: make(chan struct{})}
	if err := p.locateDirectory(dir); err != nil {
		return nil, err
	}
	if err := p.findEngine(); err != nil {
		return nil, err
	}
	p.now.Since = time.Now()
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.cutting, p.cut = context.WithCancel(context.Background())
	if p.o.OnRole != nil {
		p.telling.Go(p.tellAll)
	}
	ready := make(chan struct{})
	p.client = client.New(func(ctx context.Context) (io.ReadWriteCloser, error) {
		<-ready
		return p.dial(ctx)
	}, p.o.Client)
	p.routeToClient()
	close(ready)
	if err := p.awaitRole(ctx); err != nil {
		if cerr := p.Close(); cerr != nil {
			p.o.Logger.Error("could not close what could not be joined", "dir", p.dir, "err", cerr)
		}
		return nil, err
	}
	return p, nil
}

// locateDirectory makes the directory, unless it is there or the member would never
// make a store in it, and finds the name by which all members know it.
func (p *Party) locateDirectory(dir string) error {
	if dir == "" {
		return &mld.Error{Code: mld.CodeInvalidArgument, Op: "join", Msg: "the name of the directory is empty"}
	}
	if !p.o.GuestOnly {
		// Not in the place of something else.
		if _, _, err := findEngine(dir, &p.o); err != nil {
			return err
		}
		if err := makeDirectory(dir); err != nil {
			return err
		}
	}
	abs, err := filepath.Abs(dir)
	if err == nil {
		abs, err = filepath.EvalSymlinks(abs)
	}
	if err != nil {
		return explain(dir, err)
	}
	p.dir = abs
	return nil
}

// awaitRole waits until the member is host or guest.
func (p *Party) awaitRole(ctx context.Context) error {
	timeout := time.NewTimer(p.o.JoinTimeout)
	defer timeout.Stop()
	late := false
	for {
		p.mu.Lock()
		role, changed, failed, blocked, opening := p.now.Role, p.changed, p.failed, p.blocked, p.opening
		p.mu.Unlock()
		switch {
		case role != Seeking:
			return nil
		case failed != nil:
			return failed
		case late && !opening:
			return p.nobody(blocked)
		}
		select {
		case <-changed:
		case <-timeout.C:
			late = true
		case <-ctx.Done():
			return fmt.Errorf("%w; %w", ctx.Err(), p.nobody(blocked))
		}
	}
}

// nobody returns the error of a directory that has no host which answers. Blocked is
// why the last attempt failed, nil if one is under way.
func (p *Party) nobody(blocked error) error {
	cause := p.client.LastError()
	if cause == nil {
		cause = blocked
	}
	if r, err := readRecord(p.dir); err == nil && r != nil && processLives(r.PID) {
		return &mld.Error{Code: mld.CodeLocked, Op: "join", Where: p.dir, Msg: fmt.Sprintf("process %d hosts it since %s, and does not answer", r.PID, r.Since.Format(time.RFC3339)), Err: cause}
	}
	if e, ok := errors.AsType[*mld.Error](blocked); ok && e.Code == mld.CodeLocked {
		d := *e
		d.Op = "join"
		return &d
	}
	return &mld.Error{Code: mld.CodeConnectionLost, Op: "join", Where: p.dir, Msg: "there is no host that answers", Err: cause}
}

// Close is [Party.Shutdown] with Options.DrainTimeout. While a Shutdown is under
// way it has that cut what is left, and waits for it.
func (p *Party) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), p.o.DrainTimeout)
	defer cancel()
	if p.begun() {
		p.cut()
		<-p.done
		return nil
	}
	return p.end(ctx)
}

// Shutdown ends the membership. Pending calls fail with [mld.ErrClosed], as on a
// [client.Client], and so do new ones. A guest just leaves. A host tells its guests,
// lets them finish what they have under way until ctx ends, half-read iterators among
// it, closes the store, and releases the lock last: iterators, snapshots and pinned
// values of this process should be closed before, for the directory stays locked as
// long as the engine keeps files open for them.
func (p *Party) Shutdown(ctx context.Context) error {
	if p.begun() {
		<-p.done
		return nil
	}
	return p.end(ctx)
}

// begun reports whether the membership is being ended, or has been. If not, it is
// from now on.
func (p *Party) begun() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	closed := p.closed
	p.closed = true
	return closed
}

func (p *Party) end(ctx context.Context) error {
	defer close(p.done)
	p.setRoute(closedStore{dir: p.dir})
	p.cancel()
	p.client.Close() // and with it dial, which may be opening the store
	p.settling.Wait()
	var err error
	if h := p.hosting(); h != nil {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(p.cutting, cancel)()
		err = h.close(ctx)
	}
	p.cut()
	p.become(Event{Role: Closed})
	p.serving.Wait()
	p.telling.Wait()
	return err
}

// setRoute has new calls go to a store, or wait if it is nil.
func (p *Party) setRoute(s mld.Store) {
	old := p.route.Swap(&route{s, make(chan struct{})})
	if old != nil {
		close(old.next)
	}
}

// routeToClient has new calls go to the host by way of the client.
func (p *Party) routeToClient() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	if p.mayBeNode() {
		p.setRoute(nodeGuest{reserved.Hide(p.client), p.client})
	} else {
		p.setRoute(p.client)
	}
}

// mayBeNode reports whether the host may be one of an npm package. It is called by
// dial, or with mu held.
func (p *Party) mayBeNode() bool { return !p.o.NoNode && p.engine.name == string(LevelDB) }

// direct has new calls go straight to the store that this process serves. It does
// nothing if the party is closed.
func (p *Party) direct(h *host) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.setRoute(h.server.Store())
	return true
}

// Dir returns the directory, absolute and without symbolic links.
func (p *Party) Dir() string { return p.dir }

// hosting returns the host that this process is, or nil.
func (p *Party) hosting() *host {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.host
}

// processLives reports whether there may be a process of a number.
func processLives(pid int) bool {
	process, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	defer process.Release() //nolint:errcheck // nothing was taken
	return !errors.Is(process.Signal(probeSignal), os.ErrProcessDone)
}
