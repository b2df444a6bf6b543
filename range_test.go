package mld_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/multileveldown/mld"
)

func TestRangeHalfOpen(t *testing.T) {
	b := func(s string) []byte { return []byte(s) }
	for _, c := range []struct {
		name         string
		r            mld.Range
		lower, upper []byte
		empty        bool
	}{
		{"all", mld.Range{}, nil, nil, false},
		{"gte", mld.Range{GTE: b("b")}, b("b"), nil, false},
		{"gt", mld.Range{GT: b("b")}, b("b\x00"), nil, false},
		{"lt", mld.Range{LT: b("b")}, nil, b("b"), false},
		{"lte", mld.Range{LTE: b("b")}, nil, b("b\x00"), false},
		{"gt above gte", mld.Range{GT: b("c"), GTE: b("b")}, b("c\x00"), nil, false},
		{"gt below gte", mld.Range{GT: b("a"), GTE: b("b")}, b("b"), nil, false},
		{"gt is gte", mld.Range{GT: b("b"), GTE: b("b")}, b("b\x00"), nil, false},
		{"lt below lte", mld.Range{LT: b("a"), LTE: b("b")}, nil, b("a"), false},
		{"lt above lte", mld.Range{LT: b("c"), LTE: b("b")}, nil, b("b\x00"), false},
		{"lt is lte", mld.Range{LT: b("b"), LTE: b("b")}, nil, b("b"), false},
		{"empty gte", mld.Range{GTE: b("")}, b(""), nil, false},
		{"empty gt", mld.Range{GT: b("")}, b("\x00"), nil, false},
		{"empty lt", mld.Range{LT: b("")}, nil, b(""), true},
		{"empty lte", mld.Range{LTE: b("")}, nil, b("\x00"), false},
		{"one key", mld.Range{GTE: b("b"), LTE: b("b")}, b("b"), b("b\x00"), false},
		{"no key", mld.Range{GTE: b("b"), LT: b("b")}, b("b"), b("b"), true},
		{"between a key and its successor", mld.Range{GT: b("b"), LT: b("b\x00")}, b("b\x00"), b("b\x00"), true},
		{"upside down", mld.Range{GTE: b("c"), LTE: b("b")}, b("c"), b("b\x00"), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if lower, upper := c.r.HalfOpen(); !reflect.DeepEqual(lower, c.lower) || !reflect.DeepEqual(upper, c.upper) {
				t.Errorf("%q, %q; want %q, %q", lower, upper, c.lower, c.upper)
			}
			if c.r.Empty() != c.empty {
				t.Errorf("Empty is %v", !c.empty)
			}
		})
	}
}

// TestRangeContains sees that Contains, HalfOpen and Empty tell the same of
// every range over short keys of two letters.
func TestRangeContains(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var keys [][]byte
	for n := range 4 {
		for bits := range 1 << n {
			k := make([]byte, n)
			for i := range k {
				k[i] = byte(bits >> i & 1) // 0 and 1: the successor of a key is a key
			}
			keys = append(keys, k)
		}
	}
	bound := func() []byte {
		if rng.IntN(2) == 0 {
			return nil
		}
		return keys[rng.IntN(len(keys))]
	}
	for range 20_000 {
		r := mld.Range{GT: bound(), GTE: bound(), LT: bound(), LTE: bound()}
		lower, upper := r.HalfOpen()
		for _, k := range keys {
			within := bytes.Compare(k, lower) >= 0 && (upper == nil || bytes.Compare(k, upper) < 0)
			if r.Contains(k) != within {
				t.Fatalf("%q in %+v: Contains says %v", k, r, !within)
			}
			if within && r.Empty() {
				t.Fatalf("%q is in %+v, which is Empty", k, r)
			}
		}
	}
}

func TestRangeClone(t *testing.T) {
	r := mld.Range{GT: []byte("a"), GTE: []byte{}, LT: []byte("c"), Limit: 3, Reverse: true}
	c := r.Clone()
	if !reflect.DeepEqual(r, c) {
		t.Errorf("%+v, want %+v", c, r)
	}
	r.GT[0], r.LT[0] = 'x', 'x'
	if string(c.GT) != "a" || string(c.LT) != "c" {
		t.Errorf("the clone shares memory: %+v", c)
	}
}

func TestIterOptionsValidate(t *testing.T) {
	var none *mld.IterOptions
	for _, o := range []*mld.IterOptions{none, {}, {KeysOnly: true}, {ValuesOnly: true}} {
		if err := o.Validate(); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if err := (&mld.IterOptions{KeysOnly: true, ValuesOnly: true}).Validate(); !errors.Is(err, mld.ErrInvalidArgument) {
		t.Error(err)
	}
}
