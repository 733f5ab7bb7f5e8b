"""The calculator that a model may call: parses with `ast` and interprets, never evaluates.

Torch-free. It knows numbers, + - * / // %, parentheses, unary signs and "text".count("x").
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping

MAX_CHARS = 256
MAX_DEPTH = 32
MAX_DIGITS = 100

Number = int | float

_OPERATORS: Mapping[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_STRING = re.compile(r"\"[^\"\\\n]*\"|'[^'\\\n]*'")
# Checked before parsing: the parser warns on stderr about oddities such as "1or 2".
_OUTSIDE_STRINGS = re.compile(r"(?:[0-9+\-*/%(). ]|\bcount\b)*")


class _Refused(Exception):
    """The expression asks for something that the calculator does not do."""


def calculate(expression: str) -> str | None:
    """Return the value of an expression as Python would print it, or None when refused."""
    text = expression.strip() if len(expression) <= MAX_CHARS else ""
    if not text or not _OUTSIDE_STRINGS.fullmatch(_STRING.sub("", text)):
        return None
    try:
        value = _value(ast.parse(text, mode="eval").body, depth=0)
    except (_Refused, SyntaxError, ValueError, ArithmeticError, MemoryError, RecursionError):
        return None
    return str(value)


def _value(node: ast.expr, *, depth: int) -> Number:
    if depth > MAX_DEPTH:
        raise _Refused
    if isinstance(node, ast.Constant):
        return _checked(node.value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        operand = _value(node.operand, depth=depth + 1)
        return -operand if isinstance(node.op, ast.USub) else operand
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left = _value(node.left, depth=depth + 1)
        right = _value(node.right, depth=depth + 1)
        return _checked(_OPERATORS[type(node.op)](left, right))
    if isinstance(node, ast.Call):
        return _count(node)
    raise _Refused


def _checked(value: object) -> Number:
    if type(value) is int and abs(value) < 10**MAX_DIGITS:
        return value
    if type(value) is float and math.isfinite(value):
        return value
    raise _Refused


def _count(call: ast.Call) -> int:
    """Return "text".count("x"): a method of a literal, with one literal argument."""
    method = call.func
    if not isinstance(method, ast.Attribute) or method.attr != "count":
        raise _Refused
    if call.keywords or len(call.args) != 1:
        raise _Refused
    text, part = method.value, call.args[0]
    if not isinstance(text, ast.Constant) or not isinstance(part, ast.Constant):
        raise _Refused
    if not isinstance(text.value, str) or not isinstance(part.value, str):
        raise _Refused
    return text.value.count(part.value)
