package leveldbstore

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	ldberrors "github.com/syndtr/goleveldb/leveldb/errors"
	"github.com/syndtr/goleveldb/leveldb/journal"
	"github.com/syndtr/goleveldb/leveldb/storage"
)

// checkManifest returns an error that is a corruption to goleveldb when the
// manifest in use is damaged. Goleveldb itself has two ways to read one: to
// leave out what is damaged, and with it tables, or to refuse even one that a
// crash cut short.
func checkManifest(dir string) error {
	current, err := os.ReadFile(filepath.Join(dir, "CURRENT"))
	if err != nil {
		return err
	}
	name := strings.TrimSuffix(string(current), "\n")
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	defer f.Close()
	reason, err := damage(f)
	if err == nil && reason != "" {
		err = ldberrors.NewErrCorrupted(storage.FileDesc{}, fmt.Errorf("%s: %s", name, reason))
	}
	return err
}

// damage reads a journal to its end and says what is wrong with it, if not only
// that its end is missing. C++ LevelDB makes the same distinction.
func damage(r io.Reader) (reason string, err error) {
	var lost drops
	jr := journal.NewReader(r, &lost, false, true)
	for {
		record, err := jr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return "", err
		}
		_, err = io.Copy(io.Discard, record)
		if err == io.ErrUnexpectedEOF {
			continue // lost has the reason
		}
		if err != nil {
			return "", err
		}
		if len(lost) > 0 {
			return "a part is missing: " + lost[0], nil
		}
	}
	for _, reason := range lost {
		switch reason {
		case "zero header", "chunk length overflows block", "missing chunk part":
		default:
			return reason, nil
		}
	}
	return "", nil
}

// drops collects the reasons for which a journal's reader dropped something.
type drops []string

func (d *drops) Drop(err error) {
	var e *journal.ErrCorrupted
	if errors.As(err, &e) {
		*d = append(*d, e.Reason)
	} else {
		*d = append(*d, err.Error())
	}
}
