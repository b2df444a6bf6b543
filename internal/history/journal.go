package history

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"github.com/multileveldown/mld"
)

// Journal is what a process keeps of a history so that it survives the process,
// whenever that is killed. Nil keeps nothing.
type Journal struct {
	mu  sync.Mutex // w, err
	w   io.Writer
	err error
}

// NewJournal returns a journal that is written to w, which should be a file that
// is written without a buffer.
func NewJournal(w io.Writer) *Journal { return &Journal{w: w} }

// Err returns why the journal could not be written.
func (j *Journal) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

// write writes a line. An operation that has only begun returns at 0.
func (j *Journal) write(o *Op) {
	if j == nil {
		return
	}
	line, err := json.Marshal(o)
	j.mu.Lock()
	defer j.mu.Unlock()
	if err == nil {
		_, err = j.w.Write(append(line, '\n'))
	}
	if j.err == nil {
		j.err = err
	}
}

// ReadJournal returns the operations of a journal. A write that had begun and not
// ended when the process was killed has the unknown outcome. A last line that is
// not whole is left out.
func ReadJournal(journal []byte) ([]Op, error) {
	var ops []Op
	begun := map[int64]int{} // where the operation is that was called at a time
	for n := 1; ; n++ {
		line, rest, whole := bytes.Cut(journal, []byte("\n"))
		if !whole {
			return ops, nil
		}
		journal = rest
		var o Op
		if err := json.Unmarshal(line, &o); err != nil {
			return nil, fmt.Errorf("history: line %d of a journal: %w", n, err)
		}
		i, ok := begun[o.Call]
		if !ok {
			i = len(ops)
			ops = append(ops, Op{})
			begun[o.Call] = i
		}
		if o.Return == 0 {
			o.Outcome = mld.Unknown
		}
		ops[i] = o
	}
}
