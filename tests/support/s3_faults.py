"""A proxy before an S3 server that fails as real servers do: errors, lost answers, and times without a server."""

from __future__ import annotations

import http.client
import socket
import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import urlsplit

#: Faults: an answer of the server with this status and code, or what happens to the request.
ANSWERS: Final = {
    "500": (500, "InternalError"),
    "503": (503, "ServiceUnavailable"),
    "slow down": (503, "SlowDown"),
    "500 afterwards": (500, "InternalError"),
    "403": (403, "AccessDenied"),
}
FAULTS: Final = ("500", "503", "slow down", "500 afterwards", "no answer", "no answer afterwards")


class FaultyServer:
    """A server that forwards requests to another server, and fails if `fault` says so.

    Attributes:
        fault: Called with the method, the path and the number of a request, from 0 on; returns the name of a fault, or
            None. With `… afterwards`, the request is carried out first.
        requests: Number of requests for each (method, path without the query).
        stored: Number of puts that the server behind has carried out, for each path.
        page: Number of keys in an answer to a listing; None is that of the server, 1,000.
    """

    def __init__(self, endpoint: str) -> None:
        self.behind = urlsplit(endpoint).netloc
        self.fault: Callable[[str, str, int], str | None] = lambda method, path, number: None
        self.requests: Counter[tuple[str, str]] = Counter()
        self.stored: Counter[str] = Counter()
        self.page: int | None = None
        # The function `fault` may call `puts`.
        self._lock = threading.RLock()
        self._server: ThreadingHTTPServer | None = None
        self._port = 0
        self.start()

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Accept requests, at the same address as before."""
        faulty = self

        class Handler(_Handler):
            server_of_test = faulty

        self._server = _Server(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections and break open ones off, as when a server ends."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def restart_later(self, seconds: float) -> None:
        """Stop, and start again after a while, in another thread."""

        def restart() -> None:
            self.stop()
            timer = threading.Timer(seconds, self.start)
            timer.daemon = True
            timer.start()

        threading.Thread(target=restart, daemon=True).start()

    def puts(self, key: str) -> int:
        """Return the number of puts of objects whose path ends with `end`."""
        with self._lock:
            return sum(number for path, number in self.stored.items() if path.endswith(f"/{key}"))

    def next_fault(self, method: str, path: str) -> str | None:
        """Return the fault of a request, and count the request."""
        with self._lock:
            number = self.requests.total()
            self.requests[method, path.partition("?")[0]] += 1
            return "no answer" if self._server is None else self.fault(method, path, number)

    def forward(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        """Send a request to the server behind, and return its answer."""
        if self.page is not None and "list-type=2" in path:
            path = f"{path}&max-keys={self.page}"
        connection = http.client.HTTPConnection(self.behind, timeout=60)
        try:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        if method == "PUT" and answer.status < 300:
            with self._lock:
                self.stored[path.partition("?")[0]] += 1
        return answer.status, answer.getheaders(), data


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore errors of clients that close their connections."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of_test: FaultyServer

    def log_message(self, *args: Any) -> None:
        """Write no log."""

    def answer(self) -> None:
        """Answer a request, unless its fault drops the answer."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.server_of_test.next_fault(self.command, self.path)
        status, headers, data = 0, [], b""
        if fault is None or fault.endswith("afterwards"):
            status, headers, data = self.server_of_test.forward(self.command, self.path, self.headers, body)
        if fault in ANSWERS:
            status, code = ANSWERS[fault]
            headers, data = [], f"<Error><Code>{code}</Code><Message>x</Message></Error>".encode()
        elif fault is not None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(name, value)
        size = {name.lower(): value for name, value in headers}.get("content-length", "0")
        self.send_header("Content-Length", size if self.command == "HEAD" else str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer  # noqa: N815
