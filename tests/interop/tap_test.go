package interop

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// tapTest is one test of a TAP report: its assertions, counted.
type tapTest struct {
	// Name is the test's name, with a number when it is not the first of it.
	Name     string
	OK       int
	NotOK    int
	Failures string // the report's words on what failed
}

// parseTAP returns the tests of a report, in order.
func parseTAP(report []byte) []tapTest {
	var tests []tapTest
	seen := make(map[string]int)
	failing := false
	sc := bufio.NewScanner(bytes.NewReader(report))
	for sc.Scan() {
		line := sc.Text()
		if strings.HasPrefix(line, "1..") { // the plan; only totals follow
			break
		}
		if name, ok := strings.CutPrefix(line, "# "); ok {
			seen[name]++
			if n := seen[name]; n > 1 {
				name = fmt.Sprintf("%s (%d)", name, n)
			}
			tests = append(tests, tapTest{Name: name})
			failing = false
			continue
		}
		if len(tests) == 0 {
			continue
		}
		test := &tests[len(tests)-1]
		switch {
		case strings.HasPrefix(line, "ok "):
			test.OK++
			failing = false
		case strings.HasPrefix(line, "not ok "):
			test.NotOK++
			failing = true
		}
		if failing {
			test.Failures += line + "\n"
		}
	}
	return tests
}

// runSuite runs a TAP program of js against the server of named stores at addr.
// The program's exit code says no more than its report.
func runSuite(t *testing.T, program, addr string) []tapTest {
	t.Helper()
	cmd := nodeCommand(t, program, addr)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	report, err := cmd.Output()
	tests := parseTAP(report)
	if len(tests) == 0 {
		t.Fatalf("%s reported no test: %v\n%s", program, err, stderr.Bytes())
	}
	return tests
}

// compare fails the test for each test of a suite that passed against the
// reference and did not, or not whole, against the subject.
func compare(t *testing.T, reference, subject []tapTest) {
	t.Helper()
	got := make(map[string]tapTest, len(subject))
	ok, notOK := 0, 0
	for _, test := range subject {
		got[test.Name] = test
		ok += test.OK
		notOK += test.NotOK
	}
	t.Logf("%d tests, %d assertions ok, %d not ok", len(subject), ok, notOK)

	for _, want := range reference {
		if want.NotOK > 0 {
			t.Logf("fails against the real host: %s", want.Name)
			continue
		}
		switch test, there := got[want.Name]; {
		case !there:
			t.Errorf("%s: did not run", want.Name)
		case test.NotOK > 0:
			t.Errorf("%s:\n%s", want.Name, test.Failures)
		case test.OK != want.OK:
			t.Errorf("%s: %d assertions, %d against the real host", want.Name, test.OK, want.OK)
		}
	}
}
