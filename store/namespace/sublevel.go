package namespace

import (
	"fmt"
	"strings"

	"github.com/multileveldown/mld"
)

// separator stands before and after each name. '"' comes right after it, and ends
// the range of a sublevel in both packages; names are made of what comes after
// that, so that the keys of !a! and !aa! do not mix.
const (
	separator = "!"
	ceiling   = '"'
)

// Sublevel returns the prefix of a sublevel of the npm package abstract-level,
// versions 1 to 3, with its default separator: db.sublevel("a").sublevel("b") is
// Sublevel("a", "b"), the prefix "!a!!b!".
//
// As there, a name may be empty, a "!" before or after it is dropped, and else
// it has bytes from "#" to "~" only. Without names, or with others, the error is
// [mld.ErrInvalidArgument].
//
// The range of a sublevel is that of its prefix and so has the entries of the
// sublevels within it: key k of "a", "b" is key "!b!k" of "a". (In Node the
// entry under !a" is taken for a sublevel's empty key. Here it is not.)
func Sublevel(names ...string) ([]byte, error) {
	return join(names, func(name string) (string, error) {
		name = strings.Trim(name, separator)
		for i := range len(name) {
			if c := name[i]; c <= ceiling || c >= 0x7f {
				return "", invalidName(name, `bytes from "#" to "~"`)
			}
		}
		return name, nil
	})
}

// Subleveldown returns the prefix of a sublevel of the npm package subleveldown,
// version 6, with its default separator. It is made as [Sublevel] makes it, but one
// "!" before and one after a name is dropped, and the name may have all bytes from
// "#" up, such as those of "é".
func Subleveldown(names ...string) ([]byte, error) {
	return join(names, func(name string) (string, error) {
		name = strings.TrimSuffix(strings.TrimPrefix(name, separator), separator)
		for i := range len(name) {
			if name[i] <= ceiling {
				return "", invalidName(name, `bytes from "#" up`)
			}
		}
		return name, nil
	})
}

// join returns the prefix made of the names as check returns them.
func join(names []string, check func(string) (string, error)) ([]byte, error) {
	if len(names) == 0 {
		return nil, &mld.Error{Code: mld.CodeInvalidArgument, Op: "sublevel", Msg: "no name was given"}
	}
	var prefix []byte
	for _, name := range names {
		name, err := check(name)
		if err != nil {
			return nil, err
		}
		prefix = append(prefix, separator+name+separator...)
	}
	return prefix, nil
}

func invalidName(name, legal string) error {
	return &mld.Error{Code: mld.CodeInvalidArgument, Op: "sublevel", Msg: fmt.Sprintf("the name %q may have %s only", name, legal)}
}
