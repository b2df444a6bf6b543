package memstore_test

import (
	"context"
	"fmt"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/memstore"
)

// A snapshot stays as it was.
func Example() {
	ctx := context.Background()
	db := memstore.New()
	defer db.Close()

	put := func(key, value string) {
		if err := db.Put(ctx, []byte(key), []byte(value), nil); err != nil {
			panic(err)
		}
	}
	put("apple", "green")
	snap, err := db.NewSnapshot(ctx)
	if err != nil {
		panic(err)
	}
	defer snap.Close()
	put("apple", "red")

	for _, r := range []mld.Reader{snap, db} {
		value, err := r.Get(ctx, []byte("apple"))
		fmt.Printf("%s %v\n", value, err)
	}
	// Output:
	// green <nil>
	// red <nil>
}
