package mld_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/multileveldown/mld"

// policy says what each package may import beyond the standard library. A name
// without a dot in its first element is a folder of this module; a name that
// ends in "/..." is a folder and all below it. A package that is not here is an
// error: whoever adds one decides which floor it stands on. Imports run
// downwards only, and server and client meet on no floor below the command's.
//
// Test files may import what they like.
var policy = map[string][]string{
	// Floor 0: the vocabulary.
	".": {},

	// Floor 1: what needs nothing but the vocabulary, and one library at most.
	"session":             {"."},
	"wire":                {"."},
	"internal/backoff":    {},
	"internal/filelock":   {"golang.org/x/sys/unix", "golang.org/x/sys/windows"},
	"internal/memnet":     {},
	"internal/socket":     {},
	"internal/unixsocket": {"golang.org/x/sys/unix"},
	"store/hotcache":      {".", "golang.org/x/sys/unix"},
	"store/leveldbstore":  {".", "store/probe", "internal/filelock", "github.com/syndtr/goleveldb/leveldb/..."},
	"store/memstore":      {".", "github.com/tidwall/btree"},
	"store/namespace":     {".", "store/reserved"},
	"store/observed":      {"."},
	"store/pebblestore":   {".", "store/probe", "internal/filelock", "github.com/cockroachdb/pebble/v2/..."},
	"store/probe":         {"."},
	"store/reserved":      {"."},
	"store/storetest":     {"."},
	"view":                {".", "store/namespace", "store/observed"},
	"view/cborcodec":      {"view", "github.com/fxamacker/cbor/v2"},
	"internal/faultconn":  {".", "wire"},
	"internal/history":    {".", "github.com/anishathalye/porcupine"},
	"internal/workload":   {".", "github.com/HdrHistogram/hdrhistogram-go"},

	// Floor 2: the two ends.
	"client": {".", "wire", "internal/backoff", "internal/socket"},
	"server": {".", "session", "store/reserved", "wire", "internal/socket"},

	// Floor 3: an end that is one or the other.
	"party": {
		".", "client", "server", "session", "wire", "internal/backoff", "internal/filelock", "internal/memnet",
		"internal/unixsocket", "store/leveldbstore", "store/pebblestore", "store/probe", "store/reserved", "golang.org/x/sys/unix",
		"golang.org/x/sys/windows", "github.com/Microsoft/go-winio",
	},

	// Floor 4: programs, and the tests that need several ends.
	"cmd/mld/...":      {"./...", "github.com/spf13/cobra", "github.com/spf13/pflag", "golang.org/x/term"},
	"examples/...":     {"./..."},
	"tests/interop":    {"./..."},
	"tests/robustness": {"./..."},
}

// unreachable says what must not be linked into programs, by the package that
// they import: directly or through other packages of this module.
var unreachable = map[string][]string{
	"client":         engines,
	"server":         engines,
	"store/memstore": engines,
	"view":           engines,
	"wire":           engines,
}

// engines are the libraries that only a program that opens a directory links.
var engines = []string{"github.com/cockroachdb/pebble/...", "github.com/syndtr/goleveldb/..."}

func TestImports(t *testing.T) {
	imports := readImports(t)
	for _, pkg := range slices.Sorted(maps.Keys(imports)) {
		allowed, ok := lookUp(pkg)
		if !ok {
			t.Errorf("package %s has no line in the table of allowed imports in deps_test.go", pkg)
			continue
		}
		for imp, file := range imports[pkg] {
			if !slices.ContainsFunc(allowed, func(pattern string) bool { return matches(pattern, local(imp)) }) {
				t.Errorf("%s: package %s must not import %s", file, pkg, imp)
			}
		}
	}
}

func TestUnreachable(t *testing.T) {
	imports := readImports(t)
	for pkg, forbidden := range unreachable {
		from := map[string]string{pkg: ""} // each package that was reached, by which other
		for queue := []string{pkg}; len(queue) > 0; queue = queue[1:] {
			for imp := range imports[queue[0]] {
				imp = local(imp)
				if _, seen := from[imp]; seen {
					continue
				}
				from[imp] = queue[0]
				queue = append(queue, imp)
				if slices.ContainsFunc(forbidden, func(pattern string) bool { return matches(pattern, imp) }) {
					chain := imp
					for p := queue[0]; p != ""; p = from[p] {
						chain = p + " -> " + chain
					}
					t.Errorf("a program that imports %s would link %s: %s", pkg, imp, chain)
				}
			}
		}
	}
}

// TestPolicyMatches holds the patterns of the table to their meaning.
func TestPolicyMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{".", ".", true},
		{".", "wire", false},
		{"wire", "wire", true},
		{"wire", "wire/inner", false},
		{"./...", ".", true},
		{"./...", "store/memstore", true},
		{"./...", "github.com/x/y", false},
		{"github.com/x/y/...", "github.com/x/y", true},
		{"github.com/x/y/...", "github.com/x/y/z", true},
		{"github.com/x/y/...", "github.com/x/yz", false},
	} {
		if got := matches(c.pattern, c.name); got != c.want {
			t.Errorf("matches(%q, %q) = %v", c.pattern, c.name, got)
		}
	}
}

func matches(pattern, name string) bool {
	if pattern == "./..." {
		return !external(name)
	}
	if dir, ok := strings.CutSuffix(pattern, "/..."); ok {
		return name == dir || strings.HasPrefix(name, dir+"/")
	}
	return name == pattern
}

func lookUp(pkg string) (allowed []string, ok bool) {
	if allowed, ok = policy[pkg]; ok {
		return allowed, true
	}
	for pattern, allowed := range policy {
		if strings.HasSuffix(pattern, "/...") && matches(pattern, pkg) {
			return allowed, true
		}
	}
	return nil, false
}

// external reports whether an import path, or a folder of this module, is of
// another module.
func external(name string) bool {
	first, _, _ := strings.Cut(name, "/")
	return first != "." && strings.Contains(first, ".")
}

// local returns the folder of a package of this module, and other import paths
// as they are.
func local(imp string) string {
	if imp == module {
		return "."
	}
	if dir, ok := strings.CutPrefix(imp, module+"/"); ok {
		return dir
	}
	return imp
}

// readImports returns for each package of the module, by its folder, what its
// files import beyond the standard library, and one of the files that does. The
// files are read here rather than by the go command, so that the test's cached
// result ends when one of them changes; and all are read, whatever system they
// are for.
func readImports(t *testing.T) map[string]map[string]string {
	t.Helper()
	imports := make(map[string]map[string]string)
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if file != "." && (name == "node_modules" || name == "testdata" || name[0] == '.' || name[0] == '_' || hasModule(file)) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		pkg := path.Dir(filepath.ToSlash(file))
		if imports[pkg] == nil {
			imports[pkg] = make(map[string]string)
		}
		for _, spec := range f.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if external(imp) || imp == "C" {
				imports[pkg][imp] = file
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if imports["."] == nil || imports["wire"] == nil {
		t.Fatal("the test does not run in the root of the module")
	}
	return imports
}

// hasModule reports whether a folder is a module of its own.
func hasModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}
