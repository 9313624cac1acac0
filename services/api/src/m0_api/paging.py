"""Keyset paging: a cursor holds the sort key of the last item, so pages stay put while rows arrive."""

import base64
from typing import Annotated, Generic, TypeVar

import msgspec
from fastapi import Query
from m0common.messages.codec import UNDECODABLE
from m0common.stream.door import check_count, check_text
from pydantic import BaseModel, Field

from m0_api.problems import InvalidCursor

MAX_LIMIT = 500
DEFAULT_LIMIT = 100
MAX_CURSOR_CHARS = 512

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="The most items of a page")]
Cursor = Annotated[
    str | None,
    Query(
        description="`next_cursor` of the page before; leave it out for the first page",
        json_schema_extra={"maxLength": MAX_CURSOR_CHARS},  # a longer one is refused like any that is not ours
    ),
]

T = TypeVar("T")
K = TypeVar("K", bound=tuple[int | str, ...])


class Page(BaseModel, Generic[T]):
    """A page of a list."""

    items: list[T]
    next_cursor: str | None = Field(description="Pass it as `cursor` to get the next page; null on the last one")


def encode(key: tuple[int | str, ...]) -> str:
    """The cursor after an item with this sort key."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(key)).rstrip(b"=").decode()


def decode(cursor: str | None, kind: type[K]) -> K | None:
    """The sort key in a cursor, None without a cursor. Raises InvalidCursor, also for what no database takes."""
    if cursor is None:
        return None
    try:
        if len(cursor) > MAX_CURSOR_CHARS:
            raise ValueError(f"{len(cursor)} characters")  # noqa: TRY301 - refused like any that is not ours
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        key = msgspec.msgpack.decode(raw, type=kind)
        for part in key:
            if isinstance(part, str):
                check_text("a part of the cursor", part)
            else:
                check_count("a part of the cursor", part)
    except (ValueError, *UNDECODABLE) as error:
        raise InvalidCursor("the cursor was not made by this list: start again without one") from error
    return key


def cut(rows: list[T], limit: int) -> tuple[list[T], T | None]:
    """A page from `limit + 1` rows: its rows, and the last of them when there are more."""
    page = rows[:limit]
    return page, page[-1] if len(rows) > limit else None
