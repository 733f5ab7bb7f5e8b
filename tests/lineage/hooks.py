"""A web server that takes messages, or misbehaves as a dead one does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

Conduct = Literal["take", "hang", "drop", "fail", "refuse"]


@dataclass
class Hook:
    """What was sent to a server, which changes its conduct when it is told to."""

    conduct: Conduct
    url: str = ""
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    num_tries: int = 0
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body in self.bodies]


@contextmanager
def hook_server(conduct: Conduct = "take") -> Iterator[Hook]:
    """Serve on a free port of this machine until the end of the block."""
    hook = Hook(conduct)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            hook.num_tries += 1
            if hook.conduct == "hang":
                hook.released.wait()
                return
            if hook.conduct == "drop":
                return
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = {"take": 204, "fail": 500, "refuse": 404}[hook.conduct]
            if status == 204:
                hook.bodies.append(body)
                hook.headers.append(dict(self.headers))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hook.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield hook
    finally:
        hook.released.set()
        server.shutdown()
        thread.join()
        server.server_close()
