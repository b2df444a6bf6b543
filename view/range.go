package view

import (
	"bytes"

	"github.com/multileveldown/mld"
)

// Range selects keys, in the order of their encodings. The zero Range, and a nil
// one, select all, forwards. Of several bounds all hold. The keys in a range are
// read until the call that it is passed to returns; a sequence, such as
// [Reader.All] gives, reads them whenever it is walked.
//
// The common ranges have constructors:
//
//	view.Between("a", "n")
//	view.Prefix("invoice-").Backward().First(10)
//
// and any other is a literal:
//
//	&view.Range[string]{GT: new("a"), LTE: new("n")}
type Range[K any] struct {
	Prefix *K // keys that begin with this; for codecs that are a PrefixCodec
	GT     *K // keys greater than this
	GTE    *K // keys greater than or equal to this
	LT     *K // keys less than this
	LTE    *K // keys less than or equal to this

	// Limit is the greatest number of entries; 0, or less, means no limit.
	Limit int
	// Reverse walks from the last key to the first.
	Reverse bool
}

// From selects the keys greater than or equal to first.
func From[K any](first K) *Range[K] { return &Range[K]{GTE: &first} }

// After selects the keys greater than k: those that come after it when walking
// forwards.
func After[K any](k K) *Range[K] { return &Range[K]{GT: &k} }

// Before selects the keys less than k.
func Before[K any](k K) *Range[K] { return &Range[K]{LT: &k} }

// Between selects the keys from first, which is included, to end, which is not.
func Between[K any](first, end K) *Range[K] { return &Range[K]{GTE: &first, LT: &end} }

// Prefix selects the keys that begin with p, p included. The key codec must be a
// [PrefixCodec].
func Prefix[K any](p K) *Range[K] { return &Range[K]{Prefix: &p} }

// First returns a copy of r that selects no more than n entries, those that come
// first in its direction.
func (r *Range[K]) First(n int) *Range[K] {
	c := *r
	c.Limit = n
	return &c
}

// Backward returns a copy of r that walks from the last key to the first.
func (r *Range[K]) Backward() *Range[K] {
	c := *r
	c.Reverse = true
	return &c
}

// rawRange encodes the bounds of rg, and keeps the range within the view.
func (r *Reader[K, V]) rawRange(op string, rg *Range[K]) (raw mld.Range, err error) {
	if r.err != nil {
		return raw, r.err
	}
	if rg == nil {
		rg = &Range[K]{}
	}
	raw.Limit, raw.Reverse = rg.Limit, rg.Reverse
	for _, b := range []struct {
		raw *[]byte
		key *K
	}{{&raw.GT, rg.GT}, {&raw.GTE, rg.GTE}, {&raw.LT, rg.LT}, {&raw.LTE, rg.LTE}} {
		if b.key == nil {
			continue
		}
		if *b.raw, err = r.appendKey(make([]byte, 0, 64), op, *b.key); err != nil {
			return raw, err
		}
	}
	if rg.Prefix != nil {
		if err := r.boundByPrefix(op, &raw, *rg.Prefix); err != nil {
			return raw, err
		}
	}
	// A bound that was given lies within the view by itself.
	if r.prefix != "" {
		if raw.GT == nil && raw.GTE == nil {
			raw.GTE = []byte(r.prefix)
		}
		if raw.LT == nil && raw.LTE == nil {
			raw.LT = rawPrefix{}.PrefixEnd([]byte(r.prefix))
		}
	}
	return raw, nil
}

// boundByPrefix narrows raw to the keys that begin with p.
func (r *Reader[K, V]) boundByPrefix(op string, raw *mld.Range, p K) error {
	codec, ok := r.key.(PrefixCodec[K])
	if !ok {
		return &mld.Error{
			Code: mld.CodeInvalidArgument, Op: op,
			Msg: "the codec of the view's keys has no prefixes; give the range bounds instead",
		}
	}
	first, err := r.appendKey(make([]byte, 0, 64), op, p)
	if err != nil {
		return err
	}
	if raw.GTE == nil || bytes.Compare(first, raw.GTE) > 0 {
		raw.GTE = first
	}
	if end := codec.PrefixEnd(bytes.Clone(first[len(r.prefix):])); end != nil {
		end = append([]byte(r.prefix), end...)
		if raw.LT == nil || bytes.Compare(end, raw.LT) < 0 {
			raw.LT = end
		}
	}
	return nil
}
