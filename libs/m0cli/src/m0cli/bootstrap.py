"""`m0 bootstrap`: schema, topics with users and rights, programs and accounts on chain, and the first catalogs."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from m0common.errors import SettingsError
from m0common.rights import OPERATOR
from m0common.settings import Settings, load
from m0common.stream.kafka_security import Security

from m0cli.arguments import folder_named
from m0cli.changes_view import heard, tell
from m0cli.failing import one_sentence

if TYPE_CHECKING:
    from m0deploy.changes import Changes
    from m0deploy.site import Site
    from m0deploy.steps import SettingsOf

app = typer.Typer(help="From empty servers to a deployment.")


@app.command()
def bootstrap(
    folder: Annotated[
        Path,
        typer.Option(
            "--dir",
            parser=folder_named,
            metavar="FOLDER",
            help="The deployment's folder, in which `m0 keys init` made the keys.",
        ),
    ],
    apply: Annotated[
        bool | None,
        typer.Option("--apply/--plan", help="Do it, or only say what is due (default: --apply in dev, else --plan)."),
    ] = None,
    programs: Annotated[Path, typer.Option(help="The folder of the built programs.", envvar="M0_PROGRAMS_DIR")] = Path(
        "programs/deploy"
    ),
    only: Annotated[
        list[str] | None, typer.Option(help="Only this step: database, topics, chain or catalogs; may be given again.")
    ] = None,
    config_map: Annotated[
        str | None, typer.Option(help="Keep the record in this ConfigMap of Kubernetes too, for services to mount.")
    ] = None,
    expand: Annotated[
        bool,
        typer.Option("--expand", help="Take nothing away in Kafka that a version which runs may need, and say what."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Bring a deployment to life, or to what its settings say: every step looks first and changes what differs.

    It logs in to Kafka as the user of the settings, an administrator, and as the operator for the catalogs; the admin
    of the keys pays for what is on chain. What it made is in deployment.json of the folder: services read that file
    (M0_DEPLOYMENT_FILE).
    """
    from m0chain import quiet_retries  # noqa: PLC0415 - help needs no library of the chain
    from m0deploy.program_registry import registry_path  # noqa: PLC0415
    from m0deploy.site import Site  # noqa: PLC0415

    from m0cli.stack_settings import told  # noqa: PLC0415 - reads the deployment only when called

    with one_sentence("bootstrap", as_json):
        quiet_retries()
        environment = told()
        site = replace(Site.of(folder, programs, registry_path(environment, programs)), expands=expand)
        refuse_another(environment.get("M0_DEPLOYMENT_FILE"), site.record)
        settings_of = partial(as_user, site, environment)
        does = settings_of("").env == "dev" if apply is None else apply
        changes = heard(as_json, apply=does)
        asyncio.run(_take(site, settings_of, changes, only, config_map))
        tell(changes, as_json, "`m0 bootstrap --apply`")


async def _take(
    site: "Site", settings_of: "SettingsOf", changes: "Changes", only: list[str] | None, config_map: str | None
) -> None:
    from m0deploy import chain  # noqa: PLC0415
    from m0deploy.steps import take  # noqa: PLC0415

    if only is None or "chain" in only:
        chain.at_hand(site, settings_of(OPERATOR))  # what is missing here is said before a server is waited for
    await take(site, settings_of, lambda _: changes, only=only)
    if config_map is not None and site.record.exists():
        from m0deploy.cluster import Cluster  # noqa: PLC0415

        await Cluster.reached(None).record(site, config_map, changes)


def refuse_another(known: str | None, record: Path) -> None:
    """Raise SettingsError where the servers of one deployment would be given another one's identity."""
    if known and Path(known).resolve() != record.resolve():
        raise SettingsError(
            f"these servers are of the deployment in {Path(known).parent}, not of one in {record.parent}: name other "
            "servers by M0_CONFIG_PATH or M0_KAFKA_BOOTSTRAP, or that folder by --dir"
        )


def as_user(site: "Site", environment: Mapping[str, str], user: str) -> Settings:
    """The settings of `user`: whoever has a password among the keys logs in to Kafka with it. Raises SettingsError."""
    own = {**environment, "M0_DEPLOYMENT_FILE": str(site.record), "M0_KEYS_DIR": str(site.keys)}
    settings, password = load(own), site.kafka_passwords / user
    asks_who = Security.of(settings.kafka).authenticates
    if not user or not asks_who or user == settings.kafka.username or not password.exists():
        return settings
    own.pop("M0_KAFKA_PASSWORD", None)
    return load(own | {"M0_KAFKA_USERNAME": user, "M0_KAFKA_PASSWORD_FILE": str(password)})
