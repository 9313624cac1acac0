"""What a stage says beside its lanes: once, since what is lost is said again when it changes."""

from collections.abc import Awaitable, Callable, Sequence

from m0common.stream.core import StageCore
from m0common.stream.records import Produce

SLICE = 32
ASIDES = 1_000


async def say_asides(
    core: StageCore, send: Callable[[Sequence[Produce]], Awaitable[object]], breathe: Callable[[], Awaitable[None]]
) -> None:
    """Say what changed since the last call; `breathe` is called between slices of the work. Raises what `send` does."""
    said: list[Produce] = []
    for count, aside in enumerate(core.asides(), 1):
        said.append(aside)
        if count % SLICE == 0:
            await breathe()
        if len(said) == ASIDES:
            await send(said)
            said = []
    if said:
        await send(said)
