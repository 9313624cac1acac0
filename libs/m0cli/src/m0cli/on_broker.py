"""Commands that work on the broker of a deployment: opened by its settings and closed; a failure is one sentence."""

import asyncio
import json
import logging
import sys
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import TypeVar

import typer
from m0common.errors import M0Error
from m0common.settings import Settings
from m0common.stream.broker import Broker

T = TypeVar("T")
EXIT_FAILED = 1
NOTHING: Mapping[str, object] = MappingProxyType({})


def on_broker(
    command: str,
    work: Callable[[Broker, Settings], Awaitable[T]],
    as_json: bool,
    failed: Mapping[str, object] = NOTHING,
) -> T:
    """What `work` makes of the broker and its settings.

    What goes wrong is printed, with the fields of `failed` when it is JSON, and ends the command with EXIT_FAILED.
    """
    try:
        return asyncio.run(_on_broker(command, work))
    except M0Error as error:
        if as_json:
            print(json.dumps({**failed, "error": str(error)}))
        else:
            print(f"m0 {command}: {error}", file=sys.stderr)
        raise typer.Exit(EXIT_FAILED) from None


async def _on_broker(command: str, work: Callable[[Broker, Settings], Awaitable[T]]) -> T:
    from m0common.stream.kafka import KafkaBroker, KafkaOptions  # noqa: PLC0415 - help needs no client of Kafka

    from m0cli.stack_settings import stack_settings  # noqa: PLC0415 - reads the deployment only when called

    # what a client says of every attempt; what comes of them is said in one sentence
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    settings = stack_settings()
    broker = KafkaBroker(KafkaOptions.of(settings.kafka, command))
    try:
        return await work(broker, settings)
    finally:
        await broker.close()
