"""The text corpora that can be downloaded, and where they lie. Torch-free, and light.

Both were shuffled as a whole by their publisher; a shard holds about 250 million characters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from runs.errors import UsageError, nearest

ENDPOINT = "https://huggingface.co"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteCorpus:
    """A dataset repository of parquet shards; the last shard is the validation text."""

    name: str
    repo: str
    num_shards: int
    about: str

    @property
    def val_name(self) -> str:
        """The file that is the validation text, however many others are fetched."""
        return shard_name(self.num_shards - 1)

    def train_names(self, first: int, count: int) -> tuple[str, ...]:
        """Return `count` training shards from number `first` on.

        Raises:
            UsageError: there are not so many.
        """
        available = self.num_shards - 1
        if first < 0 or count < 0 or first + count > available:
            raise UsageError(
                f"{self.name} has training shards 0 to {available - 1}; "
                f"{count} from {first} on are not among them"
            )
        return tuple(shard_name(number) for number in range(first, first + count))


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The server to ask, and who asks."""

    endpoint: str = ENDPOINT
    token: str | None = None


REMOTE_CORPORA: Mapping[str, RemoteCorpus] = MappingProxyType(
    {
        corpus.name: corpus
        for corpus in (
            RemoteCorpus(
                name="climbmix",
                repo="karpathy/climbmix-400b-shuffle",
                num_shards=6543,
                about="Nemotron-ClimbMix, 400 B tokens: what current nanochat trains on",
            ),
            RemoteCorpus(
                name="fineweb-edu",
                repo="karpathy/fineweb-edu-100b-shuffle",
                num_shards=1823,
                about="FineWeb-Edu sample, 100 B tokens: what classic nanochat trained on",
            ),
        )
    }
)


def remote_corpus(name: str) -> RemoteCorpus:
    """Return a corpus by its name; UsageError names the nearest."""
    try:
        return REMOTE_CORPORA[name]
    except KeyError:
        raise UsageError(
            f"no corpus {name!r} can be downloaded{nearest(name, REMOTE_CORPORA)}"
        ) from None


def shard_name(number: int) -> str:
    """Return the file name of a shard."""
    return f"shard_{number:05d}.parquet"


def access(env: Mapping[str, str], endpoint: str | None = None) -> Access:
    """Return the server and the token that the environment names; `endpoint` goes first.

    Raises:
        UsageError: the address is not one of HTTP.
    """
    chosen = (endpoint or env.get("HF_ENDPOINT") or ENDPOINT).rstrip("/")
    if not chosen.startswith(("http://", "https://")):
        raise UsageError(f"the endpoint {chosen!r} must start with http:// or https://")
    return Access(endpoint=chosen, token=env.get("HF_TOKEN") or None)
