package interop

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/leveldbstore"
)

// The packages that are C++ LevelDB for Node.
const (
	classicLevel = "classic-level"
	leveldown    = "leveldown"
)

var levelDBPackages = []string{classicLevel, leveldown}

var levelDBSeed = flag.Uint64("leveldb.seed", 0, "seed of the changes to LevelDB directories; 0 takes a new one")

// levelDB is a directory that Node and this process write in turns, with what it
// should hold.
type levelDB struct {
	*testing.T
	dir  string
	pkg  string
	rand *rand.Rand
	want map[string]string
}

func newLevelDB(t *testing.T, pkg string) *levelDB {
	seed := *levelDBSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat with -leveldb.seed=%d", seed)
	return &levelDB{t, t.TempDir(), pkg, rand.New(rand.NewPCG(seed, 0)), make(map[string]string)}
}

// changes returns batches of puts, of new keys and of old ones, and of deletions.
func (l *levelDB) changes(n int) []*mld.Batch {
	batches := make([]*mld.Batch, n)
	for i := range batches {
		b := new(mld.Batch)
		for range 100 {
			key := l.key()
			if l.rand.IntN(4) == 0 {
				b.Delete(key)
				delete(l.want, string(key))
				continue
			}
			value := l.value()
			b.Put(key, value)
			l.want[string(key)] = string(value)
		}
		batches[i] = b
	}
	return batches
}

// key returns one of some thousands of keys, of every byte and of 1 to 600 bytes.
func (l *levelDB) key() []byte {
	n := l.rand.Uint32N(8000)
	key := []byte{byte(n), byte(n >> 8)}
	switch n % 16 {
	case 0:
		return key[:1]
	case 1:
		return append(key, bytes.Repeat([]byte{0xff}, int(n%600))...)
	default:
		return fmt.Appendf(key, "\x00key %d", n)
	}
}

// value returns nothing, noise, which Snappy leaves as it is, or repetition.
func (l *levelDB) value() []byte {
	value := make([]byte, l.rand.IntN(400))
	switch l.rand.IntN(4) {
	case 0:
		return nil
	case 1:
		for i := range value {
			value[i] = byte(l.rand.Uint32())
		}
	default:
		for i := range value {
			value[i] = "abc\x00"[i%4]
		}
	}
	return value
}

// nodeChanges has Node change the directory, and compact it on the way.
func (l *levelDB) nodeChanges(flags ...string) {
	l.Helper()
	var script bytes.Buffer
	for i, b := range l.changes(60) {
		ops := make([][]string, 0, b.Len())
		for _, op := range b.Ops() {
			fields := []string{hex.EncodeToString(op.Key)}
			if op.Kind == mld.OpPut {
				fields = append(fields, hex.EncodeToString(op.Value))
			}
			ops = append(ops, fields)
		}
		line, err := json.Marshal(ops)
		if err != nil {
			l.Fatal(err)
		}
		script.Write(append(line, '\n'))
		if i%25 == 20 {
			script.WriteString("compact\n")
		}
	}
	cmd := nodeCommand(l, "leveldb-dir.js", append([]string{l.pkg, l.dir, "apply"}, flags...)...)
	cmd.Stdin = &script
	if out, err := cmd.CombinedOutput(); err != nil {
		l.Fatalf("%s: %v\n%s", l.pkg, err, out)
	}
}

// goChanges changes the directory from here: with every kind of write, some of
// them synced, through tables of several levels.
func (l *levelDB) goChanges(o *leveldbstore.Options) {
	l.Helper()
	s := l.open(o)
	for i, b := range l.changes(60) {
		o := []*mld.WriteOptions{nil, mld.Sync, mld.NoSync, mld.NoSync}[i%4]
		if i%10 != 2 {
			l.check(s.Apply(l.Context(), b, o))
			continue
		}
		for _, op := range b.Ops() {
			if op.Kind == mld.OpPut {
				l.check(s.Put(l.Context(), op.Key, op.Value, o))
			} else {
				l.check(s.Delete(l.Context(), op.Key, o))
			}
			o = mld.NoSync
		}
	}
	r := mld.Range{GTE: []byte{byte(l.rand.Uint32())}, Limit: 300}
	l.check(s.Clear(l.Context(), r, nil))
	keys := slices.Sorted(maps.Keys(l.want))
	at, _ := slices.BinarySearch(keys, string(r.GTE))
	for _, key := range keys[at:min(at+r.Limit, len(keys))] {
		delete(l.want, key)
	}
	l.check(s.Close())
}

