"""Commands that work on the broker of a deployment: opened by its settings and closed; a failure is one sentence."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from m0common.settings import Settings
from m0common.stream.broker import Broker

from m0cli.failing import NO_EXITS, NOTHING, Exits, one_sentence

T = TypeVar("T")


def on_broker(
    command: str,
    work: Callable[[Broker, Settings], Awaitable[T]],
    as_json: bool,
    failed: Mapping[str, object] = NOTHING,
    exits: Exits = NO_EXITS,
) -> T:
    """What `work` makes of the broker and its settings; see one_sentence for what goes wrong."""
    with one_sentence(command, as_json, failed, exits):
        return asyncio.run(_on_broker(command, work))


async def _on_broker(command: str, work: Callable[[Broker, Settings], Awaitable[T]]) -> T:
    from m0common.stream.kafka import KafkaBroker, KafkaOptions  # noqa: PLC0415 - help needs no client of Kafka

    from m0cli.stack_settings import stack_settings  # noqa: PLC0415 - reads the deployment only when called

    settings = stack_settings()
    broker = KafkaBroker(KafkaOptions.of(settings.kafka, command))
    try:
        return await work(broker, settings)
    finally:
        await broker.close()
