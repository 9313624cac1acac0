"""Errors as RFC 9457 problems. Every class documents itself in OpenAPI; `code` is what clients may rely on."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from m0common.errors import Unavailable
from m0common.telemetry.logs import logger
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

MEDIA_TYPE = "application/problem+json"

_log = logger(__name__)


class ProblemBody(BaseModel):
    """An RFC 9457 problem."""

    type: str = Field(description="A URI reference that names the kind of problem", examples=["/problems/not_found"])
    title: str = Field(description="The kind of problem in words")
    status: int = Field(description="The HTTP status", examples=[404])
    code: str = Field(description="The kind of problem, stable for programs", examples=["not_found"])
    detail: str = Field(description="What is wrong in this case, and what to do about it")


class Problem(Exception):
    """Something a client can act on; the message is the problem's `detail`."""

    status: ClassVar[int]
    code: ClassVar[str]
    title: ClassVar[str]

    def response(self, headers: Mapping[str, str] | None = None) -> Response:
        """The response that tells it."""
        return problem_response(self.status, self.code, self.title, str(self), headers)


class InvalidRequest(Problem):
    """A parameter breaks its documented limits."""

    status, code, title = 422, "invalid_request", "A parameter is not valid"


class InvalidCursor(Problem):
    """The cursor was not made by this list."""

    status, code, title = 400, "invalid_cursor", "The cursor is not valid"


class MarketNotFound(Problem):
    """The registry has no such market."""

    status, code, title = 404, "market_not_found", "There is no such market"


class EpochNotFound(Problem):
    """The chain has no such epoch."""

    status, code, title = 404, "epoch_not_found", "There is no such epoch"


class PredictionNotFound(Problem):
    """The market exists and has no such prediction."""

    status, code, title = 404, "prediction_not_found", "There is no such prediction"


class BundleNotFound(Problem):
    """No bundle of a final epoch has this hash."""

    status, code, title = 404, "bundle_not_found", "There is no such bundle"


class EpochNotFinal(Problem):
    """A proof exists only for an epoch whose finalize transaction is itself final."""

    status, code, title = 409, "epoch_not_final", "The epoch is not final"


class BundleNotStored(Problem):
    """The epoch is final on chain and its bundle has not arrived here yet."""

    status, code, title = 503, "bundle_not_stored", "The bundle is not stored yet"


class ServiceUnavailable(Problem):
    """A dependency did not answer."""

    status, code, title = 503, "unavailable", "A dependency did not answer"


def documented(*kinds: type[Problem]) -> dict[int | str, dict[str, Any]]:
    """OpenAPI responses of an endpoint that may raise `kinds` (and of what every endpoint may)."""
    by_status: dict[int, list[type[Problem]]] = {}
    everything: tuple[type[Problem], ...] = (*kinds, InvalidRequest, ServiceUnavailable)
    for kind in everything:
        by_status.setdefault(kind.status, []).append(kind)
    return {
        status: {
            "description": "; ".join(f"`{kind.code}`: {kind.title}" for kind in found),
            "content": {
                MEDIA_TYPE: {
                    "schema": {"$ref": "#/components/schemas/ProblemBody"},
                    "examples": {kind.code: {"value": _body(status, kind.code, kind.title, "…")} for kind in found},
                }
            },
        }
        for status, found in sorted(by_status.items())
    }


def _body(status: int, code: str, title: str, detail: str) -> dict[str, Any]:
    return {"type": f"/problems/{code}", "title": title, "status": status, "code": code, "detail": detail}


def problem_response(
    status: int, code: str, title: str, detail: str, headers: Mapping[str, str] | None = None
) -> Response:
    """A problem as a response."""
    content = msgspec.json.encode(_body(status, code, title, detail))
    return Response(content, status, {"Cache-Control": "no-store", **(headers or {})}, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Turn every error of `app` into a problem."""

    @app.exception_handler(Problem)
    async def _problem(_: Request, error: Problem) -> Response:
        return error.response()

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> Response:
        parts = [f"{'.'.join(str(p) for p in e['loc'][1:])}: {e['msg']}" for e in error.errors()]
        return InvalidRequest("; ".join(parts)).response()

    @app.exception_handler(Unavailable)
    async def _unavailable(_: Request, error: Unavailable) -> Response:
        _log.warning("unavailable", error=str(error))
        return ServiceUnavailable("the database does not answer; try again in a moment").response({"Retry-After": "1"})

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        phrase = HTTPStatus(error.status_code).phrase
        code = phrase.lower().replace(" ", "_")
        detail = f"{request.method} {request.url.path}: {error.detail}; the interface is described at /openapi.json"
        return problem_response(error.status_code, code, phrase, detail, error.headers)

    @app.exception_handler(Exception)
    async def _internal(_: Request, error: Exception) -> Response:
        _log.error("internal_error", exc_info=error)
        return problem_response(500, "internal", "Internal error", "the fault is ours and has been logged")