func (l *levelDB) open(o *leveldbstore.Options) *leveldbstore.Store {
	l.Helper()
	s, err := leveldbstore.Open(l.dir, o)
	l.check(err)
	l.Cleanup(func() { s.Close() })
	return s
}

// goReads fails unless the directory holds what it should, by scans both ways
// and by gets, which look into the filters of tables.
func (l *levelDB) goReads() {
	l.Helper()
	s := l.open(&leveldbstore.Options{ReadOnly: true})
	for _, reverse := range []bool{false, true} {
		keys := slices.Sorted(maps.Keys(l.want))
		if reverse {
			slices.Reverse(keys)
		}
		i := 0
		for e, err := range mld.All(l.Context(), s, &mld.IterOptions{Range: mld.Range{Reverse: reverse}}) {
			l.check(err)
			if i == len(keys) || string(e.Key) != keys[i] || string(e.Value) != l.want[keys[i]] {
				l.Fatalf("entry %d of the scan (reverse: %t) is %q", i, reverse, e.Key)
			}
			i++
		}
		if i != len(keys) {
			l.Fatalf("scanned %d entries; want %d", i, len(keys))
		}
	}
	for key, want := range l.want {
		if value, err := s.Get(l.Context(), []byte(key)); err != nil || string(value) != want {
			l.Fatalf("Get(%q) = %d bytes, %v", key, len(value), err)
		}
		if value, err := s.Get(l.Context(), []byte(key+"?")); !errors.Is(err, mld.ErrNotFound) {
			l.Fatalf("Get of a key that is not there = %q, %v", value, err)
		}
	}
	l.check(s.Close())
}

// nodeReads fails unless Node finds what it should.
func (l *levelDB) nodeReads() {
	l.Helper()
	keys := slices.Sorted(maps.Keys(l.want))
	var want bytes.Buffer
	for _, key := range keys {
		fmt.Fprintf(&want, "[\"%x\",\"%x\"]\n", key, l.want[key])
	}
	got := runNode(l, "leveldb-dir.js", l.pkg, l.dir, "dump")
	if !bytes.Equal(got, want.Bytes()) {
		l.Fatalf("%s finds %d entries; want %d, or others", l.pkg, bytes.Count(got, []byte("\n")), len(keys))
	}
}

