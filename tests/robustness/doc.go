// Package robustness holds the tests that try to break the promises of clients
// and servers together: links that fail at random, servers that are killed,
// power cuts, disks that fail, and crowds of clients. README.md describes them,
// how to run their long forms, and what they have found.
package robustness
