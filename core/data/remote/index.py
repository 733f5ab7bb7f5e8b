"""What a repository holds: names, sizes and hashes, kept so that shards stay what they were."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

import httpx

from core.data.remote.backoff import Policy
from core.data.remote.known import Access, RemoteCorpus
from core.data.remote.requests import patiently, require_success
from core.files import replace_file
from runs.errors import Corrupt, NotFound, StageFailed

INDEX = "index.json"
VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """One file of a repository, as its publisher states it."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """The files of a repository at one revision."""

    repo: str
    revision: str
    files: tuple[RemoteFile, ...]

    def pick(self, names: Sequence[str]) -> tuple[RemoteFile, ...]:
        """Return the named files in that order, or raise NotFound for one that is not there."""
        by_name = {file.name: file for file in self.files}
        for name in names:
            if name not in by_name:
                raise NotFound(f"{self.repo} has no file {name} at revision {self.revision[:12]}")
        return tuple(by_name[name] for name in names)

    def url(self, access: Access, file: RemoteFile) -> str:
        """Return where a file is served."""
        where = f"datasets/{self.repo}/resolve/{quote(self.revision)}/{quote(file.name)}"
        return f"{access.endpoint}/{where}"


def find_index(directory: Path) -> Index | None:
    """Return the index that was kept in a download directory, if there is one.

    Raises:
        Corrupt: it cannot be read.
    """
    path = directory / INDEX
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        if body["v"] != VERSION:
            raise ValueError
        files = tuple(RemoteFile(**file) for file in body["files"])
        return Index(repo=body["repo"], revision=body["revision"], files=files)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise Corrupt(f"{path} cannot be read; delete it and run the command again") from None


def load_index(
    corpus: RemoteCorpus,
    directory: Path,
    access: Access,
    *,
    client: httpx.Client,
    policy: Policy,
    stop: threading.Event,
) -> Index:
    """Return the kept index, or ask the server for one and keep it.

    Once kept it is not asked for again: the validation shard has the same hash for ever.

    Raises:
        StageFailed: the server cannot be asked, or its answer is not a listing.
        StoppedError: told to stop.
    """
    kept = find_index(directory)
    if kept is not None:
        return kept
    index = patiently(
        lambda: _ask(client, corpus, access),
        f"the list of shards of {corpus.name} could not be read from {access.endpoint}",
        policy=policy,
        stop=stop,
    )
    index.pick([corpus.val_name])
    replace_file(directory / INDEX, json.dumps({"v": VERSION, **asdict(index)}).encode())
    return index


def _ask(client: httpx.Client, corpus: RemoteCorpus, access: Access) -> Index:
    what = f"the list of shards of {corpus.name}"
    base = f"{access.endpoint}/api/datasets/{corpus.repo}"
    revision = _revision(_json(client.get(base), what), what)
    files: list[RemoteFile] = []
    url: str | None = f"{base}/tree/{revision}"
    asked: set[str] = set()
    while url is not None:
        if url in asked:
            raise StageFailed(f"{what}: the server's pages go on without end; check --endpoint")
        asked.add(url)
        response = client.get(url)
        files += _files(_json(response, what), what)
        following = response.links.get("next", {}).get("url")
        url = None if following is None else urljoin(url, following)
    return Index(repo=corpus.repo, revision=revision, files=tuple(files))


def _revision(about: Any, what: str) -> str:
    revision = about.get("sha") if isinstance(about, dict) else None
    if not isinstance(revision, str):
        raise StageFailed(
            f"{what}: the server's answer names no revision; check --endpoint or HF_ENDPOINT"
        )
    return revision


def _json(response: httpx.Response, what: str) -> Any:
    require_success(response, what)
    try:
        return response.json()
    except ValueError:
        raise StageFailed(
            f"{what}: {response.url.host} answered with something that is not JSON; "
            "check --endpoint or HF_ENDPOINT"
        ) from None


def _files(entries: Any, what: str) -> list[RemoteFile]:
    """Return the files of one page that lie at the top of the repository.

    Names become files of ours: one with a path in it might leave the directory of downloads. A
    large file's hash is that of its content.
    """
    try:
        return [
            RemoteFile(
                name=entry["path"], bytes=int(entry["size"]), sha256=str(entry["lfs"]["oid"])
            )
            for entry in entries
            if entry["type"] == "file" and "lfs" in entry and _is_plain(entry["path"])
        ]
    except (KeyError, TypeError, ValueError):
        raise StageFailed(f"{what}: the server's listing has no sizes and hashes") from None


def _is_plain(name: str) -> bool:
    return Path(name).name == name
