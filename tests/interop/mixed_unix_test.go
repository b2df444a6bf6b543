//go:build unix

package interop

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/leveldbstore"
)

var long = flag.Bool("long", false, "run the long forms of the tests")

// TestMixedParty has two processes of ours and two of an npm package write into one
// directory, and kills the one that hosts, again and again; it is started anew. Every
// write that was acknowledged must be there at the end, no lane may have gone back,
// no batch be half there, and after each kill every process must get new calls done.
func TestMixedParty(t *testing.T) {
	for pkg := range partyPackages {
		t.Run(pkg, func(t *testing.T) {
			m := &mixed{t: t, dir: t.TempDir(), rand: rand.New(rand.NewPCG(seed(t), 0)), news: make(chan struct{}, 1)}
			kills := 5
			if *long {
				kills = 20
			}
			m.run(pkg, kills)
		})
	}
}

const lanes = 3

// mixed is a party whose host is killed.
type mixed struct {
	t      *testing.T
	dir    string
	rand   *rand.Rand
	news   chan struct{} // has room for one: a member has said something
	living []*member
	dead   []*member
}

func (m *mixed) run(pkg string, kills int) {
	for _, kind := range []string{ours, pkg, ours, pkg} {
		m.start(kind)
	}
	// Of which kind the next host is; empty for whoever comes first.
	succession := []string{pkg, pkg, ours, ours, ""}
	took := map[string][]time.Duration{}
	for i := range kills {
		host := m.awaitHost()
		m.awaitWrites(300 + m.rand.IntN(1500))
		start := time.Now()
		next := m.kill(host, succession[i%len(succession)])
		change := host.kind + " to " + next.kind
		took[change] = append(took[change], time.Since(start).Round(time.Millisecond))
		m.start(host.kind)
		m.probe(i)
	}
	for _, change := range slices.Sorted(maps.Keys(took)) {
		m.t.Logf("from SIGKILL to the next host, %s: %v", change, took[change])
	}
	for _, p := range m.living {
		p.stop() // nobody takes over from who is killed first
	}
	for _, p := range m.living {
		p.kill()
	}
	m.check(append(m.dead, m.living...))
}

// start starts a member and has it write.
func (m *mixed) start(kind string) {
	m.t.Helper()
	name := fmt.Sprintf("%s-%d", kind, len(m.living)+len(m.dead)+1)
	p := startMember(m.t, kind, m.dir, name, func() {
		select {
		case m.news <- struct{}{}:
		default:
		}
	})
	p.await("joined")
	p.say("write", lanes)
	m.living = append(m.living, p)
}

// until waits until a condition holds of the members.
func (m *mixed) until(what string, holds func() bool) {
	m.t.Helper()
	timeout := time.After(patience)
	for !holds() {
		for _, p := range m.living {
			if p.over() || p.failed() {
				p.await(what) // tells why it cannot be
			}
		}
		select {
		case <-m.news:
		case <-timeout:
			m.t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// awaitHost waits until a member hosts.
func (m *mixed) awaitHost() (host *member) {
	m.t.Helper()
	m.until("a host", func() bool {
		i := slices.IndexFunc(m.living, (*member).hosting)
		if i >= 0 {
			host = m.living[i]
		}
		return i >= 0
	})
	return host
}

// awaitWrites waits until the members have so many writes more acknowledged.
func (m *mixed) awaitWrites(more int) {
	m.t.Helper()
	total := func() (n int) {
		for _, p := range m.living {
			n += p.acks()
		}
		return n
	}
	target := total() + more
	m.until("writes", func() bool { return total() >= target })
}

// kill kills the host and waits for the next one. If kind is not empty, members of
// other kinds are stopped until then.
func (m *mixed) kill(host *member, kind string) (next *member) {
	m.t.Helper()
	m.living = slices.DeleteFunc(m.living, func(p *member) bool { return p == host })
	m.dead = append(m.dead, host)
	for _, p := range m.living {
		if kind != "" && p.kind != kind {
			p.stop()
			defer p.signal(syscall.SIGCONT)
		}
	}
	host.kill()
	return m.awaitHost()
}

// probe has every member do calls that were not pending when the host died.
func (m *mixed) probe(n int) {
	m.t.Helper()
	for _, p := range m.living {
		p.say("probe", n)
	}
	for _, p := range m.living {
		if got := p.await("probed"); got[0] != strconv.Itoa(n) {
			m.t.Fatalf("%s probed %s; want %d", p.name, got, n)
		}
	}
}

// check opens the directory alone, and compares it with what was acknowledged.
func (m *mixed) check(members []*member) {
	t := m.t
	s, err := leveldbstore.Open(m.dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	last := map[string]int{}  // what each lane says of itself
	found := map[string]int{} // the writes that are there
	for e, err := range mld.All(t.Context(), s, nil) {
		if err != nil {
			t.Fatal(err)
		}
		if mld.IsReserved(e.Key) {
			continue // the record of a session, whose id may look like anything
		}
		key, value := string(e.Key), string(e.Value)
		switch parts := strings.Split(key, "/"); len(parts) {
		case 2:
			last[key], _ = strconv.Atoi(value)
		case 3:
			lane := parts[0] + "/" + parts[1]
			found[lane]++
			// The lane sorts before its writes.
			if n, err := strconv.Atoi(parts[2]); err != nil || value != parts[2] || n < 1 || n > last[lane] {
				t.Errorf("%q is %q; the last write of the lane is %d", key, value, last[lane])
			}
		}
	}
	acknowledged := 0
	for _, p := range members {
		for lane := range lanes {
			key, acked := fmt.Sprintf("%s/%d", p.name, lane), p.acked[lane]
			acknowledged += acked
			// One more was under way when the process was killed.
			if n := last[key]; n != acked && n != acked+1 {
				t.Errorf("%s: write %d was the last to be acknowledged, and %d the last to be done", key, acked, n)
			}
			if found[key] != last[key] {
				t.Errorf("%s: %d of %d writes are there", key, found[key], last[key])
			}
		}
	}
	t.Logf("%d writes of %d processes were acknowledged", acknowledged, len(members))
}
