package history

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/multileveldown/mld"
)

// ErrTimeout is returned by Check when the search has taken too long, so that
// nothing is known. Make histories shorter, or let fewer clients meet.
var ErrTimeout = errors.New("history: not decided in time")

// Violation is returned by Check for a history that is not linearizable.
type Violation struct {
	// Ops are those that cannot be put in an order, by their calls: of all
	// operations those on keys that have to do with each other.
	Ops []Op

	model porcupine.Model
	info  porcupine.LinearizationInfo
}

// Error lists the operations.
func (v *Violation) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "history: no order explains these %d operations:", len(v.Ops))
	for i := range v.Ops {
		fmt.Fprintf(&b, "\n\t%s", v.Ops[i].String())
	}
	return b.String()
}

// Visualize writes a page of HTML that shows the operations over time.
func (v *Violation) Visualize(path string) error {
	return porcupine.VisualizePath(v.model, v.info, path)
}

// Check returns nil if the history of a store that was empty in the beginning is
// linearizable, and else a [*Violation], or [ErrTimeout] if it is not found out
// within the limit; 0 is no limit.
func Check(ops []Op, limit time.Duration) error {
	c := newChecker(ops)
	deadline := time.Now().Add(limit)
	for _, part := range c.parts() {
		left := time.Duration(0)
		if limit > 0 {
			left = max(time.Until(deadline), 1)
		}
		model := c.model()
		result, info := porcupine.CheckOperationsVerbose(model, c.operations(part), left)
		switch result {
		case porcupine.Illegal:
			return &Violation{Ops: part, model: model, info: info}
		case porcupine.Unknown:
			return fmt.Errorf("%w: %d operations, %v", ErrTimeout, len(part), limit)
		}
	}
	return nil
}

// checker knows all keys and values of a history by their numbers. A state of
// the store is a string with two bytes for each key: the number of its value, 0
// if there is none. So states are small, and compare with ==.
type checker struct {
	ops    []Op
	keys   [][]byte // in order
	values map[string]uint16
	names  []string // of values
}

func newChecker(ops []Op) *checker {
	c := &checker{values: map[string]uint16{}, names: []string{"none"}}
	for _, o := range ops {
		if o.Outcome == mld.NotApplied {
			continue // whose effect is seen all the same, nobody wrote
		}
		c.ops = append(c.ops, o)
		c.keys = append(c.keys, o.Keys...)
		for _, e := range o.Entries {
			c.keys = append(c.keys, e.Key)
			c.number(e.Value)
		}
		for _, v := range o.Values {
			c.number(v)
		}
		for _, ch := range o.Changes {
			c.keys = append(c.keys, ch.Key)
			if ch.Kind == mld.OpPut {
				c.number(append([]byte{}, ch.Value...))
			}
		}
	}
	slices.SortFunc(c.keys, bytes.Compare)
	c.keys = slices.CompactFunc(c.keys, bytes.Equal)
	slices.SortFunc(c.ops, func(a, b Op) int { return int(a.Call - b.Call) })
	return c
}

// number returns the number of a value, 0 for nil.
func (c *checker) number(v []byte) uint16 {
	if v == nil {
		return 0
	}
	n, ok := c.values[string(v)]
	if !ok {
		if len(c.names) > math.MaxUint16 {
			panic("history: more than 65,535 values")
		}
		n = uint16(len(c.names))
		c.values[string(v)] = n
		c.names = append(c.names, string(v))
	}
	return n
}

func (c *checker) key(key []byte) int {
	i, _ := slices.BinarySearchFunc(c.keys, key, bytes.Compare)
	return i
}

// within returns the keys of a range in its direction.
func (c *checker) within(r *mld.Range) []int {
	var in []int
	for i, key := range c.keys {
		if r.Contains(key) {
			in = append(in, i)
		}
	}
	if r.Reverse {
		slices.Reverse(in)
	}
	return in
}

// touched returns the keys that an operation has to do with.
func (c *checker) touched(o *Op) []int {
	switch o.Kind {
	case Scan, Clear:
		return c.within(&o.Range)
	case Get:
		return c.all(o.Keys)
	}
	var touched []int
	for _, ch := range o.Changes {
		touched = append(touched, c.key(ch.Key))
	}
	return touched
}

