package storetest

import (
	"bytes"
	"slices"

	"github.com/multileveldown/mld"
)

// model is what a store should hold: its entries in order. It is too simple to
// be wrong, and slow.
type model []mld.Entry

func (m model) find(key []byte) (int, bool) {
	return slices.BinarySearchFunc(m, key, func(e mld.Entry, key []byte) int {
		return bytes.Compare(e.Key, key)
	})
}

// get returns the value of key, nil if there is none.
func (m model) get(key []byte) []byte {
	if i, ok := m.find(key); ok {
		return m[i].Value
	}
	return nil
}

// put and the other changes leave m as it was and return the new state, so that
// a copy of a model is a snapshot.
func (m model) put(key, value []byte) model {
	e := mld.Entry{Key: bytes.Clone(key), Value: append([]byte{}, value...)}
	i, ok := m.find(key)
	if ok {
		m = slices.Clone(m)
		m[i] = e
		return m
	}
	return slices.Insert(slices.Clone(m), i, e)
}

func (m model) delete(key []byte) model {
	if i, ok := m.find(key); ok {
		return slices.Delete(slices.Clone(m), i, i+1)
	}
	return m
}

func (m model) apply(b *mld.Batch) model {
	for _, op := range b.Ops() {
		switch op.Kind {
		case mld.OpPut:
			m = m.put(op.Key, op.Value)
		case mld.OpDelete:
			m = m.delete(op.Key)
		case mld.OpDeleteRange:
			m = m.clear(mld.Range{GTE: op.Key, LT: op.Value})
		}
	}
	return m
}

func (m model) clear(r mld.Range) model {
	for _, e := range m.scan(r) {
		m = m.delete(e.Key)
	}
	return m
}

// scan returns the entries of a range, in its direction, within its limit.
func (m model) scan(r mld.Range) []mld.Entry {
	var entries []mld.Entry
	for _, e := range m {
		if r.Contains(e.Key) {
			entries = append(entries, e)
		}
	}
	if r.Reverse {
		slices.Reverse(entries)
	}
	if r.Limit > 0 && len(entries) > r.Limit {
		entries = entries[:r.Limit]
	}
	return entries
}

// modelIterator is what an iterator should do.
type modelIterator struct {
	r       mld.Range
	entries []mld.Entry // all of the range, without its limit
	next    int
	left    int // of the limit; less than 0 is no limit
	current mld.Entry
}

func (m model) iterator(r mld.Range) *modelIterator {
	it := &modelIterator{r: r, left: -1}
	if r.Limit > 0 {
		it.left = r.Limit
	}
	r.Limit = 0
	it.entries = m.scan(r)
	return it
}

func (it *modelIterator) Next() bool {
	if it.next == len(it.entries) || it.left == 0 {
		return false
	}
	it.current = it.entries[it.next]
	it.next++
	it.left--
	return true
}

func (it *modelIterator) Seek(target []byte) {
	it.next = len(it.entries)
	if !it.r.Contains(target) {
		return
	}
	for i, e := range it.entries {
		c := bytes.Compare(e.Key, target)
		if c == 0 || (c > 0) != it.r.Reverse {
			it.next = i
			return
		}
	}
}
