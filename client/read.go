package client

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/wire"
)

const (
	// maxEvents is how many messages are handled under one lock.
	maxEvents = 256

	// maxPages is how many messages of entries an iterator keeps; a server that
	// sends more does not heed what it was granted.
	maxPages = 256

	// keptPage is how large a page's buffer is kept for reuse.
	keptPage = 1 << 20
)

// An event is a message of the server, decoded and copied outside of the lock.
type event struct {
	tag      byte
	id       uint32
	seq      uint32
	anySeq   bool
	err      error
	value    []byte
	values   [][]byte
	page     *page
	end      bool
	welcome  wire.Welcome
	answered *call // whose caller is to be woken
}

// A page is the entries of a message, or of several, as they came.
type page struct {
	buf    []byte
	single bool // of messages with one entry each, which always have a value
}

var pagePool = sync.Pool{New: func() any { return new(page) }}

func (p *page) release() {
	if cap(p.buf) <= keptPage {
		p.buf, p.single = p.buf[:0], false
		pagePool.Put(p)
	}
}

// readLoop reads messages until the stream ends. What arrived together is
// handled under one lock.
func (k *conn) readLoop() error {
	for {
		if err := k.receive(); err != nil {
			return err
		}
		if k.solo >= soloTurns {
			if err := k.rest(); err != nil {
				return err
			}
		}
		// Who was woken runs before a read that most likely has to wait.
		runtime.Gosched()
	}
}

// receive reads what comes next, with all that came together, and handles it.
func (k *conn) receive() error {
	for {
		body, err := k.frames.Next()
		if err == nil {
			if err = k.decode(&k.response, body); err != nil {
				k.handle()
				return err
			}
		} else if err = k.skipLarge(err); err != nil {
			return err
		}
		if !k.frames.Buffered() || len(k.events) >= maxEvents {
			return k.handle()
		}
	}
}

// skipLarge goes on after a message that is too large, of which it tells the call;
// any other error ends the connection.
func (k *conn) skipLarge(err error) error {
	var large *wire.FrameTooLargeError
	tooLarge := errors.As(err, &large)
	if tooLarge {
		k.refuse(large)
	}
	if e := k.handle(); e != nil {
		return e
	}
	if tooLarge {
		err = k.frames.Skip()
	}
	return lostCause(err)
}

// decode makes an event of a message.
func (k *conn) decode(r *wire.Response, body []byte) error {
	if err := r.Decode(k.dialect, body); err != nil {
		if err == wire.ErrUnknownTag {
			return nil
		}
		return err
	}
	if k.meeter != nil && !k.met && r.Tag != wire.TagGoodbye {
		if err := k.meet(r); err != nil {
			return err
		}
	}
	ev := event{tag: r.Tag, id: r.ID, seq: r.Seq, err: r.Err, end: r.End}
	switch r.Tag {
	case wire.TagCallback:
		ev.value = bytes.Clone(r.Value)
	case wire.TagGetManyCallback:
		ev.values = cloneAll(r.Values)
	case wire.TagIteratorData:
		if len(r.Data) > 0 {
			k.decodePage(&ev, r.Data)
			if ev.page == nil {
				return nil // it joined the one before
			}
		}
	case wire.TagWelcome:
		ev.welcome = r.Welcome
	}
	k.events = append(k.events, ev)
	return nil
}

// meet asks whether the server, which has said its first word, is to be talked to.
func (k *conn) meet(r *wire.Response) error {
	k.met = true
	if r.Tag != wire.TagWelcome {
		return &mld.Error{Code: mld.CodeProtocol, Where: k.where, Msg: "the server does not say what it is, as those of this project do"}
	}
	return k.meeter.Meet(&r.Welcome)
}

// decodePage copies the entries of an iterator's message. In the multileveldown
// dialect a message has one entry, so those that came together are put together;
// and whether one of a keys-only iterator has an empty value is up to the engine
// of a Node host, so here all have.
func (k *conn) decodePage(ev *event, data []byte) {
	if k.dialect != wire.Multileveldown {
		ev.page = pagePool.Get().(*page)
		ev.page.buf = append(ev.page.buf, data...)
		return
	}
	var p *page
	if n := len(k.events); n > 0 {
		if last := &k.events[n-1]; last.page != nil && last.id == ev.id {
			p = last.page
		}
	}
	if p == nil {
		p = pagePool.Get().(*page)
		p.single = true
		ev.page = p
	}
	p.buf = append(p.buf, data...)
	if _, rest, ok := wire.NextDatum(data); ok && len(rest) == 0 {
		p.buf = wire.AppendDatum(p.buf, nil)
	}
}

// refuse makes an event of a message that is too large.
func (k *conn) refuse(large *wire.FrameTooLargeError) {
	id, ok := wire.PeekID(large.Head)
	if !ok {
		return
	}
	k.events = append(k.events, event{
		tag:    large.Head[0],
		id:     id,
		anySeq: true,
		end:    true,
		err:    &mld.Error{Code: mld.CodeLimitExceeded, Where: k.where, Msg: fmt.Sprintf("the answer has %d bytes, and %d is the most that is read (MaxFrame)", large.Size, large.Limit)},
	})
}