func (c *checker) all(keys [][]byte) []int {
	var all []int
	for _, key := range keys {
		all = append(all, c.key(key))
	}
	return all
}

// parts splits the history into those of keys that no operation joins: each
// may be looked at alone.
func (c *checker) parts() [][]Op {
	parent := make([]int, len(c.keys))
	for i := range parent {
		parent[i] = i
	}
	root := func(i int) int {
		for parent[i] != i {
			i = parent[i]
		}
		return i
	}
	for i := range c.ops {
		touched := c.touched(&c.ops[i])
		for _, k := range touched {
			parent[root(k)] = root(touched[0])
		}
	}
	parts := make([][]Op, len(c.keys))
	for i := range c.ops {
		// What touches no key that was ever written can only be right.
		if touched := c.touched(&c.ops[i]); len(touched) > 0 {
			r := root(touched[0])
			parts[r] = append(parts[r], c.ops[i])
		}
	}
	return slices.DeleteFunc(parts, func(p []Op) bool { return len(p) == 0 })
}

// step is an operation in terms of numbers.
type step struct {
	op    *Op
	keys  []int    // that are read, cleared or written
	vals  []uint16 // that were found or are written, one for each key but of a scan,
	found []int    // where it is one for each of these
	limit int
}

func (c *checker) operations(part []Op) []porcupine.Operation {
	list := make([]porcupine.Operation, len(part))
	for i := range part {
		o := &part[i]
		s := &step{op: o, keys: c.touched(o), limit: o.Range.Limit}
		for _, v := range o.Values {
			s.vals = append(s.vals, c.number(v))
		}
		for _, e := range o.Entries {
			s.found = append(s.found, c.key(e.Key))
			s.vals = append(s.vals, c.number(e.Value))
		}
		for _, ch := range o.Changes {
			v := uint16(0)
			if ch.Kind == mld.OpPut {
				v = c.number(append([]byte{}, ch.Value...))
			}
			s.vals = append(s.vals, v)
		}
		ends := o.Return
		if o.Outcome == mld.Unknown {
			// Last of all nobody sees it, which is as if it never was.
			ends = math.MaxInt64
		}
		list[i] = porcupine.Operation{ClientId: o.Client, Input: s, Call: o.Call, Output: s, Return: ends}
	}
	return list
}

func (c *checker) model() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return strings.Repeat("\x00\x00", len(c.keys)) },
		Step: func(state, input, _ any) (bool, any) { return input.(*step).do(state.(string)) },
		DescribeOperation: func(input, _ any) string {
			return input.(*step).op.describe()
		},
		DescribeState: func(state any) string {
			var b strings.Builder
			for i, key := range c.keys {
				if v := at(state.(string), i); v != 0 {
					fmt.Fprintf(&b, "%s=%s ", key, c.names[v])
				}
			}
			return b.String()
		},
	}
}

// at returns the number of a key's value.
func at(state string, key int) uint16 {
	return uint16(state[2*key])<<8 | uint16(state[2*key+1])
}

// do returns whether the operation could be next, and the state after it.
func (s *step) do(state string) (bool, string) {
	switch s.op.Kind {
	case Get:
		for i, k := range s.keys {
			if at(state, k) != s.vals[i] {
				return false, ""
			}
		}
		return true, state
	case Scan:
		n := 0
		for _, k := range s.keys {
			if s.limit > 0 && n == s.limit {
				break
			}
			v := at(state, k)
			if v == 0 {
				continue
			}
			if n == len(s.found) || s.found[n] != k || s.vals[n] != v {
				return false, ""
			}
			n++
		}
		return n == len(s.found), state
	}
	next := []byte(state)
	n := 0
	for i, k := range s.keys {
		v := uint16(0)
		if s.op.Kind == Write {
			v = s.vals[i]
		} else if at(state, k) == 0 {
			continue
		} else if n++; s.limit > 0 && n > s.limit {
			break
		}
		next[2*k], next[2*k+1] = byte(v>>8), byte(v)
	}
	return true, string(next)
}
