//go:build unix

package robustness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/client"
	"github.com/multileveldown/mld/internal/history"
	"github.com/multileveldown/mld/party"
)

const (
	partyMembers = 8
	// registers is how many goroutines of a process meet others on the registers,
	// and registerOps how many operations each does in a round.
	registers   = 1
	registerOps = 16
	// logWriters is how many goroutines of a process log.
	logWriters = 3
	// tokens is how many tokens are put at a time.
	tokens = 500
	// blockEntries is how many entries a block has: several pages.
	blockEntries = 200
)

// partyMemory is shared by all processes. It survives the death of any.
type partyMemory struct {
	clock atomic.Int64 // of the history: the last time
	host  atomic.Int64 // the process that has opened the store last
	round atomic.Int64
	stop  atomic.Int64 // 1 ends all

	members [partyMembers]struct {
		count, take, block progress
		log                [logWriters]progress
		filled             atomic.Int64 // tokens

		acked   atomic.Int64 // writes
		scans   atomic.Int64
		renewed atomic.Int64 // scans that went on in a later state
	}
}

// progress is how many of a sequence of writes have been begun, and acknowledged:
// one less while there is one under way, the outcome of which is not known if the
// process was killed.
type progress struct{ begun, done atomic.Int64 }

// do does the next write.
func (p *progress) do(write func(n int64) error) error {
	n := p.done.Load()
	p.begun.Store(n + 1)
	if err := write(n); err != nil {
		return err
	}
	p.done.Store(n + 1)
	return nil
}

// resume begins anew with what is there: all that was acknowledged, and it may be
// what was under way.
func (p *progress) resume(what string, there int64) error {
	if done, begun := p.done.Load(), p.begun.Load(); there < done || there > begun {
		return fmt.Errorf("after the restart there are %d of %s; %d were acknowledged, and %d begun", there, what, done, begun)
	}
	p.done.Store(there)
	p.begun.Store(there)
	return nil
}

func mapPartyMemory(path string) (*partyMemory, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	const size = int(unsafe.Sizeof(partyMemory{}))
	if err := f.Truncate(int64(size)); err != nil {
		return nil, err
	}
	m, err := syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return (*partyMemory)(unsafe.Pointer(&m[0])), nil // until the process ends
}

// memberEnv makes the test binary a process of a party; it has a memberSpec.
const memberEnv = "MLD_ROBUSTNESS_PARTY"

// memberSpec says which one.
type memberSpec struct {
	Dir         string
	Engine      party.Engine
	Memory      string
	Journal     string
	ID          int
	Incarnation int
	Seed        uint64
}

func init() {
	if spec := os.Getenv(memberEnv); spec != "" {
		if err := beMember(spec); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		os.Exit(0)
	}
}

// partyMember is one process, which does these things at a time, each until it is
// told to stop, and goes on where it was when it was started again:
//
//   - it counts, as a client of a storm does;
//   - it logs with three goroutines: each write has a key of its own, and is there
//     in the end;
//   - it takes tokens, with a clear of one entry: done twice it takes two;
//   - it writes a block of entries anew, with one batch;
//   - it scans blocks and reads counters of all: what was acknowledged before is
//     there, what was not begun is not, and a block is of one state, or, of a scan
//     that went on after a change of host, of one state and then of a later one;
//   - it meets others on registers, of which there are others in each round, and
//     keeps a journal of that.
//
// Half of the writes are synced. The death of a process may lose neither.
type partyMember struct {
	memberSpec
	memory *partyMemory
	party  *party.Party
	log    history.Log
}

func beMember(text string) error {
	m := &partyMember{}
	if err := json.Unmarshal([]byte(text), &m.memberSpec); err != nil {
		return err
	}
	var err error
	if m.memory, err = mapPartyMemory(m.Memory); err != nil {
		return err
	}
	journal, err := os.Create(m.Journal)
	if err != nil {
		return err
	}
	defer journal.Close()
	m.log.Journal = history.NewJournal(journal)
	m.log.Clock = func() int64 { return m.memory.clock.Add(1) }
	m.party, err = party.Join(m.Dir, &party.Options{
		Engine:      m.Engine,
		JoinTimeout: 30 * time.Second,
		Wrap: func(s mld.Store) mld.Store {
			m.memory.host.Store(int64(os.Getpid()))
			return s
		},
	})
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	stream := uint64(m.Incarnation) << 8
	run := func(what string, f func(ctx context.Context, rnd *rand.Rand) error) {
		stream++
		rnd := rand.New(rand.NewPCG(m.Seed, stream))
		wg.Go(func() {
			if err := f(context.Background(), rnd); err != nil {
				fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
				os.Exit(3)
			}
		})
	}
	run("count", m.count)
	for w := range logWriters {
		run("log", func(ctx context.Context, rnd *rand.Rand) error { return m.write(ctx, rnd, w) })
	}
	run("take tokens", m.take)
	run("write the block", m.rewrite)
	run("scan", m.scan)
	for g := range registers {
		run("registers", func(ctx context.Context, rnd *rand.Rand) error { return m.meet(ctx, rnd, g) })
	}
	wg.Wait()
	if err := m.log.Journal.Err(); err != nil {
		return err
	}
	return m.party.Close()
}

