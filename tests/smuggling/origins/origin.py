"""Writes down what it is asked: origin.py PORT"""
import http.server
import sys


def write_down(line):
    # In one piece: every connection has a thread, and print writes the end of a line by itself.
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        if self.headers.get("transfer-encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                self.rfile.read(size + 2)
            while self.rfile.readline().strip():
                pass
        else:
            self.rfile.read(int(self.headers.get("content-length", 0)))
        write_down(f"{self.headers.get('x-request-id', '')}|{self.requestline}|200")
        self.send_response_only(200)
        self.send_header("content-length", "0" if self.command == "HEAD" else "2")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(b"ok")

    def __getattr__(self, name):
        # Every method is answered alike.
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def log_error(self, *arguments):
        write_down(f"|{arguments}|400")

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        # The gateway breaks a request off with its connection.
        pass


Server(("127.0.0.1", int(sys.argv[1])), Origin).serve_forever()
