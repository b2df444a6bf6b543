package client

import (
	"context"
	"errors"
	"os"
	"time"
)

// Answers are read by a goroutine of the connection, its reader, which wakes the
// callers that they belong to. When calls come one at a time, that switch of
// goroutines takes as long as all the rest on this side. So then the reader rests,
// and a caller that is alone reads its answer itself: it has the turn. So does who
// waits for the entries of the one iterator that is open: the pages of a scan are
// many, and each thread that is woken for one may take the processor from the
// server, where that is on the same machine. The reader has the turn back as soon as
// there is anything else to wait for, and looks itself from time to time, for the
// other end may have something to say unasked.
//
// What the reading of a stream needs (the frames, the events, solo) belongs to
// whoever has the turn.
type turn uint8

const (
	readersTurn turn = iota
	nobodysTurn
	callersTurn
)

const (
	// soloTurns is how many answers must have come alone, one after the other,
	// for the reader to rest.
	soloTurns = 4

	// restTime is for how long nobody may read.
	restTime = 10 * time.Millisecond
)

// A waiter is who waits for something to be read: a call or an iterator.
type waiter interface {
	// onlyLocked reports whether it waits for an answer on a connection where
	// nobody else does.
	onlyLocked(k *conn) bool
}

func (cl *call) onlyLocked(k *conn) bool {
	return k.sent.head == cl && k.sent.n == 1 && k.unwatchedLocked(nil)
}

func (it *Iterator) onlyLocked(k *conn) bool {
	return it.waiting && it.conn == k && k.sent.n == 0 && k.unwatchedLocked(it)
}

// unwatchedLocked reports whether there is one iterator at the most, and nobody
// waits for the entries of another one than it.
func (k *conn) unwatchedLocked(it *Iterator) bool {
	if len(k.iterators) > 1 {
		return false
	}
	for _, open := range k.iterators {
		if open.waiting && open != it {
			return false
		}
	}
	return true
}

// restsLocked reports whether nothing but the answers of single calls, or the
// entries of a single iterator, is to be expected.
func (k *conn) restsLocked() bool {
	return k.inline && k.known && !k.dead && !k.retiring && k.cause == nil &&
		k.sent.n == 0 && k.bound.n == 0 && len(k.dirty) == 0 && k.c.queue.n == 0 && len(k.c.opening) == 0 &&
		k.unwatchedLocked(nil)
}

// rest has the reader rest, if it may, until it has the turn again. Its error is
// the one with which a caller's reading ended.
func (k *conn) rest() error {
	c := k.c
	c.mu.Lock()
	if !k.restsLocked() {
		c.mu.Unlock()
		return nil
	}
	k.solo = 0
	k.turn, k.turned = nobodysTurn, false
	c.mu.Unlock()
	timer := time.NewTimer(restTime)
	defer timer.Stop()
	for {
		select {
		case err := <-k.resume:
			return err
		case <-timer.C:
		}
		c.mu.Lock()
		idle := k.turn == nobodysTurn && !k.turned
		if idle {
			k.turn = readersTurn
		}
		k.turned = false
		c.mu.Unlock()
		if idle {
			return nil
		}
		timer.Reset(restTime)
	}
}

// resumeLocked gives the turn to the reader if nobody has it.
func (k *conn) resumeLocked() {
	if k.turn == nobodysTurn {
		k.turn = readersTurn
		k.resume <- nil // never waits: it has room for one, and the reader has not had the turn since
	}
}

// takeTurnLocked gives the turn to who waits, if it is alone and nobody has the
// turn. If w is nil, nobody waits who could read.
func (k *conn) takeTurnLocked(w waiter) bool {
	switch {
	case k.turn != nobodysTurn:
	case w != nil && !k.dead && w.onlyLocked(k):
		k.turn, k.turned = callersTurn, true
		return true
	case w != nil || !k.restsLocked():
		k.resumeLocked()
	}
	return false
}

// past is a deadline that ends a read at once.
var past = time.Unix(1, 0)

// readAnswer reads for who has the turn, until something is sent to done, the
// context ends or nothing can be read any more, and gives the turn away.
func (k *conn) readAnswer(ctx context.Context, done <-chan struct{}) {
	var interrupted chan struct{}
	stop := func() bool { return true }
	if ctx.Done() != nil {
		interrupted = make(chan struct{})
		stop = context.AfterFunc(ctx, func() {
			_ = k.timed.SetReadDeadline(past)
			close(interrupted)
		})
	}
	var err error
	for err == nil && len(done) == 0 {
		err = k.receive()
	}
	if !stop() {
		<-interrupted
		_ = k.timed.SetReadDeadline(time.Time{})
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = nil
		}
	}
	k.c.mu.Lock()
	defer k.c.mu.Unlock()
	if err == nil && k.restsLocked() {
		k.turn = nobodysTurn
		return
	}
	k.turn = readersTurn
	k.resume <- err // see resumeLocked
}
