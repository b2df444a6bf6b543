package mld_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/memstore"
)

// fruit opens a store in memory with four entries. A store on disk, or one in
// another process, is used in the same way.
func fruit() mld.Store {
	db := memstore.New()
	var b mld.Batch
	for _, name := range []string{"apple", "banana", "cherry", "date"} {
		b.Put([]byte(name), []byte(name[:1]))
	}
	if err := db.Apply(context.Background(), &b, nil); err != nil {
		panic(err)
	}
	return db
}

func Example() {
	ctx := context.Background()
	var db mld.Store = memstore.New()
	defer db.Close()

	if err := db.Put(ctx, []byte("hello"), []byte("world"), mld.Sync); err != nil {
		fmt.Println(err)
		return
	}
	value, err := db.Get(ctx, []byte("hello"))
	fmt.Printf("%s %v\n", value, err)

	_, err = db.Get(ctx, []byte("goodbye"))
	fmt.Println(errors.Is(err, mld.ErrNotFound))
	// Output:
	// world <nil>
	// true
}

func ExampleAll() {
	db := fruit()
	defer db.Close()

	from := &mld.IterOptions{Range: mld.Range{GTE: []byte("b"), Reverse: true}}
	for e, err := range mld.All(context.Background(), db, from) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s=%s\n", e.Key, e.Value)
	}
	// Output:
	// date=d
	// cherry=c
	// banana=b
}

func ExampleIterator() {
	db := fruit()
	defer db.Close()

	it, err := db.NewIterator(context.Background(), &mld.IterOptions{KeysOnly: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer it.Close()
	for it.Seek([]byte("c")); it.Next(); {
		fmt.Printf("%s\n", it.Key())
	}
	if err := it.Err(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// cherry
	// date
}

func ExampleBatch() {
	ctx := context.Background()
	db := fruit()
	defer db.Close()

	var b mld.Batch
	b.Put([]byte("elderberry"), []byte("e"))
	b.Delete([]byte("apple"))
	if err := db.Apply(ctx, &b, nil); err != nil { // both, or none
		fmt.Println(err)
		return
	}
	values, err := db.GetMany(ctx, [][]byte{[]byte("apple"), []byte("elderberry")})
	fmt.Printf("%q %v\n", values, err)
	// Output:
	// ["" "e"] <nil>
}

func ExampleOutcomeOf() {
	for _, err := range []error{nil, mld.ErrReadOnly, mld.ErrOutcomeUnknown} {
		switch mld.OutcomeOf(err) {
		case mld.Applied:
			fmt.Println("done")
		case mld.NotApplied:
			fmt.Println("not done:", err)
		case mld.Unknown:
			fmt.Println("look before doing it again:", err)
		}
	}
	// Output:
	// done
	// not done: the store is read-only
	// look before doing it again: outcome unknown
}
