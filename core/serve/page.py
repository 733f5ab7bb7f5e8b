"""The web chat: one file without outside assets, put together from its parts. Torch-free.

The parts are kept apart to be read; a browser gets them in one answer. Its headers name the hashes
of the script and the style, so that the browser runs nothing else, whatever a model writes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.responses import Response

WEB_DIR = Path(__file__).parent / "web"
# In the order in which they use each other; all are one script, with names of their own.
SCRIPTS = (
    "dom.js", "settings.js", "store.js", "api.js", "markdown.js", "entropy.js", "turns.js",
    "commands.js", "side.js", "forms.js", "box.js", "health.js", "chat.js", "start.js",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The page as a browser gets it."""

    body: bytes
    headers: Mapping[str, str]

    def response(self) -> Response:
        """Return the page as an answer."""
        return Response(self.body, media_type="text/html", headers=self.headers)


def build_page() -> Page:
    """Return the page, read from its parts."""
    style = _read("chat.css")
    script = '(() => {\n"use strict";\n' + "".join(map(_read, SCRIPTS)) + "})();\n"
    html = _read("index.html").replace("{{style}}", style).replace("{{script}}", script)
    policy = {
        "default-src": "'none'",
        "script-src": _hash_of(script),
        "style-src": _hash_of(style),
        "img-src": "data:",
        # It talks to this server and to nobody else.
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    headers = {
        "cache-control": "no-cache",
        "content-security-policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        # The address may hold ?token= once.
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
    return Page(body=html.encode("ascii"), headers=headers)


def _read(name: str) -> str:
    return (WEB_DIR / name).read_text(encoding="ascii")


def _hash_of(text: str) -> str:
    digest = hashlib.sha256(text.encode("ascii")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
