"""The chain part of a deployment: funds, both programs, their roots, signer set and catalogs; then the record of it."""

import asyncio
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from m0chain import ChainClient, Timing, idl
from m0common import deployment_record
from m0common.errors import SettingsError
from m0common.settings import Settings
from m0replay import catalog_files
from solders.hash import Hash
from solders.keypair import Keypair

from m0deploy import keys as key_files
from m0deploy import program_registry
from m0deploy.accounts import SIGNER_SET_ID, Accounts, ChainCatalog
from m0deploy.built import built
from m0deploy.changes import Changes
from m0deploy.clusters import TEST_CLUSTER, refuse_another
from m0deploy.errors import DeployError
from m0deploy.keys import Keys
from m0deploy.loader import Loader
from m0deploy.loader_accounts import deployed
from m0deploy.site import Site

_TIMING = Timing(poll_s=0.1, attempts=8)


async def provision(site: Site, settings: Settings, changes: Changes) -> None:
    """Bring the chain at `solana.rpc_url` to the state that services expect.

    Raises ChainError, SettingsError or DeployError.
    """
    keys, code, catalogs = at_hand(site, settings)
    oracle, registry = keys.oracle.pubkey(), keys.registry.pubkey()
    idls = {oracle: idl.oracle(), registry: idl.registry()}
    known = deployment_record.read(site.record)
    async with ChainClient(settings.solana.rpc_url, timing=_TIMING, idls=idls) as client:
        genesis_hash = bytes(Hash.from_string(await refuse_another(client, settings.solana.cluster))).hex()
        _refuse_another_chain(site, settings, known, genesis_hash)
        programs = {"oracle": (keys.oracle, code["oracle"]), "registry": (keys.registry, code["registry"])}
        if settings.solana.cluster != TEST_CLUSTER:
            await _refuse_other_programs(client, programs)
        accounts = Accounts(client, keys, changes)
        await accounts.fund(test_cluster=settings.solana.cluster == TEST_CLUSTER)
        loader = Loader(client, keys.admin, changes)
        await loader.deploy_all(programs)
        await accounts.roots()
        await accounts.signer_set()
        await accounts.catalogs(catalogs)
    kept = {key: known[key] for key in (deployment_record.RESTORED_ENDS,) if key in known}
    told = _record(keys, settings, genesis_hash) | kept
    if known != told:
        write = partial(asyncio.to_thread, deployment_record.write, site.record, told)
        await changes.make(f"write the record of the deployment to {site.record}", write)


def at_hand(site: Site, settings: Settings) -> tuple[Keys, Mapping[str, bytes], Mapping[str, ChainCatalog]]:
    """The keys, the programs' bytes by name and the catalogs, all of them files: no server is asked. Raises
    SettingsError or DeployError for what is missing or is not what the registry of programs says.
    """
    keys = key_files.read(site, settings.kafka.signers)
    code = built(site.programs)
    _refuse_unregistered(site, settings, keys, code)
    return keys, code, chain_catalogs(Path(settings.catalogs_dir), settings)


def _record(keys: Keys, settings: Settings, genesis_hash: str) -> dict[str, Any]:
    return {
        "programs": {"oracle": str(keys.oracle.pubkey()), "registry": str(keys.registry.pubkey())},
        "genesis_hash": genesis_hash,
        "control_key": bytes(keys.control).hex(),
        "rpc_url": str(settings.solana.rpc_url),
        "cluster": settings.solana.cluster,
        "signer_set_id": SIGNER_SET_ID,
        "signers": [{"name": name, "public_key": str(key)} for name, key in keys.signers.items()],
    }


def chain_catalogs(config_dir: Path, settings: Settings) -> dict[str, ChainCatalog]:
    """Every catalog of the settings with what its markets file says. Raises SettingsError."""
    found = {}
    for name, catalog in settings.catalogs.items():
        files = catalog_files.read(config_dir, name)
        signer_set = files.table.params.get("signer_set_id")
        if signer_set is None:
            raise SettingsError(f"{files.path}: catalog.params.signer_set_id is missing: write {SIGNER_SET_ID}")
        found[name] = ChainCatalog(files.table.epoch_ms, catalog.commit_ms, catalog.reveal_ms, signer_set)
    return found


def _refuse_another_chain(site: Site, settings: Settings, known: Mapping[str, Any], genesis_hash: str) -> None:
    """Raise DeployError where a folder's deployment is of another chain. One's own chain may begin anew."""
    there = known.get("genesis_hash", genesis_hash)
    if settings.solana.cluster != TEST_CLUSTER and there != genesis_hash:
        raise DeployError(
            f"{site.record} is of a chain with genesis hash {there}, {settings.solana.cluster} has {genesis_hash}: "
            "name the folder of a deployment there, or an empty one, by --dir"
        )


async def _refuse_other_programs(client: ChainClient, programs: Mapping[str, tuple[Keypair, bytes]]) -> None:
    """Raise DeployError where a public cluster runs other bytes: they change by a command of their own alone."""
    for name, (key, code) in programs.items():
        there = await deployed(client, key.pubkey())
        if there is not None and not there.runs(code):
            raise DeployError(
                f"program {name}, {key.pubkey()}, runs other bytes than those of this version: `m0 programs upgrade` "
                "changes that, or use the `m0` of the version that runs"
            )


def _refuse_unregistered(site: Site, settings: Settings, keys: Keys, code: Mapping[str, bytes]) -> None:
    """Raise SettingsError where the registry has another address than settings or keys, DeployError where it has
    another hash than the built files.
    """
    registry, cluster = program_registry.read(site.registry), settings.solana.cluster
    made = {
        name: (str(site.program_key(name)), str(key.pubkey()))
        for name, key in (("oracle", keys.oracle), ("registry", keys.registry))
    }
    if faults := [*registry.differing_settings(settings), *registry.differing(cluster, made)]:
        raise SettingsError(*faults)
    registry.refuse_new(cluster, {name: address for name, (_, address) in made.items()})
    registry.refuse_other_bytes(cluster, code)
