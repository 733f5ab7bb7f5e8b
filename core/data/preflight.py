"""Whether the text that a run will need is there or can be had, asked before the run starts."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from core.data.catalogue import EMBEDDED, find_named
from core.data.own.documents import find_files
from core.data.remote.backoff import Policy
from core.data.remote.corpus import Wanted, downloads_dir
from core.data.remote.download import is_here
from core.data.remote.index import load_index
from core.data.remote.known import REMOTE_CORPORA, access
from core.data.remote.requests import open_client
from core.data.shards import MANIFEST
from core.planning.disk import CHARS_PER_TOKEN, SHARD_BYTES, SHARD_CHARS
from core.settings.text import DataConfig

TOKEN_BYTES = 2
# A person waits: a server that does not answer twice is told of at once.
HASTY = Policy(num_tries=2, first_delay_s=0.5, timeout_s=10.0, longest_asked_s=5.0)


def check_text(data_dir: Path, config: DataConfig, policy: Policy = HASTY) -> int:
    """Return the bytes that are still to be downloaded for a data stage.

    Raises:
        LabError: the text is not there and cannot be had; the message says which and why.
    """
    if config.corpus == EMBEDDED:
        return 0
    if config.corpus in REMOTE_CORPORA:
        return _missing_bytes(data_dir, config, policy)
    path = Path(config.corpus).expanduser()
    if path.is_dir() and not (path / MANIFEST).is_file():
        find_files([path])
    else:
        find_named(data_dir, config.corpus)
    return 0


def own_text_bytes(data_dir: Path, config: DataConfig) -> int:
    """Return what text of a person's own takes beside what is here, about: shards and tokens.

    Raises:
        LabError: as `check_text`.
    """
    if config.corpus == EMBEDDED or config.corpus in REMOTE_CORPORA:
        return 0
    path = Path(config.corpus).expanduser()
    if path.is_dir() and not (path / MANIFEST).is_file():
        num_chars = sum(file.estimated_text_bytes for file in find_files([path]))
        # Shuffled in files of plain text, which go when the shards are written.
        return int(num_chars * (1 + SHARD_BYTES / SHARD_CHARS + TOKEN_BYTES / CHARS_PER_TOKEN))
    found = find_named(data_dir, config.corpus)
    has_tokens = any(found.path.glob("tokens-*"))
    return 0 if has_tokens else int(TOKEN_BYTES * found.manifest.num_chars / CHARS_PER_TOKEN)


def _missing_bytes(data_dir: Path, config: DataConfig, policy: Policy) -> int:
    remote = REMOTE_CORPORA[config.corpus]
    wanted = Wanted(corpus=remote, num_train=config.num_shards, num_ahead=config.shards_ahead)
    names = (*wanted.ahead_names, *wanted.later_names, remote.val_name)
    directory = downloads_dir(data_dir, remote)
    server = access(os.environ)
    with open_client(server, policy) as client:
        index = load_index(
            remote, directory, server, client=client, policy=policy, stop=threading.Event()
        )
    return sum(file.bytes for file in index.pick(names) if not is_here(directory, file))
