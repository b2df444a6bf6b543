package party_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/multileveldown/mld/party"
)

// Every process does the same. Whichever is first hosts the store, and when it ends
// another one does.
func Example() {
	tmp, err := os.MkdirTemp("", "party")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(tmp)
	ctx := context.Background()

	db, err := party.Join(filepath.Join(tmp, "db"), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	if err := db.Put(ctx, []byte("greeting"), []byte("hello"), nil); err != nil {
		log.Fatal(err)
	}
	value, err := db.Get(ctx, []byte("greeting"))
	fmt.Printf("%s, %v: as the %v\n", value, err, db.Role().Role)
	// Output: hello, <nil>: as the host
}
