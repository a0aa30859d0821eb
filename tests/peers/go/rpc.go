// gRPC: grpc-go with its own interoperability tests, and a service of bytes that other languages speak without stubs.

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	testing "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// peers.Echo: Unary gives back, Upload answers with the sum of what it was sent, Download sends a message in ten pieces,
// Chat gives back each message, Fail fails.
var echo = grpc.ServiceDesc{
	ServiceName: "peers.Echo",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{
		{MethodName: "Unary", Handler: unary},
		{MethodName: "Fail", Handler: fail},
	},
	Streams: []grpc.StreamDesc{
		{StreamName: "Upload", Handler: upload, ClientStreams: true},
		{StreamName: "Download", Handler: download, ServerStreams: true},
		{StreamName: "Chat", Handler: chat, ClientStreams: true, ServerStreams: true},
	},
}

type message = wrapperspb.BytesValue

func rpcServer() *grpc.Server {
	server := grpc.NewServer()
	server.RegisterService(&echo, struct{}{})
	testing.RegisterTestServiceServer(server, interop.NewTestServer())
	return server
}

func unary(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	got := new(message)
	if err := decode(got); err != nil {
		return nil, err
	}
	fields, _ := metadata.FromIncomingContext(ctx)
	grpc.SetTrailer(ctx, metadata.Pairs("x-back-bin", strings.Join(fields["x-sent-bin"], "")))
	return got, nil
}

func fail(_ any, _ context.Context, _ func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	return nil, status.Error(codes.NotFound, "nothing, ☹\n")
}

func upload(_ any, stream grpc.ServerStream) error {
	sum := sha256.New()
	for {
		got := new(message)
		if err := stream.RecvMsg(got); err == io.EOF {
			return stream.SendMsg(&message{Value: sum.Sum(nil)})
		} else if err != nil {
			return err
		}
		sum.Write(got.Value)
	}
}

func download(_ any, stream grpc.ServerStream) error {
	got := new(message)
	if err := stream.RecvMsg(got); err != nil {
		return err
	}
	for range 10 {
		if err := stream.SendMsg(got); err != nil {
			return err
		}
	}
	return nil
}

func chat(_ any, stream grpc.ServerStream) error {
	for {
		got := new(message)
		if err := stream.RecvMsg(got); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := stream.SendMsg(got); err != nil {
			return err
		}
	}
}

// Every kind of call to every backend; backends are told apart by the authority.
func rpc(how, base, content, backends string) error {
	for _, backend := range strings.Split(backends, ",") {
		connection, err := dial(how, base, content, backend)
		if err != nil {
			return err
		}
		for _, kind := range []struct {
			name string
			work func(context.Context, *grpc.ClientConn) error
		}{
			{"unary", callUnary}, {"fail", callFail}, {"upload", callUpload}, {"download", callDownload}, {"chat", callChat},
		} {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			say(backend, kind.name, kind.work(ctx, connection))
			cancel()
		}
		connection.Close()
	}
	return nil
}

func dial(how, base, content, backend string) (*grpc.ClientConn, error) {
	_, address, _ := strings.Cut(base, "://")
	if !strings.Contains(address, ":") {
		address += ":80"
	}
	trust := insecure.NewCredentials()
	if strings.HasPrefix(how, "tls-") {
		config, err := secrets(content)
		if err != nil {
			return nil, err
		}
		trust = credentials.NewTLS(config)
	}
	authority := grpc.WithAuthority(backend + ".peers.test")
	return grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(trust), authority)
}

func random(size int) *message {
	value := make([]byte, size)
	rand.New(rand.NewSource(int64(size))).Read(value)
	return &message{Value: value}
}

var messageSizes = []int{0, 1, 300, 65536, 1 << 20}

func callUnary(ctx context.Context, connection *grpc.ClientConn) error {
	for _, size := range messageSizes {
		got, trailer := new(message), metadata.MD{}
		ctx := metadata.AppendToOutgoingContext(ctx, "x-sent-bin", "\x00\xff binary")
		if err := connection.Invoke(ctx, "/peers.Echo/Unary", random(size), got, grpc.Trailer(&trailer)); err != nil {
			return err
		}
		if !bytes.Equal(got.Value, random(size).Value) {
			return fmt.Errorf("%d bytes came back changed", size)
		}
		if back := strings.Join(trailer["x-back-bin"], ""); back != "\x00\xff binary" {
			return fmt.Errorf("metadata came back as %q", back)
		}
	}
	return nil
}

