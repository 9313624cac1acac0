"""How a command fails: one sentence, or one JSON object, and an exit code."""

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

import typer
from m0common.errors import M0Error

EXIT_FAILED = 1
NOTHING: Mapping[str, object] = MappingProxyType({})
Exits = Mapping[type[M0Error], int]
"""Exit codes of their own for some errors."""
NO_EXITS: Exits = MappingProxyType({})


@contextmanager
def one_sentence(
    command: str, as_json: bool, failed: Mapping[str, object] = NOTHING, exits: Exits = NO_EXITS
) -> Iterator[None]:
    """Print what goes wrong in the block, with the fields of `failed` when it is JSON, and end with the exit code that
    `exits` has for it, else with EXIT_FAILED.
    """
    # what a client says of every attempt; what comes of them is said in one sentence
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        yield
    except M0Error as error:
        if as_json:
            print(json.dumps({**failed, "error": error.advice}))
        else:
            print(f"m0 {command}: {error.advice}", file=sys.stderr)
        code = next((code for kind, code in exits.items() if isinstance(error, kind)), EXIT_FAILED)
        raise typer.Exit(code) from None