// next pauses, and reports whether to go on.
func (m *partyMember) next(rnd *rand.Rand) bool { return m.nextWithin(rnd, 8*time.Millisecond) }

func (m *partyMember) nextWithin(rnd *rand.Rand, most time.Duration) bool {
	<-time.After(time.Duration(rnd.Int64N(int64(most))))
	return m.memory.stop.Load() == 0
}

// acked takes note of a write that was acknowledged.
func (m *partyMember) acked() { m.memory.members[m.ID].acked.Add(1) }

func durability(rnd *rand.Rand) *mld.WriteOptions {
	if rnd.IntN(2) == 0 {
		return mld.NoSync
	}
	return mld.Sync
}

func counter(id int) []byte { return fmt.Appendf(nil, "counter/%02d", id) }

// readNumber reads a number, 0 if there is none.
func (m *partyMember) readNumber(ctx context.Context, key []byte) (int64, error) {
	v, err := m.party.Get(ctx, key)
	if errors.Is(err, mld.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(v), 10, 64)
}

func (m *partyMember) count(ctx context.Context, rnd *rand.Rand) error {
	mine, key := &m.memory.members[m.ID].count, counter(m.ID)
	there, err := m.readNumber(ctx, key)
	if err != nil {
		return err
	}
	if err := mine.resume("counts", there); err != nil {
		return err
	}
	for m.next(rnd) {
		if there, err := m.readNumber(ctx, key); err != nil || there != mine.done.Load() {
			return fmt.Errorf("the counter is %d, want %d (%v)", there, mine.done.Load(), err)
		}
		err := mine.do(func(n int64) error {
			var b mld.Batch
			b.Put(key, number(int(n+1)))
			b.Put(name("count", m.ID, int(n)), number(int(n+1)))
			return m.party.Apply(ctx, &b, durability(rnd))
		})
		if err != nil {
			return err
		}
		m.acked()
	}
	return nil
}

func (m *partyMember) write(ctx context.Context, rnd *rand.Rand, w int) error {
	mine, what := &m.memory.members[m.ID].log[w], "log"+strconv.Itoa(w)
	for m.next(rnd) {
		// What was under way when the process was killed is written again, to the
		// same effect.
		err := mine.do(func(n int64) error {
			return m.party.Put(ctx, name(what, m.ID, int(n)), number(int(n)), durability(rnd))
		})
		if err != nil {
			return err
		}
		m.acked()
	}
	return nil
}

func (m *partyMember) take(ctx context.Context, rnd *rand.Rand) error {
	shared := &m.memory.members[m.ID]
	mine := &shared.take
	first := func() (int64, error) {
		r := all("token", m.ID)
		r.Limit = 1
		found, err := mld.Collect(ctx, m.party, &mld.IterOptions{Range: r})
		if err != nil || len(found) == 0 {
			return shared.filled.Load(), err
		}
		key := found[0].Key
		return strconv.ParseInt(string(key[bytes.LastIndexByte(key, '/')+1:]), 10, 64)
	}
	there, err := first()
	if err != nil {
		return err
	}
	if err := mine.resume("taken tokens", there); err != nil {
		return err
	}
	one := all("token", m.ID)
	one.Limit = 1
	for m.next(rnd) {
		if n := mine.done.Load(); n == shared.filled.Load() {
			var b mld.Batch
			for i := range tokens {
				b.Put(name("token", m.ID, int(n)+i), nil)
			}
			if err := m.party.Apply(ctx, &b, durability(rnd)); err != nil {
				return err
			}
			shared.filled.Store(n + tokens)
		}
		if there, err := first(); err != nil || there != mine.done.Load() {
			return fmt.Errorf("the first token is %d, want %d (%v)", there, mine.done.Load(), err)
		}
		if err := mine.do(func(int64) error { return m.party.Clear(ctx, one, durability(rnd)) }); err != nil {
			return err
		}
		m.acked()
	}
	return nil
}

// blockValue returns the value of each entry of a block that was written so often.
func blockValue(n int64) []byte { return fmt.Appendf(nil, "%0256d", n) }

func (m *partyMember) rewrite(ctx context.Context, rnd *rand.Rand) error {
	mine := &m.memory.members[m.ID].block
	there, err := m.readNumber(ctx, name("block", m.ID, rnd.IntN(blockEntries)))
	if err != nil {
		return err
	}
	if err := mine.resume("written blocks", there); err != nil {
		return err
	}
	for m.nextWithin(rnd, 24*time.Millisecond) {
		err := mine.do(func(n int64) error {
			var b mld.Batch
			for i := range blockEntries {
				b.Put(name("block", m.ID, i), blockValue(n+1))
			}
			return m.party.Apply(ctx, &b, durability(rnd))
		})
		if err != nil {
			return err
		}
		m.acked()
	}
	return nil
}

