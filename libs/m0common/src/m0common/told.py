"""Code of somebody else, asked: it may raise anything, and whatever that is becomes an ordinary error in words.

What does not come back is beyond this: an endless loop, `os._exit`, a crash of the interpreter.
"""

from collections.abc import Callable
from typing import TypeVar

R = TypeVar("R")
WORDS_MAX = 200


class Raised(Exception):
    """Somebody's code raised; its text is what, in words."""


def asked(call: Callable[[], R]) -> R:
    """What a call comes to. Raises Raised, whatever it raised itself; a KeyboardInterrupt is the operator's own."""
    try:
        return call()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise Raised(in_words(error)) from error


def in_words(thing: object, put: Callable[[object], str] = repr) -> str:
    """What somebody's object says of itself, in one line that any terminal takes: it may raise there too."""
    try:
        text = put(thing)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - any code may stand there
        return f"{type(thing).__name__}, which cannot be put in words"
    return " ".join(text.encode(errors="backslashreplace").decode().split())[:WORDS_MAX]
