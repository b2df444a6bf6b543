package robustness

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/internal/history"
)

// TestUnsynced cuts the power of a machine whose store says that writes are
// synced, and syncs none.
func TestUnsynced(t *testing.T) {
	for seed := uint64(1); seed <= 200; seed++ {
		var log history.Log
		synctest.Test(t, func(t *testing.T) {
			m := newMachine(t, seed)
			m.wrap = func(s mld.Store) mld.Store { return unsyncing{s} }
			meetInTheDark(m, seed, &log, func(string, ...any) {})
		})
		var v *history.Violation
		if err := history.Check(log.Ops(), time.Minute); errors.As(err, &v) {
			t.Logf("found with seed %d", seed)
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
	t.Error("no seed finds it")
}

type unsyncing struct{ mld.Store }

func (s unsyncing) Apply(ctx context.Context, b *mld.Batch, _ *mld.WriteOptions) error {
	return s.Store.Apply(ctx, b, mld.NoSync)
}

// TestMutants builds servers with a fault each, and runs the test that must find
// it. One that does not is worth nothing.
func TestMutants(t *testing.T) {
	type mutant struct{ tag, test string }
	mutants := []mutant{
		{"mutant_no_record", "^TestLinearizable$"},
		{"mutant_watermark", "^TestLinearizable$"},
		{"mutant_record_outside", "^TestPowerCut$"},
		{"mutant_early_ack", "^TestPowerCut$"},
	}
	if *longFlag {
		for _, m := range mutants[:4] {
			mutants = append(mutants, mutant{m.tag, "^TestParty$"})
		}
	}
	for _, mutant := range mutants {
		t.Run(mutant.tag+"/"+strings.Trim(mutant.test, "^$"), func(t *testing.T) {
			binary := filepath.Join(scratch, mutant.tag)
			build := exec.CommandContext(t.Context(), "go", "test", "-c", "-ldflags=-s -w", "-tags", mutant.tag, "-o", binary, ".")
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			out, err := exec.CommandContext(t.Context(), binary, "-test.run", mutant.test, "-seeds", "500", "-long").CombinedOutput()
			if err == nil || !bytes.Contains(out, []byte(again)) {
				t.Errorf("%s does not find it: %v\n%s", mutant.test, err, out[:min(len(out), 2000)])
			}
		})
	}
}

// TestStormMutants does so with storms. To find a record that is stored apart,
// the server must be killed between two writes, which takes some.
func TestStormMutants(t *testing.T) {
	mutants := []string{"mutant_no_record"}
	if *longFlag {
		mutants = append(mutants, "mutant_watermark", "mutant_early_ack", "mutant_record_outside")
	}
	for _, mutant := range mutants {
		t.Run(mutant, func(t *testing.T) {
			binary := build(t, mutant, false)
			seed := firstSeed()
			for range 30 {
				p := startProcess(t, binary, "--store", "pebble", t.TempDir())
				r := storm{clients: 16, each: 125, kills: 10, every: 350, seed: seed}.run(t, p)
				p.kill()
				if r.problem != "" {
					t.Log(r.problem)
					return
				}
				seed++
			}
			t.Error("no storm finds it")
		})
	}
}