func (l *levelDB) check(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

// tables returns the names of the tables, and their contents joined.
func (l *levelDB) tables(ending string) (names []string, contents string) {
	l.Helper()
	names, err := filepath.Glob(filepath.Join(l.dir, "*"+ending))
	l.check(err)
	for _, name := range names {
		b, err := os.ReadFile(name)
		l.check(err)
		contents += string(b)
	}
	return names, contents
}

// TestLevelDBInTurns has Node and this process change a directory in turns,
// each finding everything that the other did.
func TestLevelDBInTurns(t *testing.T) {
	for _, tt := range []struct {
		pkg       string
		nodeFirst bool
		o         leveldbstore.Options
		flags     []string
	}{
		{classicLevel, true, leveldbstore.Options{}, []string{"--sync"}},
		{classicLevel, false, leveldbstore.Options{Compression: leveldbstore.NoCompression}, nil},
		{leveldown, true, leveldbstore.Options{Durability: mld.DurabilityNoSync}, []string{"--uncompressed"}},
		{leveldown, false, leveldbstore.Options{Durability: mld.DurabilityNoSync}, nil},
	} {
		name := fmt.Sprintf("%s/node first=%t", tt.pkg, tt.nodeFirst)
		t.Run(name, func(t *testing.T) {
			l := newLevelDB(t, tt.pkg)
			// Small enough for many tables and compactions.
			tt.o.WriteBufferBytes = 64 << 10
			if tt.nodeFirst {
				l.nodeChanges(tt.flags...)
				l.goReads()
			}
			for range 2 {
				l.goChanges(&tt.o)
				l.nodeReads()
				l.nodeChanges(tt.flags...)
				l.goReads()
			}
		})
	}
}

// TestLevelDBEmptyKey holds what LevelDB itself allows. Of the two packages,
// classic-level lets its users have it.
func TestLevelDBEmptyKey(t *testing.T) {
	l := newLevelDB(t, classicLevel)
	s := l.open(nil)
	l.check(s.Put(t.Context(), nil, []byte("of nothing"), nil))
	l.check(s.Put(t.Context(), []byte("a"), nil, nil))
	l.check(s.Close())
	l.want[""], l.want["a"] = "of nothing", ""
	l.nodeReads()
	l.nodeChanges()
	l.goReads()
}

// TestLevelDBFilters makes sure that each side writes the filters that the other
// looks for. That they are right, the gets of the other tests show.
func TestLevelDBFilters(t *testing.T) {
	const policy = "filter.leveldb.BuiltinBloomFilter2"
	for _, pkg := range levelDBPackages {
		t.Run(pkg, func(t *testing.T) {
			l := newLevelDB(t, pkg)
			l.nodeChanges()
			if names, contents := l.tables(".ldb"); strings.Count(contents, policy) != len(names) || len(names) == 0 {
				t.Fatalf("not all of the %d tables of Node have filters named %s", len(names), policy)
			}
			l.dir = t.TempDir()
			// Uncompressed, or Snappy would find "ilter" twice in the name.
			l.goChanges(&leveldbstore.Options{WriteBufferBytes: 64 << 10, Compression: leveldbstore.NoCompression})
			if names, contents := l.tables(".ldb"); strings.Count(contents, policy) != len(names) || len(names) == 0 {
				t.Fatalf("not all of the %d tables of ours have filters named %s", len(names), policy)
			}
		})
	}
}

// TestLevelDBOldNames opens a directory with tables named as before 2014.
func TestLevelDBOldNames(t *testing.T) {
	l := newLevelDB(t, leveldown)
	l.nodeChanges()
	names, _ := l.tables(".ldb")
	if len(names) == 0 {
		t.Fatal("there are no tables")
	}
	for _, name := range names {
		l.check(os.Rename(name, strings.TrimSuffix(name, ".ldb")+".sst"))
	}
	l.goReads()
	l.goChanges(nil)
	l.nodeReads()
}

// holder is a Node process that opened a directory, or could not.
type holder struct {
	cmd   *exec.Cmd
	stdin io.Closer
	Error string // why it could not
}

func (l *levelDB) hold() *holder {
	l.Helper()
	h := &holder{cmd: nodeCommand(l, "leveldb-dir.js", l.pkg, l.dir, "hold")}
	var err error
	h.stdin, err = h.cmd.StdinPipe()
	l.check(err)
	stdout, err := h.cmd.StdoutPipe()
	l.check(err)
	h.cmd.Stderr = os.Stderr
	l.check(h.cmd.Start())
	l.Cleanup(h.end)
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, h)
	}
	if err != nil {
		l.Fatalf("%s printed %q: %v", l.pkg, line, err)
	}
	return h
}

func (h *holder) end() {
	h.stdin.Close()
	h.cmd.Wait()
}

// TestLevelDBLock has Node and this process want a directory at the same time,
// both ways round.
func TestLevelDBLock(t *testing.T) {
	for _, pkg := range levelDBPackages {
		t.Run(pkg+"/held by node", func(t *testing.T) {
			l := newLevelDB(t, pkg)
			l.nodeChanges()
			for name, end := range map[string]func(*holder){
				"closes":    (*holder).end,
				"is killed": func(h *holder) { h.cmd.Process.Kill(); h.end() },
			} {
				h := l.hold()
				if h.Error != "" {
					t.Fatal(h.Error)
				}
				for _, o := range []*leveldbstore.Options{nil, {ReadOnly: true}} {
					s, err := leveldbstore.Open(l.dir, o)
					if err == nil {
						s.Close()
					}
					if !errors.Is(err, mld.ErrLocked) {
						t.Fatalf("Open with %+v: %v; want ErrLocked", o, err)
					}
					for _, part := range []string{l.dir, fmt.Sprintf("process %d", h.cmd.Process.Pid)} {
						if !strings.Contains(err.Error(), part) {
							t.Errorf("%q does not name %q", err, part)
						}
					}
				}
				end(h)
				l.goReads()
				t.Logf("opened after Node %s", name)
			}
		})

		t.Run(pkg+"/held here", func(t *testing.T) {
			l := newLevelDB(t, pkg)
			l.goChanges(nil)
			for _, o := range []*leveldbstore.Options{nil, {ReadOnly: true}} {
				s := l.open(o)
				if h := l.hold(); h.Error == "" || !strings.Contains(h.Error, "LOCK") {
					t.Fatalf("Node opened a directory that is open here, or says %q", h.Error)
				}
				if o == nil {
					l.check(s.Put(t.Context(), []byte("while held"), nil, nil))
					l.want["while held"] = ""
				}
				l.check(s.Close())
				h := l.hold()
				if h.Error != "" {
					t.Fatalf("Node cannot open a directory that was closed here: %s", h.Error)
				}
				h.end()
			}
			l.nodeReads()
		})
	}
}
