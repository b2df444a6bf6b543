package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/multileveldown/mld"
)

func (a *app) delCommand() *cobra.Command {
	var keyEncoding string
	var f *dbFlags
	c := &cobra.Command{
		Use:   "del KEY...",
		Short: "Remove keys",
		Long: `Remove keys, all of them or, if that fails, none. A key that is not there is no
error.

` + encodingHelp,
		Example: lines(
			`mld del greeting`,
			`mld del a b c`,
			`mld del --key-encoding escaped 'user\x00alice'`,
		),
		Args: cobra.MinimumNArgs(1),
		RunE: a.runE(func(ctx context.Context, args []string) error {
			var b mld.Batch
			for _, arg := range args {
				key, err := decode(keyEncoding, arg)
				if err != nil {
					return err
				}
				b.Delete(key)
			}
			db, err := f.openToWrite(ctx)
			if err != nil {
				return err
			}
			defer db.Close()
			return db.call(ctx, func(ctx context.Context) error {
				return db.Apply(ctx, &b, f.writeOptions())
			})
		}),
	}
	keyEncodingFlag(c, &keyEncoding)
	f = a.addDBFlags(c)
	f.addWriteFlags()
	return c
}
