package party

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/wire"
)

// recordName is the file in the directory that says who the host is. It decides
// nothing: that somebody hosts is known by the lock alone.
const recordName = "mld.party"

// record is what a host says of itself in the directory.
type record struct {
	PID    int       `json:"pid"`
	Since  time.Time `json:"since"`
	Engine string    `json:"engine"`
	// Store is the id of the store, in hexadecimal digits, and Epoch how often it
	// has been hosted. Instance is the number by which the server is known.
	Store    string `json:"store"`
	Epoch    uint64 `json:"epoch"`
	Instance uint64 `json:"instance,string"`
}

// write puts the record into the directory, whole or not at all.
func (r *record) write(dir string) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	draft := filepath.Join(dir, recordName+".new")
	if err := os.WriteFile(draft, append(text, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(draft, filepath.Join(dir, recordName))
}

// readRecord returns the record in a directory. It returns nil if there is none.
func readRecord(dir string) (*record, error) {
	text, err := os.ReadFile(filepath.Join(dir, recordName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("read %s: %w", recordName, err)
	}
	return &r, nil
}

// checkHost returns the record of the host that says w of itself, or why it is not
// to be talked to: it must be the one that the directory names.
func checkHost(dir string, w *wire.Welcome) (*record, error) {
	refuse := func(format string, args ...any) (*record, error) {
		return nil, &mld.Error{Code: mld.CodeProtocol, Op: "join", Where: dir, Msg: fmt.Sprintf(format, args...)}
	}
	r, err := readRecord(dir)
	switch {
	case err != nil:
		return refuse("who the host is cannot be read: %v", err)
	case r == nil:
		return refuse("a server answers at the socket, and there is no file %s to say that it is the host", recordName)
	case w.Features&wire.FeatureLeases == 0:
		return refuse("the server that answers at the socket is too old for a party")
	case w.Instance != r.Instance:
		return refuse("the server that answers at the socket is not the host that %s names, process %d: it is an older one, or of another directory", recordName, r.PID)
	case w.Features&wire.FeatureSessions != 0 && (w.Generation != r.Epoch || fmt.Sprintf("%x", w.Store) != r.Store):
		return refuse("the server that answers at the socket serves another store than %s names", recordName)
	}
	return r, nil
}
