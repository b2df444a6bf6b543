package view_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/store/memstore"
	"github.com/multileveldown/mld/view"
)

type User struct {
	Name string `json:"name"`
	Mail string `json:"mail"`
}

func Example() {
	ctx := context.Background()
	store := memstore.New() // or a client, or any other store
	defer store.Close()

	users := view.New(store, view.UTF8, view.JSON[User]())
	for id, u := range map[string]User{
		"ann": {"Ann", "ann@example.com"},
		"bob": {"Bob", "bob@example.com"},
		"cat": {"Cat", "cat@example.com"},
	} {
		if err := users.Put(ctx, id, u, nil); err != nil {
			log.Fatal(err)
		}
	}

	bob, err := users.Get(ctx, "bob")
	fmt.Println(bob.Mail, err)

	for e, err := range users.All(ctx, view.From("b").Backward()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Key, e.Value.Name)
	}
	// Output:
	// bob@example.com <nil>
	// cat Cat
	// bob Bob
}

// An index is a sublevel that is written to in the batch that changes what it is
// an index of.
func ExampleSub() {
	ctx := context.Background()
	store := memstore.New()
	defer store.Close()

	db := view.New(store, view.Bytes, view.Bytes)
	users := view.Sub(db, "users", view.UTF8, view.JSON[User]())
	byMail := view.Sub(db, "users-by-mail", view.UTF8, view.UTF8)

	setUser := func(id string, u User) error {
		var b view.Batch
		if old, err := users.GetMany(ctx, id); err != nil {
			return err
		} else if old[0] != nil {
			byMail.DeleteIn(&b, old[0].Mail)
		}
		users.PutIn(&b, id, u)
		byMail.PutIn(&b, u.Mail, id)
		return b.Apply(ctx, mld.Sync)
	}
	for _, mail := range []string{"ann@example.com", "ann@example.org"} {
		if err := setUser("ann", User{"Ann", mail}); err != nil {
			log.Fatal(err)
		}
	}

	for e, err := range mld.All(ctx, store, nil) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s = %s\n", e.Key, e.Value)
	}
	// Output:
	// !users!ann = {"name":"Ann","mail":"ann@example.org"}
	// !users-by-mail!ann@example.org = ann
}

// Tuples as keys keep what belongs together side by side, in the order of each
// element.
func ExampleTuples() {
	ctx := context.Background()
	store := memstore.New()
	defer store.Close()

	readings := view.New(store, view.Tuples, view.JSON[float64]())
	for _, r := range []struct {
		city       string
		year, week int
		celsius    float64
	}{
		{"Oslo", 2025, 9, -3.5}, {"Oslo", 2025, 10, -1}, {"Oslo", 2026, 9, 2}, {"Os", 2025, 9, 20},
	} {
		if err := readings.Put(ctx, view.Tuple{r.city, r.year, r.week}, r.celsius, nil); err != nil {
			log.Fatal(err)
		}
	}

	for e, err := range readings.All(ctx, view.Prefix(view.Tuple{"Oslo", 2025})) {
		if err != nil {
			log.Fatal(err)
		}
		var week int
		if err := e.Key.Scan(nil, nil, &week); err != nil {
			log.Fatal(err)
		}
		fmt.Println(week, e.Value)
	}
	// Output:
	// 9 -3.5
	// 10 -1
}

// A view in another encoding costs nothing, so that it can be made for one call.
func ExampleWithValue() {
	ctx := context.Background()
	store := memstore.New()
	defer store.Close()

	users := view.New(store, view.UTF8, view.JSON[User]())
	if err := users.Put(ctx, "ann", User{"Ann", "ann@example.com"}, nil); err != nil {
		log.Fatal(err)
	}

	text, err := view.WithValue(users, view.UTF8).Get(ctx, "ann")
	fmt.Println(text, err)
	for key, err := range view.WithKey(users, view.Hex).Keys(ctx, view.Before("62")) {
		fmt.Println(key, err)
	}
	// Output:
	// {"name":"Ann","mail":"ann@example.com"} <nil>
	// 616e6e <nil>
}

// Map makes the keys and values that a program wants of those that there are.
func ExampleMap() {
	ctx := context.Background()
	store := memstore.New()
	defer store.Close()

	times := view.Map(view.Int64,
		func(t time.Time) (int64, error) { return t.UnixNano(), nil },
		func(ns int64) (time.Time, error) { return time.Unix(0, ns).UTC(), nil })
	log := view.New(store, times, view.UTF8)

	noon := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	log.Put(ctx, noon, "lunch", nil)
	log.Put(ctx, noon.Add(-3*time.Hour), "work", nil)
	for e, err := range log.All(ctx, view.Before(noon.Add(time.Hour)).Backward()) {
		fmt.Println(e.Key.Format(time.Kitchen), e.Value, err)
	}
	// Output:
	// 12:00PM lunch <nil>
	// 9:00AM work <nil>
}

// Views of one snapshot agree with each other.
func ExampleReader_At() {
	ctx := context.Background()
	store := memstore.New()
	defer store.Close()

	counts := view.New(store, view.UTF8, view.JSON[int]())
	counts.Put(ctx, "apples", 1, nil)

	snapshot, err := store.NewSnapshot(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer snapshot.Close()
	counts.Put(ctx, "apples", 2, nil)

	then, _ := counts.At(snapshot).Get(ctx, "apples")
	now, _ := counts.Get(ctx, "apples")
	fmt.Println(then, now)
	// Output: 1 2
}
