package party

import (
	"fmt"
	"time"
)

// Role is what a member of a party is.
type Role uint8

const (
	// Seeking: there is no host that is known, and calls wait for one.
	Seeking Role = iota
	// Guest: another process is the host, and has answered.
	Guest
	// Host: this process has the store open, and serves it.
	Host
	// Closed: the member was closed.
	Closed
)

// String returns "seeking", "guest", "host" or "closed".
func (r Role) String() string {
	switch r {
	case Seeking:
		return "seeking"
	case Guest:
		return "guest"
	case Host:
		return "host"
	case Closed:
		return "closed"
	}
	return fmt.Sprintf("role %d", uint8(r))
}

// Event is a role and since when a member has it.
type Event struct {
	Role Role
	// Since is when the member came to the role.
	Since time.Time
	// Epoch is the number of the host's time of office, which is larger than that
	// of every host before; 0 of a Node host, and of who seeks.
	Epoch uint64
	// HostPID is the process that hosts; 0 if that is not known.
	HostPID int
	// Err, of who seeks, is why the last host was lost, or why there is none.
	Err error
}

// Role returns the present role of the member.
func (p *Party) Role() Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

// Watch returns the present role and a channel that is closed when it changes.
func (p *Party) Watch() (Event, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now, p.changed
}

// become takes note of a role and tells whoever listens.
func (p *Party) become(e Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.now.Role == Closed {
		return
	}
	e.Since = time.Now()
	p.now = e
	close(p.changed)
	p.changed = make(chan struct{})
	if p.o.OnRole != nil {
		p.told = append(p.told, e)
		select {
		case p.tell <- struct{}{}:
		default: // it is awake
		}
	}
	p.o.Logger.Info("party", "dir", p.dir, "role", e.Role.String(), "epoch", e.Epoch, "host", e.HostPID, "err", e.Err)
}

// tellAll calls OnRole with what there is to tell, until the party is closed.
func (p *Party) tellAll() {
	for range p.tell {
		for {
			p.mu.Lock()
			if len(p.told) == 0 {
				p.mu.Unlock()
				break
			}
			e := p.told[0]
			p.told = p.told[1:]
			p.mu.Unlock()
			p.o.OnRole(e)
			if e.Role == Closed {
				return
			}
		}
	}
}
