"""Run the boxes, a few at a time: each within its time, and none is the end of another."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from m0common.errors import M0Error

from m0cli.doctor.boxes import Box
from m0cli.doctor.site import Site
from m0cli.doctor.verdict import Verdict, fails

AT_ONCE = 4
"""So many boxes look at the same time: what one of them computes keeps the others from hearing."""


async def run(site: Site, boxes: Sequence[Box]) -> AsyncIterator[tuple[str, Verdict]]:
    """Names and verdicts in the order of `boxes`, each as soon as it is known."""
    few = asyncio.Semaphore(AT_ONCE)

    async def in_turn(box: Box) -> Verdict:
        async with few:
            return await looked(box, site)

    looks = [asyncio.create_task(in_turn(box), name=box.name) for box in boxes]
    try:
        for box, look in zip(boxes, looks, strict=True):
            yield box.name, await look
    finally:
        for look in looks:
            look.cancel()


async def looked(box: Box, site: Site) -> Verdict:
    """What a box says, whatever happens in it."""
    within_s = box.within_s + (site.wait_s if box.watches else 0.0)
    try:
        async with asyncio.timeout(within_s):
            return await box.look(site)
    except TimeoutError:
        return fails(f"nothing is known after {within_s:.0f} s: what it asks does not answer, or is too slow")
    except M0Error as error:
        return fails(_line(str(error)))
    except Exception as error:  # noqa: BLE001 - what nobody foresaw in one box is no reason to leave out the others
        return fails(_line(f"this box is at fault: {type(error).__name__}: {error}"))


def _line(text: str) -> str:
    """Evidence is one line."""
    return " ".join(text.split())