func callFail(ctx context.Context, connection *grpc.ClientConn) error {
	err := connection.Invoke(ctx, "/peers.Echo/Fail", random(1), new(message))
	if got := status.Convert(err); got.Code() != codes.NotFound || got.Message() != "nothing, ☹\n" {
		return fmt.Errorf("failed otherwise: %v", err)
	}
	return nil
}

func callUpload(ctx context.Context, connection *grpc.ClientConn) error {
	stream, err := connection.NewStream(ctx, &echo.Streams[0], "/peers.Echo/Upload")
	if err != nil {
		return err
	}
	sum := sha256.New()
	for _, size := range messageSizes {
		sum.Write(random(size).Value)
		if err := stream.SendMsg(random(size)); err != nil {
			return err
		}
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	got := new(message)
	if err := stream.RecvMsg(got); err != nil {
		return err
	}
	if !bytes.Equal(got.Value, sum.Sum(nil)) {
		return fmt.Errorf("another sum came back")
	}
	return nil
}

func callDownload(ctx context.Context, connection *grpc.ClientConn) error {
	for _, size := range messageSizes {
		stream, err := connection.NewStream(ctx, &echo.Streams[1], "/peers.Echo/Download")
		if err != nil {
			return err
		}
		if err := stream.SendMsg(random(size)); err != nil {
			return err
		}
		if err := stream.CloseSend(); err != nil {
			return err
		}
		count := 0
		for ; ; count++ {
			got := new(message)
			if err := stream.RecvMsg(got); err == io.EOF {
				break
			} else if err != nil {
				return err
			}
			if !bytes.Equal(got.Value, random(size).Value) {
				return fmt.Errorf("%d bytes came changed", size)
			}
		}
		if count != 10 {
			return fmt.Errorf("%d messages came", count)
		}
	}
	return nil
}

// Each message is sent when the one before has come back.
func callChat(ctx context.Context, connection *grpc.ClientConn) error {
	stream, err := connection.NewStream(ctx, &echo.Streams[2], "/peers.Echo/Chat")
	if err != nil {
		return err
	}
	for _, size := range messageSizes {
		if err := stream.SendMsg(random(size)); err != nil {
			return err
		}
		got := new(message)
		if err := stream.RecvMsg(got); err != nil {
			return err
		}
		if !bytes.Equal(got.Value, random(size).Value) {
			return fmt.Errorf("%d bytes came back changed", size)
		}
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	if err := stream.RecvMsg(new(message)); err != io.EOF {
		return fmt.Errorf("the end came as %v", err)
	}
	return nil
}

// What the implementations of gRPC try with each other (grpc/doc/interop-test-descriptions.md). A case that fails ends
// the program.
func interoperate(how, base, content, backends string) error {
	for _, backend := range strings.Split(backends, ",") {
		connection, err := dial(how, base, content, backend)
		if err != nil {
			return err
		}
		service := testing.NewTestServiceClient(connection)
		for _, test := range []struct {
			name string
			work func(context.Context, testing.TestServiceClient, ...grpc.CallOption)
		}{
			{"empty_unary", interop.DoEmptyUnaryCall}, {"large_unary", interop.DoLargeUnaryCall},
			{"client_streaming", interop.DoClientStreaming}, {"server_streaming", interop.DoServerStreaming},
			{"ping_pong", interop.DoPingPong}, {"empty_stream", interop.DoEmptyStream},
			{"cancel_after_begin", interop.DoCancelAfterBegin},
			{"cancel_after_first_response", interop.DoCancelAfterFirstResponse},
			{"custom_metadata", interop.DoCustomMetadata},
			{"status_code_and_message", interop.DoStatusCodeAndMessage},
			{"special_status_message", interop.DoSpecialStatusMessage},
		} {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			test.work(ctx, service)
			say(backend, test.name, nil)
			cancel()
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		interop.DoUnimplementedService(ctx, testing.NewUnimplementedServiceClient(connection))
		say(backend, "unimplemented_service", nil)
		interop.DoUnimplementedMethod(ctx, connection)
		say(backend, "unimplemented_method", nil)
		cancel()
		connection.Close()
	}
	return nil
}
