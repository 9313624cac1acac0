"""`python -m m0_signer`: open the key and the guard, go on with what is in flight, sign, stop on SIGTERM."""

from pathlib import Path

from m0chain import Fees, Programs, Sender, Subscriptions, node_client
from m0chain.keystore import KeyStoreError, MemoryKeyStore, open_key_file
from m0chain.pulse import node_pulse
from m0common.deployment import Deployment
from m0common.errors import SettingsError
from m0common.process import Process, run
from m0common.settings import Settings
from m0common.stream.service import broker_of
from m0lanes.stages import Heart

from m0_signer.chain import RpcChain
from m0_signer.guard import Guard
from m0_signer.service import Signer, guard_path

NEEDS = ("deployment", "kafka", "stage", "solana", "signer", "keys_dir", "key_passphrase", "catalogs")


def _name(config: Settings) -> str:
    return config.signer.name


def _key(config: Settings) -> MemoryKeyStore:
    """The signer's key. Raises SettingsError when its file or passphrase is unfit: starting again mends neither."""
    if not config.key_passphrase:
        raise SettingsError("key_passphrase is not set: name its file by M0_KEY_PASSPHRASE_FILE")
    try:
        return open_key_file(Path(config.keys_dir) / f"{config.signer.name}.json", config.key_passphrase.reveal())
    except KeyStoreError as error:
        raise SettingsError(str(error)) from error


async def compose(process: Process) -> None:
    """A signer with its key and its guard, on Kafka and a node."""
    config = process.settings
    deployed = Programs.of(config)
    heart = Heart.installed(Deployment.of(config))
    key = _key(config)
    guard = await Guard.open(guard_path(config), bytes(deployed.oracle))
    process.closes("the guard", guard.close)
    client = await process.enter("the node", node_client(config.solana, deployed))
    pulse = await process.enter("the node's pulse", node_pulse(config.solana.rpc_url, process.clock.now_ms))
    process.task("pulse of the node", pulse.run)
    process.status.ready["node"] = pulse.problem
    sender = Sender(client, Fees(micro_lamports_per_unit=config.solana.priority_fee_microlamports))
    broker, chain = broker_of(process), RpcChain(client, sender, deployed.oracle, key)
    subscriptions = Subscriptions(config.solana.ws_url)
    await Signer(deployed, heart, broker, chain, key, guard, subscriptions).begin(process)


if __name__ == "__main__":
    run(_name, NEEDS, compose)
