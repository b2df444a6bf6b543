package client

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if how := os.Getenv(commandVar); how != "" {
		os.Exit(playCommand(how))
	}
	goleak.VerifyTestMain(m)
}
