package party

import "syscall"

// probeSignal cannot be sent: whether the process is there is not known.
const probeSignal = syscall.Signal(0)
