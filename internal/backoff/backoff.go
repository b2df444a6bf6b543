// Package backoff spaces out attempts: each waits longer than the last, up to a
// ceiling, and a random part keeps many clients of one server from coming back
// in step.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff is a sequence of waits. It is used by one goroutine.
type Backoff struct {
	// Min is the longest that the first wait may be, Max that any may be. Each
	// wait may be twice as long as the last; it is between half of what it may
	// be and all of it.
	Min, Max time.Duration

	next time.Duration // what the next wait may be; 0 is Min
}

// Next returns the next wait.
func (b *Backoff) Next() time.Duration {
	d := min(max(b.next, b.Min), b.Max)
	b.next = min(2*d, b.Max)
	if d < 2 {
		return d
	}
	return d/2 + rand.N(d-d/2+1)
}

// Wait waits for what Next returns. It returns the context's error if that ends
// first.
func (b *Backoff) Wait(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t := time.NewTimer(b.Next())
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Reset begins the sequence anew, after a success.
func (b *Backoff) Reset() { b.next = 0 }
