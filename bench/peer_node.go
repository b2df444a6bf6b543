package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// nodeHost is the host of one of the npm packages over the store that it is used
// with, in a Node process. It is started once, for all that use it.
type nodeHost struct {
	dialect string
	program *program
	address string
}

// program is a program that is spoken to in lines. It ends when its stdin does.
type program struct {
	*process
	stdin io.WriteCloser
}

// startNode starts a program of the folder js.
func startNode(b *bench, script string, args ...string) (*program, error) {
	bin, err := exec.LookPath("node")
	if err != nil {
		return nil, errNotInstalled
	}
	if _, err := os.Stat(filepath.Join(b.modules, "node_modules", "many-level")); err != nil {
		return nil, fmt.Errorf("%w (run npm ci in %s)", errNotInstalled, b.modules)
	}
	return startProgram(bin, append([]string{filepath.Join(b.root, "bench", "js", script), "--modules", b.modules}, args...)...)
}

// startProgram starts a program that can be spoken to.
func startProgram(name string, args ...string) (*program, error) {
	p := &program{}
	in, out, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p.stdin = out
	p.process, err = startProcessWith(in, name, args...)
	return p, errors.Join(err, in.Close())
}

func (p *program) answer(v any) error {
	line, err := p.line()
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(line), v)
}

func (p *program) close() error {
	if p == nil {
		return nil
	}
	p.stdin.Close()
	return p.cmd.Wait()
}

func (n *nodeHost) start(b *bench) error {
	if n.program != nil {
		return nil
	}
	dir, err := b.data.leveldbDir("node-" + n.dialect)
	if err != nil {
		return err
	}
	if n.program, err = startNode(b, "host.js", "--dialect", n.dialect, "--dir", dir, "--cache", fmt.Sprint(b.cache)); err != nil {
		return err
	}
	var ready struct{ Address string }
	err = n.program.answer(&ready)
	n.address = ready.Address
	return err
}

// nodePeer is a client of one of the npm packages in a Node process, of its own
// host or of a server of this project.
type nodePeer struct {
	label  string
	host   *nodeHost
	server *mldServer // nil is the host
	guest  *program
	b      *bench
}

func (p *nodePeer) name() string { return p.label }

func (p *nodePeer) start(_ context.Context, b *bench) (err error) {
	p.b = b
	var address string
	if p.server == nil {
		if err := p.host.start(b); err != nil {
			return err
		}
		address = p.host.address
	} else {
		if err := p.server.start(b); err != nil {
			return err
		}
		address = strings.TrimPrefix(p.server.tcp, "tcp://")
	}
	p.guest, err = startNode(b, "guest.js", "--dialect", p.host.dialect, "--address", address)
	return err
}

// Its clients cannot ask for a sync.
func (p *nodePeer) lacks(w *workload) bool {
	return w.sync || w.conns > 64 || w.zipf || w.op == opMixed || (w.shared && w.op != opScan && w.op != opBatch)
}

func (p *nodePeer) memory() int64 {
	if p.server != nil {
		return 0
	}
	return p.host.program.memory()
}

func (p *nodePeer) close() error {
	err := p.guest.close()
	if p.server == nil {
		err = errors.Join(err, p.host.program.close())
	}
	return err
}

func (p *nodePeer) run(_ context.Context, w *workload) (float64, error) {
	job, err := json.Marshal(map[string]any{
		"op": w.op, "inFlight": w.inFlight, "conns": w.conns, "reverse": w.reverse, "keysOnly": w.keysOnly,
		"keys": p.b.data.keys, "valueSize": p.b.data.valueSize, "millis": p.b.time.Milliseconds(),
	})
	if err != nil {
		return 0, err
	}
	if _, err := p.guest.stdin.Write(append(job, '\n')); err != nil {
		return 0, err
	}
	var result struct {
		Ops     float64
		Seconds float64
		Error   string
	}
	if err := p.guest.answer(&result); err != nil {
		return 0, err
	}
	if result.Error != "" {
		return 0, errors.New(result.Error)
	}
	return result.Ops / result.Seconds, nil
}
