"""A server of dataset repositories on this machine that can misbehave in every way we know of."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from core.data.remote.backoff import Policy
from core.data.remote.known import RemoteCorpus

REPO = "someone/some-text"
REVISION = "0123456789abcdef0123456789abcdef01234567"
TINY = RemoteCorpus(name="tiny", repo=REPO, num_shards=5, about="four shards and one")
# As patient as the real one, in less time.
QUICK = Policy(num_tries=4, first_delay_s=0.001, longest_delay_s=0.01, timeout_s=2.0)


def shard_bytes(number: int, num_docs: int = 40) -> bytes:
    """Return a parquet file of made-up documents that does not compress well."""
    texts = [hashlib.sha512(f"{number}/{doc}".encode()).hexdigest() * 3 for doc in range(num_docs)]
    sink = BytesIO()
    table = pa.table({"text": texts})
    pq.write_table(table, sink, compression="none", use_dictionary=False, row_group_size=16)
    return sink.getvalue()


@dataclass(kw_only=True)
class Faults:
    """How the server fails, by file name; counts go down with each failure."""

    drop_after: dict[str, int] = field(default_factory=dict)
    num_drops: dict[str, int] = field(default_factory=dict)
    corrupt: dict[str, int] = field(default_factory=dict)
    longer: set[str] = field(default_factory=set)
    status: dict[str, list[int]] = field(default_factory=dict)
    retry_after: str | None = None
    refuses_ranges: bool = False
    wrong_range: bool = False
    truncates: set[str] = field(default_factory=set)
    stalls: dict[str, int] = field(default_factory=dict)
    delay_s_per_chunk: float = 0.0
    trickles: set[str] = field(default_factory=set)
    rings: set[str] = field(default_factory=set)
    miscounts: dict[str, int] = field(default_factory=dict)
    damaged_at: int = -9


class Hub:
    """The files that are served, how, and what was asked for."""

    def __init__(self, corpus: RemoteCorpus = TINY) -> None:
        self.corpus = corpus
        self.files: dict[str, bytes] = {
            f"shard_{number:05d}.parquet": shard_bytes(number)
            for number in (*range(4), corpus.num_shards - 1)
        }
        self.published: Mapping[str, bytes] = dict(self.files)
        self.faults = Faults()
        self.about: Mapping[str, str] = {"sha": REVISION}
        self.requests: list[tuple[str, str | None, str | None]] = []
        self.page_size = 2
        self.endpoint = ""
        self.lock = threading.Lock()

    def asked(self, name: str) -> list[str | None]:
        """Return the Range headers of the requests for a file."""
        return [bytes_ for path, bytes_, _ in self.requests if path.endswith(f"/{name}")]

    def fetched(self) -> list[str]:
        """Return the names of the files that were asked for, in order."""
        return [path.rsplit("/", 1)[1] for path, _, _ in self.requests if "/resolve/" in path]


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""

    def do_GET(self) -> None:
        hub = self.server.hub
        path, _, query = self.path.partition("?")
        with hub.lock:
            hub.requests.append((path, self.headers["Range"], self.headers["Authorization"]))
        if path.startswith("/api/") and hub.faults.status.get("api"):
            self._plain(hub.faults.status["api"].pop(0))
        elif path == f"/api/datasets/{hub.corpus.repo}":
            self._json(hub.about)
        elif path == f"/api/datasets/{hub.corpus.repo}/tree/{REVISION}":
            self._tree(int(query.removeprefix("at=") or 0))
        elif path.startswith(f"/datasets/{hub.corpus.repo}/resolve/{REVISION}/"):
            self._file(path.rsplit("/", 1)[1])
        else:
            self._plain(404)

    def _tree(self, at: int) -> None:
        hub = self.server.hub
        names = sorted(hub.published)
        page: list[dict[str, object]] = [{"type": "file", "size": 10, "path": "README.md"}]
        for name in names[at : at + hub.page_size]:
            body = hub.published[name]
            lfs = {"oid": hashlib.sha256(body).hexdigest(), "size": len(body)}
            page.append({"type": "file", "size": len(body), "path": name, "lfs": lfs})
        headers = {}
        following = 0 if "tree" in hub.faults.rings else at + hub.page_size
        if following < len(names):
            headers["Link"] = f'<{self.path.partition("?")[0]}?at={following}>; rel="next"'
        self._json(page, headers)

    def _file(self, name: str) -> None:
        hub, faults = self.server.hub, self.server.hub.faults
        if name not in hub.files:
            self._plain(404)
            return
        if faults.status.get(name):
            self._plain(faults.status[name].pop(0))
            return
        if name in faults.rings:
            self._redirect()
            return
        body = self._body(name)
        start, status = 0, 200
        asked = self.headers["Range"]
        if asked and not faults.refuses_ranges:
            start, status = int(asked.removeprefix("bytes=").rstrip("-")), 206
            if start >= len(body):
                self._plain(416)
                return
        self.send_response(status)
        rest = body[start:]
        told = max(0, start - 7) if faults.wrong_range else start
        if status == 206:
            self.send_header("Content-Range", f"bytes {told}-{len(body) - 1}/{len(body)}")
        if name in faults.truncates:
            rest = rest[: len(rest) // 2]
        self.send_header("Content-Length", str(max(0, len(rest) + faults.miscounts.get(name, 0))))
        self.end_headers()
        self._send(name, rest)

    def _body(self, name: str) -> bytes:
        hub = self.server.hub
        body = hub.files[name]
        if hub.faults.corrupt.get(name, 0) > 0:
            hub.faults.corrupt[name] -= 1
            changed = bytearray(body)
            changed[hub.faults.damaged_at] ^= 1
            body = bytes(changed)
        return body + b"more" if name in hub.faults.longer else body

    def _send(self, name: str, rest: bytes) -> None:
        faults = self.server.hub.faults
        if faults.stalls.get(name, 0) > 0:
            faults.stalls[name] -= 1
            self.wfile.write(rest[:100])
            self.wfile.flush()
            self.server.released.wait(10)
            self.close_connection = True
            return
        while name in faults.trickles and rest and not self.server.released.wait(0.05):
            self.wfile.write(rest[:1])
            self.wfile.flush()
            rest = rest[1:]
        limit = len(rest)
        if faults.num_drops.get(name, 0) > 0:
            faults.num_drops[name] -= 1
            limit = min(limit, faults.drop_after[name])
        for at in range(0, limit, 2048):
            self.wfile.write(rest[at : min(at + 2048, limit)])
            if faults.delay_s_per_chunk:
                self.wfile.flush()
                time.sleep(faults.delay_s_per_chunk)
        self.close_connection = limit < len(rest) or name in faults.miscounts

    def _json(self, value: object, headers: Mapping[str, str] | None = None) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        for key, text in (headers or {}).items():
            self.send_header(key, text)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _redirect(self) -> None:
        self.send_response(302)
        self.send_header("Location", self.path)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _plain(self, status: int) -> None:
        self.send_response(status)
        if status in (429, 503) and self.server.hub.faults.retry_after is not None:
            self.send_header("Retry-After", self.server.hub.faults.retry_after)
        self.send_header("Content-Length", "0")
        self.end_headers()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, hub: Hub) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub = hub
        self.released = threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away."""


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Serve the hub while the block runs."""
    server = _Server(hub)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
