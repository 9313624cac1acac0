"""Responses with an ETag that is a hash of their content."""

import hashlib

from fastapi import Request, Response
from m0index.shapes import encoded
from pydantic import BaseModel

CHANGING = "no-cache"
"""Kept by caches, asked about every time: a 304 costs no body."""
PASSING = "no-store"
"""Kept by nobody, also not here: it is over at a moment that nothing announces."""
FOREVER = "public, max-age=31536000, immutable"
"""What is addressed by content never changes."""


def respond(request: Request, model: BaseModel, cache: str = CHANGING) -> Response:
    """A model as JSON."""
    return respond_bytes(request, encoded(model), "application/json", cache)


def respond_bytes(request: Request, body: bytes, media_type: str, cache: str) -> Response:
    """200 with a body, or 304 when the client has it already."""
    tag = f'"{hashlib.sha256(body).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": cache}
    if matches(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    return Response(body, 200, headers, media_type)


def matches(header: str, tag: str) -> bool:
    """Whether an If-None-Match header names `tag` (weak comparison, RFC 9110 section 13.1.2)."""
    return header.strip() == "*" or tag in (part.strip().removeprefix("W/") for part in header.split(","))
