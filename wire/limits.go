package wire

import (
	"fmt"

	"github.com/multileveldown/mld"
)

// Limits bound what one message may hold. A zero field has no limit, but the
// frame's always holds for all of them together.
type Limits struct {
	// Key and Value are the greatest sizes of a key and of a value, in bytes.
	Key   int
	Value int
	// BatchOps is the greatest number of operations in a batch, Keys that of
	// keys in a GetMany.
	BatchOps int
	Keys     int
}

// DefaultMaxFrame is the size in bytes that the body of a frame may have by
// default.
const DefaultMaxFrame = 64 << 20

// DefaultLimits are the limits that a server has by default.
var DefaultLimits = Limits{
	Key:      1 << 20,
	Value:    DefaultMaxFrame,
	BatchOps: 1 << 20,
	Keys:     1 << 16,
}

func checkLimit(what, flag string, n, limit int) error {
	if limit > 0 && n > limit {
		return &mld.Error{Code: mld.CodeLimitExceeded, Msg: fmt.Sprintf("%d %s exceed the limit of %d (%s)", n, what, limit, flag)}
	}
	return nil
}

func (l *Limits) key(k []byte) error {
	return checkLimit("bytes of a key", "max-key", len(k), l.Key)
}

func (l *Limits) value(v []byte) error {
	return checkLimit("bytes of a value", "max-value", len(v), l.Value)
}
