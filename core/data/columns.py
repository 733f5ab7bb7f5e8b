"""Columns of text as Arrow stores them, in bytes that nobody has checked. Torch-free."""

from __future__ import annotations

import pyarrow as pa


def is_text(kind: pa.DataType) -> bool:
    """Return whether a column of this type holds text, in whichever of Arrow's layouts."""
    types = pa.types
    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)


def plain(texts: pa.Array) -> pa.Array:
    """Return texts in a layout that tokenizers read; what is no text stays as it is."""
    if pa.types.is_dictionary(texts.type):
        texts = texts.dictionary_decode()
    return texts.cast(pa.large_string()) if pa.types.is_string_view(texts.type) else texts


def strings(texts: pa.Array) -> list[str | None]:
    """Return texts, or their bytes, as Python has them: U+FFFD for what is not UTF-8."""
    try:
        found: list[str | bytes | None] = texts.to_pylist()
    except UnicodeDecodeError:
        # Parquet takes its writer's word for it that text is UTF-8.
        found = texts.cast(pa.large_binary()).to_pylist()
    return [text.decode("utf-8", "replace") if isinstance(text, bytes) else text for text in found]
