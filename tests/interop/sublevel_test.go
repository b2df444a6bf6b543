package interop

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/multileveldown/mld/store/memstore"
	"github.com/multileveldown/mld/view"
)

type user struct {
	Name string   `json:"name"`
	Age  float64  `json:"age"`
	Tags []string `json:"tags"`
}

// TestSublevels has a Node program with sublevels of JSON values and a Go
// program with views share a store: each reads what the other wrote, and what
// the other would have written is what it wrote itself, to the byte.
func TestSublevels(t *testing.T) {
	for _, dialect := range dialects {
		t.Run(dialect, func(t *testing.T) {
			ctx := t.Context()
			store := memstore.New()
			addr := serve(t, store, nil)

			db := view.New(store, view.UTF8, view.UTF8)
			users := view.Sub(db, "users", view.UTF8, view.JSON[user]())
			eu := view.Sub(view.Sub(db, "accounts", view.UTF8, view.UTF8), "eu", view.Hex, view.JSON[[]any]())

			written := map[string]user{
				"go":   {Name: "Gó <&>\u2028", Age: 16.5, Tags: []string{"a", ""}},
				"gone": {Name: "to be deleted", Tags: []string{}},
			}
			for key, value := range written {
				if err := users.Put(ctx, key, value, nil); err != nil {
					t.Fatal(err)
				}
			}
			if err := eu.Put(ctx, "00ff", []any{1.0, nil, "x"}, nil); err != nil {
				t.Fatal(err)
			}

			var found struct {
				Users []json.RawMessage `json:"users"`
				EU    json.RawMessage   `json:"eu"`
			}
			runNodeJSON(t, &found, "sublevels.js", dialect, addr)
			got := make(map[string]user)
			for _, entry := range found.Users {
				var key string
				var value user
				if err := json.Unmarshal(entry, &[]any{&key, &value}); err != nil {
					t.Fatal(err)
				}
				got[key] = value
			}
			if !reflect.DeepEqual(got, written) {
				t.Errorf("Node read the users %+v, want %+v", got, written)
			}
			if want := `[["00ff",[1,null,"x"]]]`; string(found.EU) != want {
				t.Errorf("Node read %s in the nested sublevel, want %s", found.EU, want)
			}

			// Node has deleted one user and written two.
			want := map[string]user{
				"go":   written["go"],
				"node": {Name: "Nodé <&>\u2028", Age: 14, Tags: []string{"js", ""}},
				"żółw": {Name: "🐢", Age: 0.5, Tags: []string{}},
			}
			got = make(map[string]user)
			for e, err := range users.All(ctx, nil) {
				if err != nil {
					t.Fatal(err)
				}
				got[e.Key] = e.Value
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("read the users %+v, want %+v", got, want)
			}
			if value, err := eu.Get(ctx, "ff00"); err != nil || !reflect.DeepEqual(value, []any{1.0, nil, "x"}) {
				t.Errorf("read %v, %v in the nested sublevel", value, err)
			}
			if value, err := db.Get(ctx, "plain"); err != nil || value != "text" {
				t.Errorf("read %q, %v beside the sublevels, want %q", value, err, "text")
			}

			// The same value, written by either, is the same bytes.
			raw := view.WithValue(users, view.UTF8)
			node, err := raw.Get(ctx, "node")
			if err != nil {
				t.Fatal(err)
			}
			if err := users.Put(ctx, "node", want["node"], nil); err != nil {
				t.Fatal(err)
			}
			if again, err := raw.Get(ctx, "node"); err != nil || again != node {
				t.Errorf("wrote %s, %v where Node wrote %s", again, err, node)
			}
		})
	}
}
