package view

import (
	"fmt"

	"github.com/multileveldown/mld"
)

// Sub returns the view of the sublevel of parent that has this name: in the
// store its keys are those of parent that begin with !name!, as in Level.
//
//	db := view.New(store, view.Bytes, view.Bytes)
//	users := view.Sub(db, "users", view.UTF8, view.JSON[User]())
//	byMail := view.Sub(users, "by-mail", view.UTF8, view.UTF8)
//
// A name has printable ASCII characters other than space, ! and ". Any other
// makes a view whose every call returns [mld.ErrInvalidArgument].
func Sub[K, V, K0, V0 any](parent View[K0, V0], name string, key Codec[K], value Codec[V]) View[K, V] {
	sub := WithValue(WithKey(parent, key), value)
	if sub.err == nil {
		sub.err = checkName(name)
	}
	sub.prefix += "!" + name + "!"
	return sub
}

func checkName(name string) error {
	for i := range len(name) {
		if c := name[i]; c <= '"' || c >= 0x7f {
			return &mld.Error{
				Code: mld.CodeInvalidArgument, Op: "sublevel",
				Msg: fmt.Sprintf("the name %q has a character that names must not have: only printable ASCII other than space, ! and \"", name),
			}
		}
	}
	return nil
}
