"""Where `m0 programs` works, as options, settings and the checkout say: a cluster, its node, keys, built programs."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from m0common.errors import SettingsError, nearest
from m0common.settings import Settings, load, settings_path

from m0cli import checkout
from m0cli.changes_view import heard, tell
from m0cli.stack_settings import of_stack, told

if TYPE_CHECKING:
    from m0deploy.changes import Changes
    from m0deploy.program_ids import KnownPrograms
    from m0deploy.program_registry import Registry
    from m0deploy.programs import ClusterPrograms
    from solders.keypair import Keypair

T = TypeVar("T")
LOCAL_NODE = "http://127.0.0.1:8899"


@dataclass(frozen=True, slots=True)
class Place:
    """Which cluster, and where its things lie, as the options say; what is empty is found."""

    cluster: str = ""
    rpc: str = ""
    folder: Path | None = None
    programs: Path | None = None
    authority: Path | None = None


def registered(programs: Path | None = None) -> "Registry":
    """The registry that the environment names, else the one beside the built programs. Raises SettingsError."""
    from m0deploy import program_registry  # noqa: PLC0415 - help needs no library of the chain

    return program_registry.read(program_registry.registry_path(os.environ, _built(programs)))


def _built(programs: Path | None) -> Path:
    named = os.environ.get("M0_PROGRAMS_DIR")
    return programs or Path(named or (checkout.find() or Path()) / "programs" / "deploy")


def known(place: Place) -> "KnownPrograms":
    """What is known of the cluster's programs. Raises SettingsError."""
    from m0deploy.clusters import TEST_CLUSTER, cluster_of  # noqa: PLC0415 - as above
    from m0deploy.program_ids import KnownPrograms  # noqa: PLC0415
    from m0deploy.site import Site  # noqa: PLC0415

    settings = _settings()
    cluster = cluster_of(place.cluster or (TEST_CLUSTER if settings is None else settings.solana.cluster))
    registry, built = registered(place.programs), _built(place.programs)
    # the keys of the stack are those of localnet; elsewhere nobody's are taken unless they are named
    home = told().get("M0_HOME") if cluster == TEST_CLUSTER else None
    folder = place.folder or (Path(home) if home else None)
    site = None if folder is None else Site.of(folder, built, registry.path)
    return KnownPrograms(cluster, registry, settings, site)


def on(place: Place, work: Callable[["ClusterPrograms", str], Awaitable[None]]) -> None:
    """Do `work` with the cluster's programs and its genesis hash. Raises M0Error."""
    from m0chain import ChainClient, Timing, quiet_retries  # noqa: PLC0415 - as above
    from m0deploy.clusters import refuse_another  # noqa: PLC0415
    from m0deploy.programs import ClusterPrograms  # noqa: PLC0415

    there = known(place)
    quiet_retries()

    async def run() -> None:
        node = _node(place.rpc, there.cluster, there.settings)
        async with ChainClient(node, timing=Timing(poll_s=0.1)) as client:
            genesis = await refuse_another(client, there.cluster)
            await work(ClusterPrograms(client, there), genesis)

    asyncio.run(run())


def change(
    place: Place,
    apply: bool | None,
    as_json: bool,
    work: Callable[["ClusterPrograms", "Keypair", "Changes"], Awaitable[None]],
) -> None:
    """Do what `work` says is due, or only say it. Raises M0Error."""
    from m0deploy.clusters import TEST_CLUSTER  # noqa: PLC0415 - as above
    from m0deploy.programs import key_of  # noqa: PLC0415

    async def run(there: "ClusterPrograms", _: str) -> None:
        cluster, site = there.known.cluster, there.known.site
        does = cluster == TEST_CLUSTER if apply is None else apply
        changes = heard(as_json, apply=does)
        file = place.authority or (None if site is None else site.admin_key)
        if file is None:
            raise SettingsError(
                f"nobody is named who may do this on {cluster}: give the deployment's folder with --dir, or a key with "
                "--authority"
            )
        await work(there, key_of(file, make=there.makes_keys(changes) and place.authority is None), changes)
        tell(changes, as_json, "--apply")

    on(place, run)


def programs_of(place: Place) -> Path:
    """The folder of the built programs. Raises SettingsError where nothing names one."""
    if place.programs is None and checkout.find() is None:
        raise SettingsError("no built programs are named: give their folder with --programs or M0_PROGRAMS_DIR")
    return _built(place.programs)


def chosen(found: dict[str, T], names: list[str] | None) -> dict[str, T]:
    """Those of the programs that are asked for. Raises SettingsError for one that is none."""
    for name in names or ():
        if name not in found:
            raise SettingsError(f"program {name} is not known{nearest(name, found)}")
    return {name: value for name, value in found.items() if not names or name in names}


def _settings() -> Settings | None:
    """The settings that a command is told, None where there is no file of them. Raises SettingsError."""
    environment = told()
    named = environment.get("M0_CONFIG_PATH")
    return load(environment) if named or settings_path(environment).exists() else None


def _node(rpc: str, cluster: str, settings: Settings | None) -> str:
    """The address to ask. Raises SettingsError where nothing names one."""
    if rpc:
        return rpc
    if url := os.environ.get("M0_RPC_URL"):
        return url
    if settings is not None and settings.solana.cluster == cluster:
        return settings.solana.rpc_url.reveal()
    if cluster == "localnet":
        return of_stack().get("M0_RPC_URL") or LOCAL_NODE
    raise SettingsError(f"no node of {cluster} is named: give one with --rpc or M0_RPC_URL")
