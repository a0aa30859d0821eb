"""A server of ASGI: app.py uvicorn|hypercorn CONTENT

What is printed is as in ../go/main.go."""
import asyncio
import hashlib
import pathlib
import socket
import sys

import hypercorn.asyncio
import hypercorn.config
import uvicorn

CONTENT = pathlib.Path(sys.argv[2])


async def pieces(receive):
    more = True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ConnectionError("cut off")
        yield event.get("body", b"")
        more = event.get("more_body", False)


async def answer(send, status, body):
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def http(scope, receive, send):
    method, path = scope["method"], scope["path"]
    if method == "GET" and path.startswith("/bytes/"):
        await answer(send, 200, (CONTENT / path.removeprefix("/bytes/")).read_bytes())
    elif method == "PUT" and path == "/sha256":
        total = hashlib.sha256()
        async for piece in pieces(receive):
            total.update(piece)
        await answer(send, 200, total.hexdigest().encode())
    else:
        await answer(send, 404, b"")


async def app(scope, receive, send):
    if scope["type"] == "http":
        await http(scope, receive, send)


listener = socket.create_server(("0.0.0.0", 0), backlog=1024)
print(f"ready http={listener.getsockname()[1]}", flush=True)
if sys.argv[1] == "uvicorn":
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", timeout_keep_alive=600))
    server.run(sockets=[listener])
else:
    config = hypercorn.config.Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.keep_alive_timeout = 600
    asyncio.run(hypercorn.asyncio.serve(app, config))
