package main

import "io"

// stdio is the connection on stdin and stdout.
type stdio struct {
	*io.PipeReader
	out io.Writer
}

// newStdio returns a stream whose Close ends a Read that is under way, which
// closing stdin would not do.
func newStdio(in io.Reader, out io.Writer) *stdio {
	r, w := io.Pipe()
	go func() {
		// A WriterTo or ReaderFrom would choose a buffer of its own.
		_, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{in}, make([]byte, 64<<10))
		w.CloseWithError(err)
	}()
	return &stdio{r, out}
}

func (s *stdio) Write(p []byte) (int, error) { return s.out.Write(p) }
