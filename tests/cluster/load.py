"""Asks the API again and again, over a new connection each time, and follows the stream, until SIGUSR1.

    python load.py API STREAM ASKERS PAUSE_S

What came of it is one line of JSON: requests answered by status, what failed, gaps and the last epoch of each channel.
"""

import asyncio
import itertools
import json
import signal
import sys
import time
from collections import Counter

import httpx2
from m0client import AsyncClient, Gap, Update

PATHS = ("/v1/markets?limit=20", "/v1/epochs?limit=20", "/v1/info", "/v1/epochs?catalog=sports&limit=1")
CHANNELS = ("epochs.sports", "epochs.crypto")


async def ask(api: str, pause_s: float, stop: asyncio.Event, answered: Counter[int], failed: list[str]) -> None:
    for path in itertools.cycle(PATHS):
        if stop.is_set():
            return
        try:
            # kept connections would stay with the pod that they once reached
            async with httpx2.AsyncClient(timeout=15) as client:
                answer = await client.get(api + path)
            answered[answer.status_code] += 1
            if answer.status_code >= 500:
                failed.append(f"{time.time():.3f} {path}: {answer.status_code} {answer.text[:200]}")
        except httpx2.HTTPError as error:
            failed.append(f"{time.time():.3f} {path}: {error!r}")
        await asyncio.sleep(pause_s)


async def follow(api: str, stream: str, seen: dict[str, int], gaps: list[str], retries: list[str]) -> None:
    async with AsyncClient(api, stream_url=stream) as client:
        async for event in client.stream(CHANNELS, on_retry=lambda error, _: retries.append(repr(error)[:200])):
            if isinstance(event, Gap):
                gaps.append(f"{event.channel} {event.from_seq} to {event.to_seq}: {event.reason}")
            elif isinstance(event, Update):
                seen[event.channel] = event.seq


async def main(api: str, stream: str, askers: str, pause_s: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, stop.set)
    answered: Counter[int] = Counter()
    failed: list[str] = []
    seen: dict[str, int] = {}
    gaps: list[str] = []
    retries: list[str] = []
    follower = asyncio.create_task(follow(api, stream, seen, gaps, retries))
    await asyncio.gather(*(ask(api, float(pause_s), stop, answered, failed) for _ in range(int(askers))))
    if follower.done():
        gaps.append(f"the stream ended: {follower.exception()!r}")
    follower.cancel()
    report = {"answered": answered, "failed": failed, "seen": seen, "gaps": gaps, "retries": retries}
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
