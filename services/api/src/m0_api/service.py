"""The application: routes under /v1, the named ones without prefix too, and the index that they read."""

import asyncio
from functools import partial
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from m0common.http import routes
from m0common.process import Process
from m0common.store import postgres
from m0common.store.pulse import database_pulse
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


class Api:
    """The application and what it stands on. Its status stands in the process's, and is served with the rest."""

    def __init__(self, process: Process) -> None:
        dsn = process.settings.postgres.dsn
        self._listener = changes.Listener(dsn, process.name)
        self._answers = Answers(self._listener.hearing)
        self._schema = Schema()
        self.app = _application(process, self._answers)

    async def begin(self, process: Process) -> None:
        """Open the index, and hear of its changes."""
        config, status = process.settings.postgres, process.status
        pulse = await process.enter("Postgres' pulse", database_pulse(config.dsn, process.name, self._schema.ask))
        process.task("pulse of Postgres", pulse.run)
        status.ready["postgres"] = pulse.problem
        status.notes["schema"] = self._schema.note
        status.ready["changes"] = self._listener.problem
        pool = await process.enter("Postgres", postgres.opened(config, name=process.name, reading=True))
        self.app.state.pool = pool
        stop = asyncio.Event()  # not cancelled: psycopg's pool can lose a cancellation on Python 3.11
        process.task("changes", partial(self._listener.run, pool, self._answers.changed, stop), stop=stop.set)


def _application(process: Process, answers: Answers) -> FastAPI:
    settings = process.settings
    app = FastAPI(
        title="M0Club",
        description=DESCRIPTION,
        version=version("m0-api"),
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        redirect_slashes=False,
    )
    app.state.settings = settings
    app.state.clock = process.clock
    app.state.trees = Trees()
    for router in (markets, epochs, predictions, bundles, info):
        app.include_router(router, prefix=PREFIX)
    for router in (markets, epochs, predictions, info):
        app.include_router(router, include_in_schema=False)
    for route in routes(process.status):
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
