"""Telling people of alerts: a webhook and an ntfy topic, each by a thread of its own.

Nothing waits for a target: it has a time-out, a few tries and a bounded queue. What is still on
its way when the supervisor leaves goes to a process that outlives it:
`python -m runs.alerting.notify RUN_DIR`, with the messages on its standard input.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from runs.errors import LabError
from runs.events import Severity
from runs.log import append_record
from runs.paths import RunPaths
from runs.settings import SEVERITIES, NotifySettings, load_settings

Target = Literal["webhook", "ntfy"]
TARGETS: tuple[Target, ...] = ("webhook", "ntfy")
TIMEOUT_S = 5.0
# The waits between the tries.
RETRY_S = (1.0, 5.0, 25.0)
MAX_QUEUED = 100
_PRIORITY: Mapping[str, str] = {"info": "3", "warning": "4", "error": "5"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is sent; `id` lets a receiver tell a second try from a second alert."""

    run_id: str
    run: str
    code: str
    severity: Severity
    message: str
    stage: str | None = None
    step: int | None = None
    t: float = field(default_factory=time.time)
    host: str = field(default_factory=socket.gethostname)
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def text(self) -> str:
        """The whole of it in one line."""
        place = f" {self.stage}" if self.stage else ""
        step = f" step {self.step}" if self.step is not None else ""
        return f"{self.run}{place}{step}: {self.message} [{self.code}]"


def should_send(settings: NotifySettings, severity: str) -> bool:
    """Return whether an alert of this severity is worth sending."""
    return SEVERITIES.index(settings.severity) <= (
        SEVERITIES.index(severity) if severity in SEVERITIES else 0
    )


def address(settings: NotifySettings, target: Target) -> str | None:
    """Return where a target is, or None when it is not set."""
    return settings.webhook if target == "webhook" else settings.ntfy


def post(target: Target, url: str, message: Message, *, timeout_s: float = TIMEOUT_S) -> str | None:
    """Send a message once; return what went wrong, or None."""
    # Here, where there is time: at the top they would delay the start of every run.
    import http.client
    import urllib.error
    import urllib.request

    headers = {"User-Agent": "labcli", "Idempotency-Key": message.id}
    if target == "ntfy":
        body = message.text.encode()
        headers |= {
            "Title": f"labcli: {message.run}".encode("ascii", "replace").decode(),
            "Priority": _PRIORITY[message.severity],
            "Tags": message.code,
        }
    else:
        # "text" and "content" are what the chats that take webhooks show.
        told = {**asdict(message), "text": message.text, "content": message.text}
        body = json.dumps(told).encode()
        headers["Content-Type"] = "application/json"
    try:
        request = urllib.request.Request(url, data=body, headers=headers, method="POST")
        with urllib.request.urlopen(request, timeout=timeout_s):
            return None
    except urllib.error.HTTPError as error:
        return f"HTTP {error.code}"
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        return getattr(reason, "strerror", None) or str(reason) or type(error).__name__


def deliver(
    target: Target,
    url: str,
    message: Message,
    *,
    wait: Callable[[float], object],
    timeout_s: float = TIMEOUT_S,
    retry_s: tuple[float, ...] = RETRY_S,
) -> str | None:
    """Send a message, again after each of `retry_s`; return what went wrong last, or None.

    `wait` pauses for so many seconds, and returns True where there is no more time for that.
    """
    problem = post(target, url, message, timeout_s=timeout_s)
    for pause_s in retry_s:
        # The request itself is refused: sending it again changes nothing.
        is_final = problem is not None and problem.startswith("HTTP 4") and problem != "HTTP 429"
        if problem is None or is_final:
            return problem
        if wait(pause_s):
            return problem
        problem = post(target, url, message, timeout_s=timeout_s)
    return problem


class _Channel:
    """One target with its queue and the thread that empties it."""

    def __init__(
        self, target: Target, url: str, told: Callable[[Target, Message, str | None], None]
    ) -> None:
        self.target = target
        self._url = url
        self._told = told
        self._queue: deque[Message] = deque(maxlen=MAX_QUEUED)
        self._current: Message | None = None
        self._wake = threading.Condition()
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"notify-{target}", daemon=True)

    def send(self, message: Message) -> None:
        with self._wake:
            self._queue.append(message)
            self._wake.notify()
        if not self._thread.is_alive() and not self._leaving.is_set():
            self._thread.start()

    def leave(self, deadline: float) -> list[Message]:
        """Stop at the latest at a moment of the monotonic clock; return what has not arrived."""
        while self._thread.is_alive() and self._is_busy() and time.monotonic() < deadline:
            time.sleep(0.02)
        with self._wake:
            self._leaving.set()
            left = ([self._current] if self._current else []) + list(self._queue)
            self._queue.clear()
            self._wake.notify()
        return left

    def _is_busy(self) -> bool:
        with self._wake:
            return bool(self._queue) or self._current is not None

    def _work(self) -> None:
        while not self._leaving.is_set():
            with self._wake:
                while not self._queue and not self._leaving.is_set():
                    self._wake.wait()
                if self._leaving.is_set():
                    return
                self._current = self._queue.popleft()
                message = self._current
            problem = deliver(self.target, self._url, message, wait=self._leaving.wait)
            with self._wake:
                self._current = None
                if self._leaving.is_set():
                    return
            self._told(self.target, message, problem)


class Notifier:
    """Sends messages without ever making the caller wait."""

    def __init__(self, run_dir: Path, settings: NotifySettings) -> None:
        self._paths = RunPaths(run_dir)
        self._channels = [
            _Channel(target, url, self._record)
            for target in TARGETS
            if (url := address(settings, target)) is not None
        ]

    def send(self, message: Message) -> None:
        """Put a message on its way."""
        for channel in self._channels:
            channel.send(message)

    def close(self, *, wait_s: float = 0.5) -> None:
        """Leave what has not arrived to a process of its own, which goes on trying."""
        deadline = time.monotonic() + wait_s
        left = [
            {"target": channel.target, "message": asdict(message)}
            for channel in self._channels
            for message in channel.leave(deadline)
        ]
        if not left:
            return
        argv = [sys.executable, "-P", "-m", "runs.alerting.notify", str(self._paths.run_dir)]
        try:
            child = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
            )
            assert child.stdin is not None
            child.stdin.write(json.dumps(left).encode())
            child.stdin.close()
        except OSError as error:
            sys.stderr.write(f"notify: {len(left)} messages are lost: {error}\n")

    def _record(self, target: Target, message: Message, problem: str | None) -> None:
        record_outcome(self._paths, target, message, problem)


def record_outcome(paths: RunPaths, target: Target, message: Message, problem: str | None) -> None:
    """Write down whether a message arrived."""
    body: dict[str, Any] = {"target": target, "id": message.id, "code": message.code}
    append_record(paths.host, "notify", {**body, "is_sent": problem is None, "problem": problem})


def main(argv: list[str]) -> int:
    """Deliver the messages on standard input; the exit code says whether all arrived."""
    paths = RunPaths(Path(argv[0]))
    try:
        settings = load_settings(paths.home, os.environ).notify
        left = json.loads(sys.stdin.read())
    except (LabError, ValueError) as error:
        sys.stderr.write(f"notify: {error}\n")
        return 1
    num_lost = 0
    for entry in left:
        target, message = entry["target"], Message(**entry["message"])
        url = address(settings, target)
        if url is not None:
            problem = deliver(target, url, message, wait=time.sleep)
            record_outcome(paths, target, message, problem)
            num_lost += problem is not None
    return 1 if num_lost else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
