package mld

// OpKind is what an operation of a batch does.
type OpKind uint8

const (
	// OpPut sets a value.
	OpPut OpKind = iota + 1
	// OpDelete removes a key.
	OpDelete
	// OpDeleteRange removes all keys of a range: those from the operation's
	// key on that are less than its value. A nil value is no upper bound; one
	// that is empty and not nil leaves no key to remove.
	OpDeleteRange
)

// String returns "put" or "del", the names that Level programs use, or
// "del-range".
func (k OpKind) String() string {
	switch k {
	case OpPut:
		return "put"
	case OpDelete:
		return "del"
	case OpDeleteRange:
		return "del-range"
	default:
		return "unknown"
	}
}

// Op is one operation of a [Batch]. Value is unused by OpDelete, and the upper
// bound of an OpDeleteRange.
type Op struct {
	Kind  OpKind
	Key   []byte
	Value []byte
}

// Batch is a list of operations that are applied together, in order. The zero
// Batch is empty and ready for use. A Batch is used by one goroutine at a time.
type Batch struct {
	ops   []Op
	size  int
	arena []byte
}

// arenaSize is how much memory a batch takes at a time for copies.
const arenaSize = 4 << 10

// Put adds the setting of a value. It copies both slices.
func (b *Batch) Put(key, value []byte) {
	b.Append(Op{OpPut, b.clone(key), b.clone(value)})
}

// Delete adds the removal of a key. It copies the slice.
func (b *Batch) Delete(key []byte) {
	b.Append(Op{Kind: OpDelete, Key: b.clone(key)})
}

// DeleteRange adds the removal of every key that is at least lower and less than
// upper, those that the batch put before included. A nil upper is no bound. It
// copies both slices.
//
// The stores of this module that hold data take such a batch. A client does not,
// for no server knows the operation: Apply returns [ErrUnsupported].
func (b *Batch) DeleteRange(lower, upper []byte) {
	op := Op{Kind: OpDeleteRange, Key: b.clone(lower)}
	if upper != nil {
		op.Value = b.clone(upper)
	}
	b.Append(op)
}

// Append adds operations without copying: their slices must not change until
// the batch has been applied or reset.
func (b *Batch) Append(ops ...Op) {
	for i := range ops {
		b.size += len(ops[i].Key) + len(ops[i].Value)
	}
	b.ops = append(b.ops, ops...)
}

// Ops returns the operations. The slice is the batch's own: it is valid until
// the batch is next changed, and must not be changed itself.
func (b *Batch) Ops() []Op { return b.ops }

// Len returns the number of operations.
func (b *Batch) Len() int { return len(b.ops) }

// Size returns the number of bytes in the keys and values.
func (b *Batch) Size() int { return b.size }

// Reset empties the batch, keeping its memory for reuse. It lets go of every
// slice that was appended.
func (b *Batch) Reset() {
	clear(b.ops)
	b.ops, b.size, b.arena = b.ops[:0], 0, b.arena[:0]
}

// clone copies p into the arena. A full arena is left to the operations that
// point into it and a new one begun. The copy is not nil.
func (b *Batch) clone(p []byte) []byte {
	if b.arena == nil || cap(b.arena)-len(b.arena) < len(p) {
		b.arena = make([]byte, 0, max(arenaSize, len(p)))
	}
	n := len(b.arena)
	b.arena = append(b.arena, p...)
	return b.arena[n:len(b.arena):len(b.arena)]
}
