package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func (a *app) putCommand() *cobra.Command {
	var keyEncoding, valueEncoding string
	var f *dbFlags
	c := &cobra.Command{
		Use:   "put KEY VALUE|-",
		Short: "Set the value of a key",
		Long: `Set the value of a key. The value - is read from stdin, byte for byte.

` + encodingHelp,
		Example: lines(
			`mld put greeting hello`,
			`mld put photo - < photo.jpg`,
			`mld put --db ./db --create pebble greeting hello`,
			`mld put --value-encoding hex blob 00ff`,
			`mld put -- offset -5             # after --, nothing is a flag`,
		),
		Args: cobra.ExactArgs(2),
		RunE: a.runE(func(ctx context.Context, args []string) error {
			key, err := decode(keyEncoding, args[0])
			if err != nil {
				return err
			}
			text := args[1]
			if text == "-" {
				b, err := io.ReadAll(a.stdin)
				if err != nil {
					return fmt.Errorf("read of the value: %w", err)
				}
				text = string(b)
			}
			value, err := decode(valueEncoding, text)
			if err != nil {
				return err
			}
			db, err := f.openToWrite(ctx)
			if err != nil {
				return err
			}
			defer db.Close()
			return db.call(ctx, func(ctx context.Context) error {
				return db.Put(ctx, key, value, f.writeOptions())
			})
		}),
	}
	keyEncodingFlag(c, &keyEncoding)
	valueEncodingFlag(c, &valueEncoding)
	f = a.addDBFlags(c)
	f.addWriteFlags()
	f.addCreateFlag()
	return c
}
