package server_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Deadlines.
var (
	past  = time.Unix(1, 0)
	never time.Time
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
