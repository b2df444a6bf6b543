package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/cockroachdb/pebble/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// grpcPeer is what one would write first: Pebble behind grpc-go, in a process of
// its own. The messages are coded by hand, so gRPC's cost is all there is.
type grpcPeer struct {
	process *process
	address string
}

func (p *grpcPeer) name() string { return "grpc-go over Pebble" }

func (p *grpcPeer) start(_ context.Context, b *bench) (err error) {
	dir, err := b.data.pebbleDir("grpc")
	if err != nil {
		return err
	}
	p.process, p.address, err = b.serveSelf("grpc", "tcp", dir, fmt.Sprint(b.cache))
	return err
}

func (p *grpcPeer) lacks(w *workload) bool { return w.conns > 1 }
func (p *grpcPeer) memory() int64          { return p.process.memory() }
func (*grpcPeer) warms() bool              { return true }

func (p *grpcPeer) close() error { return p.process.stop() }

func (p *grpcPeer) open(_ context.Context, w *workload) (handle, error) {
	c, err := grpc.NewClient("passthrough:"+p.address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(rawCodec{})))
	if err != nil {
		return nil, err
	}
	return &grpcHandle{c, w}, nil
}

// message is what goes over the wire: its bytes.
type message struct{ data []byte }

// rawCodec passes bytes on.
type rawCodec struct{}

func (rawCodec) Name() string { return "raw" }

func (rawCodec) Marshal(v any) ([]byte, error) { return v.(*message).data, nil }

func (rawCodec) Unmarshal(data []byte, v any) error {
	m := v.(*message)
	m.data = append(m.data[:0], data...)
	return nil
}

// appendPart appends bytes with their length, and cutPart takes them off.
func appendPart(dst, part []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(part))), part...)
}

func cutPart(data []byte) (part, rest []byte, ok bool) {
	n, k := binary.Uvarint(data)
	if k <= 0 || n > uint64(len(data)-k) {
		return nil, nil, false
	}
	return data[k : k+int(n)], data[k+int(n):], true
}

var errMessage = errors.New("a message does not decode")

const grpcService = "bench.Store"

type grpcHandle struct {
	c *grpc.ClientConn
	w *workload
}

func (h *grpcHandle) call(ctx context.Context, method string, request []byte) ([]byte, error) {
	var answer message
	err := h.c.Invoke(ctx, "/"+grpcService+"/"+method, &message{request}, &answer)
	return answer.data, err
}

func (h *grpcHandle) get(ctx context.Context, key []byte) ([]byte, io.Closer, error) {
	value, err := h.call(ctx, "Get", key)
	return value, nil, err
}

func (h *grpcHandle) put(ctx context.Context, key, value []byte) error {
	return h.batch(ctx, []entry{{key, value}})
}

func (h *grpcHandle) batch(ctx context.Context, entries []entry) error {
	request := []byte{asByte(h.w.sync)}
	for _, e := range entries {
		request = appendPart(appendPart(request, e.key), e.value)
	}
	_, err := h.call(ctx, "Write", request)
	return err
}

func asByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func (h *grpcHandle) scan(ctx context.Context, visit func(key, value []byte) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := h.c.NewStream(ctx, &scanStream, "/"+grpcService+"/Scan")
	if err != nil {
		return err
	}
	if err := stream.SendMsg(&message{[]byte{asByte(h.w.reverse), asByte(h.w.keysOnly)}}); err != nil {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	var page message
	for {
		if err := stream.RecvMsg(&page); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		for rest := page.data; len(rest) > 0; {
			var key, value []byte
			var ok, ok2 bool
			key, rest, ok = cutPart(rest)
			value, rest, ok2 = cutPart(rest)
			if !ok || !ok2 {
				return errMessage
			}
			if !visit(key, value) {
				return nil
			}
		}
	}
}

func (h *grpcHandle) Close() error { return h.c.Close() }

// scanPage is the size of a message of entries, as large as those of this
// project's client.
const scanPage = 64 << 10

var scanStream = grpc.StreamDesc{StreamName: "Scan", ServerStreams: true, Handler: scanGRPC}

// serveGRPC is the server, in its own process.
func serveGRPC(l net.Listener, db *pebble.DB) error {
	s := grpc.NewServer(grpc.ForceServerCodec(rawCodec{}))
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: grpcService,
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{grpcMethod("Get", copyOfValue), grpcMethod("Write", writeGRPC)},
		Streams:     []grpc.StreamDesc{scanStream},
	}, db)
	return s.Serve(l)
}

func grpcMethod(name string, do func(db *pebble.DB, request []byte) ([]byte, error)) grpc.MethodDesc {
	return grpc.MethodDesc{MethodName: name, Handler: func(srv any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		var request message
		if err := decode(&request); err != nil {
			return nil, err
		}
		answer, err := do(srv.(*pebble.DB), request.data)
		return &message{answer}, err
	}}
}

// copyOfValue returns what db has for key.
func copyOfValue(db *pebble.DB, key []byte) ([]byte, error) {
	value, closer, err := db.Get(key)
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	return append([]byte(nil), value...), nil
}

func writeGRPC(db *pebble.DB, request []byte) ([]byte, error) {
	if len(request) == 0 {
		return nil, errMessage
	}
	b := db.NewBatch()
	defer b.Close()
	for rest := request[1:]; len(rest) > 0; {
		var key, value []byte
		var ok, ok2 bool
		key, rest, ok = cutPart(rest)
		value, rest, ok2 = cutPart(rest)
		if !ok || !ok2 {
			return nil, errMessage
		}
		if err := b.Set(key, value, nil); err != nil {
			return nil, err
		}
	}
	return nil, b.Commit(pebbleWrite(request[0] != 0))
}

func scanGRPC(srv any, stream grpc.ServerStream) error {
	var request message
	if err := stream.RecvMsg(&request); err != nil {
		return err
	}
	if len(request.data) != 2 {
		return errMessage
	}
	page := make([]byte, 0, scanPage+1<<10)
	var sent error
	err := scanPebble(srv.(*pebble.DB), nil, request.data[0] != 0, request.data[1] != 0, func(key, value []byte) bool {
		page = appendPart(appendPart(page, key), value)
		if len(page) < scanPage {
			return true
		}
		sent = stream.SendMsg(&message{page})
		page = make([]byte, 0, scanPage+1<<10) // gRPC may keep the one that was sent
		return sent == nil
	})
	if err = errors.Join(err, sent); err != nil || len(page) == 0 {
		return err
	}
	return stream.SendMsg(&message{page})
}
