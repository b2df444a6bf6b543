package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/multileveldown/mld"
)

func (a *app) exportCommand() *cobra.Command {
	var r *rangeFlags
	var f *dbFlags
	c := &cobra.Command{
		Use:   "export",
		Short: "Write entries to stdout as NDJSON",
		Long: `Write entries to stdout, one a line, in the order of their keys and all from one
state of the store: an export whose server restarts meanwhile fails. mld import
reads them again.

` + ndjsonHelp + `

--key-encoding is about the bounds only.`,
		Example: lines(
			`mld export > backup.ndjson`,
			`mld export --db ./old | mld import --db ./new --create pebble`,
			`mld export --prefix '!users!' | gzip > users.ndjson.gz`,
		),
		Args: cobra.NoArgs,
		RunE: a.runE(func(ctx context.Context, _ []string) error {
			selected, err := r.selected()
			if err != nil {
				return err
			}
			db, err := f.openToRead(ctx)
			if err != nil {
				return err
			}
			defer db.Close()
			p := newProgress(a.stderr, "exported")
			defer p.end()
			var buf []byte
			err = db.walk(ctx, &mld.IterOptions{Range: selected, Strict: true}, func(key, value []byte) error {
				buf = entryFields{key: true, value: true}.appendEntry(buf[:0], key, value)
				if _, err := a.out.Write(buf); err != nil {
					return err
				}
				p.add(1, int64(len(key)+len(value)))
				return a.endEntry()
			})
			if err != nil && !errors.Is(err, errNobodyReads) {
				return fmt.Errorf("the export is incomplete, it ends after %d entries: %w", p.entries, err)
			}
			return err
		}),
	}
	r = addRangeFlags(c)
	f = a.addDBFlags(c)
	return c
}
