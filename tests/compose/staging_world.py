"""compose.staging.yml with its own servers and a chain of development, brought to life as its documentation says."""

import shutil
from pathlib import Path

from compose_world import FOLDER, ROOT, Deployment, Engine
from m0deploy.images import build_of_image

CONFIG = {
    "replication = 3": "replication = 1",
    "min_insync_replicas = 2": "min_insync_replicas = 1",
    'cluster = "devnet"': 'cluster = "localnet"',
}
"""What an operator with one broker and a chain of his own changes in the settings file."""
SECRETS = """
umask 077; cd /srv/m0club; mkdir secrets
echo "postgresql://m0:$(cat keys/postgres/m0)@postgres:5432/m0" >secrets/pg_dsn
echo redis://valkey:6379/0 >secrets/redis_url
echo http://localnet:8899 >secrets/rpc_url
echo ws://localnet:8900 >secrets/ws_url
"""


class Staging(Deployment):
    """A project of the services and one of the lanes, out of the folder `site`; keys, settings and secrets as told."""

    options = (
        "-f", str(FOLDER / "compose.staging.yml"), "-f", str(ROOT / "tests/compose/localnet.yml"),
        "--profile", "servers",
    )  # fmt: skip

    def __init__(self, engine: Engine, images: dict[str, str], folder: Path) -> None:
        super().__init__(engine, images)
        self.site, config = folder / "site", folder / "config"
        self.site.mkdir()
        shutil.copytree(ROOT / "config", config)
        text = (config / "staging.toml").read_text()
        for old, new in CONFIG.items():
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        (config / "staging.toml").write_text(text)
        self.env |= {"M0_ENV": "staging", "M0_SITE": str(self.site), "M0_CONFIG_DIR": str(config), "M0_TAG": "dev"}
        self.env |= {"M0_KAFKA_BOOTSTRAP": "kafka:9092", "M0_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"}
        self.env |= {"M0_RELEASE_ID": build_of_image("m0club/model:dev")[0]}

    def own(self, script: str, user: str = "10001") -> str:
        """Run a shell's commands in the folder, as whom containers run as."""
        mounted = ("-v", f"{self.site}:/srv/m0club", "--user", user, "--entrypoint", "sh")
        return self.engine("run", "--rm", "--network", "none", *mounted, "m0club/m0:dev", "-c", script)

    def once(self, service: str, *arguments: str) -> str:
        """A service that runs once; what it printed."""
        return self.compose("run", "--rm", "-T", service, *arguments)

    def lanes(self, *arguments: str, check: bool = True) -> str:
        """`docker compose` on the project of the lanes."""
        file = str(FOLDER / "compose.lanes.yml")
        return self.engine("compose", "-p", f"{self.project}-lanes", "-f", file, *arguments, check=check, env=self.env)

    def down(self) -> None:
        """Nothing stays, the folder's files excepted."""
        self.lanes("down", "--timeout", "5", check=False)
        self.compose("--profile", "*", "down", "--volumes", "--timeout", "5", check=False)
        self.own("rm -rf /srv/m0club/*", user="0")