// handle handles the events under one lock, and wakes the callers outside of it.
func (k *conn) handle() error {
	c := k.c
	var err error
	answered, entries := 0, 0
	c.mu.Lock()
	for i := range k.events {
		ev := &k.events[i]
		switch ev.tag {
		case wire.TagCallback, wire.TagGetManyCallback:
			answered++
			k.answerLocked(ev)
		case wire.TagIteratorData, wire.TagIteratorError, wire.TagIteratorEnd:
			entries++
			if e := k.entriesLocked(ev); e != nil {
				err = e
			}
		case wire.TagRenewed:
			if it := k.iterators[ev.id]; it != nil && it.begun {
				it.renewed = true
			}
		case wire.TagWelcome:
			k.welcomeLocked(&ev.welcome)
		case wire.TagDrain:
			k.knownLocked(wire.ClientID{})
			k.retireLocked(errDraining)
		case wire.TagGoodbye:
			if ev.err != nil {
				k.cause = ev.err
			}
		}
	}
	if c.conn == k && c.queue.n > 0 {
		k.wakeLocked() // an answer may be what the queue waits for
	}
	k.retireIfIdleLocked()
	k.crowded = answered > 1
	if n := len(k.events); n > 0 && answered+entries == n && answered <= 1 && k.sent.n == 0 && len(k.iterators) <= 1 {
		k.solo++
	} else {
		k.solo = 0
	}
	c.mu.Unlock()
	for i := range k.events {
		if cl := k.events[i].answered; cl != nil {
			cl.done <- struct{}{}
		}
	}
	clear(k.events)
	k.events = k.events[:0]
	return err
}

// answerLocked gives an answer to the call that it belongs to, if that still
// waits.
func (k *conn) answerLocked(ev *event) {
	c := k.c
	k.knownLocked(wire.ClientID{}) // a server of this project would have sent its welcome before
	cl := k.table.find(ev.id)
	if cl == nil {
		return
	}
	k.useful.Store(true)
	k.read = max(k.read, cl.end)
	if cl.n != 0 && errors.Is(ev.err, mld.ErrSessionLost) {
		k.loseSessionLocked(ev.err)
		return // it is settled, or waits for the end of the connection
	}
	if k.refuses && cl.isWrite() {
		return // it waits for that, too
	}
	if cl.n != 0 && ev.err == nil {
		c.session.answered = true
	}
	c.removeLocked(cl)
	ev.answered = cl
	cl.err, cl.result, cl.many = ev.err, ev.value, ev.values
	if cl.err != nil {
		return
	}
	switch cl.tag {
	case wire.TagGet, wire.TagStats:
		if cl.result == nil {
			cl.err = &mld.Error{Code: mld.CodeProtocol, Where: k.where, Msg: "the answer has neither a value nor an error"}
		}
	case wire.TagGetMany:
		if len(cl.many) != len(cl.keys) || ev.tag != wire.TagGetManyCallback {
			cl.many = nil
			cl.err = &mld.Error{Code: mld.CodeProtocol, Where: k.where, Msg: fmt.Sprintf("the answer has %d values for %d keys", len(ev.values), len(cl.keys))}
		}
	case wire.TagSnapshotOpen:
		k.snapshots++
	}
}

// entriesLocked gives entries, the end or an error to their iterator.
func (k *conn) entriesLocked(ev *event) error {
	it := k.iterators[ev.id]
	if it == nil || !ev.anySeq && ev.seq != it.seq {
		if ev.page != nil {
			ev.page.release()
		}
		return nil
	}
	k.useful.Store(true)
	it.heardLocked(k)
	if it.resumed {
		// A server that has leases would have said so.
		it.resumed = false
		it.renewed = it.renewed || !k.offers(wire.FeatureLeases)
	}
	if ev.page != nil {
		if len(it.pages) >= maxPages {
			ev.page.release()
			return &mld.Error{Code: mld.CodeProtocol, Where: k.where, Msg: "the server sends more entries than it was granted"}
		}
		it.pages = append(it.pages, ev.page)
	}
	if ev.err != nil {
		it.failure = ev.err
	} else if ev.end {
		it.remoteEnd = true
	}
	it.wakeLocked()
	return nil
}

// arenaSize is the memory that small values of a get-many share: few
// allocations, and little that a single value keeps alive.
const arenaSize = 4 << 10

// cloneAll copies the values of a get-many. A nil one stays nil.
func cloneAll(values [][]byte) [][]byte {
	total := 0
	for _, v := range values {
		total += len(v)
	}
	cloned := make([][]byte, len(values))
	var arena []byte
	for i, v := range values {
		switch {
		case v == nil:
			continue
		case len(v) > arenaSize/4:
			cloned[i] = bytes.Clone(v)
		default:
			if cap(arena)-len(arena) < len(v) || arena == nil {
				arena = make([]byte, 0, min(arenaSize, total))
			}
			n := len(arena)
			arena = append(arena, v...)
			cloned[i] = arena[n:len(arena):len(arena)]
		}
		total -= len(v)
	}
	return cloned
}
