"""What the API counts and measures."""

from typing import Final

from m0common.telemetry.definition import Label
from m0common.telemetry.metrics import counter, seconds

ROUTE: Final = Label("route", at_most=64)
"""The pattern of a route, never a path: `none` where no route fits, `cached` for what is answered from memory."""

REQUESTS: Final = counter(
    "m0_api_requests_total", "requests", "Requests answered.", ROUTE, Label("status", at_most=32)
)  # fmt: skip
SECONDS: Final = seconds("m0_api_request_seconds", "Time to answer.", ROUTE)
HITS: Final = counter("m0_api_cache_hits_total", "hits", "Answers given from memory.")
