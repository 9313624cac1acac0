"""`m0 watch`: finalized predictions live, each one verified against the chain before it is shown."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer
from m0client import AsyncClient, Gap, M0ClientError, NotFound, Prediction, TransportError, Update, VerificationError
from rich.console import Console
from rich.text import Text

from m0cli import targets

app = typer.Typer(pretty_exceptions_enable=False)

IN_FLIGHT = 8
"""Proofs fetched at once."""
ATTEMPTS = 5
"""The API may learn of an epoch a moment after the stream."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A prediction and what its proof was worth: `problem` is None when it holds."""

    prediction: Prediction
    root: str | None
    problem: str | None


@app.command()
def watch(
    catalog: Annotated[str | None, typer.Option(help="Only this catalog, for example sports.")] = None,
    api: targets.Api = None,
    stream: targets.Stream = None,
    rpc: targets.Rpc = None,
    program: targets.Program = None,
    count: Annotated[int, typer.Option(help="Stop after so many predictions (0: never).", min=0)] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Print finalized predictions as they come, ✓ when the proof holds on chain and ✗ with the failed check when not.

    Exits 0, or 1 when a proof did not hold.
    """
    target = targets.resolve(api, rpc, program, stream)
    try:
        failed = asyncio.run(_watch(target, catalog or "*", count, as_json))
    except M0ClientError as error:
        print(f"m0 watch: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
    raise typer.Exit(1 if failed else 0)


async def _watch(target: targets.Target, catalog: str, count: int, as_json: bool) -> int:
    console = Console(highlight=False)
    shown = failed = 0
    async with AsyncClient(
        target.api, stream_url=target.stream, rpc_url=target.rpc, oracle_program=target.program
    ) as client:
        async for seen in _verified(client, f"predictions.{catalog}", console, as_json):
            print(json.dumps(_as_json(seen)), flush=True) if as_json else console.print(_as_line(seen), soft_wrap=True)
            shown += 1
            failed += seen.problem is not None
            if shown == count:
                break
    return failed


async def _verified(client: AsyncClient, channel: str, console: Console, as_json: bool) -> AsyncIterator[Seen]:
    """Predictions in the order of the stream, their proofs checked a few at a time."""
    ahead: asyncio.Queue[asyncio.Task[Seen]] = asyncio.Queue(IN_FLIGHT)

    connected = False

    def lost(error: Exception, delay_s: float) -> None:
        if not connected:
            raise TransportError(f"realtime server {client.stream_url}: {error}") from error
        print(f"m0 watch: connection lost ({error}), trying again in {delay_s:.1f} s", file=sys.stderr)

    async def follow() -> None:
        nonlocal connected
        newest: dict[str, int] = {}
        async for event in client.stream([channel], on_retry=lost):
            connected = True
            if isinstance(event, Gap):
                if not as_json:
                    console.print(f"[dim]{event.channel}: updates {event.from_seq} to {event.to_seq} were missed[/]")
                continue
            for item in (event.data,) if isinstance(event, Update) else event.data:
                prediction = msgspec.convert(item, Prediction)
                if newest.get(prediction.market_id, -1) >= prediction.epoch_id:
                    continue  # a snapshot repeats what was shown before a gap
                newest[prediction.market_id] = prediction.epoch_id
                await ahead.put(asyncio.create_task(_check(client, prediction)))

    following = asyncio.create_task(follow())
    try:
        while True:
            upcoming = asyncio.create_task(ahead.get())
            await asyncio.wait([upcoming, following], return_when=asyncio.FIRST_COMPLETED)
            if not upcoming.done():
                upcoming.cancel()
                following.result()
                return
            yield await upcoming.result()
    finally:
        following.cancel()
        while not ahead.empty():
            ahead.get_nowait().cancel()


async def _check(client: AsyncClient, prediction: Prediction) -> Seen:
    for attempt in range(ATTEMPTS):
        try:
            proof = await client.proof(prediction.market_id, prediction.epoch_id)
            verified = await client.verify(proof)
        except VerificationError as error:
            return Seen(prediction, None, str(error))
        except NotFound as error:
            if attempt == ATTEMPTS - 1:
                return Seen(prediction, None, str(error))
            await asyncio.sleep(0.2 * 2**attempt)
        except M0ClientError as error:
            return Seen(prediction, None, str(error))
        else:
            shown = tuple((o.p_ppb, o.lo_ppb, o.hi_ppb) for o in prediction.outcomes)
            if shown != tuple(map(tuple, verified.leaf.outcomes)):
                return Seen(prediction, None, "stream: the prediction shown is not the one in the leaf")
            return Seen(prediction, verified.merkle_root, None)
    raise AssertionError("unreachable: the last attempt returns")


def _as_json(seen: Seen) -> dict[str, object]:
    verdict = {"verified": seen.problem is None, "merkle_root": seen.root, "problem": seen.problem}
    built: dict[str, object] = msgspec.to_builtins(seen.prediction)
    return built | verdict


def _as_line(seen: Seen) -> Text:
    prediction = seen.prediction
    time = datetime.fromtimestamp(prediction.window_end_ms / 1000, UTC).strftime("%H:%M:%S")
    outcomes = "  ".join(f"{o.name} {o.p:.1%} [{o.lo:.1%}, {o.hi:.1%}]" for o in prediction.outcomes)
    flags = ",".join(prediction.quality_flags)
    tick = ("✓ ", "bold green") if seen.problem is None else ("✗ ", "bold red")
    return Text.assemble(
        tick,
        (f"{time} ", "dim"),
        (f"{prediction.catalog} {prediction.epoch_id} ", "cyan"),
        (f"{prediction.market_id}  ", "bold"),
        outcomes or "blocked",
        (f"  {flags}" if flags else "", "yellow"),
        (f"  root {seen.root[:12]}…" if seen.root else f"  {seen.problem}", "dim" if seen.root else "red"),
    )
