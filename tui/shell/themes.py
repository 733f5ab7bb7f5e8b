"""The colours of the app; every widget takes them from the variables of the theme."""

from __future__ import annotations

from textual.theme import BUILTIN_THEMES, Theme

LAB_DARK = Theme(
    name="lab-dark",
    dark=True,
    primary="#5b8fd9",
    secondary="#7d8ba5",
    accent="#f0b35a",
    foreground="#d5dae3",
    background="#11141a",
    surface="#171b23",
    panel="#1c212b",
    success="#7fbf8f",
    warning="#e3a857",
    error="#e57373",
)

LAB_LIGHT = Theme(
    name="lab-light",
    dark=False,
    primary="#2f67b5",
    secondary="#5f6b80",
    accent="#a85d00",
    foreground="#20242c",
    background="#fbfbf9",
    surface="#f2f2ee",
    panel="#e8e8e3",
    success="#2e7d46",
    warning="#99620a",
    error="#b3302f",
)

# Okabe and Ito (2008), "Color Universal Design": told apart with every common colour blindness.
# Good is blue and bad is vermilion; red and green never face each other.
LAB_CLEAR = Theme(
    name="lab-clear",
    dark=True,
    primary="#56b4e9",
    secondary="#9aa4b2",
    accent="#f0e442",
    foreground="#e6e6e6",
    background="#101216",
    surface="#171a20",
    panel="#1e222a",
    success="#56b4e9",
    warning="#e69f00",
    error="#d55e00",
)

LAB_CONTRAST = Theme(
    name="lab-contrast",
    dark=True,
    primary="#4da3ff",
    secondary="#c0c0c0",
    accent="#ffff00",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#202020",
    success="#00ff7f",
    warning="#ffb000",
    error="#ff6060",
    text_alpha=1.0,
)

_ANSI = BUILTIN_THEMES["ansi-dark"]
# The terminal's own sixteen colours, on whatever ground it has.
LAB_ANSI = Theme(
    name="lab-ansi",
    ansi=True,
    dark=True,
    primary="ansi_blue",
    secondary="ansi_cyan",
    accent="ansi_magenta",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    boost="ansi_default",
    success="ansi_green",
    warning="ansi_yellow",
    error="ansi_red",
    variables=_ANSI.variables,
)

THEMES = (LAB_DARK, LAB_LIGHT, LAB_CLEAR, LAB_CONTRAST, LAB_ANSI)
THEME_NAMES = frozenset({*(theme.name for theme in THEMES), *BUILTIN_THEMES})
