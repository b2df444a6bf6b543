package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// node is a host of one of the npm packages in one Node process, and its
// clients in another.
type node struct {
	label       string
	host, guest *program
}

// program is a Node program that is spoken to in lines.
type program struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Reader
}

func startProgram(args ...string) (*program, error) {
	cmd := exec.Command("node", args...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	return &program{cmd, stdin, bufio.NewReader(stdout)}, nil
}

func (p *program) answer(v any) error {
	line, err := p.lines.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("node %v: %w (does `make test` pass?)", p.cmd.Args[1:], err)
	}
	return json.Unmarshal(line, v)
}

func (p *program) close() error {
	p.stdin.Close()
	return p.cmd.Wait()
}

// startNode starts a host over the store that its package is used with, in dir,
// and a client of it.
func startNode(dialect, dir, modules string) (peer, error) {
	host, err := startProgram(filepath.Join(modules, "js", "host.js"), "--dialect", dialect, "--store", "leveldb", "--dir", filepath.Join(dir, "node-"+dialect))
	if err != nil {
		return nil, err
	}
	n := &node{label: "Node, " + dialect, host: host}
	var ready struct{ Address string }
	if err := host.answer(&ready); err != nil {
		return n, err
	}
	n.guest, err = startProgram(filepath.Join("bench", "js", "guest.js"), "--dialect", dialect, "--address", ready.Address, "--modules", modules)
	return n, err
}

func (n *node) name() string { return n.label }

func (n *node) close() error {
	var err error
	if n.guest != nil {
		err = n.guest.close()
	}
	return errors.Join(err, n.host.close())
}

func (n *node) run(ctx context.Context, w workload, s settings) (float64, error) {
	if w.sync {
		return 0, errLacks // their clients cannot ask for it
	}
	job, err := json.Marshal(map[string]any{
		"op": w.op, "inFlight": w.inFlight, "conns": w.conns, "keys": s.keys, "valueSize": s.valueSize, "millis": s.time.Milliseconds(),
	})
	if err != nil {
		return 0, err
	}
	if _, err := n.guest.stdin.Write(append(job, '\n')); err != nil {
		return 0, err
	}
	var result struct {
		Ops     float64
		Seconds float64
		Error   string
	}
	if err := n.guest.answer(&result); err != nil {
		return 0, err
	}
	if result.Error != "" {
		return 0, errors.New(result.Error)
	}
	return result.Ops / result.Seconds, nil
}
