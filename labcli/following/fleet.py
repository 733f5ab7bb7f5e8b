"""Following several runs at once, on this machine and on others, as one stream of events."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from labcli.following.feed import FeedItem
from labcli.following.tailing import follow_events
from runs.errors import LabError
from runs.paths import LabHome
from runs.refs import LAST, resolve_run
from runs.remote.logs import Remark, RemoteRun

LOCAL = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A run to follow; `host` is None for this machine."""

    host: str | None
    run: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one of the followed runs says: an event, or a remark on its connection."""

    host: str
    run: str
    item: FeedItem | None = None
    remark: str | None = None
    error: LabError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ended:
    error: Exception | None = None


_Inbox = queue.SimpleQueue[Told | _Ended]


def parse_target(word: str) -> Target:
    """Return what HOST:RUN, HOST:, `local` or RUN names."""
    host, colon, run = word.partition(":")
    if word == LOCAL or (colon and host == LOCAL):
        return Target(host=None, run=run or LAST)
    return Target(host=host, run=run or LAST) if colon else Target(host=None, run=word)


class Fleet:
    """The runs that are followed, each by a thread: a machine that is slow delays no other."""

    def __init__(
        self,
        home: LabHome,
        targets: Sequence[Target],
        *,
        num_past: int,
        env: Mapping[str, str],
        remote_home: str | None = None,
    ) -> None:
        self._env = env
        self._num_past = num_past
        self._inbox: _Inbox = queue.SimpleQueue()
        self._left = threading.Event()
        self.errors: list[LabError] = []
        self._sources = [self._source(home, target, remote_home) for target in targets]

    def follow(self) -> Iterator[Told]:
        """Yield what the runs say until all have ended or failed; `errors` holds why."""
        for source in self._sources:
            threading.Thread(target=self._work, args=(source,), daemon=True).start()
        num_running = len(self._sources)
        try:
            while num_running:
                told = self._inbox.get()
                if isinstance(told, Told):
                    yield told
                    continue
                num_running -= 1
                if isinstance(told.error, LabError):
                    self.errors.append(told.error)
                    yield Told(host="", run="", error=told.error)
                elif told.error is not None:
                    raise told.error
        finally:
            self._left.set()

    def _source(
        self, home: LabHome, target: Target, remote_home: str | None
    ) -> Callable[[], Iterator[Told]]:
        if target.host is None:
            # Before anything is followed: a name that is wrong is said at once.
            run_dir = resolve_run(home, target.run)
            return lambda: self._local(
                run_dir.name[27:], follow_events(run_dir, num_past=self._num_past, wait=self._wait)
            )
        remote = RemoteRun(target.host, target.run, self._env, home=remote_home, wait=self._wait)
        return lambda: self._remote(remote)

    def _wait(self, seconds: float) -> None:
        self._left.wait(seconds)

    def _work(self, source: Callable[[], Iterator[Told]]) -> None:
        try:
            for told in source():
                if self._left.is_set():
                    return
                self._inbox.put(told)
        except Exception as error:
            self._inbox.put(_Ended(error=error))
        else:
            self._inbox.put(_Ended())

    def _local(self, slug: str, items: Iterator[FeedItem]) -> Iterator[Told]:
        for item in items:
            yield Told(host=LOCAL, run=slug, item=item)

    def _remote(self, remote: RemoteRun) -> Iterator[Told]:
        is_past = True
        for batch in remote.follow():
            if isinstance(batch, Remark):
                yield Told(host=remote.host, run=remote.slug, remark=batch.text)
                continue
            items = [
                FeedItem(stage=one.stage, attempt=one.attempt, rank=one.rank, record=one.record)
                for one in batch
            ]
            if is_past:
                shown = [item for item in items if item.record.kind != "heartbeat"]
                items = shown[len(shown) - min(self._num_past, len(shown)) :]
                is_past = False
            for item in items:
                yield Told(host=remote.host, run=remote.slug, item=item)
