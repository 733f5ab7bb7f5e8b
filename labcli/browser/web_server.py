"""textual-serve, kept to this machine. Needs the extra `web`; import it only to serve.

textual-serve asks for no password and looks at no header: a page of another site could open its
socket through the visitor's browser, and start runs. So Host and Origin have to be this server's.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import cast
from urllib.parse import urlsplit

from aiohttp import web
from textual_serve.server import Server

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
FOREIGN = re.compile(r"<link[^>]*https?://[^>]*>")


class LocalServer(Server):
    """A server of one Textual app that only pages of its own may use."""

    announce: Callable[[str], None]

    def __init__(self, command: str, *, host: str, port: int) -> None:
        shown = f"[{host}]" if ":" in host else host
        super().__init__(
            command, host=host, port=port, title="labcli", public_url=f"http://{shown}:{port}"
        )

    def initialize_logging(self) -> None:
        """Tell only what goes wrong, on stderr."""
        logging.basicConfig(level=logging.WARNING, format="%(message)s")

    async def on_startup(self, app: web.Application) -> None:
        """Say where the view is, in one line."""
        self.announce(self.public_url)

    async def handle_index(self, request: web.Request) -> web.Response:
        """Answer with the page, which then asks nobody else for a font."""
        self._check(request)
        # The decorator of the inherited handler turns its values into a page.
        page = cast(web.Response, await super().handle_index(request))
        page.text = FOREIGN.sub("", page.text or "")
        return page

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """Start an app and let the page drive it."""
        self._check(request)
        return await super().handle_websocket(request)

    async def handle_download(self, request: web.Request) -> web.StreamResponse:
        """Hand out a file that the app offers."""
        self._check(request)
        return await super().handle_download(request)

    def _check(self, request: web.Request) -> None:
        """Raise HTTPForbidden for what did not come from a page of this server."""
        told = f"this is not {self.public_url}; open that address"
        if not is_own(f"//{request.host}", self.port):
            raise web.HTTPForbidden(text=told)
        origin = request.headers.get("Origin")
        if origin is not None and not is_own(origin, self.port):
            raise web.HTTPForbidden(text=told)


def is_own(address: str, port: int) -> bool:
    """Return whether an address names this machine and the port."""
    try:
        parts = urlsplit(address)
        return parts.hostname in LOOPBACK and (parts.port or 80) == port
    except ValueError:
        return False
