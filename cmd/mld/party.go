package main

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/multileveldown/mld/party"
)

func (a *app) partyCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "party DIR",
		Short: "Show which process hosts the store in a directory",
		Long: `Show which process hosts the store in DIR: since when, how many other processes are
its guests, and how many of them wait for an answer. Nothing is locked or written.

The exit code is 0 if a host answers, 1 if nobody has the directory open, and 4 if a
process has it locked that does not answer as a host.`,
		Example: lines(
			`mld party ./db`,
			`mld party ./db --json | jq .pid`,
		),
		Args: cobra.ExactArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: a.runE(func(ctx context.Context, args []string) error {
			if a.store.timeout > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, a.store.timeout)
				defer cancel()
			}
			s, err := party.Look(ctx, args[0])
			if err != nil {
				return openError(err)
			}
			if asJSON {
				e := json.NewEncoder(a.out)
				e.SetEscapeHTML(false)
				err = e.Encode(s)
			} else {
				err = a.writeStatus(&s)
			}
			switch {
			case err != nil:
				return err
			case s.Hosted:
				return nil
			case s.Locked:
				return &exitError{exitLocked, fmt.Errorf("%s is locked by a process that does not answer as a host", s.Dir)}
			}
			return &exitError{exitNotFound, fmt.Errorf("nobody hosts %s", s.Dir)}
		}),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "write one JSON object")
	return c
}

func (a *app) writeStatus(s *party.Status) error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	row := func(name string, shown bool, value any) {
		if shown {
			fmt.Fprintf(w, "%s\t%v\n", name, value)
		}
	}
	row("directory", true, s.Dir)
	row("engine", s.Engine != "", s.Engine)
	host := "nobody"
	switch {
	case s.PID != 0:
		host = fmt.Sprintf("process %d", s.PID)
	case s.Locked:
		host = "a process that is not known"
	}
	row("host", true, host)
	row("answers", s.Locked, s.Hosted)
	row("protocol", s.Protocol != "", s.Protocol)
	row("since", !s.Since.IsZero(), s.Since.Local().Format(time.RFC3339))
	row("epoch", s.Epoch != 0, s.Epoch)
	ours := s.Hosted && s.Epoch != 0
	row("guests", ours, s.Guests)
	row("pending", ours, s.Pending)
	row("problem", s.Problem != "", s.Problem)
	return w.Flush()
}
