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


@contextmanager
def one_sentence(command: str, as_json: bool, failed: Mapping[str, object] = NOTHING) -> Iterator[None]:
    """Print what goes wrong in the block, with the fields of `failed` when it is JSON, and end with EXIT_FAILED."""
    # what a client says of every attempt; what comes of them is said in one sentence
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        yield
    except M0Error as error:
        if as_json:
            print(json.dumps({**failed, "error": str(error)}))
        else:
            print(f"m0 {command}: {error}", file=sys.stderr)
        raise typer.Exit(EXIT_FAILED) from None
