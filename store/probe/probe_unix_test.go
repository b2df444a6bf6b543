//go:build unix

package probe_test

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/probe"
)

// TestPipe would hang if the pipe were opened.
func TestPipe(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pipe")
	check(t, syscall.Mkfifo(name, 0o644))
	if kind, err := probe.Directory(name); kind != probe.Foreign || !errors.Is(err, mld.ErrInvalidArgument) {
		t.Fatalf("Directory = %v, %v", kind, err)
	}
}
