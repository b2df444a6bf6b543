package interop

import (
	"context"
	"net"
	"testing"

	"github.com/multileveldown/mld/wire"
)

// TestAbstractLeveldownSuite runs the public suite of abstract-leveldown 7
// through the client of multileveldown: what passes against the real host must
// pass against the server, over each engine.
func TestAbstractLeveldownSuite(t *testing.T) {
	testSuite(t, multileveldown, "suite-abstract-leveldown.js")
}

// TestAbstractLevelSuite does the same with the suite of abstract-level 1 and
// the guest of many-level.
func TestAbstractLevelSuite(t *testing.T) {
	testSuite(t, manyLevel, "suite-abstract-level.js")
}

func testSuite(t *testing.T, dialect, program string) {
	t.Parallel()
	reference := runSuite(t, program, startHost(t, dialect, "--named"))
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			s := newStores(t, e, wire.Auto)
			addr := serveNamed(t, func(ctx context.Context, name string, _ int, conn net.Conn) {
				s.serveConn(ctx, name, conn)
			})
			compare(t, reference, runSuite(t, program, addr))
		})
	}
}
