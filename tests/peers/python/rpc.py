"""gRPC by grpcio: rpc.py serve | rpc.py HOW BASE CONTENT BACKENDS

The service is that of ../go/rpc.go, and what is printed as in ../go/main.go."""
import concurrent.futures
import hashlib
import pathlib
import random
import sys
import threading

import grpc

SIZES = (0, 1, 300, 65536, 1 << 20)
BACK = b"\x00\xff binary"


def encode(value):
    """A BytesValue: field 1 of wire type 2, unless it is empty."""
    if not value:
        return b""
    length, left = b"", len(value)
    while left > 127:
        length, left = length + bytes([left & 127 | 128]), left >> 7
    return b"\x0a" + length + bytes([left]) + value


def decode(message):
    if not message:
        return b""
    assert message[0] == 0x0A, "no BytesValue"
    start = next(at for at in range(1, len(message)) if message[at] < 128) + 1
    return message[start:]


def unary(request, context):
    context.set_trailing_metadata([("x-back-bin", dict(context.invocation_metadata()).get("x-sent-bin", b""))])
    return request


def fail(_, context):
    context.abort(grpc.StatusCode.NOT_FOUND, "nothing, ☹\n")


def upload(requests, _):
    total = hashlib.sha256()
    for request in requests:
        total.update(request)
    return total.digest()


def download(request, _):
    return (request for _ in range(10))


def chat(requests, _):
    yield from requests


def serve():
    def handler(make, work):
        return make(work, request_deserializer=decode, response_serializer=encode)

    methods = {
        "Unary": handler(grpc.unary_unary_rpc_method_handler, unary),
        "Fail": handler(grpc.unary_unary_rpc_method_handler, fail),
        "Upload": handler(grpc.stream_unary_rpc_method_handler, upload),
        "Download": handler(grpc.unary_stream_rpc_method_handler, download),
        "Chat": handler(grpc.stream_stream_rpc_method_handler, chat),
    }
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(max_workers=16))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("peers.Echo", methods),))
    port = server.add_insecure_port("0.0.0.0:0")
    server.start()
    print(f"ready grpc={port}", flush=True)
    server.wait_for_termination()


def contents():
    return [random.Random(size).randbytes(size) for size in SIZES]


def call_unary(method):
    for content in contents():
        got, call = method.with_call(content, metadata=[("x-sent-bin", BACK)], timeout=60)
        assert got == content, f"{len(content)} bytes came back changed"
        back = dict(call.trailing_metadata()).get("x-back-bin")
        assert back == BACK, f"metadata came back as {back}"


def call_fail(method):
    try:
        method(b"x", timeout=60)
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.NOT_FOUND and error.details() == "nothing, ☹\n", f"failed otherwise: {error}"
    else:
        raise AssertionError("did not fail")


def call_upload(method):
    want = hashlib.sha256(b"".join(contents())).digest()
    assert method(iter(contents()), timeout=60) == want, "another sum came back"


def call_download(method):
    for content in contents():
        got = list(method(content, timeout=60))
        assert got == [content] * 10, f"{len(got)} messages came, or others"


def call_chat(method):
    """Each message is sent when the one before has come back."""
    turn = threading.Semaphore(1)

    def sent():
        for content in contents():
            assert turn.acquire(timeout=60), "nothing came back"
            yield content

    got = []
    for content in method(sent(), timeout=60):
        got.append(content)
        turn.release()
    assert got == contents(), f"{len(got)} messages came back, or others"


def call(how, base, content, backends):
    address = base.split("://")[1]
    address = address if ":" in address else f"{address}:80"
    read = lambda name: (pathlib.Path(content) / name).read_bytes()
    for backend in backends.split(","):
        options = [("grpc.default_authority", f"{backend}.peers.test")]
        if how.startswith("tls-"):
            trust = grpc.ssl_channel_credentials(read("authority.pem"), read("client.key"), read("client.pem"))
            options.append(("grpc.ssl_target_name_override", f"{backend}.peers.test"))
            channel = grpc.secure_channel(address, trust, options)
        else:
            channel = grpc.insecure_channel(address, options)
        coding = {"request_serializer": encode, "response_deserializer": decode}
        for name, make, work in [
            ("unary", channel.unary_unary, call_unary),
            ("fail", channel.unary_unary, call_fail),
            ("upload", channel.stream_unary, call_upload),
            ("download", channel.unary_stream, call_download),
            ("chat", channel.stream_stream, call_chat),
        ]:
            try:
                work(make(f"/peers.Echo/{name.title()}", **coding))
                result = "ok"
            except Exception as error:
                result = f"{type(error).__name__}: {error}".replace("\n", " ")
            print(f"{backend}\t{name}\t{result}", flush=True)
        channel.close()


if sys.argv[1] == "serve":
    serve()
else:
    call(*sys.argv[1:])
