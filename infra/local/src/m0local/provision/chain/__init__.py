"""The chain part of provisioning: keys, funds, both programs, their roots, signer set and catalogs.

Every step looks before it acts, so that it may run at every start. It ends by writing the deployment record.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from m0chain import ChainClient, Timing, idl
from m0common import settings as project_settings
from m0common.errors import SettingsError
from m0common.secret import SecretUrl
from m0common.settings import Settings
from m0replay import catalog_files

from m0local import deployment
from m0local.errors import LocalStackError
from m0local.keys import ensure_plain_key
from m0local.provision import Say
from m0local.provision.chain.accounts import SIGNER_SET_ID, Accounts, ChainCatalog
from m0local.provision.chain.keys import Keys, ensure_keys
from m0local.provision.chain.loader import Loader
from m0local.settings import StackSettings

PROGRAMS = ("oracle", "registry")
_TIMING = Timing(poll_s=0.1, attempts=8)


def provision(settings: StackSettings, _say: Say) -> None:
    """Bring the chain at `settings.rpc_url` to the state the services expect.

    Raises ChainError, SettingsError or LocalStackError.
    """
    keys = ensure_keys(settings.keys, settings.passphrase_file)
    config = project_settings.load(path=settings.config_path)
    code = {name: _built(settings.root / "programs" / "deploy" / f"m0_{name}.so") for name in PROGRAMS}
    asyncio.run(provision_chain(settings, keys, config, code))


def chain_catalogs(config_dir: Path, config: Settings) -> dict[str, ChainCatalog]:
    """Every catalog of the settings with what its markets file says. Raises SettingsError."""
    found = {}
    for name, catalog in config.catalogs.items():
        files = catalog_files.read(config_dir, name)
        signer_set = files.table.params.get("signer_set_id")
        if signer_set is None:
            raise SettingsError(f"{files.path}: catalog.params.signer_set_id is missing: write {SIGNER_SET_ID}")
        found[name] = ChainCatalog(files.table.epoch_ms, catalog.commit_ms, catalog.reveal_ms, signer_set)
    return found


def _control_key(settings: StackSettings) -> str:
    """The public control key in hex, made with the deployment and never replaced."""
    recorded = deployment.read(settings.deployment_file).get("control_key")
    if recorded and not settings.control_key_file.exists():
        raise LocalStackError(
            f"The control key {settings.control_key_file} is gone and this deployment cannot have another: "
            "restore it, or `make clean` to start a new one."
        )
    return bytes(ensure_plain_key(settings.control_key_file).pubkey()).hex()


def _built(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise LocalStackError(f"Program {file} cannot be read ({error.strerror}): run `make programs`.") from error


async def provision_chain(settings: StackSettings, keys: Keys, config: Settings, code: Mapping[str, bytes]) -> None:
    """Deploy, initialize and record; see `provision`."""
    oracle, registry = keys.oracle.pubkey(), keys.registry.pubkey()
    idls = {oracle: idl.oracle(), registry: idl.registry()}
    async with ChainClient(settings.rpc_url, timing=_TIMING, idls=idls) as client:
        accounts = Accounts(client, keys)
        await accounts.fund()
        loader = Loader(client, keys.admin)
        await asyncio.gather(loader.deploy(keys.oracle, code["oracle"]), loader.deploy(keys.registry, code["registry"]))
        await accounts.roots()
        await accounts.signer_set()
        await accounts.catalogs(chain_catalogs(settings.config_dir, config))
        genesis = (await client.call(lambda c: c.get_genesis_hash())).value
    deployment.write(
        settings.deployment_file,
        {
            "programs": {"oracle": str(oracle), "registry": str(registry)},
            "genesis_hash": bytes(genesis).hex(),
            "control_key": _control_key(settings),
            "rpc_url": str(SecretUrl(settings.rpc_url)),
            "cluster": config.solana.cluster,
            "signer_set_id": SIGNER_SET_ID,
            "signers": [{"name": name, "public_key": str(key)} for name, key in keys.signers.items()],
        },
    )
