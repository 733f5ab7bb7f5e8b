"""What an answer of the server means: go on, try again, or give up. Torch-free."""

from __future__ import annotations

import threading
from collections.abc import Callable
from random import Random
from typing import TypeVar

import httpx

from core.data.remote.backoff import Policy, delay_s, retry_after_s
from core.data.remote.known import Access
from runs.errors import StageFailed

Result = TypeVar("Result")
_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
_REFUSED = (401, 403)


class TransientError(Exception):
    """Another try may succeed; `asked_s` is what the server wants to be waited."""

    def __init__(self, reason: str, asked_s: float | None = None) -> None:
        super().__init__(reason)
        self.asked_s = asked_s


class StoppedError(Exception):
    """The caller wants no more."""


def open_client(access: Access, policy: Policy) -> httpx.Client:
    """Return a client for several threads; it forgets the token where it is sent elsewhere."""
    headers = {"User-Agent": "labcli", "Accept-Encoding": "identity"}
    if access.token is not None:
        headers["Authorization"] = f"Bearer {access.token}"
    return httpx.Client(headers=headers, timeout=policy.timeout_s, follow_redirects=True)


def require_success(response: httpx.Response, what: str) -> None:
    """Return when the server gives what was asked for.

    Raises:
        TransientError: it may give it later.
        StageFailed: it will not.
    """
    status = response.status_code
    if status < 300:
        return
    if status in _TRANSIENT:
        asked_s = retry_after_s(response.headers.get("Retry-After"))
        raise TransientError(f"the server answered {status} {response.reason_phrase}", asked_s)
    host = response.url.host
    hint = "check --endpoint or HF_ENDPOINT"
    if status in _REFUSED:
        hint = "set HF_TOKEN to a token that may read it"
    raise StageFailed(f"{what}: {host} answered {status} {response.reason_phrase}; {hint}")


def patiently(
    attempt: Callable[[], Result],
    what: str,
    *,
    policy: Policy,
    stop: threading.Event,
    has_gained: Callable[[], bool] = lambda: False,
) -> Result:
    """Call `attempt` until it succeeds, and return its result.

    has_gained: tells after a failure whether the try got further; then failures count anew.

    Raises:
        StageFailed: too many failures in a row; it names `what` and the last reason.
        StoppedError: told to stop meanwhile.
    """
    rng = Random()
    num_failures = 0
    while True:
        try:
            return attempt()
        except TransientError as problem:
            error = problem
        except httpx.TransportError as problem:
            error = TransientError(str(problem) or type(problem).__name__)
        except (httpx.HTTPError, httpx.InvalidURL) as problem:
            raise StageFailed(f"{what}: {problem}") from None
        if stop.is_set():
            raise StoppedError
        if error.asked_s is not None and error.asked_s > policy.longest_asked_s:
            wait = f"{error}, and to ask again in {error.asked_s:.0f} s"
            raise StageFailed(f"{what}: {wait}; run the command again later")
        num_failures = 1 if has_gained() else num_failures + 1
        if num_failures >= policy.num_tries:
            raise StageFailed(f"{what}: {error} (try {num_failures}); run the command again")
        if stop.wait(delay_s(policy, num_failures, error.asked_s, rng)):
            raise StoppedError
