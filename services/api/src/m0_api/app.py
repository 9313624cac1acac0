"""The application: routes under /v1, the named ones without prefix too, and the lifespan of its pool."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from m0common.clock import Clock, system_clock
from m0common.http import Status, routes
from m0common.settings import Settings
from m0common.store import postgres, pulse
from m0index import changes
from m0index.schema import Schema

from m0_api import problems
from m0_api.bundles.endpoints import router as bundles
from m0_api.cache import AnswerCache, Answers
from m0_api.deadline import SPARE_S, Deadline
from m0_api.epochs.endpoints import router as epochs
from m0_api.info.endpoints import router as info
from m0_api.markets.endpoints import router as markets
from m0_api.observe import Observe
from m0_api.predictions.endpoints import router as predictions
from m0_api.predictions.service import Trees

PREFIX = "/v1"
DESCRIPTION = """\
Probabilities of markets, and the proof that they are what the signers published on chain.

64-bit integers are JSON integers; hashes and raw bytes are lower-case hex; keys, signatures and transaction ids are
base58. Lists are paged with `cursor`. Errors are `application/problem+json` (RFC 9457) with a stable `code`.
Every answer has an `ETag`; send it back as `If-None-Match`.
"""


def create_app(settings: Settings, clock: Clock | None = None) -> FastAPI:
    """The ASGI application; its lifespan opens the pool. `clock` (the wall clock) says which epochs are open."""
    status = Status("api")
    listener = changes.Listener(settings.postgres.dsn, "api")
    answers = Answers(listener.hearing)
    schema = Schema()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with (
            pulse.beating(settings.postgres.dsn, "api", schema.ask) as beat,
            postgres.opened(settings.postgres, name="api", reading=True) as pool,
        ):
            app.state.pool = pool
            status.ready["postgres"] = beat.problem
            status.notes["schema"] = schema.note
            status.ready["changes"] = listener.problem
            stop = asyncio.Event()
            listening = asyncio.create_task(listener.run(pool, answers.changed, stop))
            try:
                yield
            finally:
                stop.set()  # not cancelled: psycopg's pool can lose a cancellation on Python 3.11
                await listening

    app = FastAPI(
        title="M0Club",
        description=DESCRIPTION,
        version=version("m0-api"),
        lifespan=lifespan,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        redirect_slashes=False,
    )
    app.state.settings = settings
    app.state.clock = clock or system_clock(settings.env)
    app.state.trees = Trees()
    for router in (markets, epochs, predictions, bundles, info):
        app.include_router(router, prefix=PREFIX)
    for router in (markets, epochs, predictions, info):
        app.include_router(router, include_in_schema=False)
    for route in routes(status):
        app.router.routes.append(route)
        app.router.add_route(PREFIX + route.path, route.endpoint, include_in_schema=False)
    problems.install(app)
    app.add_middleware(Deadline, within_s=settings.postgres.answer_timeout_ms / 1000 + SPARE_S)
    app.add_middleware(AnswerCache, answers=answers)
    app.add_middleware(
        CORSMiddleware, allow_origins=["*"], allow_methods=["GET"], expose_headers=["ETag", "X-Request-Id"]
    )  # fmt: skip
    app.add_middleware(Observe)
    _document(app)
    return app


def _document(app: FastAPI) -> None:
    """Put the schema of problems among the components, where every endpoint refers to it."""
    made = app.openapi()
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    schemas["ProblemBody"] = problems.ProblemBody.model_json_schema()
