package party

import (
	"strings"
	"testing"
)

// TestPipeName has the names of pipes as the npm packages make them, and ours.
func TestPipeName(t *testing.T) {
	const dir = `C:\Users\me\db`
	for socket, want := range map[string]string{
		"level-party.sock": `\\.\pipe\level-party\C:\Users\me\db`,
		"rave-level.sock":  `\\.\pipe\rave-level\C:\Users\me\db`,
		socketName:         `\\.\pipe\mld-ca24b6ccf280747afbb41c93fe4fd3e0e36e12b9e699b99516c532b78b5551f7`,
	} {
		if got := pipeName(dir, socket); got != want {
			t.Errorf("the pipe for %s is %s; want %s", socket, got, want)
		}
	}
	ours := pipeName(dir, socketName)
	if other := pipeName(dir+"2", socketName); other == ours {
		t.Errorf("two directories have the pipe %s", ours)
	}
	if same := pipeName(strings.ToLower(dir), socketName); same != ours {
		t.Errorf("the pipe is %s or %s, as the directory is spelt", ours, same)
	}
	// The system allows 256 characters in all.
	if long := pipeName(strings.Repeat(dir, 100), socketName); len(long) != len(ours) {
		t.Errorf("the pipe of a long path is %s", long)
	}
}
