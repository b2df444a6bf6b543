package party

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// pipePrefix is where Windows has its named pipes.
const pipePrefix = `\\.\pipe\`

// pipeName returns the named pipe that, on Windows, takes the place of a socket in a
// directory, whose path is absolute. For the sockets of the npm packages it is the
// name that those give it there. Ours is of fixed length; like those it is the same
// for paths that differ in case only.
func pipeName(dir, socket string) string {
	name := strings.TrimSuffix(socket, ".sock")
	for _, s := range nodeSockets {
		if s.name == socket {
			return pipePrefix + name + `\` + dir
		}
	}
	return fmt.Sprintf("%s%s-%x", pipePrefix, name, sha256.Sum256([]byte(strings.ToLower(dir))))
}
