"""Writes down what servers of ASGI and WSGI are asked: gateways.py uvicorn|hypercorn|gunicorn PORT FILE"""
import ctypes
import functools
import os
import signal
import socket
import sys

import asgi
import gunicorn.app.base
import gunicorn.util
import hypercorn.protocol.h11
import uvicorn.protocols.http.h11_impl

SERVER, PORT, FILE = sys.argv[1], int(sys.argv[2]), sys.argv[3]
SEEN = os.open(FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def write_down(request_id, request_line, status):
    # In one piece: gunicorn has several threads.
    os.write(SEEN, f"{request_id}|{request_line}|{status}\n".encode("latin-1", "replace"))


def before(owner, name, note):
    """Lets note see the arguments of the function name of owner, which servers call for what no application sees."""
    function = getattr(owner, name)

    @functools.wraps(function)
    def noting(*arguments):
        note(*arguments)
        return function(*arguments)

    setattr(owner, name, noting)


# hypercorn shows applications methods in capital letters, and requests to upgrade as WebSockets or not at all. By request id.
ASKED = {}


def hypercorn_asked(_, asked):
    headers = dict(asked.headers)
    request_id = headers.get(b"x-request-id", b"").decode("latin-1")
    line = f"{asked.method.decode('latin-1')} {asked.target.decode('latin-1')} HTTP/1.1"
    if asked.method.upper() == b"GET" and headers.get(b"upgrade", b"").lower() == b"websocket":
        write_down(request_id, line, 403)
    else:
        ASKED[request_id] = line


def hypercorn_refuses(protocol, status):
    # Of a request that has a stream its application knows.
    if protocol.stream is None:
        write_down("", "-", status)


before(uvicorn.protocols.http.h11_impl.H11Protocol, "send_400_response", lambda *_: write_down("", "-", 400))
before(hypercorn.protocol.h11.H11Protocol, "_send_error_response", hypercorn_refuses)
before(hypercorn.protocol.h11.H11Protocol, "_create_stream", hypercorn_asked)
before(gunicorn.util, "write_error", lambda _, status, *__: write_down("", "-", status))


async def application(scope, receive, send):
    if scope["type"] != "http":
        return
    target = scope["raw_path"]
    if scope["query_string"] and b"?" not in target:
        target += b"?" + scope["query_string"]
    request_id = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
    line = ASKED.pop(request_id, f"{scope['method']} {target.decode('latin-1')} HTTP/{scope['http_version']}")
    more = True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            return write_down(request_id, line, 400)
        more = event.get("more_body", False)
    write_down(request_id, line, 200)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def wsgi(environ, start_response):
    request_id = environ.get("HTTP_X_REQUEST_ID", "")
    line = f"{environ['REQUEST_METHOD']} {environ['RAW_URI']} {environ['SERVER_PROTOCOL']}"
    try:
        environ["wsgi.input"].read()
        status = "200 OK"
    except Exception:
        # The gateway has broken it off.
        status = "400 Bad Request"
    write_down(request_id, line, status[:3])
    start_response(status, [("content-length", "2")])
    return [b"ok"]


class Gunicorn(gunicorn.app.base.BaseApplication):
    def load_config(self):
        settings = {
            "bind": f"127.0.0.1:{PORT}",
            "worker_class": "gthread",
            "threads": 16,
            "keepalive": 600,
            "timeout": 600,
            "loglevel": "critical",
            # A worker does not outlive the one that the test ends.
            "post_fork": lambda _server, _worker: ctypes.CDLL(None).prctl(1, signal.SIGKILL),
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self):
        return wsgi


if SERVER == "gunicorn":
    Gunicorn().run()
else:
    asgi.serve(SERVER, application, socket.create_server(("127.0.0.1", PORT), backlog=1024), ws="none")
