package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// choice is the value of a flag that takes one of a few words.
type choice struct {
	value   *string
	allowed []string
}

func (c choice) String() string { return *c.value }
func (c choice) Type() string   { return strings.Join(c.allowed, "|") }

func (c choice) Set(s string) error {
	if !slices.Contains(c.allowed, s) {
		return fmt.Errorf("it is one of %s", strings.Join(c.allowed, ", "))
	}
	*c.value = s
	return nil
}

// choiceFlag adds a flag that takes one of the allowed words.
func choiceFlag(c *cobra.Command, value *string, name, def, usage string, allowed ...string) {
	*value = def
	c.Flags().Var(choice{value, allowed}, name, usage)
	fixedCompletion(c, name, allowed)
}

// fixedCompletion completes the flag, which exists, with these words.
func fixedCompletion(c *cobra.Command, name string, words []string) {
	err := c.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(err)
	}
}

// byteSize is the value of a flag that takes a number of bytes: 65536, 64KiB,
// 1.5GB. "none" is -1.
type byteSize int64

var byteUnits = []struct {
	name string
	size float64
}{
	{"KiB", 1 << 10},
	{"MiB", 1 << 20},
	{"GiB", 1 << 30},
	{"TiB", 1 << 40},
	{"KB", 1e3},
	{"MB", 1e6},
	{"GB", 1e9},
	{"TB", 1e12},
	{"K", 1 << 10},
	{"M", 1 << 20},
	{"G", 1 << 30},
	{"T", 1 << 40},
	{"B", 1},
	{"", 1},
}

func (b *byteSize) Type() string { return "size" }

// String returns the size in the largest binary unit that it is a multiple of.
func (b *byteSize) String() string {
	if *b < 0 {
		return "none"
	}
	for _, unit := range []int{3, 2, 1, 0} {
		if size := int64(byteUnits[unit].size); *b > 0 && int64(*b)%size == 0 {
			return strconv.FormatInt(int64(*b)/size, 10) + byteUnits[unit].name
		}
	}
	return strconv.FormatInt(int64(*b), 10)
}

func (b *byteSize) Set(s string) error {
	if s == "none" {
		*b = -1
		return nil
	}
	for _, unit := range byteUnits {
		number, ok := cutSuffixFold(s, unit.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || !(n*unit.size >= 1 && n*unit.size <= math.MaxInt64/2) {
			break
		}
		*b = byteSize(n * unit.size)
		return nil
	}
	return fmt.Errorf("it is a number of bytes above 0, such as 65536, 64KiB or 1.5GiB, or none")
}

func cutSuffixFold(s, suffix string) (string, bool) {
	n := len(s) - len(suffix)
	if n < 0 || !strings.EqualFold(s[n:], suffix) {
		return s, false
	}
	return s[:n], true
}

// count is the value of a flag that takes a number above 0. "none" is -1.
type count int

func (n *count) Type() string { return "count" }

func (n *count) String() string {
	if *n < 0 {
		return "none"
	}
	return strconv.Itoa(int(*n))
}

func (n *count) Set(s string) error {
	if s == "none" {
		*n = -1
		return nil
	}
	v, err := strconv.Atoi(s)
	if err != nil || v < 1 {
		return fmt.Errorf("it is a number above 0, or none")
	}
	*n = count(v)
	return nil
}
