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

from m0deploy import keys as key_files
from m0deploy import program_registry
from m0deploy.accounts import SIGNER_SET_ID, Accounts, ChainCatalog
from m0deploy.built import built
from m0deploy.changes import Changes
from m0deploy.clusters import TEST_CLUSTER
from m0deploy.keys import Keys
from m0deploy.loader import Loader
from m0deploy.site import Site

_TIMING = Timing(poll_s=0.1, attempts=8)


async def provision(site: Site, settings: Settings, changes: Changes) -> None:
    """Bring the chain at `solana.rpc_url` to the state that services expect.

    Raises ChainError, SettingsError or DeployError.
    """
    keys = key_files.read(site, settings.kafka.signers)
    code = built(site.programs)
    _refuse_unregistered(site, settings, keys, code)
    catalogs = chain_catalogs(Path(settings.catalogs_dir), settings)
    oracle, registry = keys.oracle.pubkey(), keys.registry.pubkey()
    idls = {oracle: idl.oracle(), registry: idl.registry()}
    async with ChainClient(settings.solana.rpc_url, timing=_TIMING, idls=idls) as client:
        accounts = Accounts(client, keys, changes)
        await accounts.fund(test_cluster=settings.solana.cluster == TEST_CLUSTER)
        loader = Loader(client, keys.admin, changes)
        await loader.deploy_all(
            {"oracle": (keys.oracle, code["oracle"]), "registry": (keys.registry, code["registry"])}
        )
        await accounts.roots()
        await accounts.signer_set()
        await accounts.catalogs(catalogs)
        genesis = await client.genesis_hash()
    known = deployment_record.read(site.record)
    kept = {key: known[key] for key in (deployment_record.RESTORED_ENDS,) if key in known}
    told = _record(keys, settings, bytes(genesis).hex()) | kept
    if known != told:
        write = partial(asyncio.to_thread, deployment_record.write, site.record, told)
        await changes.make(f"write the record of the deployment to {site.record}", write)


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
    registry.refuse_other_bytes(cluster, code)
