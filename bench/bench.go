package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// bench is one run: stores with the same entries, and what they are in.
type bench struct {
	settings
	root string
	dir  string // of the run, gone after it
	data *data
	// synced is whether a workload syncs its writes.
	synced bool
}

// measureAll runs all workloads on all peers.
func measureAll(ctx context.Context, s settings) (*report, error) {
	return measurePeers(ctx, s, peers(), workloads())
}

// measurePeers runs workloads on all peers that are installed, in turn.
func measurePeers(ctx context.Context, s settings, all []peer, loads []workload) (*report, error) {
	loads = slices.DeleteFunc(loads, func(w workload) bool { return len(s.only) > 0 && !slices.Contains(s.only, w.id) })
	if len(loads) == 0 {
		return nil, fmt.Errorf("no workload is named %s", strings.Join(s.only, ","))
	}
	return withPeers(ctx, s, all, loads, func(b *bench, r *report, started []peer) error {
		for i := range loads {
			if err := b.rounds(ctx, r, &loads[i], started); err != nil {
				return err
			}
		}
		return nil
	})
}

// withPeers starts the peers that are installed, ready for workloads, has them
// measured, and ends them.
func withPeers(
	ctx context.Context, s settings, all []peer, loads []workload, measure func(b *bench, r *report, started []peer) error,
) (r *report, err error) {
	b := &bench{settings: s, synced: slices.ContainsFunc(loads, func(w workload) bool { return w.sync })}
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
	b.data = &data{keys: s.keys, valueSize: s.valueSize, dir: b.dir}
	if slices.ContainsFunc(loads, func(w workload) bool { return w.zipf }) {
		b.data.draw()
	}
	r = newReport(s)
	var started []peer
	defer func() {
		// Those that use another's server were started after it.
		for _, p := range slices.Backward(started) {
			progress("ending %s", p.name())
			if cerr := p.close(); cerr != nil {
				err = errors.Join(err, fmt.Errorf("%s: %w", p.name(), cerr))
			}
		}
	}()
	for _, p := range all {
		if !s.wants(p) {
			continue
		}
		progress("starting %s", p.name())
		err := p.start(ctx, b)
		if errors.Is(err, errNotInstalled) {
			fmt.Fprintf(os.Stderr, "bench: %s is left out: %v\n", p.name(), err)
			continue
		}
		started = append(started, p)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name(), err)
		}
		if wp, ok := p.(warmer); ok && wp.warms() {
			progress("warming %s", p.name())
			if err := b.warm(ctx, wp); err != nil {
				return nil, fmt.Errorf("%s: %w", p.name(), err)
			}
		}
	}
	if err := measure(b, r, started); err != nil {
		return nil, err
	}
	for _, p := range started {
		if n := p.memory(); n > 0 {
			r.Memory = append(r.Memory, memory{p.name(), n})
		}
	}
	return r, nil
}

// warm reads all entries once, in a scan and, where requests can be sent together,
// one by one.
func (b *bench) warm(ctx context.Context, p warmer) error {
	if pp, ok := p.(piper); ok {
		if err := b.warmPipe(ctx, pp); err != nil {
			return err
		}
	}
	h, err := p.open(ctx, &workload{op: opScan})
	if err != nil {
		return err
	}
	n := 0
	err = h.scan(ctx, func(_, _ []byte) bool { n++; return true })
	if err == nil && n != b.data.keys {
		err = fmt.Errorf("it has %d entries of %d", n, b.data.keys)
	}
	return errors.Join(err, h.Close())
}

func (b *bench) warmPipe(ctx context.Context, p piper) (err error) {
	c, err := p.pipe(ctx, &workload{op: opGet})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	const together = 64
	for i := 0; i < b.data.keys; i += together {
		n := min(together, b.data.keys-i)
		for j := range n {
			c.get(makeKey(i + j))
		}
		if err := c.flush(); err != nil {
			return err
		}
		for range n {
			place, value, err := c.answer()
			if err == nil {
				err = checkValue(makeKey(i+place), value, b.data.valueSize)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// wants reports whether a peer takes part.
func (s *settings) wants(p peer) bool {
	return len(s.peers) == 0 || slices.ContainsFunc(s.peers, func(name string) bool { return strings.HasPrefix(p.name(), name) })
}

// rounds runs a workload on all peers in turn, again and again.
func (b *bench) rounds(ctx context.Context, r *report, w *workload, peers []peer) error {
	result := workloadResult{ID: w.id, Title: w.title, Note: w.note, Unit: w.unit(), Peers: make([]peerResult, len(peers))}
	for round := range b.settings.rounds {
		for place := range peers {
			// Each round begins with another peer, so that none always follows
			// the same one.
			i := (place + round) % len(peers)
			p := peers[i]
			result.Peers[i].Name = p.name()
			if len(w.only) > 0 && !slices.ContainsFunc(w.only, func(name string) bool { return strings.HasPrefix(p.name(), name) }) {
				continue
			}
			progress("%s, round %d of %d: %s", w.title, round+1, b.settings.rounds, p.name())
			b.settle(ctx)
			perSecond, err := b.measure(ctx, p, w)
			if errors.Is(err, errLacks) {
				continue
			}
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return fmt.Errorf("%s: %s: %w", p.name(), w.title, err)
			}
			result.Peers[i].PerSecond = append(result.Peers[i].PerSecond, perSecond)
		}
	}
	r.Workloads = append(r.Workloads, result)
	return nil
}

// command returns where the command mld is, which it builds at first.
func (b *bench) command() (string, error) {
	if b.bin == "" {
		bin := filepath.Join(b.dir, "mld")
		if err := buildCommand(b.root, bin); err != nil {
			return "", err
		}
		b.bin = bin
	}
	return b.bin, nil
}

// buildCommand builds the command mld.
func buildCommand(root, bin string) error {
	build := exec.Command("go", "build", "-o", bin, "./cmd/mld")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building the command: %w\n%s", err, out)
	}
	return nil
}

func makeDir(parent, name string) (string, error) {
	dir := filepath.Join(parent, name)
	return dir, os.Mkdir(dir, 0o755)
}
