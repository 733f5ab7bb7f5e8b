"""Who may call, and how much they may send: checked before anything of a request is parsed.

On loopback a page of another site could reach the server through the visitor's browser: Host
must name this machine (DNS rebinding), and Origin this server or an allowed site. With a token,
a call needs `Authorization: Bearer`, the cookie that `?token=` sets, or `?token=` itself.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
from hashlib import sha256
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.serve.errors import ApiError
from core.serve.limits import BODY_DEADLINE_S, MAX_BODY_BYTES
from core.serve.settings import ServeSettings

COOKIE = "labcli_token"
OPEN_PATHS = ("/health",)


class Guard:
    """ASGI middleware in front of the routes."""

    def __init__(self, app: ASGIApp, settings: ServeSettings) -> None:
        self._app = app
        self._settings = settings
        self._cookie = None if settings.token is None else _cookie_value(settings.token)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it (starlette calls this)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            self._check_site(headers)
            is_from_link = self._check_token(scope, headers)
            body = await _read_body(headers, receive)
        except ApiError as error:
            await _refuse(send, error)
            return
        if body is None:
            return
        if is_from_link:
            send = self._with_cookie(scope, headers, send)
        await self._app(scope, _replay(body, receive), send)

    def _check_site(self, headers: Headers) -> None:
        host = headers.get("host", "")
        if self._settings.checks_host and not _is_loopback(host):
            raise ApiError(
                f"the Host {host[:100]!r} is not this machine; use 127.0.0.1 or localhost",
                status=403,
                code="forbidden_host",
            )
        origin = headers.get("origin")
        if origin is None or origin in self._settings.allowed_origins:
            return
        if urlsplit(origin).netloc != host:
            raise ApiError(
                f"pages of {origin[:100]!r} may not call; start the server with --allow-origin",
                status=403,
                code="forbidden_origin",
            )

    def _check_token(self, scope: Scope, headers: Headers) -> bool:
        """Refuse a call without the token; return whether it came in the query."""
        token = self._settings.token
        if token is None or scope["path"] in OPEN_PATHS:
            return False
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and _is_same(given.strip(), token):
            return False
        cookies = cookie_parser(headers.get("cookie", ""))
        if self._cookie is not None and _is_same(cookies.get(COOKIE, ""), self._cookie):
            return False
        query = parse_qs(scope["query_string"].decode("latin-1"))
        if any(_is_same(value, token) for value in query.get("token", [])):
            return True
        raise ApiError(
            "a token is needed: send Authorization: Bearer TOKEN, or open the page once with "
            "?token=TOKEN",
            status=401,
            code="invalid_token",
        )

    def _with_cookie(self, scope: Scope, headers: Headers, send: Send) -> Send:
        is_https = "https" in (scope["scheme"], headers.get("x-forwarded-proto", ""))
        cookie = f"{COOKIE}={self._cookie}; Path=/; HttpOnly; SameSite=Strict"

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append(
                    "set-cookie", cookie + ("; Secure" if is_https else "")
                )
            await send(message)

        return send_with_cookie


def _cookie_value(token: str) -> str:
    """Return a value that only the holder of the token can make, and that does not tell it."""
    return hmac.new(token.encode("ascii"), b"labcli cookie", sha256).hexdigest()


def _is_same(given: str, wanted: str) -> bool:
    # In constant time; as bytes, since it refuses text that is not ASCII.
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), wanted.encode("ascii"))


def _is_loopback(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


async def _read_body(headers: Headers, receive: Receive) -> bytes | None:
    """Return the body, or None when the client went away; refuses a long or a slow one."""
    announced = headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > MAX_BODY_BYTES:
        raise _too_large()
    body = b""
    try:
        async with asyncio.timeout(BODY_DEADLINE_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                body += message.get("body", b"")
                if len(body) > MAX_BODY_BYTES:
                    raise _too_large()
                if not message.get("more_body", False):
                    return body
    except TimeoutError:
        raise ApiError(
            f"the body did not arrive within {BODY_DEADLINE_S:g} s", status=408, code="slow_body"
        ) from None


def _too_large() -> ApiError:
    return ApiError(
        f"the body is larger than {MAX_BODY_BYTES} bytes", status=413, code="body_too_large"
    )


def _replay(body: bytes, receive: Receive) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return messages.pop() if messages else await receive()

    return receive_again


async def _refuse(send: Send, error: ApiError) -> None:
    headers = {"content-type": "application/json", **error.headers}
    raw = [(key.encode("ascii"), value.encode("ascii")) for key, value in headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": raw})
    await send({"type": "http.response.body", "body": error.as_json()})
