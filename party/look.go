package party

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/multileveldown/mld/client"
	"github.com/multileveldown/mld/internal/filelock"
	"github.com/multileveldown/mld/internal/unixsocket"
	"github.com/multileveldown/mld/wire"
)

// Status is what can be seen of a party from outside.
type Status struct {
	// Dir is the directory, and Engine what its store is of: "pebble", "leveldb",
	// "own" for one of Options.Open, or "" if there is none.
	Dir    string `json:"dir"`
	Engine string `json:"engine,omitempty"`

	// Locked says that some process has the directory locked, and Hosted that it
	// answers as a host. PID is that process, 0 if it is not known.
	Locked bool `json:"locked"`
	Hosted bool `json:"hosted"`
	PID    int  `json:"pid,omitempty"`

	// Protocol is whose host it is: "mld", "level-party" or "rave-level".
	Protocol string `json:"protocol,omitempty"`

	// Since is when the host began, and Epoch its number. Guests is how many
	// connections it has of others, and Pending how many of them wait for an
	// answer. A Node host tells nothing of all this.
	Since   time.Time `json:"since,omitzero"`
	Epoch   uint64    `json:"epoch,omitempty"`
	Guests  int       `json:"guests"`
	Pending int       `json:"pending"`

	// Problem says why a process that has the directory locked is not known to be
	// a host that answers.
	Problem string `json:"problem,omitempty"`
}

// Look looks at the party of a directory without joining it, and waits for the answer
// of a host until ctx ends. It takes no lock and writes nothing. Its error says that
// the directory cannot be looked at.
func Look(ctx context.Context, dir string) (Status, error) {
	p := &Party{o: (*Options)(nil).withDefaults(), changed: make(chan struct{})}
	p.o.GuestOnly = true
	if err := p.locateDirectory(dir); err != nil {
		return Status{}, err
	}
	s := Status{Dir: p.dir}
	r, err := readRecord(p.dir)
	if err != nil {
		return s, explain(p.dir, err)
	}
	ours := r != nil && r.Engine == "own"
	if err := p.findEngine(); err != nil && !ours {
		return s, err
	}
	switch {
	case ours:
		s.Engine = r.Engine
	case !p.guessed:
		s.Engine = p.engine.name
	}
	s.PID, s.Locked, err = filelock.Holder(filepath.Join(p.dir, lockName))
	if err != nil {
		return s, explain(p.dir, err)
	}
	if !s.Locked {
		return s, nil
	}
	if p.engine == nil || ours {
		p.engine = &engine{name: "own"}
	}
	s.ask(ctx, p, r)
	return s, nil
}

// ask asks the host.
func (s *Status) ask(ctx context.Context, p *Party, r *record) {
	if r != nil && processLives(r.PID) {
		s.PID, s.Since, s.Epoch, s.Protocol = r.PID, r.Since, r.Epoch, "mld"
	}
	stream, err := p.connect(ctx)
	if err != nil {
		why := "it does not listen for others: "
		if errors.Is(err, fs.ErrPermission) {
			why = "it listens for its own user only: "
		}
		s.Problem = why + err.Error()
		return
	}
	if node, ok := stream.(*nodeHost); ok {
		s.Hosted, s.Protocol = true, "rave-level"
		if node.dialect == wire.Multileveldown {
			s.Protocol = "level-party"
		}
		if pid := unixsocket.PeerPID(node.Conn); pid != 0 {
			s.PID = pid
		}
		stream.Close()
		return
	}
	o := *p.o.Client
	o.NoRetry, o.ExactlyOnce = true, client.ExactlyOnceOff
	first := make(chan io.ReadWriteCloser, 1)
	first <- stream
	c := client.New(func(ctx context.Context) (io.ReadWriteCloser, error) {
		select {
		case stream := <-first:
			return stream, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}, &o)
	defer c.Close()
	stats, err := c.Stats(ctx)
	if err != nil {
		s.Problem = "it does not answer: " + err.Error()
		return
	}
	met := p.last // Meet has been called before the answer
	s.Hosted, s.PID, s.Since, s.Epoch, s.Protocol = true, met.PID, met.Since, met.Epoch, "mld"
	// Without this connection, which is busy with the question, and the host's own.
	s.Guests = max(int(stats.Metrics["server_connections"])-2, 0)
	s.Pending = max(int(stats.Metrics["server_connections_busy"])-1, 0)
}
