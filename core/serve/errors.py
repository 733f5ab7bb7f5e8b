"""What a client is told when something goes wrong, in the shape of OpenAI's errors. Torch-free."""

from __future__ import annotations

import json
from typing import Any

from runs.errors import Corrupt, LabError, NotFound, UsageError

MAX_RETRY_AFTER_S = 30


class ApiError(LabError):
    """A refusal with the HTTP status and the fields that a client reads."""

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str,
        param: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param
        self.retry_after_s = retry_after_s

    @property
    def headers(self) -> dict[str, str]:
        """The headers that go with this error."""
        headers: dict[str, str] = {}
        if self.retry_after_s is not None:
            headers["retry-after"] = str(self.retry_after_s)
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        if self.status in (408, 413):
            # The rest of the body is not read, so the connection cannot serve another request.
            headers["connection"] = "close"
        return headers

    def as_body(self) -> dict[str, Any]:
        """Return {"error": {"message", "type", "param", "code"}}."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        if self.status == 401:
            kind = "authentication_error"
        elif self.status == 429:
            kind = "rate_limit_error"
        return {
            "error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}
        }

    def as_json(self) -> bytes:
        """Return the body as bytes."""
        return json.dumps(self.as_body()).encode("ascii")


def bad_request(message: str, param: str | None = None) -> ApiError:
    """Return the error of a request that cannot be carried out as it was written."""
    return ApiError(message, status=400, code="invalid_value", param=param)


def from_lab_error(error: LabError) -> ApiError:
    """Return what a client is told of an error of the lab."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, NotFound):
        return ApiError(str(error), status=404, code="model_not_found", param="model")
    if isinstance(error, UsageError):
        return bad_request(str(error))
    code = "model_corrupt" if isinstance(error, Corrupt) else "internal_error"
    return ApiError(str(error), status=500, code=code)


def unavailable(why: str) -> ApiError:
    """Return the error of a server that answers nobody now."""
    return ApiError(why, status=503, code="unavailable")


def queue_full(num_waiting: int, wait_s: int) -> ApiError:
    """Return the error of a call that would wait too long; `wait_s` is when to try again."""
    return ApiError(
        f"{num_waiting} requests wait already; try again later",
        status=429,
        code="queue_full",
        retry_after_s=max(1, min(MAX_RETRY_AFTER_S, wait_s)),
    )


def too_late(timeout_s: float) -> ApiError:
    """Return the error of an answer that was not complete in time."""
    return ApiError(
        f"no complete answer after {timeout_s:g} s; ask for fewer tokens, try again later, or "
        "start the server with a longer --timeout",
        status=504,
        code="timeout",
    )


def worker_crashed() -> ApiError:
    """Return the error of a call that a dying worker took with it."""
    return ApiError(
        "the worker that answered this request died and is being started again; send it again",
        status=500,
        code="worker_crashed",
    )


def load_failed(error: LabError) -> ApiError:
    """Return the error of a call whose model could not be loaded."""
    if isinstance(error, NotFound):
        return ApiError(str(error), status=404, code="model_not_found")
    return ApiError(str(error), status=500, code="model_cannot_be_loaded")
