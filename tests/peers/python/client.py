"""Clients: client.py VERB LIBRARY HOW BASE CONTENT SIZES BACKENDS, where LIBRARY is http.client, aiohttp or httpx

What is printed is as in ../go/main.go."""
import asyncio
import hashlib
import http.client
import pathlib
import random
import ssl
import sys
import urllib.parse

import aiohttp
import httpx

VERB, LIBRARY, HOW, BASE, CONTENT, SIZES, BACKENDS = sys.argv[1:]
CONTENT = pathlib.Path(CONTENT)
PIECE = 64 << 10
PATIENCE = 60


def trust():
    if not HOW.startswith("tls-"):
        return None
    context = ssl.create_default_context(cafile=CONTENT / "authority.pem")
    context.load_cert_chain(CONTENT / "client.pem", CONTENT / "client.key")
    return context


def cut(body):
    return (body[at:at + PIECE] for at in range(0, len(body), PIECE))


async def cut_later(body):
    for piece in cut(body):
        yield piece


class Plain:
    """http.client, on one connection."""

    async def __aenter__(self):
        url = urllib.parse.urlsplit(BASE)
        self.connection = (
            http.client.HTTPSConnection(url.hostname, url.port, timeout=PATIENCE, context=trust())
            if trust() else http.client.HTTPConnection(url.hostname, url.port, timeout=PATIENCE)
        )
        return self

    async def __aexit__(self, *_):
        self.connection.close()

    async def send(self, method, path, body=None, counted=True):
        self.connection.request(method, path, body if counted or body is None else cut(body),
                                encode_chunked=not counted)
        answer = self.connection.getresponse()
        return answer.status, answer.read()


class Aiohttp:
    async def __aenter__(self):
        self.session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE))
        return self

    async def __aexit__(self, *_):
        await self.session.close()

    async def pieces(self, path):
        async with self.session.get(BASE + path, ssl=trust() or True) as answer:
            async for piece in answer.content.iter_any():
                yield piece

    async def converse(self, path):
        """Gives back what went wrong with a WebSocket."""
        async with self.session.ws_connect(BASE + path, ssl=trust() or True) as socket:
            for size in (0, 1, 125, 126, 65535, 65536, 1 << 20):
                sent = random.randbytes(size)
                await socket.send_bytes(sent)
                assert await socket.receive_bytes() == sent, f"{size} bytes came back changed"
            await socket.send_str("grüß")
            assert await socket.receive_str() == "grüß"
            assert await socket.close(), "closed before"

    async def send(self, method, path, body=None, counted=True):
        data = body if counted or body is None else cut_later(body)
        async with self.session.request(method, BASE + path, data=data, ssl=trust() or True) as answer:
            return answer.status, await answer.read()


class Httpx:
    async def __aenter__(self):
        second = HOW.endswith("h2")
        self.client = httpx.AsyncClient(http1=not second, http2=second, verify=trust() or True, timeout=PATIENCE)
        return self

    async def __aexit__(self, *_):
        await self.client.aclose()

    async def pieces(self, path):
        async with self.client.stream("GET", BASE + path) as answer:
            async for piece in answer.aiter_raw():
                yield piece

    async def send(self, method, path, body=None, counted=True):
        content = body if counted or body is None else cut_later(body)
        answer = await self.client.request(method, BASE + path, content=content)
        wanted = "HTTP/2" if HOW.endswith("h2") else "HTTP/1.1"
        assert answer.http_version == wanted, f"came as {answer.http_version}"
        return answer.status_code, answer.content


async def attempt(backend, what, work):
    try:
        await work
        result = "ok"
    except Exception as error:
        result = f"{type(error).__name__}: {error}".replace("\n", " ")
    print(f"{backend}\t{what}\t{result}", flush=True)


async def expect(exchange, want):
    status, body = await exchange
    assert status == 200, f"{status}: {body[:100]}"
    assert body == want, f"{len(body)} other bytes came back"


async def transfer(client, backend):
    for size in SIZES.split(","):
        body = (CONTENT / size).read_bytes()
        total = hashlib.sha256(body).hexdigest().encode()
        upload = f"/{backend}/sha256"
        await attempt(backend, f"get {size}", expect(client.send("GET", f"/{backend}/bytes/{size}"), body))
        await attempt(backend, f"put {size}", expect(client.send("PUT", upload, body), total))
        await attempt(backend, f"stream {size}", expect(client.send("PUT", upload, body, False), total))


async def listen(client, backend):
    """The second event is sent when the first has come."""
    name = f"python-{random.getrandbits(64)}"
    events = [f"id: {number}\ndata: event {number}\n\n".encode() for number in range(10)]
    got, released = b"", False
    async for piece in client.pieces(f"/{backend}/events/{name}"):
        got += piece
        if not released and got == events[0]:
            released = True
            await expect(client.send("PUT", f"/{backend}/release/{name}", b""), b"")
    assert got == b"".join(events), f"other events: {got}"


async def main():
    library = {"http.client": Plain, "aiohttp": Aiohttp, "httpx": Httpx}[LIBRARY]
    async with library() as client:
        for backend in BACKENDS.split(","):
            if VERB == "call":
                await transfer(client, backend)
            elif VERB == "events":
                await attempt(backend, "events", listen(client, backend))
            else:
                await attempt(backend, "websocket", client.converse(f"/{backend}/ws"))


asyncio.run(main())
