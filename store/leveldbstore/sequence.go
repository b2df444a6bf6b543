package leveldbstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"

	"github.com/syndtr/goleveldb/leveldb/journal"
	"github.com/syndtr/goleveldb/leveldb/storage"
)

// rewound is a storage whose manifest never has a higher sequence number than the
// journals to be recovered begin with.
//
// To goleveldb the manifest's number is that of the last write in a table, and it
// leaves out batches of journals that have lower ones. C++ LevelDB writes the number
// of the last write of all, at each compaction, so that what its journal has from
// before a compaction would be lost when its process had ended without closing the
// store. The numbers in journals are all higher than those in tables, and recovery
// goes on from the last one, so it is safe to begin with the first.
type rewound struct{ storage.Storage }

func (s rewound) Open(fd storage.FileDesc) (storage.Reader, error) {
	file, err := s.Storage.Open(fd)
	if err != nil || fd.Type != storage.TypeManifest {
		return file, err
	}
	m, err := readManifest(file)
	var first uint64
	found := false
	if err == nil {
		first, found, err = s.firstSequence(m)
	}
	if err == nil && found && first < m.sequence {
		var content []byte
		if content, err = m.rewind(first); err == nil {
			return memoryFile{bytes.NewReader(content), file}, nil
		}
	}
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// firstSequence returns the first sequence number in the journals that the manifest
// has not left behind, if there is one.
func (s rewound) firstSequence(m *manifest) (first uint64, found bool, err error) {
	journals, err := s.List(storage.TypeJournal)
	if err != nil {
		return 0, false, err
	}
	slices.SortFunc(journals, func(a, b storage.FileDesc) int { return int(a.Num - b.Num) })
	for _, fd := range journals {
		if uint64(fd.Num) < m.journal && uint64(fd.Num) != m.previous {
			continue
		}
		file, err := s.Storage.Open(fd)
		if err != nil {
			return 0, false, err
		}
		err = eachRecord(file, func(batch []byte) bool {
			if found = len(batch) >= 8; found {
				first = binary.LittleEndian.Uint64(batch)
			}
			return !found
		})
		file.Close()
		if found || err != nil {
			return first, found, err
		}
	}
	return 0, false, nil
}

// The fields of a manifest's records, by the numbers that begin them.
const (
	fieldComparer     = 1 // a string
	fieldJournal      = 2
	fieldNextFile     = 3
	fieldSequence     = 4
	fieldCompactPoint = 5 // a level and a string
	fieldDeletedTable = 6 // a level and a number
	fieldAddedTable   = 7 // a level, two numbers and two strings
	fieldPrevious     = 9
)

// manifest is what is needed of a manifest to know what is to be recovered.
type manifest struct {
	records  [][]byte
	journal  uint64 // the first to be recovered
	previous uint64 // one to be recovered before it, or 0
	sequence uint64
}

func readManifest(r io.Reader) (*manifest, error) {
	m := new(manifest)
	err := eachRecord(r, func(record []byte) bool {
		m.records = append(m.records, bytes.Clone(record))
		m.note(record)
		return true
	})
	return m, err
}

// note takes note of the fields of a record. One that is not understood ends it: then
// goleveldb refuses the manifest.
func (m *manifest) note(record []byte) {
	number := func() (v uint64) {
		v, n := binary.Uvarint(record)
		if n <= 0 {
			n, record = 0, nil
		}
		record = record[n:]
		return v
	}
	text := func() {
		n := number()
		record = record[min(n, uint64(len(record))):]
	}
	for len(record) > 0 {
		switch number() {
		case fieldComparer:
			text()
		case fieldJournal:
			m.journal = number()
		case fieldNextFile:
			number()
		case fieldSequence:
			m.sequence = number()
		case fieldCompactPoint:
			number()
			text()
		case fieldDeletedTable:
			number()
			number()
		case fieldAddedTable:
			number()
			number()
			number()
			text()
			text()
		case fieldPrevious:
			m.previous = number()
		default:
			return
		}
	}
}

// rewind returns the content of a manifest that is the same but for its sequence
// number.
func (m *manifest) rewind(sequence uint64) ([]byte, error) {
	last := binary.AppendUvarint([]byte{fieldSequence}, sequence)
	var content bytes.Buffer
	w := journal.NewWriter(&content)
	for _, record := range append(m.records, last) {
		to, err := w.Next()
		if err != nil {
			return nil, err
		}
		if _, err := to.Write(record); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return content.Bytes(), err
}

// eachRecord calls f with the records of a journal that are whole, until it returns
// false. The slice is valid during the call.
func eachRecord(r io.Reader, f func(record []byte) bool) error {
	jr := journal.NewReader(r, nil, false, true)
	var buf bytes.Buffer
	for {
		record, err := jr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		buf.Reset()
		if _, err := buf.ReadFrom(record); errors.Is(err, io.ErrUnexpectedEOF) {
			continue
		} else if err != nil {
			return err
		}
		if !f(buf.Bytes()) {
			return nil
		}
	}
}

// memoryFile is another content for a file.
type memoryFile struct {
	*bytes.Reader
	io.Closer
}
