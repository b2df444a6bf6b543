package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/multileveldown/mld"
)

func (a *app) getCommand() *cobra.Command {
	var keyEncoding, valueEncoding string
	var f *dbFlags
	c := &cobra.Command{
		Use:   "get KEY",
		Short: "Write the value of a key to stdout",
		Long: `Write the value of a key to stdout, byte for byte; on a terminal, and in an
encoding other than utf8, with a newline after it.

A key that is not there is exit code 1, and nothing is written to stdout.

` + encodingHelp,
		Example: lines(
			`mld get greeting`,
			`mld get --db ./db greeting`,
			`mld get '!users!alice' | jq .name`,
			`mld get --key-encoding hex 00ff --value-encoding base64`,
		),
		Args: cobra.ExactArgs(1),
		RunE: a.runE(func(ctx context.Context, args []string) error {
			key, err := decode(keyEncoding, args[0])
			if err != nil {
				return err
			}
			db, err := f.openToRead(ctx)
			if err != nil {
				return err
			}
			defer db.Close()
			var value []byte
			err = db.call(ctx, func(ctx context.Context) error {
				value, err = db.Get(ctx, key)
				return err
			})
			if errors.Is(err, mld.ErrNotFound) {
				// The error of a server does not say which key it was.
				return &mld.Error{Code: mld.CodeNotFound, Op: "get", Key: key, Where: db.where}
			}
			if err != nil {
				return err
			}
			value = appendEncoded(nil, valueEncoding, value)
			if a.terminal || valueEncoding != encodingUTF8 {
				value = append(value, '\n')
			}
			_, err = a.out.Write(value)
			return err
		}),
	}
	keyEncodingFlag(c, &keyEncoding)
	valueEncodingFlag(c, &valueEncoding)
	f = a.addDBFlags(c)
	return c
}
