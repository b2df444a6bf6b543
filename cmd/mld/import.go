package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/multileveldown/mld"
)

// importBatchBytes is at how many bytes of keys and values a batch of an import
// is applied although it has not reached its number of entries.
const importBatchBytes = 4 << 20

func (a *app) importCommand() *cobra.Command {
	size := count(1000)
	var f *dbFlags
	c := &cobra.Command{
		Use:   "import",
		Short: "Set entries that are read from stdin as NDJSON",
		Long: `Set entries that are read from stdin, one a line, as mld export writes them.

` + ndjsonHelp + `

Entries are applied in batches of --batch-size, or less when they are large; each
batch whole. An import that fails says up to which line its entries were applied;
it can be repeated from the start.`,
		Example: lines(
			`mld import < backup.ndjson`,
			`mld import --db ./new --create leveldb --sync nosync < backup.ndjson`,
		),
		Args: cobra.NoArgs,
		RunE: a.runE(func(ctx context.Context, _ []string) error {
			ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			context.AfterFunc(ctx, stop) // a second signal ends the process
			db, err := f.openToWrite(ctx)
			if err != nil {
				return err
			}
			defer db.Close()
			p := newProgress(a.stderr, "imported")
			defer p.end()
			return importFrom(ctx, db, readBatches(ctx, a.stdin, int(size)), f.writeOptions(), p)
		}),
	}
	c.Flags().Var(&size, "batch-size", "entries that are applied together")
	f = a.addDBFlags(c)
	f.addWriteFlags()
	f.addCreateFlag()
	return c
}

// errInterrupted is returned when a signal ended an import.
var errInterrupted = errors.New("interrupted")

// importBatch is a batch that was read, or why there is no more.
type importBatch struct {
	ops      mld.Batch
	lastLine int
	err      error
}

// readBatches reads ahead, so that input is decoded while a batch is written,
// and an interrupt is obeyed while input is waited for. What it returns is
// closed after the last batch or an error.
func readBatches(ctx context.Context, r io.Reader, size int) <-chan importBatch {
	batches := make(chan importBatch, 1)
	go func() {
		defer close(batches)
		input := newLineReader(r)
		for {
			b := importBatch{}
			for b.err == nil && (size < 0 || b.ops.Len() < size) && b.ops.Size() < importBatchBytes {
				var op mld.Op
				if op, b.err = input.next(); b.err == nil {
					b.ops.Append(op)
				}
			}
			b.lastLine = input.n
			select {
			case batches <- b:
			case <-ctx.Done():
				return
			}
			if b.err != nil {
				return
			}
		}
	}()
	return batches
}

// importFrom applies the batches. What comes before a bad line in its batch is
// not applied.
func importFrom(ctx context.Context, db *database, batches <-chan importBatch, o *mld.WriteOptions, p *progress) error {
	applied := 0 // lines
	failed := func(err error) error {
		if applied == 0 {
			return fmt.Errorf("nothing was imported: %w", err)
		}
		return fmt.Errorf("imported up to line %d, which are %d entries: %w", applied, p.entries, err)
	}
	for {
		var b importBatch
		select {
		case b = <-batches:
		case <-ctx.Done():
			return failed(errInterrupted)
		}
		if b.err != nil && b.err != io.EOF {
			return failed(b.err)
		}
		err := db.call(ctx, func(ctx context.Context) error { return db.Apply(ctx, &b.ops, o) })
		if mld.OutcomeOf(err) == mld.Unknown {
			return failed(fmt.Errorf("lines %d to %d may or may not have been: %w", applied+1, b.lastLine, err))
		}
		if errors.Is(err, context.Canceled) {
			err = errInterrupted
		}
		if err != nil {
			return failed(err)
		}
		applied = b.lastLine
		p.add(b.ops.Len(), int64(b.ops.Size()))
		if b.err == io.EOF {
			return nil
		}
	}
}
