"""`python -m m0_signer`: open the key and the guard, go on with what is in flight, sign, stop on SIGTERM."""

import contextlib
from pathlib import Path

from m0chain import Fees, Programs, Sender, Subscriptions, node_client
from m0chain.keystore import open_key_file
from m0chain.pulse import beating
from m0common import settings
from m0common.clock import system_clock
from m0common.deployment import Deployment
from m0common.errors import SettingsError
from m0common.http import Status, status_server
from m0common.process import run_service
from m0common.stream.kafka import KafkaBroker
from m0common.stream.kafka_options import KafkaOptions
from m0lanes.stages import Heart

from m0_signer.app import Signer, guard_path, rpc_chain
from m0_signer.guard import Guard

NEEDS = ("deployment", "kafka", "stage", "solana", "signer", "keys_dir", "key_passphrase", "catalogs")


def _passphrase(config: settings.Settings) -> str:
    if not config.key_passphrase:
        raise SettingsError("key_passphrase is not set: name its file by M0_KEY_PASSPHRASE_FILE")
    return config.key_passphrase.reveal()


async def serve(config: settings.Settings) -> None:
    """Run until cancelled."""
    deployed = Programs.of(config)
    heart = Heart.installed(Deployment.of(config))
    status = Status(config.signer.name)
    async with contextlib.AsyncExitStack() as stack:
        server = status_server(status, config.bind or config.telemetry.prometheus_bind)
        await server.start()
        stack.push_async_callback(server.stop)
        key = open_key_file(Path(config.keys_dir) / f"{config.signer.name}.json", _passphrase(config))
        guard = await Guard.open(guard_path(config), bytes(deployed.oracle))
        stack.push_async_callback(guard.close)
        client = await stack.enter_async_context(node_client(config.solana, deployed))
        clock = system_clock(config.env)
        pulse = await stack.enter_async_context(beating(config.solana.rpc_url, clock.now_ms))
        status.ready["node"] = pulse.problem
        sender = Sender(client, Fees(micro_lamports_per_unit=config.solana.priority_fee_microlamports))
        broker = KafkaBroker(KafkaOptions.of(config.kafka, config.signer.name))
        stack.push_async_callback(broker.close)
        signer = Signer(
            config, deployed, heart, broker, rpc_chain(client, sender, deployed, key), key, guard,
            clock, status, Subscriptions(config.solana.ws_url),
        )  # fmt: skip
        await signer.run()


if __name__ == "__main__":
    run_service(lambda config: config.signer.name, NEEDS, serve)
