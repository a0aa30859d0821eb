"""A server that gives back what it is sent, and a caller that checks it: echo.py serve PORT | call HOST PORT PATH"""
import http.client
import http.server
import sys


class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        if self.headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def call(host, port, path):
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    for _ in range(20):
        for size in (0, 1, 300, 16384, 1 << 20):
            body = bytes((i ^ (i >> 8) ^ (i >> 16)) & 255 for i in range(min(size, 65536))) * max(1, size // 65536)
            connection.request("POST", path, body)
            answer = connection.getresponse()
            assert answer.status == 200 and answer.read() == body, f"{size} bytes came back changed"
    connection.close()


if sys.argv[1] == "serve":
    server = http.server.ThreadingHTTPServer(("0.0.0.0", int(sys.argv[2])), Echo)
    print("ready", flush=True)
    server.serve_forever()
else:
    call(*sys.argv[2:])
