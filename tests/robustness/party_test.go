//go:build unix

package robustness

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/internal/history"
	"github.com/multileveldown/mld/party"
)

// TestParty does what partyStorm says.
func TestParty(t *testing.T) {
	for _, engine := range []party.Engine{party.Pebble, party.LevelDB} {
		t.Run(string(engine), func(t *testing.T) {
			s := &partyStorm{engine: engine, kills: pick(8, 50), seed: firstSeed()}
			s.run(t)
			if s.found != "" {
				t.Errorf(again+"-seed=%d: %s", s.seed, s.found)
			}
			t.Log(s.seen())
		})
	}
}

// partyStorm is processes that share a directory, and kills whoever is the host,
// also one that has just opened the store and not begun to serve. The process that
// was killed starts anew. What each does, partyMember tells.
type partyStorm struct {
	engine party.Engine
	kills  int
	seed   uint64

	t        *testing.T
	dir      string // of all that is not the store
	memory   *partyMemory
	members  [partyMembers]*memberProcess
	rnd      *rand.Rand
	started  int
	journals []string

	found   string // what was wrong
	killed  int
	early   int // of those, who were taking over
	stopped int
	took    []time.Duration // until a survivor went on
	ops     int
	unknown int
}

// store returns the folder of the store.
func (s *partyStorm) store() string { return filepath.Join(s.dir, "db") }

// seen says what happened.
func (s *partyStorm) seen() string {
	var writes, scans, renewed int64
	for i := range s.memory.members {
		m := &s.memory.members[i]
		writes += m.acked.Load()
		scans += m.scans.Load()
		renewed += m.renewed.Load()
	}
	text := fmt.Sprintf("-seed=%d: %d kills, %d of them of a process that took over, %d stops; %d acknowledged writes; %d scans, %d of them went on in a later state; %d operations checked as a history, %d of them unknown",
		s.seed, s.killed, s.early, s.stopped, writes, scans, renewed, s.ops, s.unknown)
	if n := len(s.took); n > 0 {
		slices.Sort(s.took)
		text += fmt.Sprintf("; from the kill until another process had a write acknowledged: median %v, worst %v", s.took[n/2], s.took[n-1])
	}
	return text
}

func (s *partyStorm) problem(format string, args ...any) {
	if s.found == "" {
		s.found = fmt.Sprintf(format, args...)
	}
}

func (s *partyStorm) run(t *testing.T) {
	t.Helper()
	s.t, s.dir = t, t.TempDir()
	s.rnd = rand.New(rand.NewPCG(s.seed, 0))
	var err error
	if s.memory, err = mapPartyMemory(filepath.Join(s.dir, "memory")); err != nil {
		t.Fatal(err)
	}
	defer func() {
		for _, m := range s.members {
			if m != nil {
				m.end()
			}
		}
	}()
	for id := range s.members {
		s.start(id)
	}
	for s.found == "" && s.killed < s.kills {
		s.memory.round.Add(1)
		s.goOn()
		s.pause(150 * time.Millisecond)
		if s.rnd.IntN(4) == 0 {
			s.stop()
		}
		s.kill()
	}
	s.goOn()
	s.memory.stop.Store(1)
	for id, m := range s.members {
		if s.await(func() bool { return m.ended() }) && m.err != nil {
			s.problem("process %d: %v\n%s", id, m.err, m.said())
		} else if !m.ended() {
			s.problem("process %d does not end\n%s", id, m.dump())
		}
	}
	if s.found == "" {
		s.inspect()
		s.check()
	}
}

