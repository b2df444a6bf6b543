package namespace_test

import (
	"context"
	"fmt"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/memstore"
	"github.com/multileveldown/mld/store/namespace"
)

// One batch changes two sublevels, all or nothing.
func Example() {
	ctx := context.Background()
	db := memstore.New()
	defer db.Close()

	prefix, err := namespace.Sublevel("users")
	if err != nil {
		panic(err)
	}
	users := namespace.New(db, prefix)
	names := namespace.New(db, []byte("!names!"))

	var b mld.Batch
	b.Put(users.Key([]byte("7")), []byte("Ada"))
	b.Put(names.Key([]byte("Ada")), []byte("7"))
	if err := db.Apply(ctx, &b, nil); err != nil {
		panic(err)
	}

	for e, err := range mld.All(ctx, users, nil) {
		fmt.Printf("%s=%s %v\n", e.Key, e.Value, err)
	}
	for e, err := range mld.All(ctx, db, nil) {
		fmt.Printf("%s=%s %v\n", e.Key, e.Value, err)
	}
	// Output:
	// 7=Ada <nil>
	// !names!Ada=7 <nil>
	// !users!7=Ada <nil>
}
