//go:build race

package main

// raceDetector says that the tests run with the race detector, so the binary
// that they run should have it, too.
const raceDetector = true
