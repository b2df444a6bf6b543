// Typed keeps tasks in a sublevel, and beside them an index of who has to do
// them when, whose keys are tuples.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/client"
	"github.com/multileveldown/mld/store/memstore"
	"github.com/multileveldown/mld/view"
)

// Task is stored as JSON.
type Task struct {
	Title string `json:"title"`
	Owner string `json:"owner"`
	Due   string `json:"due"` // YYYY-MM-DD
}

// Tasks are the tasks of a store.
type Tasks struct {
	byID  view.View[uint64, Task]
	byDue view.View[view.Tuple, struct{}] // owner, day, id
}

// NewTasks returns the tasks of a store, whatever kind of store it is.
func NewTasks(store mld.Store) *Tasks {
	db := view.New(store, view.Bytes, view.Bytes)
	return &Tasks{
		byID:  view.Sub(db, "tasks", view.Uint64, view.JSON[Task]()),
		byDue: view.Sub(db, "tasks-by-due", view.Tuples, view.None),
	}
}

// Set stores a task and brings the index up to date, both or neither. Calls for
// the same task must not run together, for each looks up what there was.
func (ts *Tasks) Set(ctx context.Context, id uint64, t Task) error {
	var b view.Batch
	old, err := ts.byID.Get(ctx, id)
	switch {
	case err == nil:
		ts.byDue.DeleteIn(&b, view.Tuple{old.Owner, old.Due, id})
	case !errors.Is(err, mld.ErrNotFound):
		return err
	}
	ts.byID.PutIn(&b, id, t)
	ts.byDue.PutIn(&b, view.Tuple{t.Owner, t.Due, id}, struct{}{})
	return b.Apply(ctx, nil)
}

// Print prints what owner has to do, in the order in which it is due.
func (ts *Tasks) Print(ctx context.Context, owner string) error {
	// A tuple is the prefix of those that begin with its elements.
	for key, err := range ts.byDue.Keys(ctx, view.Prefix(view.Tuple{owner})) {
		if err != nil {
			return err
		}
		var id uint64
		if err := key.Scan(nil, nil, &id); err != nil {
			return err
		}
		t, err := ts.byID.Get(ctx, id)
		if err != nil {
			return err
		}
		fmt.Println(t.Due, t.Title)
	}
	return nil
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("typed: ")
	store, err := open(os.Args[1:])
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := errors.Join(run(ctx, NewTasks(store)), store.Close()); err != nil {
		log.Fatal(err)
	}
}

// open returns the store of the server at a URL, or one in memory.
func open(args []string) (mld.Store, error) {
	if len(args) == 0 {
		return memstore.New(), nil
	}
	dial, err := client.Dialer(args...)
	if err != nil {
		return nil, err
	}
	return client.New(dial, nil), nil
}

func run(ctx context.Context, tasks *Tasks) error {
	for id, t := range []Task{
		{"Water the plants", "ann", "2026-05-09"},
		{"Call the bank", "ann", "2026-05-02"},
		{"Buy bread", "anna", "2026-05-01"},
		{"Water the plants", "ann", "2026-05-01"}, // instead of the first one
	} {
		if err := tasks.Set(ctx, uint64(id%3), t); err != nil {
			return err
		}
	}
	return tasks.Print(ctx, "ann")
}
