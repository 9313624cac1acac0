"""What is read of the index for the public: one statement each, through a pool for reading."""

from collections.abc import Mapping
from typing import LiteralString


def narrowed(conditions: Mapping[str, LiteralString], asked: Mapping[str, object]) -> LiteralString:
    """A WHERE clause of the conditions whose parameter is asked for, by name.

    A condition that holds when its parameter is null keeps a plan from using an index.
    """
    wanted = [condition for name, condition in conditions.items() if asked[name] is not None]
    return "WHERE " + " AND ".join(wanted) if wanted else ""
