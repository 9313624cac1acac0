"""`m0 release`: releases side by side, from installing the new one to removing the old one, and back."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from m0common.deployment import Deployment
from m0common.errors import SettingsError
from m0common.settings import Settings
from m0common.stream.broker import Broker
from m0replay.builds import Builds, installed_build, known_builds, running_builds
from m0replay.manifest_log import ManifestLog
from m0replay.rolled import Rolled
from m0replay.rollout import Rollout, Step
from m0replay.shown import short

from m0cli.arguments import check_build
from m0cli.catalog import Json, Key, control_key, read_desk
from m0cli.catalog_view import plan_json
from m0cli.failing import one_sentence
from m0cli.on_broker import on_broker
from m0cli.release_view import plan_lines, rollout_json, step_text

app = typer.Typer(no_args_is_help=True, help="Releases side by side: install, switch, finish, and back.")

WAIT_S = 600.0
CLIENT = "m0-release"

Catalogs = Annotated[
    list[str] | None, typer.Argument(metavar="CATALOG", help="These catalogs; all of the log when none is given.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Write it; without this it is only said what would be written.")]
Timeout = Annotated[float, typer.Option(help="Seconds to wait for all that follows; 0 does not wait.", min=0)]


@app.command(name="id")
def show_id(
    image: Annotated[
        str | None,
        typer.Argument(
            metavar="IMAGE", help="An image of this machine's engine, or an archive of one; see make images."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """The id of a build, for `releases` of the chart: of an image by its label, or of what is installed here."""
    with one_sentence("release", as_json):
        if image is None:
            build, found = installed_build()
        else:
            from m0deploy.images import build_of_image  # noqa: PLC0415

            build, found = build_of_image(image)
    print(json.dumps({"id": build, "releases": found}) if as_json else build)


@app.command()
def plan(as_json: Json = False) -> None:
    """What the log names, which builds run and what they have, and what is to be done next; nothing is written."""

    async def work(rollout: Rollout, _settings: Settings) -> None:
        print(json.dumps(rollout_json(rollout)) if as_json else "\n".join(plan_lines(rollout)))

    _run(work, as_json)


@app.command()
def switch(
    catalogs: Catalogs = None, key: Key = None, yes: Yes = False, timeout: Timeout = WAIT_S, as_json: Json = False
) -> None:
    """Name the releases that are installed here, in the signed set of each catalog, as `m0 catalog set` does; then wait
    for the marker, for every stage of every lane, and for a final epoch.
    """
    _roll(lambda rollout: rollout.switches(catalogs or ()), key, yes, timeout, as_json)


@app.command()
def back(
    catalogs: Catalogs = None, key: Key = None, yes: Yes = False, timeout: Timeout = WAIT_S, as_json: Json = False
) -> None:
    """Name the releases again that those installed here took the place of, and wait as `switch` does. Do so before
    `helm rollback`: what the log names has to stay installed.
    """
    _roll(lambda rollout: rollout.ways_back(catalogs or ()), key, yes, timeout, as_json)


@app.command()
def finish(
    build: Annotated[
        str | None,
        typer.Argument(metavar="ID", help="The build to remove (default: every one that is not installed here)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say which builds may be removed; exit 1 while something of the log needs one. Nothing is written."""
    if build is not None:
        check_build(build)

    async def work(rollout: Rollout, _settings: Settings) -> None:
        running = rollout.builds.ids
        if build is not None and build not in running:
            raise SettingsError(
                f"build {build} runs in no stage, {', '.join(running) or 'none'} does: see `m0 release plan`"
            )
        asked = [build] if build is not None else [each for each in running if each != rollout.here]
        for each in asked:
            if build is None and not rollout.builds.releases(each):
                raise SettingsError(
                    f"of build {each} nothing is known, it may wait for its switch: `m0 release finish {each}` when it "
                    "is the one to remove"
                )
            if why := rollout.stays(each):
                raise SettingsError(
                    f"build {each} has to stay: {'; '.join(why)}: run `m0 release switch`, or wait until epochs are "
                    "closed"
                )
        if as_json:
            print(json.dumps({"here": rollout.here, "may_go": asked}))
            return
        for each in asked:
            print(
                f"build {each} may go: take it out of `releases` of the chart's values, or "
                f"`docker compose -p m0-{each} -f compose.lanes.yml down`, or end its processes"
            )
        if not asked:
            print(f"build {rollout.here} runs alone: nothing is left to remove")

    _run(work, as_json)


