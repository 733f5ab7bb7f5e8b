"""Turns docstrings, comments and READMEs into clean paragraphs of English prose.

Pure functions on text. Code, tables, parameter lists, formulas and licences are dropped:
a small model learns from the sentences between them.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from itertools import pairwise

MIN_WORDS = 8
MIN_SUMMARY_WORDS = 4
MIN_PLAIN_SHARE = 0.93
MIN_STOP_SHARE = 0.22
MAX_WORD_CHARS = 48

STOP_WORDS = frozenset(
    """a about all also an and any are as at be been before but by can case do does each for from
    given has have how if in into is it its may more must no not of on one only or other over
    same should so some such than that the their them then there these they this to two up use
    used using value was we were what when where whether which while will with without would
    you your""".split()
)

# Sections of a docstring that hold code, tables or names instead of sentences.
_DROPPED_SECTIONS = frozenset(
    "example examples reference references see also usage methods members shape doctest".split()
)
# Sections whose text is kept without its title.
_KEPT_SECTIONS = frozenset(
    """parameters parameter args arg arguments keyword other return returns yield yields raise
    raises warns attributes attribute note notes warning warnings inputs outputs""".split()
)
_KEPT_DIRECTIVES = frozenset({"note", "warning", "tip", "important", "caution", "hint"})
_BOILERPLATE = re.compile(
    r"copyright|licen[sc]e|warrant|all rights reserved|permission is hereby|spdx|redistribut"
    r"|\bXXX\b|\bTODO\b|\bFIXME\b|\bHACK\b|noqa|pylint|mypy:|type: ignore|https?://|www\.",
    re.IGNORECASE,
)
_RULER = re.compile(r"\s*([=\-~^\"'*#+.])\1{2,}\s*")
_SECTION = re.compile(r"\s*\**([A-Z][A-Za-z]*(?: [A-Za-z]+)?)\**\s*:{1,2}\**\s*")
# "axis : int" above an indented text; "axis (int): text"; ":param axis: text".
_TERM = re.compile(r"\s*\**([A-Za-z_]\w*(?:, \**\w+)*)\**\s*(?: :.*|:)?")
_ENTRY = re.compile(
    r"(?:\s*:param(?:eter)?\s+(?:[^:]*\s)?|\s+(?:[-*]\s+)?[`*]*)([A-Za-z_]\w*)[`*]*"
    r"(?:\s*\([^)]*\))?\s*:\s+(\S.*)"
)
_FIELD = re.compile(r"\s*(?::[a-z]+[^:`]*:(?:\s|$)|@[a-z]+\b|\\[a-z]+\b)")
_DIRECTIVE = re.compile(r"\s*\.\.\s*(?:([\w:-]+?)::)?(.*)")
_BULLET = re.compile(r"\s*(?:[-*+\u2022]|\(?\d{1,2}[.)]|\(?[a-z][.)])\s+")
_WORD = re.compile(r"[A-Za-z]+(?:'[a-z]+)?")
_NOT_PLAIN = re.compile(r"[^A-Za-z .,;:'\"()!?`-]")
_DANGLING = re.compile(r"(?:(?<=[.!?])\s|^)[^.!?]*:$")
_MARKS = ("`", "*", "[", "$", "\\")
_INLINE: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r":[a-z]+(?::[a-z]+)?:`~?([^`<]*?)\s*(?:<[^`]*>)?`"), r"`\1`"),
    (re.compile(r"`([^`<]+?)\s*<[^`>]+>`__?"), r"\1"),
    (re.compile(r"!?\[([^\]]+)\]\([^)]*\)"), r"\1"),
    (re.compile(r"\s*\[(?:[\d, ]+\]_?|[A-Z]\w*\d{2,4}\]_?|\w+\]_)(?=[\s.,;:)]|$)"), ""),
    (re.compile(r"\$([^$\\]{1,24})\$"), r"`\1`"),
    (re.compile(r"``+([^`]+?)``+"), r"`\1`"),
    (re.compile(r"\*\*([^*]+)\*\*"), r"\1"),
    (re.compile(r"(?<![\w*])\*([A-Za-z_][^*]*?)\*(?![\w*])"), r"\1"),
    (re.compile(r"`([A-Za-z]+)`_+"), r"\1"),
    (re.compile(r"`([\w.]+)'"), r"`\1`"),
    (re.compile(r"\\([*_`|])"), r"\1"),
)
_STRAY_SPACE = re.compile(r" ([,.;:!?])(?= |$)")
_TYPOGRAPHY = str.maketrans(
    {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "--",
     "\u00a0": " ", "\u2026": "..."}
)  # fmt: skip


def paragraphs(text: str) -> list[str]:
    """Return the paragraphs of a docstring or README that read as prose, one line each."""
    kept: list[str] = []
    for chunk in _chunks(_without_markup(inspect.cleandoc(text).splitlines())):
        is_first = not kept
        for part in _flow(chunk):
            cleaned = clean_paragraph(part)
            if is_prose(cleaned, min_words=MIN_SUMMARY_WORDS if is_first else MIN_WORDS):
                kept.append(cleaned)
    return kept


def clean_paragraph(text: str) -> str:
    """Return one paragraph without inline markup and without a sentence that led to code."""
    text = text if text.isascii() else text.translate(_TYPOGRAPHY)
    if any(mark in text for mark in _MARKS):
        for pattern, replacement in _INLINE:
            text = pattern.sub(replacement, text)
    text = _STRAY_SPACE.sub(r"\1", " ".join(text.split()))
    if text.endswith(":"):
        text = _DANGLING.sub("", text)
    if text.endswith("..") and not text.endswith("..."):
        text = text[:-1]
    # Docstrings often leave out the last full stop; a text without any seems to never end.
    is_open = text[-1:].isalnum() or text.endswith(("`", ")"))
    return f"{text}." if is_open and not _ends_sentence(text) else text


def is_prose(text: str, *, min_words: int = MIN_WORDS) -> bool:
    """Return whether a cleaned paragraph is made of English sentences."""
    if not _ends_sentence(text) or not (text[0].isupper() or text[0] in "`\"'("):
        return False
    if "\\" in text or text.count("`") % 2:
        return False
    words = _WORD.findall(text)
    if len(words) < min_words or max(map(len, text.split())) > MAX_WORD_CHARS:
        return False
    if 1 - len(_NOT_PLAIN.findall(text)) / len(text) < MIN_PLAIN_SHARE:
        return False
    num_stop = sum(word.lower() in STOP_WORDS for word in words)
    is_english = num_stop >= MIN_STOP_SHARE * len(words) or (len(words) < 12 and num_stop > 0)
    return is_english and not _BOILERPLATE.search(text)


def _ends_sentence(text: str) -> bool:
    return text.rstrip(")\"'`")[-1:] in {".", "!", "?"}


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _without_markup(lines: list[str]) -> Iterator[str]:
    """Yield the lines outside code, tables and dropped sections; a blank ends a paragraph."""
    dropped_below: int | None = None
    in_section = in_fence = in_doctest = False
    for line, following in pairwise([*lines, ""]):
        stripped = line.strip()
        if stripped.startswith(("```", "~~~")):
            in_fence = not in_fence
        if in_fence or not stripped or _RULER.fullmatch(line) or stripped.startswith("```"):
            in_doctest = False
            yield ""
        elif following.strip() and _RULER.fullmatch(following):
            in_section = _title(stripped) in _DROPPED_SECTIONS
            dropped_below = None
        elif in_section or (dropped_below is not None and _indent(line) > dropped_below):
            continue
        elif in_doctest or stripped.startswith((">>>", "$ ", "%")):
            in_doctest = True
        else:
            shown = _shown(line, following)
            dropped_below = _indent(line) if shown is None or stripped.endswith("::") else None
            yield from (shown,) if shown == line else ("", shown or "")


def _shown(line: str, following: str) -> str | None:
    """Return the line as prose; None when it opens a block that is to be dropped."""
    directive = _DIRECTIVE.match(line)
    if directive:
        return directive.group(2) if directive.group(1) in _KEPT_DIRECTIVES else None
    section = _SECTION.fullmatch(line)
    title = _title(section.group(1)) if section else ""
    if title in _KEPT_SECTIONS:
        return ""
    if title in _DROPPED_SECTIONS:
        return None
    term = _TERM.fullmatch(line)
    if term and following.strip() and _indent(following) > _indent(line):
        return f"`{term.group(1)}`:"
    entry = _ENTRY.fullmatch(line)
    if entry:
        return f"`{entry.group(1)}`: {entry.group(2)}"
    if _FIELD.match(line):
        return None
    return line.replace("::", ":") if line.rstrip().endswith("::") else line


def _title(text: str) -> str:
    """Return the first word of a section title in lower case."""
    return text.strip("*: ").split()[0].lower() if text.strip("*: ") else ""


def _chunks(lines: Iterator[str]) -> Iterator[tuple[str, ...]]:
    held: list[str] = []
    for line in lines:
        if line.strip():
            held.append(line)
        elif held:
            yield tuple(held)
            held = []
    if held:
        yield tuple(held)


def _flow(lines: tuple[str, ...]) -> Iterator[str]:
    """Yield a chunk as paragraphs: one per list item, else all its lines as one."""
    held: list[str] = []
    for line in lines:
        marker = _BULLET.match(line)
        if marker and held:
            yield " ".join(held)
            held = []
        held.append(line[marker.end() :].strip() if marker else line.strip())
    if held:
        yield " ".join(held)
