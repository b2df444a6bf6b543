package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// app is one run of the command.
type app struct {
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer

	// out is stdout, buffered. It is flushed when the command has ended, and on
	// a terminal by endEntry.
	out      *bufio.Writer
	terminal bool // stdout is one
	store    storeFlags
	running  bool // the command line made sense
}

// run executes the command line and returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{stdin: stdin, stdout: output{stdout}, stderr: stderr, terminal: isTerminal(stdout)}
	a.out = bufio.NewWriterSize(a.stdout, 64<<10)
	root := a.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(a.out)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	advice := hint(err)
	if err != nil && !a.running {
		err = &exitError{exitUsage, err}
		advice = fmt.Sprintf("see '%s --help'", cmd.CommandPath())
	}
	if ferr := a.out.Flush(); err == nil {
		err = ferr
	}
	if err == nil || errors.Is(err, errNobodyReads) {
		return exitOK
	}
	fmt.Fprintf(stderr, "mld: %s\n", strings.TrimSpace(err.Error()))
	if advice != "" {
		fmt.Fprintf(stderr, "mld: %s\n", advice)
	}
	return exitCode(err)
}

// errNobodyReads is returned when the reader of stdout has gone, as head does.
// It ends the command quietly.
var errNobodyReads = errors.New("nobody reads the output")

// output is stdout.
type output struct{ w io.Writer }

func (o output) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	if errors.Is(err, syscall.EPIPE) {
		err = errNobodyReads
	}
	return n, err
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// endEntry is called after each entry has been written to out, so that a person
// sees it at once.
func (a *app) endEntry() error {
	if a.terminal {
		return a.out.Flush()
	}
	return nil
}

// runE returns f as cobra calls it, noting that it was called: errors before
// that are about the command line.
func (a *app) runE(f func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		a.running = true
		return f(cmd.Context(), args)
	}
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "mld",
		Short: "Share an ordered key-value store between processes",
		Long: `mld serves the LevelDB or Pebble store in a directory, so that many processes
can use it at a time, and reads and writes such a store from the command line.

` + exitCodesHelp,
		Example: `  mld serve ./db                   # serve ./db on ` + defaultAddress + `
  mld put greeting hello           # in another terminal
  mld get greeting`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	a.store.add(root)
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	root.AddGroup(
		&cobra.Group{ID: "serve", Title: "Serving:"},
		&cobra.Group{ID: "entries", Title: "Reading and writing:"},
	)
	for _, c := range []*cobra.Command{a.serveCommand(), a.partyCommand()} {
		c.GroupID = "serve"
		root.AddCommand(c)
	}
	for _, c := range []*cobra.Command{
		a.getCommand(), a.putCommand(), a.delCommand(), a.scanCommand(), a.clearCommand(),
		a.batchCommand(), a.importCommand(), a.exportCommand(), a.statsCommand(), a.benchCommand(),
	} {
		c.GroupID = "entries"
		root.AddCommand(c)
	}
	root.AddCommand(a.versionCommand())
	return root
}

// lines joins the lines of an example.
func lines(l ...string) string { return "  " + strings.Join(l, "\n  ") }
