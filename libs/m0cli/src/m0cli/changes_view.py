"""What a command that plans and applies prints: each change as it is due, and what came of all of them."""

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from m0deploy.changes import Changes


def heard(as_json: bool, *, apply: bool) -> "Changes":
    """Changes that are printed as they come, or kept for the JSON object."""
    from m0deploy.changes import Changes  # noqa: PLC0415 - help needs no library of the chain

    return Changes((lambda _: None) if as_json else print, apply=apply)


def tell(changes: "Changes", as_json: bool, remedy: str) -> None:
    """The last words; `remedy` is what does what was only said."""
    if as_json:
        print(json.dumps({"changes": changes.said, "wanted": changes.wanted, "applied": changes.applies}))
    elif not changes.said and not changes.wanted:
        print("Everything is as it should be.")
    elif not changes.applies:
        print(f"Nothing was changed: {remedy} does it.")
