"""The app behind: shows who Vestibule says is calling, and which instance the request came through."""

import html
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        told = [f"{name}: {value}\n" for name, value in self.headers.items() if name.lower().startswith("x-")]
        links = '<a href="/">Again</a> <a href="/_auth/logout">Sign out</a>'
        page = f"<pre>{html.escape(''.join(told))}</pre>\n{links}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", len(page))
        self.end_headers()
        self.wfile.write(page)


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), App).serve_forever()
