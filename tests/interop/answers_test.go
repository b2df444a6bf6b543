package interop

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/multileveldown/mld/server"
	"github.com/multileveldown/mld/store/memstore"
)

// call is one for calls.js: the name of a method and its arguments.
type call []any

// object is one of JavaScript.
type object map[string]any

// answer is what became of a call.
type answer struct {
	Value json.RawMessage `json:"value,omitempty"`
	Error *nodeError      `json:"error,omitempty"`
	Hung  bool            `json:"hung,omitempty"`
}

type nodeError struct {
	Message string `json:"message"`
	Code    string `json:"code"`
}

func (a answer) String() string {
	text, _ := json.Marshal(a)
	return string(text)
}

// makeCalls makes calls through a real client, one after the other.
func makeCalls(t *testing.T, dialect, addr string, calls ...call) []answer {
	t.Helper()
	script, err := json.Marshal(calls)
	if err != nil {
		t.Fatal(err)
	}
	var answers []answer
	runNodeJSON(t, &answers, "calls.js", dialect, addr, string(script))
	return answers
}

// TestAnswers makes the same calls through a real client to the real host and
// to the server: the client must not be able to tell them apart.
func TestAnswers(t *testing.T) {
	fill := call{"batch", []object{
		{"type": "put", "key": "a", "value": "1"},
		{"type": "put", "key": "b", "value": ""},
		{"type": "put", "key": "c", "value": "3"},
		{"type": "put", "key": "d", "value": "4"},
		{"type": "put", "key": "é", "value": "\x00"},
	}}
	all := call{"iterate"}
	calls := []call{
		// Reads and writes.
		{"put", "k", "v"},
		{"get", "k"},
		{"put", "k", ""},
		{"get", "k"},
		{"del", "k"},
		{"get", "k"},
		{"del", "k"},
		{"getMany", []string{"k", "x"}},
		{"getMany", []string{}},
		{"batch", []object{}},
		// Ranges.
		fill, all,
		{"iterate", object{"reverse": true}},
		{"iterate", object{"gt": "a", "lte": "c"}},
		{"iterate", object{"gte": "b", "limit": 2}},
		{"iterate", object{"limit": 0}},
		{"iterate", object{"limit": 1, "reverse": true}},
		{"iterate", object{"gt": "c", "lt": "b"}},
		{"iterate", object{"keys": false, "gte": "c"}},
		{"iterate", object{"values": false, "lt": "c"}},
		{"iterate", object{"lt": ""}},
		{"iterate", object{"gte": "", "limit": 1}},
		// Clears.
		{"clear", object{"limit": 1}},
		all,
		{"clear", object{"limit": 1, "reverse": true}},
		all,
		{"clear", object{"gt": "b", "lte": "c"}},
		all,
		{"clear", object{"limit": 0}},
		all,
		{"clear"},
		all,
		// Arguments that are refused, by whichever end.
		{"put", "", "v"},
		{"get", ""},
		{"del", ""},
		{"put", "k", nil},
		{"put", nil, "v"},
		{"getMany", []string{""}},
		{"batch", []object{{"type": "put", "key": "", "value": "v"}}},
		{"batch", []object{{"type": "move", "key": "k"}}},
		all,
	}
	// The host of multileveldown forgets a bound that is beside another.
	twoBounds := []call{
		fill,
		{"iterate", object{"gt": "a", "gte": "c"}},
		{"iterate", object{"gt": "c", "gte": "a"}},
		{"iterate", object{"lt": "b", "lte": "c"}},
		{"iterate", object{"lt": "c", "lte": "a", "reverse": true}},
	}
	readonly := []call{
		{"put", "k", "v"},
		{"del", "k"},
		{"batch", []object{{"type": "del", "key": "k"}}},
		{"clear"},
		{"get", "k"},
		{"getMany", []string{"k"}},
		all,
	}

	for _, tt := range []struct {
		name, dialect string
		calls         []call
		readonly      bool
	}{
		{"multileveldown", multileveldown, calls, false},
		{"many-level", manyLevel, slices.Concat(calls, twoBounds), false},
		{"multileveldown/readonly", multileveldown, readonly, true},
		{"many-level/readonly", manyLevel, readonly, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var flags []string
			if tt.readonly {
				flags = append(flags, "--readonly")
			}
			addr := serve(t, memstore.New(), &server.Options{Dialect: wireDialects[tt.dialect], ReadOnly: tt.readonly})
			want := makeCalls(t, tt.dialect, startHost(t, tt.dialect, flags...), tt.calls...)
			got := makeCalls(t, tt.dialect, addr, tt.calls...)
			for i, c := range tt.calls {
				if got[i].String() != want[i].String() {
					t.Errorf("%v: got %s, the real host gives %s", c, got[i], want[i])
				}
			}
		})
	}
}

// TestTwoDialects has clients of both packages share a store and an address;
// the server tells them apart by what they say first.
func TestTwoDialects(t *testing.T) {
	addr := serve(t, memstore.New(), nil)
	for _, step := range []struct {
		dialect string
		call    call
		want    string
	}{
		{multileveldown, call{"get", "a"}, `{"error":{"message":"Key not found in database [a]","code":""}}`},
		{manyLevel, call{"get", "a"}, `{"error":{"message":"Could not get value","code":"LEVEL_NOT_FOUND"}}`},
		{multileveldown, call{"put", "a", "1"}, `{}`},
		{manyLevel, call{"put", "b", "2"}, `{}`},
		{multileveldown, call{"iterate"}, `{"value":[["a","1"],["b","2"]]}`},
		{manyLevel, call{"iterate"}, `{"value":[["a","1"],["b","2"]]}`},
	} {
		if got := makeCalls(t, step.dialect, addr, step.call)[0].String(); got != step.want {
			t.Errorf("%s: %v gives %s, want %s", step.dialect, step.call, got, step.want)
		}
	}
}
