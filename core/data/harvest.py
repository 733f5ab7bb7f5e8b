"""Reads the prose of one source file: docstrings, comments, help texts, READMEs.

Pure functions from text to blocks, importable by a worker process without pyarrow or torch.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from core.data.prose import paragraphs
from core.data.sources import SourceFile

MIN_DOCSTRING_CHARS = 40
MIN_COMMENT_LINES = 3

_COMMENT = re.compile(r"[ \t]*#[#:!|]*[ ]?")
_RULE = re.compile(r"[-=*#~_+.\s]*")
_REGISTRARS = frozenset({"add_docstr", "add_newdoc", "_add_docstr", "add_docstr_all"})
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """The paragraphs of one docstring or comment; `heading` names what they describe."""

    line: int
    heading: str | None
    paragraphs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileProse:
    """What one file says, in the order in which it says it."""

    source: str
    label: str
    title: str
    blocks: tuple[Block, ...]


def read_files(files: tuple[SourceFile, ...]) -> list[FileProse]:
    """Return the prose of several files, those without any left out."""
    found = []
    for file in files:
        try:
            text = file.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        blocks = tuple(read_text(text, label=file.label))
        if blocks:
            title = module_name(file.label, file.source)
            found.append(
                FileProse(source=file.source, label=file.label, title=title, blocks=blocks)
            )
    return found


def read_text(text: str, *, label: str) -> list[Block]:
    """Return the blocks of a file's text, in line order; `label` tells what kind it is."""
    if not label.endswith(".py"):
        body = text.partition("\n\n")[2] if label == "METADATA" else text
        raw: Iterator[tuple[int, str | None, str]] = iter([(1, None, body)])
    else:
        raw = _python_texts(text, is_topics=label == "pydoc_data/topics.py")
    blocks = []
    for line, heading, body in raw:
        kept = paragraphs(body)
        if kept:
            blocks.append(Block(line=line, heading=heading, paragraphs=tuple(kept)))
    return sorted(blocks, key=lambda block: block.line)


def module_name(label: str, package: str) -> str:
    """Return the dotted name of a module from its path below the package, or the path."""
    if not label.endswith(".py"):
        return package if label == "METADATA" else f"{package} {label}"
    parts = label.removesuffix(".py").split("/")
    if parts[-1] == "__init__":
        parts.pop()
    top = [] if package == "python" else [package.replace("-", "_")]
    return ".".join(top + parts)


def _python_texts(text: str, *, is_topics: bool) -> Iterator[tuple[int, str | None, str]]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return
    yield from _comments(text)
    if is_topics:
        yield from _topics(tree)
    docstring = ast.get_docstring(tree, clean=False)
    if docstring is not None:
        yield 1, None, docstring
    yield from _docstrings(tree, prefix="")
    yield from _registered(tree)


def _docstrings(parent: ast.AST, *, prefix: str) -> Iterator[tuple[int, str | None, str]]:
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, Definition):
            name = f"{prefix}.{node.name}" if prefix else node.name
            text = ast.get_docstring(node, clean=False)
            if text is not None and len(text) >= MIN_DOCSTRING_CHARS:
                yield node.lineno, _public(name), text
            yield from _docstrings(node, prefix=name)
        elif isinstance(node, ast.If | ast.Try | ast.With):
            yield from _docstrings(node, prefix=prefix)


def _public(name: str) -> str | None:
    return None if any(part.startswith("_") for part in name.split(".")) else name


def _registered(tree: ast.Module) -> Iterator[tuple[int, str | None, str]]:
    """Yield texts that are attached to compiled functions by a call at module level."""
    for node in tree.body:
        if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
            continue
        call = node.value
        if ast.unparse(call.func).split(".")[-1] not in _REGISTRARS:
            continue
        for argument in call.args[1:]:
            text = _literal(argument)
            if text is not None and len(text) >= MIN_DOCSTRING_CHARS:
                name = ast.unparse(call.args[0])
                yield node.lineno, _public(name) if name[0].isalpha() else None, text


def _literal(node: ast.expr) -> str | None:
    """Return the text of a string literal, or of one that `.format` fills in."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        node = node.func.value
    if isinstance(node, ast.BinOp):
        return _literal(node.left)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return None


def _topics(tree: ast.Module) -> Iterator[tuple[int, str | None, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            for value in node.values:
                text = _literal(value)
                if text is not None:
                    yield value.lineno, None, text


def _comments(text: str) -> Iterator[tuple[int, str | None, str]]:
    held: list[str] = []
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        marker = _COMMENT.match(line)
        if marker:
            body = line[marker.end() :]
            held.append("" if _RULE.fullmatch(body) else body.rstrip())
        elif held:
            if len(held) >= MIN_COMMENT_LINES:
                yield number - len(held), None, "\n".join(held)
            held = []
