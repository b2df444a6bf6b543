package probe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/multileveldown/mld"
)

// BytewiseComparator is the name that a LevelDB manifest has for the order of
// [bytes.Compare].
const BytewiseComparator = "leveldb.BytewiseComparator"

// levelDB tells a LevelDB store, whole or damaged, from what could become one
// and from what is none.
func levelDB(dir string, names []string) (Kind, error) {
	var manifest, data bool
	var others []string
	current := slices.Contains(names, "CURRENT")
	for _, name := range names {
		switch {
		case strings.HasPrefix(name, "MANIFEST-"):
			manifest = true
		case isNumbered(name, ".ldb", ".sst", ".log"):
			data = true
		case !isLeftover(name):
			others = append(others, name)
		}
	}
	switch {
	case current && (manifest || data):
		return LevelDB, checkManifest(dir)
	case current:
		return Foreign, foreign(dir, names)
	case data && (manifest || len(others) == 0):
		return LevelDB, damaged(dir, "it has data, and no file CURRENT that says which is in use")
	case data || len(others) > 0:
		return Foreign, foreign(dir, names)
	default:
		return Empty, nil
	}
}

// isLeftover reports whether a file may be in a directory that has no store.
func isLeftover(name string) bool {
	switch name {
	case "LOCK", "LOG", "LOG.old", "lost+found":
		return true
	case "mld.sock", "mld.party", "mld.party.new", "level-party.sock", "rave-level.sock":
		return true // of a host that is just making the store, or failed to
	}
	return strings.HasPrefix(name, "CURRENT.") || isNumbered(name, ".dbtmp", ".tmp")
}

// isNumbered reports whether name is a number and one of the endings.
func isNumbered(name string, endings ...string) bool {
	digits, ending := name, ""
	if i := strings.IndexByte(name, '.'); i >= 0 {
		digits, ending = name[:i], name[i:]
	}
	return digits != "" && strings.Trim(digits, "0123456789") == "" && slices.Contains(endings, ending)
}

func damaged(dir, what string) error {
	return &mld.Error{Code: mld.CodeCorruption, Op: "open", Where: dir, Msg: "this LevelDB store is damaged: " + what}
}

// checkManifest returns an error unless the store names the order of its keys
// and it is the right one.
func checkManifest(dir string) error {
	comparator, err := readComparator(dir)
	var bad manifestError
	switch {
	case errors.As(err, &bad):
		return damaged(dir, string(bad))
	case err != nil:
		return ioError(dir, err)
	case comparator != BytewiseComparator:
		return &mld.Error{
			Code:  mld.CodeUnsupported,
			Op:    "open",
			Where: dir,
			Msg: fmt.Sprintf("the keys of this LevelDB store are ordered by the comparator %q, not %q; only the program that made it can open it",
				comparator, BytewiseComparator),
		}
	}
	return nil
}

// manifestError says what is wrong with CURRENT or the manifest.
type manifestError string

func (e manifestError) Error() string { return string(e) }

// readComparator follows CURRENT to the manifest and reads the name of the
// comparator from it. An owner that is at work may replace both between the two
// steps, so it looks again when the manifest has gone.
func readComparator(dir string) (string, error) {
	var last string
	for {
		content, err := readHead(filepath.Join(dir, "CURRENT"))
		if err != nil {
			return "", err
		}
		name, whole := strings.CutSuffix(string(content), "\n")
		if !whole || !strings.HasPrefix(name, "MANIFEST-") || filepath.Base(name) != name {
			return "", manifestError(fmt.Sprintf("CURRENT holds %.40q, not the name of a manifest", content))
		}
		head, err := readFirstChunk(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			if name == last {
				return "", manifestError(name + ", which CURRENT names, is not there")
			}
			last = name
			continue
		}
		if err != nil {
			return "", err
		}
		comparator, ok := parseComparator(head)
		if !ok {
			return "", manifestError(name + " does not begin with the name of a comparator")
		}
		return comparator, nil
	}
}

// A manifest is a log of version edits. Its first edit may be cut over several
// chunks, but the first of them has the comparator.
const (
	chunkHeaderSize = 4 + 2 + 1 // masked CRC-32C of type and payload, length, type
	chunkFull       = 1
	chunkFirst      = 2
	crcMask         = 0xa282ead8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// readFirstChunk returns the payload of a log's first chunk.
func readFirstChunk(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	base := filepath.Base(name)
	var header [chunkHeaderSize]byte
	if _, err := io.ReadFull(f, header[:]); err != nil {
		return nil, cutShort(base, err)
	}
	payload := make([]byte, binary.LittleEndian.Uint16(header[4:]))
	if _, err := io.ReadFull(f, payload); err != nil {
		return nil, cutShort(base, err)
	}
	if kind := header[6]; kind != chunkFull && kind != chunkFirst {
		return nil, manifestError(fmt.Sprintf("%s begins with a chunk of type %d", base, kind))
	}
	sum := crc32.Update(crc32.Checksum(header[6:], castagnoli), castagnoli, payload)
	if sum>>15|sum<<17 != binary.LittleEndian.Uint32(header[:])-crcMask {
		return nil, manifestError(base + " does not match its checksum")
	}
	return payload, nil
}

func cutShort(name string, err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return manifestError(name + " is cut short")
	}
	return err
}

// parseComparator returns the comparator of a version edit, whose first field it
// is: tag 1, length, name.
func parseComparator(edit []byte) (string, bool) {
	const tagComparator = 1
	if len(edit) == 0 || edit[0] != tagComparator {
		return "", false
	}
	length, n := binary.Uvarint(edit[1:])
	if n <= 0 || length > uint64(len(edit)-1-n) {
		return "", false
	}
	return string(edit[1+n:][:length]), true
}
