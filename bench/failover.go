package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/multileveldown/mld/store/leveldbstore"
)

// failover is what was measured of parties.
type failover struct {
	Kills   int            `json:"kills"`
	Parties []partyResult  `json:"parties"`
	Redials []redialResult `json:"redials"`
}

// partyCase is a party whose host is killed again and again.
type partyCase struct {
	Engine string `json:"engine"` // raveLevel, or one of this project
	Guests int    `json:"guests"`
	Fill   int    `json:"fill"` // MiB that are written before each kill
}

// raveLevel has processes of Node with rave-level instead.
const raveLevel = "rave-level"

// title says who the processes are.
func (c *partyCase) title() string {
	title := raveLevel + ", Node"
	if c.Engine != raveLevel {
		title = "mld, " + c.Engine
	}
	if c.Fill > 0 {
		title += fmt.Sprintf(", %d MiB written before", c.Fill)
	}
	return title
}

var failoverCases = []partyCase{
	{"pebble", 3, 0},
	{"leveldb", 3, 0},
	{raveLevel, 3, 0},
	{"pebble", 10, 0},
	{"leveldb", 10, 0},
	{raveLevel, 10, 0},
	{"pebble", 3, 20},
	{"leveldb", 3, 20},
	{raveLevel, 3, 20},
	{"pebble", 50, 0},
}

// partyResult has the times of each kill: until the first of the others had a write
// acknowledged, and until each had.
type partyResult struct {
	partyCase
	First []time.Duration `json:"first_ns"`
	All   []time.Duration `json:"all_ns"`
}

// redialResult is how often a process connects to a host that accepts and drops.
type redialResult struct {
	Name      string  `json:"name"`
	PerSecond float64 `json:"per_second"`
}

// measureFailover kills the hosts of parties, in turn, so that what the machine does
// meanwhile meets all of them.
func measureFailover(ctx context.Context, s settings, cases []partyCase, kills int) (r *report, err error) {
	b := &bench{settings: s}
	if b.root, err = root(); err != nil {
		return nil, err
	}
	if b.modules == "" {
		b.modules = filepath.Join(b.root, "tests", "interop")
	}
	if b.dir, err = os.MkdirTemp("", "mld-bench-"); err != nil {
		return nil, err
	}
	defer os.RemoveAll(b.dir)
	if _, serr := os.Stat(filepath.Join(b.modules, "node_modules", raveLevel)); serr != nil {
		fmt.Fprintf(os.Stderr, "bench: %s is left out: %v\n", raveLevel, serr)
		cases = slices.DeleteFunc(slices.Clone(cases), func(c partyCase) bool { return c.Engine == raveLevel })
	}
	r = newReport(s)
	r.Failover = &failover{Kills: kills}
	var crews []*crew
	defer func() {
		for _, c := range crews {
			c.close()
		}
	}()
	for i, pc := range cases {
		progress("starting %s, %d guests", pc.title(), pc.Guests)
		c := &crew{partyCase: pc, b: b, dir: filepath.Join(b.dir, fmt.Sprintf("party%d", i)), events: make(chan crewEvent, 1000)}
		crews = append(crews, c)
		if err := c.fill(); err != nil {
			return nil, fmt.Errorf("%s: %w", pc.title(), err)
		}
	}
	results := make([]partyResult, len(crews))
	for i := range kills {
		for j, c := range crews {
			progress("kill %d of %d: %s, %d guests", i+1, kills, c.title(), c.Guests)
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			first, all, err := c.kill()
			if err != nil {
				return nil, fmt.Errorf("%s, %d guests: %w", c.title(), c.Guests, err)
			}
			results[j].partyCase = c.partyCase
			results[j].First = append(results[j].First, first)
			results[j].All = append(results[j].All, all)
		}
	}
	r.Failover.Parties = results
	for _, engine := range []string{"leveldb", raveLevel} {
		if !slices.ContainsFunc(cases, func(c partyCase) bool { return c.Engine == engine }) {
			continue
		}
		progress("redials of %s", engine)
		result, err := b.redials(engine)
		if err != nil {
			return nil, fmt.Errorf("redials of %s: %w", engine, err)
		}
		r.Failover.Redials = append(r.Failover.Redials, result)
	}
	return r, nil
}

// crew is the processes of a party.
type crew struct {
	partyCase
	b       *bench
	dir     string
	members []*program
	host    *program
	events  chan crewEvent
}

// crewEvent is a line that a process has written, or why there are no more.
type crewEvent struct {
	from *program
	line string
	at   time.Time
	err  error
}

