package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// stdoutOf runs the command in this process.
func stdoutOf(t *testing.T, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(context.Background(), args, nil, &stdout, &stderr); code != exitOK {
		t.Fatalf("%v: exit code %d; stderr:\n%s", args, code, &stderr)
	}
	return stdout.String()
}

func TestHelp(t *testing.T) {
	t.Parallel()
	root := (&app{}).root()
	for _, c := range append(root.Commands(), root) {
		args := append(strings.Fields(c.CommandPath())[1:], "--help")
		help := stdoutOf(t, args...)
		if c.Example == "" || !strings.Contains(help, c.Example) {
			t.Errorf("%v has no example", args)
		}
		check := func(f *pflag.Flag) {
			if f.Usage == "" || !strings.Contains(help, "--"+f.Name) {
				t.Errorf("%v does not tell of --%s", args, f.Name)
			}
		}
		c.LocalFlags().VisitAll(check)
		c.InheritedFlags().VisitAll(check)
		for line := range strings.Lines(help) {
			if len(strings.TrimRight(line, "\n")) > 132 {
				t.Errorf("%v has a long line: %s", args, line)
			}
		}
	}
	if help := stdoutOf(t); help != stdoutOf(t, "--help") || !strings.Contains(help, exitCodesHelp) {
		t.Errorf("help: %s", help)
	}
}

func TestExamplesParse(t *testing.T) {
	t.Parallel()
	root := (&app{}).root()
	for _, c := range root.Commands() {
		for line := range strings.Lines(c.Example) {
			if !strings.HasPrefix(strings.TrimSpace(line), "mld ") {
				continue // a pipe into it
			}
			line, _, _ = strings.Cut(line, "#")
			line, _, _ = strings.Cut(line, "|")
			line, _, _ = strings.Cut(line, "<")
			line, _, _ = strings.Cut(line, ">")
			if strings.Contains(line, "exec:") {
				continue // words in quotes
			}
			args := strings.Fields(strings.ReplaceAll(line, "'", ""))[1:]
			found, rest, err := (&app{}).root().Find(args)
			if err != nil {
				t.Errorf("%s: %v", line, err)
				continue
			}
			if err := found.ParseFlags(rest); err != nil {
				t.Errorf("%s: %v", line, err)
			} else if err := found.ValidateArgs(found.Flags().Args()); err != nil {
				t.Errorf("%s: %v", line, err)
			}
		}
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if script := stdoutOf(t, "completion", shell); !strings.Contains(script, "mld") {
			t.Errorf("%s: %s", shell, script)
		}
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"serve", "--store", ""}, "pebble\nleveldb\nmemory\n"},
		{[]string{"put", "--create", ""}, "pebble\nleveldb\n"},
		{[]string{"sc"}, "scan\t"},
	} {
		if got := stdoutOf(t, append([]string{cobra.ShellCompRequestCmd}, c.args...)...); !strings.HasPrefix(got, c.want) {
			t.Errorf("%v: %q, want %q", c.args, got, c.want)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	if got := stdoutOf(t, "version"); !strings.HasPrefix(got, "mld ") || !strings.Contains(got, " go1.") {
		t.Errorf("version: %q", got)
	}
}

func TestUsageErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args  string
		texts []string
	}{
		{"gte a", []string{`unknown command "gte"`, "see 'mld --help'"}},
		{"get", []string{"see 'mld get --help'"}},
		{"get --nope a", []string{"--nope", "see 'mld get --help'"}},
		{"del", []string{"see 'mld del --help'"}},
		{"put a", []string{"see 'mld put --help'"}},
	} {
		cli(t, strings.Fields(c.args)...).failed(t, exitUsage, c.texts...)
	}
}

func TestByteSize(t *testing.T) {
	for text, want := range map[string]byteSize{
		"1": 1, "64KiB": 64 << 10, "64kib": 64 << 10, "1.5GiB": 3 << 29, "2 MB": 2e6, "7M": 7 << 20, "5b": 5, "none": -1,
	} {
		var b byteSize
		if err := b.Set(text); err != nil || b != want {
			t.Errorf("%s: %d, %v; want %d", text, b, err, want)
		}
		var again byteSize
		if err := again.Set(b.String()); err != nil || again != b {
			t.Errorf("%s: %s: %d, %v", text, b.String(), again, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "0.5", "x", "1x", "KiB", "NaN", "inf", "9999999TiB"} {
		if err := new(byteSize).Set(text); err == nil {
			t.Errorf("%q is a size", text)
		}
	}
}

func TestEscapes(t *testing.T) {
	all := make([]byte, 0, 512)
	for c := range 256 {
		all = append(all, byte(c))
	}
	all = append(all, "é😀\u2028\\"...)
	escaped := string(appendEscaped(nil, all))
	if strings.ContainsAny(escaped, "\n\t\x00\u2028") {
		t.Errorf("%s is not on one line", escaped)
	}
	if got, err := unescape(escaped); err != nil || !bytes.Equal(got, all) {
		t.Errorf("%q came back: %v", got, err)
	}
	for _, text := range []string{`\`, `a\`, `\x`, `\x1`, `\xzz`, `\q`, `\é`} {
		if got, err := unescape(text); err == nil {
			t.Errorf("%s: %q", text, got)
		}
	}
}
