"""Tokens per language over parallel text, relative to the first language. Torch-free.

The same content in every language makes token counts comparable where words and characters are
not. The built-in text is languages.toml beside this file; its head names the source.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.tokenizer import Tokenizer
from runs.errors import Corrupt, NotFound

BUILT_IN = Path(__file__).with_name("languages.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """One translation; paragraphs stand at the same place in every language."""

    code: str
    name: str
    script: str
    paragraphs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageFertility:
    """What a tokenizer makes of one language.

    `premium` is its number of tokens over that of the first language, for the same content.
    """

    language: Language
    num_tokens: int
    bytes_per_token: float
    chars_per_token: float
    premium: float


def load_languages(path: Path = BUILT_IN) -> tuple[Language, ...]:
    """Return the languages of a TOML file of [[language]] tables.

    Each has a code, a name, a script and a list of paragraphs, as many as the others have.

    Raises:
        NotFound: there is no such file.
        Corrupt: the file does not hold parallel text.
    """
    try:
        body = tomllib.loads(path.read_text(encoding="utf-8"))
        return _parse(body.get("language"))
    except (FileNotFoundError, IsADirectoryError):
        raise NotFound(f"no file of languages at {path}") from None
    except ValueError as error:
        raise Corrupt(f"{path} holds no parallel text: {error}") from None


def fertility_by_language(
    tokenizer: Tokenizer, languages: Sequence[Language]
) -> tuple[LanguageFertility, ...]:
    """Return the tokens per language, in the order given; the first one is the yardstick."""
    rows = []
    yardstick = 0
    for language in languages:
        ids, _ = tokenizer.bulk.encode_batch(list(language.paragraphs))
        num_tokens = len(ids)
        yardstick = yardstick or num_tokens
        text = "".join(language.paragraphs)
        rows.append(
            LanguageFertility(
                language=language,
                num_tokens=num_tokens,
                bytes_per_token=len(text.encode()) / num_tokens,
                chars_per_token=len(text) / num_tokens,
                premium=num_tokens / yardstick,
            )
        )
    return tuple(rows)


def _parse(raw: object) -> tuple[Language, ...]:
    if not isinstance(raw, list) or not raw:
        raise ValueError("it has no [[language]] table")
    languages = tuple(_language(entry, index) for index, entry in enumerate(raw))
    wanted = len(languages[0].paragraphs)
    for language in languages:
        if len(language.paragraphs) != wanted:
            raise ValueError(
                f"{language.name} has {len(language.paragraphs)} paragraphs where "
                f"{languages[0].name} has {wanted}"
            )
    return languages


def _language(raw: Any, index: int) -> Language:
    if not isinstance(raw, dict):
        raise ValueError(f"language {index} is not a table")
    for key in ("code", "name", "script"):
        if not isinstance(raw.get(key), str) or not raw[key]:
            raise ValueError(f"language {index} has no {key}")
    paragraphs = raw.get("paragraphs")
    if not isinstance(paragraphs, list) or not paragraphs:
        raise ValueError(f"language {raw['code']!r} has no list of paragraphs")
    if not all(isinstance(text, str) and text for text in paragraphs):
        raise ValueError(f"language {raw['code']!r} has a paragraph without text")
    return Language(
        code=raw["code"],
        name=raw["name"],
        script=raw["script"],
        paragraphs=tuple(paragraphs),
    )
