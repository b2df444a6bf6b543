package main

import (
	"bytes"

	"github.com/spf13/cobra"

	"github.com/multileveldown/mld"
)

// rangeFlags are the flags that select keys.
type rangeFlags struct {
	flags       *cobra.Command
	keyEncoding string
	bound       map[string]*string
	limit       count
	reverse     bool
}

// addRangeFlags adds them to a command, with --key-encoding.
func addRangeFlags(c *cobra.Command) *rangeFlags {
	f := &rangeFlags{flags: c, bound: make(map[string]*string), limit: -1}
	for _, b := range [...]struct{ name, usage string }{
		{"gt", "keys greater than this"},
		{"gte", "keys greater than or equal to this"},
		{"lt", "keys less than this"},
		{"lte", "keys less than or equal to this"},
		{"prefix", "keys that begin with this"},
	} {
		f.bound[b.name] = c.Flags().String(b.name, "", b.usage)
	}
	c.Flags().Var(&f.limit, "limit", "the greatest number of entries")
	c.Flags().BoolVar(&f.reverse, "reverse", false, "from the last key to the first")
	keyEncodingFlag(c, &f.keyEncoding)
	return f
}

// bounded reports whether a bound was given.
func (f *rangeFlags) bounded() bool {
	for name := range f.bound {
		if f.flags.Flags().Changed(name) {
			return true
		}
	}
	return false
}

// get returns a bound, nil if it was not given.
func (f *rangeFlags) get(name string) ([]byte, error) {
	if !f.flags.Flags().Changed(name) {
		return nil, nil
	}
	b, err := decode(f.keyEncoding, *f.bound[name])
	if err != nil {
		return nil, usageError("--%s: %w", name, err)
	}
	return b, nil
}

// selected returns the range that the flags select.
func (f *rangeFlags) selected() (mld.Range, error) {
	r := mld.Range{Limit: max(int(f.limit), 0), Reverse: f.reverse}
	var prefix []byte
	for name, field := range map[string]*[]byte{"gt": &r.GT, "gte": &r.GTE, "lt": &r.LT, "lte": &r.LTE, "prefix": &prefix} {
		var err error
		if *field, err = f.get(name); err != nil {
			return r, err
		}
	}
	if prefix == nil {
		return r, nil
	}
	if r.GTE == nil || bytes.Compare(prefix, r.GTE) > 0 {
		r.GTE = prefix
	}
	if end := prefixEnd(prefix); end != nil && (r.LT == nil || bytes.Compare(end, r.LT) < 0) {
		r.LT = end
	}
	return r, nil
}

// prefixEnd returns the least key that is greater than all that begin with
// prefix, or nil if there is none.
func prefixEnd(prefix []byte) []byte {
	for n := len(prefix); n > 0; n-- {
		if prefix[n-1] != 0xff {
			end := bytes.Clone(prefix[:n])
			end[n-1]++
			return end
		}
	}
	return nil
}
