package socket

import "syscall"

const edges = true

func read(fd int, p []byte) (int, error) {
	for {
		if n, err := syscall.Read(fd, p); err != syscall.EINTR {
			return n, err
		}
	}
}

func write(fd int, p []byte) (int, error) {
	for {
		if n, err := syscall.Write(fd, p); err != syscall.EINTR {
			return n, err
		}
	}
}