def _roll(
    steps_of: Callable[[Rollout], list[Step]], key: Path | None, yes: bool, timeout_s: float, as_json: bool
) -> None:
    """Say what steps would write, and with `yes` write it, signed by the key's file, and wait for what follows."""
    keypair = control_key(key) if yes else None  # wrong use is said before anything is read

    async def work(rollout: Rollout, settings: Settings) -> None:
        steps = steps_of(rollout)
        final: dict[str, int] = {}
        if not as_json:
            print("\n".join(step_text(step) for step in steps))
        if keypair is not None:
            for step in steps:
                if step.is_new:
                    await rollout.desk.put(step.plan.payload, keypair, [step.plan.payload.release])
            if timeout_s:
                final = await _followed(rollout, settings, steps, timeout_s, as_json)
        elif not as_json:
            print("Nothing is written: give --yes.")
        if as_json:
            said = [plan_json(s.plan) | {"final_epoch": final.get(s.plan.payload.catalog)} for s in steps]
            written = keypair is not None and any(step.is_new for step in steps)
            print(json.dumps({"written": written, "catalogs": said}))

    _run(work, as_json)


async def _followed(
    rollout: Rollout, settings: Settings, steps: Sequence[Step], timeout_s: float, as_json: bool
) -> dict[str, int]:
    """Wait for all that follows; a final epoch by catalog. Raises M0Error for what does not come."""
    from m0chain.final import finalized_root  # noqa: PLC0415 - help needs no library of the chain

    desk, found = rollout.desk, dict[str, int]()
    rolled = Rolled(desk.broker, desk.log, rollout.states, finalized_root(settings), desk.clock, timeout_s)

    def say(line: str) -> None:
        if not as_json:
            print(line, flush=True)

    payloads = [step.plan.payload for step in steps]
    for payload in payloads:
        await rolled.in_force(payload)
        say(f"{payload.catalog}: generation {payload.generation} is in force")
    if any(step.is_new for step in steps):
        say("Now start each signer again with the version that has these releases, unless it runs it.")
    for payload in payloads:
        await rolled.taken_over(payload)
        say(f"{payload.catalog}: every lane goes on with release {short(payload.release)}")
    for payload in payloads:
        found[payload.catalog] = await rolled.final(payload)
        say(f"{payload.catalog}: epoch {found[payload.catalog]} of generation {payload.generation} is final")
    return found


def _run(work: Callable[[Rollout, Settings], Awaitable[None]], as_json: bool) -> None:
    """Let `work` work on a look at the deployment."""

    async def look(broker: Broker, settings: Settings) -> None:
        from m0common.stream.kafka_options import KafkaOptions  # noqa: PLC0415 - help needs no client of Kafka
        from m0kafka.confluent import ConfluentCluster  # noqa: PLC0415

        options = KafkaOptions.of(settings.kafka, CLIENT)
        groups = await asyncio.to_thread(lambda: ConfluentCluster(options).manned_groups())
        states = ManifestLog(broker, Deployment.of(settings))
        await states.read()
        desk = await read_desk(broker, settings)
        here, installed = installed_build()
        builds = Builds(known_builds(states.said, here, installed.values()), running_builds(groups))
        await work(Rollout(desk, states, builds, here), settings)

    on_broker("release", look, as_json)
