"""`m0 preflight`: whether a running deployment may be upgraded to what is installed here; writes nothing."""

import asyncio
import json
import sys
from typing import Annotated

import typer

from m0cli.arguments import check_build, check_release
from m0cli.failing import EXIT_FAILED, one_sentence
from m0cli.programs_place import registered

app = typer.Typer(help="Whether an upgrade may go on.")


@app.command()
def preflight(
    releases: Annotated[
        str, typer.Option(metavar="HASH,…", help="Releases that stay installed elsewhere, with commas between.")
    ] = "",
    builds: Annotated[
        str,
        typer.Option(metavar="ID,…", help="Builds that stay installed elsewhere, by id: see m0 release."),
    ] = "",
    without: Annotated[
        list[str] | None,
        typer.Option(metavar="CHECK", help="Leave this one out: topics where the next step makes them; repeatable."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Look at a running deployment with the settings that are about to be installed, and exit 1 when an upgrade must
    not go on: addresses, genesis, partitions, topics, schema, releases.

    In Kafka it looks as the user of the settings: operator may see all of it. M0_PROGRAM_REGISTRY names the registry of
    programs; in a checkout it is programs/registry.toml.
    """
    others, stay = ([each for each in told.split(",") if each] for told in (releases, builds))
    for release in others:
        check_release(release, option="--releases")
    for build in stay:
        check_build(build)
    from m0chain import quiet_retries  # noqa: PLC0415 - help needs no library of the chain
    from m0deploy.preflight import CHECKS, Preflight  # noqa: PLC0415
    from m0replay.installed import installed_domains  # noqa: PLC0415
    from m0replay.unrun import Staying  # noqa: PLC0415

    from m0cli.stack_settings import stack_settings  # noqa: PLC0415 - reads the deployment only when called

    for name in without or ():
        if name not in CHECKS:
            raise typer.BadParameter(f"--without {name}: there is no such check; they are {', '.join(CHECKS)}")
    with one_sentence("preflight", as_json):
        quiet_retries()
        registry = registered()
        installed = {name: domain.release for name, domain in installed_domains().items()}
        look = Preflight(stack_settings(), registry, installed, Staying(others, stay))
        found = asyncio.run(look.checks(without or ()))
    ok = all(check.ok for check in found)
    if as_json:
        checks = [{"name": check.name, "ok": check.ok, "evidence": check.evidence} for check in found]
        print(json.dumps({"ok": ok, "checks": checks}))
    else:
        for check in found:
            if check.ok:
                print(f"{check.name}: {check.evidence}")
            for fault in check.faults:
                print(f"{check.name}: {fault}", file=sys.stderr)
        print("The upgrade may go on." if ok else "The upgrade must not go on.")
    if not ok:
        raise typer.Exit(EXIT_FAILED)
