"""What a client is told when something goes wrong, in the shape of OpenAI's errors. Torch-free."""

from __future__ import annotations

import json
from typing import Any

from runs.errors import Corrupt, LabError, NotFound, UsageError


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
