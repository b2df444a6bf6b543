package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/multileveldown/mld"
)

const (
	formatText = "text"
	formatJSON = "json"
)

func (a *app) scanCommand() *cobra.Command {
	var format, valueEncoding string
	var keys, values, nul bool
	var r *rangeFlags
	var f *dbFlags
	c := &cobra.Command{
		Use:   "scan",
		Short: "List entries in the order of their keys",
		Long: `List entries in the order of their keys, all from one state of the
store unless its server restarts meanwhile.

The format text is one line for each entry: the key, a tab, the value. What
cannot be shown on a line is escaped as \n, \r, \t, \\ or \x00 to \xff, which
--key-encoding escaped reads again. The format json is that of mld export. With
--null, keys and values are written byte for byte, a zero byte after each, for
xargs -0 and the like.

` + encodingHelp,
		Example: lines(
			`mld scan`,
			`mld scan --prefix '!users!' --limit 10`,
			`mld scan --gte a --lt b --reverse`,
			`mld scan --keys -0 | xargs -0 mld del --`,
			`mld scan --format json | jq -r .value`,
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
			fields := entryFields{key: !values, value: !keys}
			write := func(dst, key, value []byte) []byte {
				return fields.appendText(dst, key, value, r.keyEncoding, valueEncoding)
			}
			if format == formatJSON {
				write = fields.appendEntry
			}
			if nul {
				write = fields.appendNul
			}
			var buf []byte
			return db.walk(ctx, &mld.IterOptions{Range: selected, KeysOnly: keys, ValuesOnly: values}, func(key, value []byte) error {
				buf = write(buf[:0], key, value)
				if _, err := a.out.Write(buf); err != nil {
					return err
				}
				return a.endEntry()
			})
		}),
	}
	r = addRangeFlags(c)
	valueEncodingFlag(c, &valueEncoding)
	c.Flags().BoolVar(&keys, "keys", false, "list keys only")
	c.Flags().BoolVar(&values, "values", false, "list values only")
	choiceFlag(c, &format, "format", formatText, "how entries are written", formatText, formatJSON)
	c.Flags().BoolVarP(&nul, "null", "0", false, "write keys and values as they are, a zero byte after each")
	c.MarkFlagsMutuallyExclusive("keys", "values")
	c.MarkFlagsMutuallyExclusive("null", "format")
	c.MarkFlagsMutuallyExclusive("null", "value-encoding")
	f = a.addDBFlags(c)
	return c
}

// appendText appends an entry as a line.
func (f entryFields) appendText(dst, key, value []byte, keyEncoding, valueEncoding string) []byte {
	if f.key {
		dst = appendEncoded(dst, oneLine(keyEncoding), key)
	}
	if f.key && f.value {
		dst = append(dst, '\t')
	}
	if f.value {
		dst = appendEncoded(dst, oneLine(valueEncoding), value)
	}
	return append(dst, '\n')
}

// oneLine returns the encoding that shows what is in another on one line.
func oneLine(encoding string) string {
	if encoding == encodingUTF8 {
		return encodingEscaped
	}
	return encoding
}

// appendNul appends an entry as it is.
func (f entryFields) appendNul(dst, key, value []byte) []byte {
	if f.key {
		dst = append(append(dst, key...), 0)
	}
	if f.value {
		dst = append(append(dst, value...), 0)
	}
	return dst
}
