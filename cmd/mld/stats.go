package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/multileveldown/mld"
)

func (a *app) statsCommand() *cobra.Command {
	var asJSON bool
	var f *dbFlags
	c := &cobra.Command{
		Use:   "stats",
		Short: "Show what a store, and its server, tell of themselves",
		Long: `Show what a store, and its server, tell of themselves. A name ends in its unit:
_bytes, _seconds, _total for what only grows, nothing for a plain count.`,
		Example: lines(
			`mld stats`,
			`mld stats --json | jq .metrics.server_connections`,
		),
		Args: cobra.NoArgs,
		RunE: a.runE(func(ctx context.Context, _ []string) error {
			db, err := f.openToRead(ctx)
			if err != nil {
				return err
			}
			defer db.Close()
			s, ok := db.Store.(mld.Statser)
			if !ok {
				return &mld.Error{Code: mld.CodeUnsupported, Op: "stats", Where: db.where}
			}
			var stats mld.Stats
			err = db.call(ctx, func(ctx context.Context) error {
				stats, err = s.Stats(ctx)
				return err
			})
			if err != nil {
				return err
			}
			if asJSON {
				e := json.NewEncoder(a.out)
				e.SetEscapeHTML(false)
				return e.Encode(stats)
			}
			return a.writeStats(&stats)
		}),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "write one JSON object")
	f = a.addDBFlags(c)
	return c
}

func (a *app) writeStats(s *mld.Stats) error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "engine\t%s\n", s.Engine)
	if s.Path != "" {
		fmt.Fprintf(w, "path\t%s\n", s.Path)
	}
	for _, size := range [...]struct {
		name  string
		bytes int64
	}{{"disk_bytes", s.DiskBytes}, {"memory_bytes", s.MemoryBytes}} {
		if size.bytes != 0 {
			fmt.Fprintf(w, "%s\t%d\n", size.name, size.bytes)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Metrics)) {
		fmt.Fprintf(w, "%s\t%s\n", name, strconv.FormatFloat(s.Metrics[name], 'f', -1, 64))
	}
	return w.Flush()
}
