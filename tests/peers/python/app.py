"""A server of ASGI: app.py uvicorn|hypercorn CONTENT

What is printed is as in ../go/main.go."""
import asyncio
import collections
import hashlib
import pathlib
import socket
import sys

import asgi

CONTENT = pathlib.Path(sys.argv[2])


async def pieces(receive):
    more = True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ConnectionError("cut off")
        yield event.get("body", b"")
        more = event.get("more_body", False)


# Names of streams of events, and what their second event waits for.
GATES = collections.defaultdict(asyncio.Event)


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
    elif method == "GET" and path.startswith("/events/"):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        for number in range(10):
            if number == 1:
                await GATES[path.removeprefix("/events/")].wait()
            event = f"id: {number}\ndata: event {number}\n\n".encode()
            await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    elif method == "PUT" and path.startswith("/release/"):
        GATES[path.removeprefix("/release/")].set()
        await answer(send, 200, b"")
    else:
        await answer(send, 404, b"")


async def websocket(receive, send):
    """Gives back every message."""
    while True:
        event = await receive()
        if event["type"] == "websocket.connect":
            await send({"type": "websocket.accept"})
        elif event["type"] == "websocket.disconnect":
            return
        else:
            content = "bytes" if event.get("bytes") is not None else "text"
            await send({"type": "websocket.send", content: event[content]})


async def app(scope, receive, send):
    if scope["type"] == "http":
        await http(scope, receive, send)
    elif scope["type"] == "websocket":
        await websocket(receive, send)


listener = socket.create_server(("0.0.0.0", 0), backlog=1024)
print(f"ready http={listener.getsockname()[1]}", flush=True)
asgi.serve(sys.argv[1], app, listener)
