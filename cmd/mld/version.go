package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Show the version of mld",
		Example: lines(`mld version`),
		Args:    cobra.NoArgs,
		RunE: a.runE(func(context.Context, []string) error {
			_, err := fmt.Fprintf(a.out, "mld %s %s/%s\n", version(), runtime.GOOS, runtime.GOARCH)
			return err
		}),
	}
}

// version returns the version and the commit, as far as the build knew them, and
// the version of Go.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown " + runtime.Version()
	}
	v := info.Main.Version
	settings := make(map[string]string)
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if commit := settings["vcs.revision"]; commit != "" {
		v += " " + commit
		if settings["vcs.modified"] == "true" {
			v += " (modified)"
		}
	}
	return v + " " + info.GoVersion
}
