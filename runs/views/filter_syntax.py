"""The grammar of run filters: text to a tree, and back. Knows nothing of runs.

    depth=12 and (val_bpb<0.9 or tag:keep) -note:broken name~"d1[2-6]"

Terms side by side mean `and`, which binds tighter than `or`; `not` and a leading `-` negate one
term. Quotes, single or double, make any text one word; inside them a backslash keeps the next
character.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from runs.errors import UsageError

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "~", "!~"]
OPERATORS: tuple[Operator, ...] = ("=", "!=", "<", "<=", ">", ">=", "~", "!~")
KEYWORDS = ("and", "or", "not")
# A filter is typed by a person; deeper nesting than this is a mistake, and would end in Python's.
MAX_DEPTH = 50
_TOKENS = re.compile(
    r"""(?P<space>\s+) | (?P<open>\() | (?P<close>\)) | (?P<operator>!=|!~|<=|>=|==|[=<>~])
    | (?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*') | (?P<word>[^\s()"'=<>~!]+) | (?P<bad>.)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_PLAIN = re.compile(r"[^\s()\"'=<>~!:\\-][^\s()\"'=<>~!:\\]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """Text that a run's name, tags, notes, recipe or state holds; `at` counts characters."""

    text: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """`name:text`."""

    name: str
    text: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compare:
    """`key operator value`; the value is still text."""

    key: str
    operator: Operator
    value: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Not:
    """True where the term is not."""

    term: Expression


@dataclass(frozen=True, slots=True)
class AllOf:
    """True where every term is; of no terms, always."""

    terms: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """True where one of the terms is."""

    terms: tuple[Expression, ...]


Expression = Word | Match | Compare | Not | AllOf | AnyOf


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A piece of the text: its kind, what it says without quotes, and where it lies."""

    kind: Literal["open", "close", "operator", "word", "quoted", "minus"]
    text: str
    start: int
    end: int

    @property
    def keyword(self) -> str | None:
        """The keyword that this is, if it is one; a quoted one is text."""
        word = self.text.lower()
        return word if self.kind == "word" and word in KEYWORDS else None


def parse(text: str) -> Expression:
    """Return the tree of a filter; an empty text is true of every run.

    Raises:
        UsageError: it is no filter; the message names the place and what was expected there.
    """
    return _Parser(text).whole()


def tokens(text: str) -> Iterator[Token]:
    """Yield the tokens of a text; a character that starts none raises UsageError."""
    wants_value = False
    for found in _TOKENS.finditer(text):
        kind, piece = str(found.lastgroup), found[0]
        start, end = found.span()
        if kind == "space":
            continue
        if kind == "bad":
            raise _error(text, start, _complaint(piece))
        if kind == "word" and not wants_value and piece.startswith("-"):
            while piece.startswith("-"):
                yield Token(kind="minus", text="-", start=start, end=start + 1)
                piece, start = piece[1:], start + 1
            if not piece:
                continue
        if kind == "quoted":
            piece = _ESCAPE.sub(r"\1", piece[1:-1])
        # After an operator a minus is a sign; anywhere else it negates.
        wants_value = kind == "operator"
        yield Token(kind=kind, text=piece, start=start, end=end)  # type: ignore[arg-type]


def render(expression: Expression) -> str:
    """Return a text that parses to the same tree."""
    match expression:
        case Word(text=text):
            return quote(text)
        case Match(name=name, text=text):
            return f"{name}:{quote(text)}"
        case Compare(key=key, operator=operator, value=value):
            return f"{quote(key, ':')}{operator}{quote(value)}"
        case Not(term):
            return f"not {_nested(term)}"
        case AllOf(terms):
            return " ".join(_nested(term) for term in terms)
        case AnyOf(terms):
            return " or ".join(_nested(term) for term in terms)


def quote(text: str, allowed: str = "") -> str:
    """Return text as one word of a filter, in quotes where it needs them."""
    bare = "".join(char for char in text if char not in allowed)
    if _PLAIN.fullmatch(bare) and text.lower() not in KEYWORDS:
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _nested(term: Expression) -> str:
    text = render(term)
    return f"({text})" if isinstance(term, AllOf | AnyOf) else text


class _Parser:
    """Recursive descent over the tokens of one text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(tokens(text))
        self.place = 0
        self.depth = 0

    def whole(self) -> Expression:
        if not self.tokens:
            return AllOf(())
        expression = self.alternatives()
        if (token := self.peek()) is not None:
            raise _error(self.text, token.start, f"{token.text!r} closes nothing")
        return expression

    def alternatives(self) -> Expression:
        terms = [self.conjunction()]
        while (token := self.peek()) is not None and token.keyword == "or":
            self.take()
            terms.append(self.conjunction())
        return terms[0] if len(terms) == 1 else AnyOf(tuple(terms))

    def conjunction(self) -> Expression:
        terms = [self.term()]
        while (token := self.peek()) is not None and token.kind != "close":
            if token.keyword == "or":
                break
            if token.keyword == "and":
                self.take()
            terms.append(self.term())
        return terms[0] if len(terms) == 1 else AllOf(tuple(terms))

    def term(self) -> Expression:
        token = self.take()
        if token is None:
            raise _error(self.text, len(self.text), "a term is missing at the end")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _error(self.text, token.start, f"more than {MAX_DEPTH} levels are nested")
        try:
            return self.term_from(token)
        finally:
            self.depth -= 1

    def term_from(self, token: Token) -> Expression:
        if token.kind == "minus" or token.keyword == "not":
            return Not(self.term())
        if token.kind == "open":
            inner = self.alternatives()
            closing = self.take()
            if closing is None:
                raise _error(self.text, token.start, "this parenthesis is never closed")
            return inner
        if token.kind in ("close", "operator") or token.keyword:
            raise _error(self.text, token.start, f"a term is missing before {token.text!r}")
        following = self.peek()
        if following is not None and following.kind == "operator":
            return self.comparison(token)
        name, colon, rest = token.text.partition(":")
        if token.kind == "word" and colon and name:
            return self.match(token, name, rest)
        return Word(text=token.text, at=token.start)

    def comparison(self, key: Token) -> Compare:
        operator = self.take()
        value = self.take()
        assert operator is not None
        if value is None or value.kind not in ("word", "quoted"):
            at = operator.end if value is None else value.start
            raise _error(self.text, at, f"a value is missing after {key.text}{operator.text}")
        sign = "=" if operator.text == "==" else operator.text
        return Compare(key=key.text, operator=sign, value=value.text, at=key.start)  # type: ignore[arg-type]

    def match(self, token: Token, name: str, rest: str) -> Match:
        following = self.peek()
        is_adjacent = following is not None and following.start == token.end
        if not rest and following is not None and is_adjacent and following.kind == "quoted":
            self.take()
            return Match(name=name, text=following.text, at=token.start)
        if not rest:
            raise _error(self.text, token.end, f"a text is missing after {name}:")
        return Match(name=name, text=rest, at=token.start)

    def peek(self) -> Token | None:
        return self.tokens[self.place] if self.place < len(self.tokens) else None

    def take(self) -> Token | None:
        token = self.peek()
        self.place += 1
        return token


def place_error(at: int, what: str) -> UsageError:
    """Return the error of a filter that is wrong at a character, which people count from 1."""
    # What was typed may hold line breaks, and is quoted in the message.
    return UsageError(f"filter, character {at + 1}: {' '.join(what.split())}")


def _error(text: str, at: int, what: str) -> UsageError:
    return place_error(min(at, len(text)), what)


def _complaint(piece: str) -> str:
    if piece in "\"'":
        return f"the quote {piece} is never closed"
    return f"{piece!r} stands alone; write not, != or !~"
