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
        said = {"changes": changes.said, "wanted": changes.wanted, "left": changes.left, "applied": changes.applies}
        print(json.dumps(said))
    elif not (changes.said or changes.wanted or changes.left):
        print("Everything is as it should be.")
    elif not changes.applies and (changes.said or changes.wanted):
        print(f"Nothing was changed: {remedy} does it.")