// member starts a process of a party.
func (b *bench) member(engine, dir string) (*program, error) {
	if engine == raveLevel {
		return startNode(b, "member.js", "--dir", dir)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return startProgram(self, "member", engine, dir)
}

// fill starts processes until there are enough.
func (c *crew) fill() error {
	for len(c.members) <= c.Guests {
		p, err := c.b.member(c.Engine, c.dir)
		if err != nil {
			return err
		}
		c.members = append(c.members, p)
		go func() {
			for {
				line, err := p.line()
				c.events <- crewEvent{p, line, time.Now(), err}
				if err != nil {
					return
				}
			}
		}()
		if err := c.await("joined", func(crewEvent) bool { return true }); err != nil {
			return err
		}
	}
	return nil
}

// await waits for lines until done has had enough of them.
func (c *crew) await(line string, done func(crewEvent) bool) error {
	timeout := time.After(30 * time.Second)
	for {
		select {
		case e := <-c.events:
			switch {
			case !slices.Contains(c.members, e.from):
				// It was killed.
			case e.err != nil:
				return e.err
			case e.line == "host":
				c.host = e.from
				if line == "host" {
					return nil
				}
			case e.line == line && done(e):
				return nil
			}
		case <-timeout:
			return fmt.Errorf("nobody says %q", line)
		}
	}
}

// kill kills the host and has all others write. It starts another process then.
func (c *crew) kill() (first, all time.Duration, err error) {
	if c.host == nil {
		if err := c.await("host", nil); err != nil {
			return 0, 0, err
		}
	}
	host := c.host
	if c.Fill > 0 {
		if _, err := fmt.Fprintf(host.stdin, "fill %d\n", c.Fill); err != nil {
			return 0, 0, err
		}
		if err := c.await("filled", func(crewEvent) bool { return true }); err != nil {
			return 0, 0, err
		}
	}
	time.Sleep(time.Duration(rand.Int64N(int64(100 * time.Millisecond)))) // at any moment
	c.host = nil
	c.members = slices.DeleteFunc(c.members, func(p *program) bool { return p == host })
	start := time.Now()
	if err := host.cmd.Process.Kill(); err != nil {
		return 0, 0, err
	}
	for _, p := range c.members {
		if _, err := io.WriteString(p.stdin, "put\n"); err != nil {
			return 0, 0, err
		}
	}
	n := 0
	err = c.await("done", func(e crewEvent) bool {
		all = e.at.Sub(start)
		if n++; n == 1 {
			first = all
		}
		return n == len(c.members)
	})
	if err != nil {
		return 0, 0, err
	}
	host.end()
	return first, all, c.fill()
}

// end ends a process that may have been killed.
func (p *program) end() {
	p.stdin.Close()
	p.cmd.Process.Kill() //nolint:errcheck // it may have ended
	p.cmd.Wait()         //nolint:errcheck // it was killed
}

func (c *crew) close() {
	members := c.members
	c.members = nil
	for _, p := range members {
		p.end()
	}
}

// redials counts how often a process connects in two seconds to a host that accepts
// and drops.
func (b *bench) redials(engine string) (redialResult, error) {
	dir := filepath.Join(b.dir, "redials-"+engine)
	result := redialResult{Name: (&partyCase{Engine: engine}).title()}
	store, err := leveldbstore.Open(dir, nil)
	if err != nil {
		return result, err
	}
	if err := store.Close(); err != nil {
		return result, err
	}
	lock, err := leveldbstore.LockDirectory(dir)
	if err != nil {
		return result, err
	}
	defer lock.Close()
	socket := "mld.sock"
	if engine == raveLevel {
		socket = "rave-level.sock"
	}
	l, err := net.Listen("unix", filepath.Join(dir, socket))
	if err != nil {
		return result, err
	}
	defer l.Close()
	p, err := b.member(engine, dir)
	if err != nil {
		return result, err
	}
	defer p.end()
	const during = 2 * time.Second
	deadline := time.Now().Add(30 * time.Second)
	n := 0
	for {
		if err := l.(*net.UnixListener).SetDeadline(deadline); err != nil {
			return result, err
		}
		conn, err := l.Accept()
		if errors.Is(err, os.ErrDeadlineExceeded) && n > 0 {
			result.PerSecond = float64(n) / during.Seconds()
			return result, nil
		}
		if err != nil {
			return result, err
		}
		if n == 0 {
			deadline = time.Now().Add(during)
		}
		n++
		conn.Close()
	}
}

// write writes the tables.
func (f *failover) write(w *bytes.Buffer) {
	fmt.Fprintf(w, "%d kills of each party, in turn.\n\n", f.Kills)
	fmt.Fprint(w, "| | guests | first write: median | worst | all guests: median | worst |\n|---|---:|---:|---:|---:|---:|\n")
	for _, p := range f.Parties {
		fmt.Fprintf(w, "| %s | %d |", p.title(), p.Guests)
		for _, times := range [][]time.Duration{p.First, p.All} {
			sorted := slices.Sorted(slices.Values(times))
			fmt.Fprintf(w, " **%s** | %s |", millis(sorted[len(sorted)/2]), millis(sorted[len(sorted)-1]))
		}
		fmt.Fprintln(w)
	}
	if len(f.Redials) == 0 {
		return
	}
	fmt.Fprint(w, "\n| a host that accepts and drops | is connected to |\n|---|---:|\n")
	for _, r := range f.Redials {
		fmt.Fprintf(w, "| %s | %s a second |\n", r.Name, short(r.PerSecond))
	}
}

func millis(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}
