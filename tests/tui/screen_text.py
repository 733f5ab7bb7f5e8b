"""What a screen holds as text that a person can review in a diff: the words, then the colours.

dashboard 80x24 lab-dark
|labcli  ~/.labcli ...        one line per row of the screen
:AAAAAA  BBBB ...             the style of each of its cells, by a letter
A  bold #d5dae3 on #11141a    what each letter stands for
"""

from __future__ import annotations

import html
import re
import string
import zlib
from dataclasses import dataclass

from tui.app import LabApp

_CELL_WIDTH, _ROW_HEIGHT = 12.2, 24.4
_LETTERS = string.ascii_letters + string.digits + "!#$%&*+-/<=>?@^_~"
_CLASS = re.compile(r"\.[\w-]+-(?P<name>r\d+) \{ (?P<rules>[^}]*) \}")
_GROUND = re.compile(
    r'<rect fill="(?P<fill>#[0-9a-f]{6})" x="(?P<x>[\d.]+)" y="(?P<y>[\d.]+)"'
    r' width="(?P<width>[\d.]+)" height="24\.65"'
)
_WORDS = re.compile(
    r'<text class="[^"]*-(?P<name>r\d+)" x="(?P<x>[\d.]+)" y="[\d.]+"'
    r' textLength="(?P<width>[\d.]+)" clip-path="url'
    r'\(#[^)]*-line-(?P<row>\d+)\)">(?P<text>[^<]*)</text>'
)


@dataclass(slots=True)
class _Cell:
    text: str = " "
    ink: str = ""
    ground: str = ""

    @property
    def style(self) -> str:
        """The style; the ink of a cell without a glyph is nobody's business."""
        return f"{self.ink} on {self.ground}" if self.text.strip() else f"on {self.ground}"


def screen_text(app: LabApp, title: str) -> str:
    """Return the present screen as text that is the same wherever the same is shown."""
    rows = _cells(app)
    letters = _lettered({cell.style for row in rows for cell in row if cell.text})
    lines = [title]
    for row in rows:
        lines.append("|" + "".join(cell.text for cell in row).rstrip())
    for row in rows:
        lines.append(":" + "".join(letters[cell.style] for cell in row if cell.text))
    lines += [f"{letter}  {style}" for style, letter in sorted(letters.items())]
    return "".join(f"{line}\n" for line in lines)


def _cells(app: LabApp) -> list[list[_Cell]]:
    picture = app.export_screenshot()
    inks = {match["name"]: _ink(match["rules"]) for match in _CLASS.finditer(picture)}
    width, height = app.size
    rows = [[_Cell() for _ in range(width)] for _ in range(height)]
    for match in _GROUND.finditer(picture):
        row, start = round((float(match["y"]) - 1.5) / _ROW_HEIGHT), _column(match["x"])
        for cell in rows[row][start : start + _column(match["width"])]:
            cell.ground = match["fill"]
    for match in _WORDS.finditer(picture):
        text = html.unescape(match["text"]).replace("\N{NO-BREAK SPACE}", " ")
        start, row = _column(match["x"]), int(match["row"])
        assert len(text) == _column(match["width"]), f"not one cell each: {text!r}"
        for cell, char in zip(rows[row][start:], text, strict=False):
            cell.text, cell.ink = char, inks[match["name"]]
    return rows


def _ink(rules: str) -> str:
    """Return "fill: #d5dae3;font-weight: bold" as "bold #d5dae3"."""
    named = dict(rule.split(": ") for rule in rules.split(";") if ": " in rule)
    fill = named.pop("fill", "").strip()
    return " ".join([*(value.strip() for _, value in sorted(named.items())), fill])


def _column(text: str) -> int:
    return round(float(text) / _CELL_WIDTH)


def _lettered(styles: set[str]) -> dict[str, str]:
    """Return a letter for each style, which it keeps when others come and go."""
    letters: dict[str, str] = {}
    free = list(_LETTERS)
    for style in sorted(styles):
        # By its own words: the letters of all others stay, and a diff shows what has changed.
        place = zlib.crc32(style.encode()) % len(_LETTERS)
        letter = next(one for one in _LETTERS[place:] + _LETTERS[:place] if one in free)
        free.remove(letter)
        letters[style] = letter
    return letters
