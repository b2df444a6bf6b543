package pebblestore_test

import (
	"context"
	"fmt"
	"os"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/pebblestore"
)

func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)

	db, err := pebblestore.Open(dir, nil)
	if err != nil {
		panic(err)
	}
	defer db.Close()

	var b mld.Batch
	b.Put([]byte("apple"), []byte("red"))
	b.Put([]byte("banana"), []byte("yellow"))
	if err := db.Apply(ctx, &b, mld.Sync); err != nil {
		panic(err)
	}
	for e, err := range mld.All(ctx, db, nil) {
		fmt.Printf("%s is %s %v\n", e.Key, e.Value, err)
	}
	// Output:
	// apple is red <nil>
	// banana is yellow <nil>
}
