package view

import "github.com/multileveldown/mld/store/namespace"

// Sub returns the view of the sublevel of parent that has this name: in the
// store its keys are those of parent that begin with !name!, as in Level.
//
//	db := view.New(store, view.Bytes, view.Bytes)
//	users := view.Sub(db, "users", view.UTF8, view.JSON[User]())
//	byMail := view.Sub(users, "by-mail", view.UTF8, view.UTF8)
//
// [namespace.Sublevel] says what names there are. Any other makes a view whose
// every call returns [mld.ErrInvalidArgument].
func Sub[K, V, K0, V0 any](parent View[K0, V0], name string, key Codec[K], value Codec[V]) View[K, V] {
	prefix, err := namespace.Sublevel(name)
	sub := SubPrefix(parent, prefix, key, value)
	if sub.err == nil {
		sub.err = err
	}
	return sub
}

// SubPrefix returns the view of the part of parent whose keys begin with a prefix
// in other formats than that of [Sub], such as [namespace.Subleveldown].
func SubPrefix[K, V, K0, V0 any](parent View[K0, V0], prefix []byte, key Codec[K], value Codec[V]) View[K, V] {
	sub := WithValue(WithKey(parent, key), value)
	sub.prefix += string(prefix)
	return sub
}
