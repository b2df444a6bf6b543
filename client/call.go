package client

import (
	"bytes"
	"math"
	"sync"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/wire"
)

// A call is a request that waits for its answer. It refers to the caller's own
// slices, for the caller does not return before the call is out of every list:
// so it can be encoded again on another connection. The exception is a write
// that goes on without its caller, see call.detach.
//
// Calls are reused. A late answer cannot reach a call that has been reused, as
// answers find calls by way of their connection's table only, and a call is
// taken out of that under the client's mutex before its caller returns.
type call struct {
	prev, next *call
	list       *callList // nil unless the call is pending
	conn       *conn     // what it is encoded for, if it is
	id         uint32
	start, end uint64 // where it is in the output of conn
	left       bool   // it may have left on a connection that is lost

	n             uint64 // within the session; 0 is none
	lower, higher *call  // neighbours among the session's unanswered ones
	detached      bool   // its caller has returned

	tag        byte
	snap       *Snapshot // what it reads from, if not the present state
	key, value []byte
	keys       [][]byte
	ops        []mld.Op
	rng        mld.Range
	durability mld.Durability
	number     uint32 // of the snapshot to take
	size       int    // bytes of keys and values

	done   chan struct{} // receives once when the call is out of every list
	err    error
	result []byte
	many   [][]byte
}

// callPool is a pool of calls. Each client has its own, for their channels must
// not leave the synctest bubble that a client may live in.
type callPool struct{ sync.Pool }

func (p *callPool) get(tag byte, s *Snapshot) *call {
	cl, ok := p.Get().(*call)
	if !ok {
		cl = &call{done: make(chan struct{}, 1)}
	}
	cl.tag, cl.snap = tag, s
	return cl
}

// put gives a call back. It must not be pending, unless it is detached: then it
// is left alone.
func (p *callPool) put(cl *call) {
	if cl.detached {
		return
	}
	*cl = call{done: cl.done}
	p.Put(cl)
}

func (cl *call) isWrite() bool {
	return cl.tag == wire.TagPut || cl.tag == wire.TagDelete || cl.tag == wire.TagBatch || cl.tag == wire.TagClear
}

// departed reports whether any of the call itself may have left.
func (cl *call) departed() bool {
	return cl.left || cl.conn != nil && cl.start < cl.conn.taken
}

// needs returns the feature without which the server cannot answer.
func (cl *call) needs() wire.Features {
	switch cl.tag {
	case wire.TagSnapshotOpen:
		return wire.FeatureSnapshots
	case wire.TagStats:
		return wire.FeatureStats
	}
	return 0
}

// append encodes the call.
func (cl *call) append(dst []byte, id uint32) []byte {
	switch cl.tag {
	case wire.TagGet:
		return wire.AppendGet(dst, id, cl.key, cl.snap.wireNumber())
	case wire.TagPut:
		return wire.AppendPut(dst, id, cl.key, cl.value, cl.durability)
	case wire.TagDelete:
		return wire.AppendDelete(dst, id, cl.key, cl.durability)
	case wire.TagBatch:
		return wire.AppendBatch(dst, id, cl.ops, cl.durability)
	case wire.TagClear:
		return wire.AppendClear(dst, id, &cl.rng, wireLimit(cl.rng.Limit), cl.durability)
	case wire.TagGetMany:
		return wire.AppendGetMany(dst, id, cl.keys, cl.snap.wireNumber())
	case wire.TagSnapshotOpen:
		return wire.AppendSnapshotOpen(dst, id, cl.number)
	case wire.TagStats:
		return wire.AppendStats(dst, id)
	}
	panic("client: a call without a message")
}

// wireLimit returns the limit of a range as on the wire, where 0 is nothing.
func wireLimit(limit int) int {
	if limit <= 0 {
		return -1
	}
	return limit
}

// wireRange returns r with one bound a side at the most: the peers that know
// only one of them differ in which one they obey. Upper bounds are not empty: a
// multileveldown host over LevelDB takes an empty one for none.
func wireRange(r mld.Range) mld.Range {
	if r.GT != nil && r.GTE != nil {
		if bytes.Compare(r.GT, r.GTE) >= 0 {
			r.GTE = nil
		} else {
			r.GT = nil
		}
	}
	if r.LT != nil && r.LTE != nil {
		if bytes.Compare(r.LT, r.LTE) <= 0 {
			r.LTE = nil
		} else {
			r.LT = nil
		}
	}
	least := []byte{0} // of the keys after the empty one
	switch {
	case r.LT != nil && len(r.LT) == 0:
		r.GT, r.GTE, r.LT = nil, least, least
	case r.LTE != nil && len(r.LTE) == 0:
		r.LT, r.LTE = least, nil
	}
	return r
}

// A callList is a list of calls in the order in which they were issued.
type callList struct {
	head, tail *call
	n          int
}

func (l *callList) push(cl *call) {
	cl.list, cl.prev, cl.next = l, l.tail, nil
	if l.tail != nil {
		l.tail.next = cl
	} else {
		l.head = cl
	}
	l.tail = cl
	l.n++
}

func (l *callList) pushFront(cl *call) {
	cl.list, cl.prev, cl.next = l, nil, l.head
	if l.head != nil {
		l.head.prev = cl
	} else {
		l.tail = cl
	}
	l.head = cl
	l.n++
}

func (l *callList) remove(cl *call) {
	if cl.prev != nil {
		cl.prev.next = cl.next
	} else {
		l.head = cl.next
	}
	if cl.next != nil {
		cl.next.prev = cl.prev
	} else {
		l.tail = cl.prev
	}
	cl.list, cl.prev, cl.next = nil, nil, nil
	l.n--
}

// A callTable finds the calls of a connection by id. Ids count up, so the low
// bits of one are a slot that is nearly always free; a call that is still
// pending when the ids have come round to its slot moves to a map.
type callTable struct {
	slots []*call // a power of two of them
	old   map[uint32]*call
	n     int
}

const minSlots = 16

func (t *callTable) add(cl *call) {
	if 2*t.n >= len(t.slots) {
		t.grow()
	}
	t.n++
	t.place(cl)
}

func (t *callTable) place(cl *call) {
	slot := &t.slots[int(cl.id)&(len(t.slots)-1)]
	if *slot != nil {
		if t.old == nil {
			t.old = map[uint32]*call{}
		}
		t.old[(*slot).id] = *slot
	}
	*slot = cl
}

func (t *callTable) grow() {
	all := t.slots
	t.slots = make([]*call, max(minSlots, 2*len(all)))
	for _, cl := range all {
		if cl != nil {
			t.place(cl)
		}
	}
}

func (t *callTable) find(id uint32) *call {
	if len(t.slots) == 0 {
		return nil
	}
	if cl := t.slots[int(id)&(len(t.slots)-1)]; cl != nil && cl.id == id {
		return cl
	}
	return t.old[id]
}

func (t *callTable) remove(cl *call) {
	t.n--
	if slot := &t.slots[int(cl.id)&(len(t.slots)-1)]; *slot == cl {
		*slot = nil
		return
	}
	delete(t.old, cl.id)
}

// maxID is the last id of a connection.
const maxID = math.MaxUint32