func (m *partyMember) scan(ctx context.Context, rnd *rand.Rand) error {
	for m.next(rnd) {
		id := rnd.IntN(partyMembers)
		theirs := &m.memory.members[id]
		least := theirs.count.done.Load()
		n, err := m.readNumber(ctx, counter(id))
		if most := theirs.count.begun.Load(); err != nil || n < least || n > most {
			return fmt.Errorf("the counter of process %d is %d, which had counted from %d to %d (%v)", id, n, least, most, err)
		}
		if err := m.scanBlock(ctx, rnd, id); err != nil {
			return fmt.Errorf("the block of process %d: %w", id, err)
		}
		m.memory.members[m.ID].scans.Add(1)
	}
	return nil
}

func (m *partyMember) scanBlock(ctx context.Context, rnd *rand.Rand, id int) error {
	theirs := &m.memory.members[id].block
	least := theirs.done.Load()
	o := &mld.IterOptions{Range: all("block", id), Strict: rnd.IntN(2) == 0}
	o.Range.Reverse = rnd.IntN(2) == 0
	it, err := m.party.NewIterator(ctx, o)
	if err != nil {
		return err
	}
	defer it.Close()
	renewed := func() bool {
		c, ok := it.(*client.Iterator)
		return ok && c.Renewed()
	}
	rest := rnd.IntN(blockEntries)
	last, n := least, 0
	for ; it.Next(); n++ {
		key := n
		if o.Range.Reverse {
			key = blockEntries - 1 - n
		}
		if want := name("block", id, key); !bytes.Equal(it.Key(), want) {
			return fmt.Errorf("entry %d is %s, want %s", n, it.Key(), want)
		}
		v, err := strconv.ParseInt(string(it.Value()), 10, 64)
		if err != nil {
			return err
		}
		if v < last || n > 0 && v > last && !renewed() {
			return fmt.Errorf("entry %d is of state %d, after one of state %d (renewed: %t, strict: %t)", n, v, last, renewed(), o.Strict)
		}
		last = v
		if n == rest && rnd.IntN(2) == 0 {
			<-time.After(time.Duration(rnd.Int64N(int64(100 * time.Millisecond)))) // so that a change of host finds it half read
		}
	}
	switch err := it.Err(); {
	case o.Strict && errors.Is(err, mld.ErrSnapshotLost):
		return nil
	case err != nil:
		return err
	case o.Strict && renewed():
		return errors.New("a strict scan went on in a later state")
	case n != blockEntries && (n > 0 || least > 0):
		return fmt.Errorf("it has %d entries, want %d", n, blockEntries)
	}
	if most := theirs.begun.Load(); last > most {
		return fmt.Errorf("it is of state %d, and %d were begun", last, most)
	}
	if renewed() {
		m.memory.members[m.ID].renewed.Add(1)
	}
	return nil
}

// register returns the name of a register of a round.
func register(round int64, i int) []byte { return fmt.Appendf(nil, "round%06d/%c", round, 'a'+i) }

// roundOf returns the round that a register belongs to, and reports whether the key
// is one's.
func roundOf(key []byte) (string, bool) {
	round, _, _ := bytes.Cut(key, []byte("/"))
	return string(round), bytes.HasPrefix(key, []byte("round"))
}

// meet does anything to the registers of a round, and then waits for the next one.
func (m *partyMember) meet(ctx context.Context, rnd *rand.Rand, g int) error {
	c := m.log.Client(m.Incarnation*registers+g, m.party)
	round, ops := int64(-1), 0
	for m.next(rnd) {
		if now := m.memory.round.Load(); now != round {
			round, ops = now, 0
		}
		if ops == registerOps {
			continue
		}
		ops++
		key := func() []byte { return register(round, rnd.IntN(meetKeys)) }
		all := mld.Range{GTE: register(round, 0), LTE: register(round, meetKeys), Reverse: rnd.IntN(2) == 0}
		value := fmt.Appendf(nil, "%d.%d.%d.%d", m.ID, m.Incarnation, g, ops)
		var err error
		wrote := false
		switch n := rnd.IntN(100); {
		case n < 15:
			_, err = c.Get(ctx, key())
		case n < 25:
			_, err = c.Get(ctx, key(), key(), key())
		case n < 30:
			_, err = c.Scan(ctx, all)
		case n < 35:
			_, err = c.ScanSnapshot(ctx, all)
		case n < 60:
			err, wrote = c.Put(ctx, key(), value, durability(rnd)), true
		case n < 70:
			err, wrote = c.Delete(ctx, key(), durability(rnd)), true
		case n < 90:
			var b mld.Batch
			b.Put(key(), value)
			b.Delete(key())
			b.Put(key(), value)
			err, wrote = c.Apply(ctx, &b, durability(rnd)), true
		default:
			all.Limit = 1
			err, wrote = c.Clear(ctx, all, durability(rnd)), true
		}
		if err != nil && !errors.Is(err, mld.ErrSnapshotLost) {
			return err
		}
		if wrote {
			m.acked()
		}
	}
	return nil
}
