package observed

import (
	"context"
	"sync"
)

// Watch returns a channel of the events from now on, which are the receiver's to
// keep. The channel has room for n of them, at least one, and never makes a
// writer wait: events that there is no room for are left out, and their number is
// in the Missed field of the next one that is not. The channel is closed when ctx
// ends and when the handle is closed; [Closed] itself is not sent.
func (s *Store) Watch(ctx context.Context, n int) <-chan Event {
	w := &watcher{events: make(chan Event, max(n, 1))}
	cancel, ok := s.subscribe(w.notify)
	if !ok {
		w.close()
		return w.events
	}
	stop := context.AfterFunc(ctx, func() {
		cancel()
		w.close()
	})
	w.whenClosed(func() { stop() })
	return w.events
}

// watcher hands events to a channel.
type watcher struct {
	mu     sync.Mutex // held to send and to close, never while waiting
	events chan Event
	missed uint64
	closed bool
	stop   func()
}

func (w *watcher) notify(e Event) {
	if e.Kind == Closed {
		w.close()
		return
	}
	e = e.Clone()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	e.Missed = w.missed
	select {
	case w.events <- e:
		w.missed = 0
	default:
		w.missed++
	}
}

func (w *watcher) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	w.closed = true
	close(w.events)
	if w.stop != nil {
		w.stop()
	}
}

// whenClosed has stop called when w is closed, which it may be already.
func (w *watcher) whenClosed(stop func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		stop()
	}
	w.stop = stop
}
