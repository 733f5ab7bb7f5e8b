"""One file over HTTP: resumed by byte range, checked by size and hash, and never half published.

What has arrived waits in NAME.partial; only a verified file gets its name.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from core.data.remote.backoff import Policy
from core.data.remote.index import RemoteFile
from core.data.remote.requests import StoppedError, TransientError, patiently, require_success
from core.data.shards import file_sha256
from core.files import sync_path
from runs.errors import Corrupt

PARTIAL = ".partial"
# A whole file with another hash may be one bad cache on the way; twice it is what is served.
MOST_MISMATCHES = 2
# So much more of a file than ever before is progress, however often the line drops: this share of
# it, or so many bytes of a large one. Failures count anew then.
GAIN_SHARE = 0.02
GAIN_BYTES = 64 << 10
# A line that brings less within the time that silence is borne for counts as silent.
LEAST_BYTES = 1 << 10
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


@dataclass(slots=True, kw_only=True)
class Fetch:
    """The download of one file into a directory.

    on_bytes: called with the bytes that arrived, and with fewer than none for what was thrown
        away; what lay there before is the caller's to count.
    """

    file: RemoteFile
    url: str
    directory: Path
    client: httpx.Client
    policy: Policy
    stop: threading.Event
    on_bytes: Callable[[int], None]
    num_counted: int = 0
    num_mismatches: int = 0
    size_gained: int = 0

    @property
    def target(self) -> Path:
        """Where the verified file lies."""
        return self.directory / self.file.name

    @property
    def partial(self) -> Path:
        """Where it grows."""
        return self.directory / (self.file.name + PARTIAL)

    def run(self) -> None:
        """Fetch, verify and publish the file.

        Raises:
            StageFailed: the server will not give it, or failed too often; it names the file.
            Corrupt: what the server gives is not the file that its publisher describes.
            StoppedError: told to stop; what has arrived stays.
        """
        self.num_counted = self.size_gained = min(self._size(), self.file.bytes)
        patiently(
            self._attempt,
            f"shard {self.file.name} could not be downloaded",
            policy=self.policy,
            stop=self.stop,
            has_gained=self._has_gained,
        )
        sync_path(self.partial)
        self.partial.replace(self.target)
        sync_path(self.directory)

    def _attempt(self) -> None:
        """Bring the partial file to its full size and check it."""
        if self._size() > self.file.bytes:
            self._restart()
        if self._size() < self.file.bytes:
            self._receive()
        if self._size() < self.file.bytes:
            raise TransientError(
                f"the connection ended after {self._size():,} of {self.file.bytes:,} bytes"
            )
        found = file_sha256(self.partial)
        if found != self.file.sha256:
            self._mismatch(f"sha256 {found[:16]}, published {self.file.sha256[:16]}")

    def _receive(self) -> None:
        start = self._size()
        headers = {"Range": f"bytes={start}-"} if start else {}
        with self.client.stream("GET", self.url, headers=headers) as response:
            if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                self._restart()
                raise TransientError("the server has no such range")
            require_success(response, f"shard {self.file.name} could not be downloaded")
            start = self._accepted_start(response, start)
            with open(self.partial, "r+b" if start else "wb") as stream:
                stream.seek(start)
                stream.truncate()
                self._copy(response, stream.write, room=self.file.bytes - start)

    def _accepted_start(self, response: httpx.Response, start: int) -> int:
        """Return where the body of an answer belongs; a server may ignore or refuse ranges."""
        if response.status_code != httpx.codes.PARTIAL_CONTENT:
            self._count(-self.num_counted)
            return 0
        match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if match is None or int(match[1]) != start:
            self._restart()
            raise TransientError("the server answered with another range")
        if match[3] not in ("*", str(self.file.bytes)):
            self._mismatch(f"{match[3]} bytes on the server, published {self.file.bytes}")
        return start

    def _copy(self, response: httpx.Response, write: Callable[[bytes], int], *, room: int) -> None:
        until_s, num_heard = time.monotonic() + self.policy.timeout_s, 0
        for chunk in response.iter_raw():
            if len(chunk) > room:
                self._mismatch(f"more than the published {self.file.bytes:,} bytes")
            write(chunk)
            room -= len(chunk)
            num_heard += len(chunk)
            self._count(len(chunk))
            if self.stop.is_set():
                raise StoppedError
            if time.monotonic() > until_s:
                if num_heard < LEAST_BYTES and room:
                    raise TransientError("the server sends next to nothing")
                until_s, num_heard = time.monotonic() + self.policy.timeout_s, 0

    def _mismatch(self, difference: str) -> None:
        """Throw away what arrived, and start again unless it happened before."""
        self._restart()
        self.num_mismatches += 1
        reason = f"shard {self.file.name} is not what its publisher describes: {difference}"
        if self.num_mismatches >= MOST_MISMATCHES:
            raise Corrupt(f"{reason} (received {self.num_mismatches} times); nothing of it is kept")
        raise TransientError(reason)

    def _restart(self) -> None:
        self.partial.unlink(missing_ok=True)
        self._count(-self.num_counted)

    def _count(self, num_bytes: int) -> None:
        self.num_counted += num_bytes
        self.on_bytes(num_bytes)

    def _has_gained(self) -> bool:
        """Return whether more is here than at the last gain, and by enough.

        More than ever: what is fetched again after it was thrown away is no gain.
        """
        gained = self._size() - self.size_gained
        if gained < min(GAIN_SHARE * self.file.bytes, GAIN_BYTES):
            return False
        self.size_gained += gained
        return True

    def _size(self) -> int:
        try:
            return self.partial.stat().st_size
        except FileNotFoundError:
            return 0
