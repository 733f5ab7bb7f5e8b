"""The colours of the app; every widget takes them from the variables of the theme."""

from __future__ import annotations

from textual.theme import Theme

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
