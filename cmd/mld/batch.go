package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/multileveldown/mld"
)

func (a *app) batchCommand() *cobra.Command {
	var f *dbFlags
	c := &cobra.Command{
		Use:   "batch",
		Short: "Apply operations from stdin, all or none",
		Long: `Apply operations, read from stdin one a line, as one batch: all of them or, if
anything is wrong with one, none. A line is a JSON object:

  {"type":"put","key":"a","value":"1"}
  {"type":"del","key":"b"}

For a key, or a value, that is not UTF-8 there are "key_base64" and
"value_base64".`,
		Example: lines(
			`mld batch < operations.ndjson`,
			`printf '%s\n' '{"type":"put","key":"a","value":"1"}' '{"type":"del","key":"b"}' | mld batch`,
		),
		Args: cobra.NoArgs,
		RunE: a.runE(func(ctx context.Context, _ []string) error {
			input := newLineReader(a.stdin)
			input.needType = true
			var b mld.Batch
			for {
				op, err := input.next()
				if err == io.EOF {
					break
				}
				if err != nil {
					return err
				}
				b.Append(op)
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
	f = a.addDBFlags(c)
	f.addWriteFlags()
	f.addCreateFlag()
	return c
}
