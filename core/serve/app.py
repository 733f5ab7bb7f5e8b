"""The application: routes, guard, error shapes. Finds no model itself, `resolve` does."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from core.serve import classic_api, openai_api, text_api
from core.serve.errors import ApiError, bad_request, from_lab_error
from core.serve.guard import Guard
from core.serve.metrics import Metrics
from core.serve.models import Catalogue, Models, ModelSpec, Resolve
from core.serve.page import Page, build_page
from core.serve.pool import Pool
from core.serve.service import Service
from core.serve.settings import ServeSettings
from runs.errors import LabError


def create_app(
    *,
    catalogue: Catalogue,
    resolve: Resolve,
    settings: ServeSettings | None = None,
    preload: Sequence[ModelSpec] = (),
) -> FastAPI:
    """Return the server's application; its workers live as long as its lifespan.

    Args:
        catalogue: returns the card of every model, the default first.
        resolve: returns the files of a model by name, "" being the default.
        settings: how it runs; the defaults of ServeSettings when absent.
        preload: models that every worker loads at once, as far as max_models allows.
    """
    settings = settings or ServeSettings()
    metrics = Metrics()
    pool = Pool(settings, metrics, preload)
    metrics.watch("labcli_running", "Choices being answered.", lambda: pool.num_running)
    metrics.watch("labcli_queued", "Choices that wait for a row.", lambda: pool.num_queued)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await pool.start()
        try:
            yield
        finally:
            await pool.close()

    # The documentation pages load scripts from elsewhere, so there are none.
    app = FastAPI(title="labcli", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.state.service = Service(
        settings=settings,
        models=Models(catalogue, resolve),
        pool=pool,
        metrics=metrics,
        started_s=time.monotonic(),
    )
    app.state.page = build_page()
    for router in (openai_api.router, classic_api.router, text_api.router):
        app.include_router(router)
    app.add_api_route("/", show_page, include_in_schema=False)
    app.add_exception_handler(LabError, _answer_lab_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http_error)
    app.add_exception_handler(Exception, _answer_bug)
    app.add_middleware(Guard, settings=settings)
    if settings.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.allowed_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type"],
        )
    return app


async def show_page(request: Request) -> Response:
    """Return the web chat."""
    page: Page = request.app.state.page
    return page.response()


def _response(error: ApiError) -> Response:
    return Response(
        error.as_json(),
        status_code=error.status,
        media_type="application/json",
        headers=error.headers,
    )


async def _answer_lab_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, LabError)
    return _response(from_lab_error(error))


async def _answer_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = _place(first["loc"][1:])
    if first["type"] == "json_invalid":
        return _response(bad_request(f"the body is not JSON: {first['ctx']['error']}"))
    if not place:
        kind = request.headers.get("content-type", "")
        if "json" not in kind:
            return _response(bad_request("send the body with Content-Type: application/json"))
        return _response(bad_request("the body must be a JSON object"))
    if first["type"] == "extra_forbidden":
        return _response(bad_request(f"unknown field {place!r}", place))
    return _response(bad_request(f"{place}: {first['msg']}", place))


def _place(steps: Sequence[str | int]) -> str:
    """Return where in a body something is, such as messages[2].content."""
    # Beside fields and positions, pydantic names the member of a union that it tried.
    kept = [step for step in steps if step != "str" and not str(step).startswith("list[")]
    words = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in kept]
    return "".join(words).removeprefix(".")


async def _answer_http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
    problem = ApiError(str(error.detail), status=error.status_code, code=code)
    response = _response(problem)
    response.headers.update(error.headers or {})
    return response


async def _answer_bug(_: Request, error: Exception) -> Response:
    return _response(
        ApiError(
            f"the server met an error of its own ({type(error).__name__}); see its log",
            status=500,
            code="internal_error",
        )
    )
