package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) clearCommand() *cobra.Command {
	var all bool
	var r *rangeFlags
	var f *dbFlags
	c := &cobra.Command{
		Use:   "clear",
		Short: "Remove the entries of a range",
		Long: `Remove the entries of a range, all of them or, if that fails, none. Without a
bound --all is needed.

` + encodingHelp,
		Example: lines(
			`mld clear --prefix '!sessions!'`,
			`mld clear --lt 2024 --limit 1000`,
			`mld clear --all`,
		),
		Args: cobra.NoArgs,
		RunE: a.runE(func(ctx context.Context, _ []string) error {
			if all == r.bounded() {
				return usageError("give either a bound, such as --prefix, or --all to remove every entry")
			}
			selected, err := r.selected()
			if err != nil {
				return err
			}
			db, err := f.openToWrite(ctx)
			if err != nil {
				return err
			}
			defer db.Close()
			return db.call(ctx, func(ctx context.Context) error {
				return db.Clear(ctx, selected, f.writeOptions())
			})
		}),
	}
	r = addRangeFlags(c)
	c.Flags().BoolVar(&all, "all", false, "remove entries whatever their keys")
	f = a.addDBFlags(c)
	f.addWriteFlags()
	return c
}
