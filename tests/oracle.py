"""An OpenAI-compatible endpoint whose answers depend on what it is asked and on nothing else."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Oracle(ThreadingHTTPServer):
    """Chooses by a hash of the image and the question. Counts its requests, and lets somebody wait for the next few."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked = 0
        self._arrived = threading.Condition()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request: object, client_address: object) -> None:
        """Who asks may be killed while he does."""

    def count(self) -> None:
        with self._arrived:
            self.asked += 1
            self._arrived.notify_all()

    def wait_for(self, asked: int, seconds: float) -> bool:
        """Whether so many requests have come in time."""
        with self._arrived:
            return self._arrived.wait_for(lambda: self.asked >= asked, seconds)


class _Handler(BaseHTTPRequestHandler):
    server: Oracle
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:  # the library's name
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.count()
        content = json.loads(body)["messages"][0]["content"]
        letters = re.findall(r"^\(([A-Z])\) ", content[1]["text"], re.MULTILINE)
        chosen = letters[hashlib.sha256(json.dumps(content).encode()).digest()[0] % len(letters)]
        choice = {"message": {"role": "assistant", "content": f"\\boxed{{{chosen}}}"}, "finish_reason": "stop"}
        reply = json.dumps({"model": "oracle-1", "choices": [choice]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library's name
        """Say nothing."""


@contextmanager
def oracle() -> Iterator[Oracle]:
    """One that answers, for the time of the block."""
    server = Oracle()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