// start starts a process, for the first time or again.
func (s *partyStorm) start(id int) {
	s.t.Helper()
	s.started++
	journal := filepath.Join(s.dir, fmt.Sprintf("journal-%d", s.started))
	s.journals = append(s.journals, journal)
	spec, err := json.Marshal(memberSpec{
		Dir: s.store(), Engine: s.engine, Memory: filepath.Join(s.dir, "memory"), Journal: journal,
		ID: id, Incarnation: s.started, Seed: s.seed,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	m := &memberProcess{stderr: journal + ".stderr", done: make(chan struct{})}
	stderr, err := os.Create(m.stderr)
	if err != nil {
		s.t.Fatal(err)
	}
	defer stderr.Close()
	m.cmd = exec.Command(exe)
	m.cmd.Env = append(os.Environ(), memberEnv+"="+string(spec), "GORACE=atexit_sleep_ms=0")
	m.cmd.Stderr = stderr
	if err := m.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		m.err = m.cmd.Wait()
		close(m.done)
	}()
	s.members[id] = m
}

// kill kills the host, one time in four also the next one while it takes over, and
// starts again who was killed.
func (s *partyStorm) kill() {
	dead := []int{}
	for s.found == "" {
		id, ok := s.host()
		if !ok {
			return
		}
		before := s.acked(id)
		killed := time.Now()
		s.members[id].end()
		dead = append(dead, id)
		s.killed++
		if bytes.Contains(s.members[id].said(), []byte("DATA RACE")) {
			s.problem("process %d: %s", id, s.members[id].said())
		}
		if s.rnd.IntN(4) > 0 || len(dead) == partyMembers/2 {
			if s.await(func() bool { return s.acked(id) > before }) {
				s.took = append(s.took, time.Since(killed))
			}
			break
		}
		if !s.await(func() bool { now, ok := s.host(); return ok && now != id }) {
			s.problem("process %d was the host and was killed, and there is no other", id)
			return
		}
		s.early++
		s.pause(5 * time.Millisecond)
	}
	for _, id := range dead {
		s.pause(50 * time.Millisecond)
		s.start(id)
	}
}

// stop stops the host for a while.
func (s *partyStorm) stop() {
	id, ok := s.host()
	if !ok {
		return
	}
	process := s.members[id].cmd.Process
	if err := process.Signal(syscall.SIGSTOP); err != nil {
		s.problem("process %d: %v", id, err)
		return
	}
	s.stopped++
	s.pause(200 * time.Millisecond)
	if err := process.Signal(syscall.SIGCONT); err != nil {
		s.problem("process %d: %v", id, err)
	}
	if now, _ := s.host(); now != id {
		s.problem("process %d was the host and was stopped, and then it was process %d", id, now)
	}
}

// host returns who opened the store last, if it lives.
func (s *partyStorm) host() (id int, ok bool) {
	pid := s.memory.host.Load()
	for id, m := range s.members {
		if int64(m.cmd.Process.Pid) == pid && !m.ended() {
			return id, true
		}
	}
	return 0, false
}

// acked returns how many writes all processes but one have seen acknowledged.
func (s *partyStorm) acked(except int) int64 {
	var n int64
	for id := range s.memory.members {
		if id != except {
			n += s.memory.members[id].acked.Load()
		}
	}
	return n
}

// goOn waits until every process has had writes acknowledged.
func (s *partyStorm) goOn() {
	for id := range s.members {
		member := &s.memory.members[id]
		before := member.acked.Load()
		if s.await(func() bool { return member.acked.Load() > before+2 }) || s.found != "" {
			continue
		}
		host, _ := s.host()
		s.problem("process %d does not go on; the host is process %d\n%s\n%s", id, host, s.members[id].dump(), s.members[host].dump())
	}
}

// await waits until something is true of the memory, for which there is no event
// that survives a process. It gives up when a process has ended that was not killed.
func (s *partyStorm) await(done func() bool) bool {
	tick := time.NewTicker(200 * time.Microsecond)
	defer tick.Stop()
	timeout := time.After(30 * time.Second)
	for !done() {
		select {
		case <-tick.C:
		case <-timeout:
			return false
		}
		for id, m := range s.members {
			if m.ended() && m.err != nil && !m.killed {
				s.problem("process %d: %v\n%s", id, m.err, m.said())
				return false
			}
		}
	}
	return true
}

func (s *partyStorm) pause(most time.Duration) {
	<-time.After(time.Duration(s.rnd.Int64N(int64(most)))) // a moment at random
}

// inspect looks at what there is in the end.
func (s *partyStorm) inspect() {
	p, err := party.Join(s.store(), &party.Options{Engine: s.engine})
	if err != nil {
		s.problem("join in the end: %v", err)
		return
	}
	defer p.Close()
	if e := p.Role(); e.Role != party.Host {
		s.problem("in the end somebody else is the host: %+v", e)
	} else if e.Epoch+uint64(s.early) < uint64(s.killed) {
		// Who was killed while it took over may not have come to its epoch.
		s.problem("after %d kills, %d of them of a process that took over, the epoch is %d", s.killed, s.early, e.Epoch)
	}
	ctx := s.t.Context()
	want := map[string]string{}
	for id := range s.memory.members {
		m := &s.memory.members[id]
		count := m.count.done.Load()
		want[string(counter(id))] = strconv.FormatInt(count, 10)
		for n := range count {
			want[string(name("count", id, int(n)))] = strconv.FormatInt(n+1, 10)
		}
		for w := range m.log {
			for n := range m.log[w].done.Load() {
				want[string(name("log"+strconv.Itoa(w), id, int(n)))] = strconv.FormatInt(n, 10)
			}
		}
		for n := m.take.done.Load(); n < m.filled.Load(); n++ {
			want[string(name("token", id, int(n)))] = ""
		}
		for n := range blockEntries {
			want[string(name("block", id, n))] = string(blockValue(m.block.done.Load()))
		}
	}
	it, err := p.NewIterator(ctx, nil)
	if err != nil {
		s.problem("scan in the end: %v", err)
		return
	}
	defer it.Close()
	for it.Next() {
		key := string(it.Key())
		if _, in := roundOf(it.Key()); in {
			continue // see check
		}
		if v, ok := want[key]; !ok || v != string(it.Value()) {
			s.problem("in the end %s is %.40q, want %.40q (%t)", key, it.Value(), v, ok)
		}
		delete(want, key)
	}
	if err := it.Err(); err != nil {
		s.problem("scan in the end: %v", err)
	}
	if len(want) > 0 {
		s.problem("%d writes that were acknowledged are lost, %s the first", len(want), slices.Min(slices.Collect(maps.Keys(want))))
	}
}

// check looks for an order of what the processes did to the registers, round by
// round.
func (s *partyStorm) check() {
	rounds := map[string][]history.Op{}
	for _, name := range s.journals {
		journal, err := os.ReadFile(name)
		if err != nil {
			s.problem("%v", err)
			return
		}
		ops, err := history.ReadJournal(journal)
		if err != nil {
			s.problem("%s: %v", name, err)
			return
		}
		for _, o := range ops {
			var key []byte
			switch {
			case len(o.Keys) > 0:
				key = o.Keys[0]
			case len(o.Changes) > 0:
				key = o.Changes[0].Key
			default:
				key = o.Range.GTE
			}
			round, ok := roundOf(key)
			if !ok {
				s.problem("%s: %s is no register", name, o.String())
				return
			}
			rounds[round] = append(rounds[round], o)
			s.ops++
			if o.Outcome == mld.Unknown {
				s.unknown++
			}
		}
	}
	for _, round := range slices.Sorted(maps.Keys(rounds)) {
		ops := rounds[round]
		slices.SortFunc(ops, func(a, b history.Op) int { return cmp.Compare(a.Call, b.Call) })
		if err := history.Check(ops, time.Minute); err != nil {
			s.problem("round %s: %v", round, err)
			return
		}
	}
}

// memberProcess is a process of the party, from start to end.
type memberProcess struct {
	cmd    *exec.Cmd
	stderr string
	killed bool
	done   chan struct{} // closed when it has ended
	err    error         // after that
}

func (m *memberProcess) ended() bool {
	select {
	case <-m.done:
		return true
	default:
		return false
	}
}

// end kills the process.
func (m *memberProcess) end() {
	m.killed = true
	m.cmd.Process.Kill() //nolint:errcheck // it may have ended
	<-m.done
}

// dump ends the process and returns where its goroutines were.
func (m *memberProcess) dump() []byte {
	m.killed = true
	m.cmd.Process.Signal(syscall.SIGCONT) //nolint:errcheck // it may have ended
	m.cmd.Process.Signal(syscall.SIGQUIT) //nolint:errcheck // it may have ended
	<-m.done
	return m.said()
}

// said returns what the process wrote to its standard error.
func (m *memberProcess) said() []byte {
	said, err := os.ReadFile(m.stderr)
	if err != nil {
		return []byte(err.Error())
	}
	return said
}
