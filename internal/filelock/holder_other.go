//go:build !linux

package filelock

import (
	"errors"
	"io/fs"
	"os"
)

func tryHolder(path string) (pid int, held bool, err error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	l, err := Exclusive(path)
	var h *HeldError
	switch {
	case errors.As(err, &h):
		return h.PID, true, nil
	case err != nil:
		return 0, false, err
	}
	return 0, false, l.Close()
}
