"""`m0 programs`: the Solana programs of a cluster, from sources to what runs on chain."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from m0common.errors import SettingsError

from m0cli import checkout
from m0cli.arguments import folder_named
from m0cli.failing import EXIT_FAILED, one_sentence
from m0cli.programs_place import Place, change, chosen, known, on, programs_of

if TYPE_CHECKING:
    from m0deploy.changes import Changes
    from m0deploy.programs import ClusterPrograms
    from solders.keypair import Keypair

app = typer.Typer(no_args_is_help=True, help="The Solana programs: build, verify, deploy and upgrade them.")

ClusterName = Annotated[
    str, typer.Argument(metavar="[CLUSTER]", help="localnet, devnet or mainnet; the settings' when not given.")
]
Rpc = Annotated[str, typer.Option("--rpc", help="A node of the cluster (default: M0_RPC_URL, else the settings').")]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--dir",
        parser=folder_named,
        metavar="FOLDER",
        help="The folder in which `m0 keys init` made the keys; on localnet the stack's.",
    ),
]
Built = Annotated[
    Path | None,
    typer.Option("--programs", envvar="M0_PROGRAMS_DIR", help="The folder of the built programs; a checkout's own."),
]
Name = Annotated[list[str] | None, typer.Option("--program", help="One program, oracle or registry; all otherwise.")]
Apply = Annotated[
    bool | None,
    typer.Option("--apply/--plan", help="Do it, or only say what is due (default: --apply on localnet, else --plan)."),
]
Authority = Annotated[
    Path | None,
    typer.Option("--authority", help="The key file of who may upgrade; else keys/admin.json of --dir."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


@app.command()
def build(
    check: Annotated[bool, typer.Option("--check", help="Compare with the committed files, write nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="From nothing, the toolchain included.")] = False,
) -> None:
    """Build the programs from the sources of a checkout into programs/deploy, with their hashes."""
    with one_sentence("programs build", as_json=False):
        root = checkout.need("building the programs")
    options = [*(["--check"] if check else []), *(["--force"] if force else [])]
    raise typer.Exit(checkout.run(root / "programs", "build.py", *options))


@app.command()
def idl(
    cluster: ClusterName = "",
    check: Annotated[bool, typer.Option("--check", help="Compare with the files, write nothing.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Write the IDLs with the cluster's addresses into this folder as well.")
    ] = None,
    folder: Folder = None,
) -> None:
    """Make the Anchor IDLs and the programs' interface.rs from the interface files of a checkout.

    `--out` is for explorers and Anchor's clients, which want to find the program's address in its IDL.
    """
    with one_sentence("programs idl", as_json=False):
        root = checkout.need("making the IDLs")
        for command in (("programs/idl/generate.py",), ("-m", "m0chain.idl.refresh")):
            if code := checkout.run(root, *command, *(["--check"] if check else [])):
                raise typer.Exit(code)
        if out is not None:
            where = known(Place(cluster, folder=folder))
            if not where.ids():
                raise SettingsError(
                    f"nothing says the addresses of programs on {where.cluster}: name the deployment's folder with "
                    "--dir, or register them in the registry of programs"
                )
            for each, address in where.needed([*chosen(where.ids(), None)]).items():
                _write_idl(root / "programs" / "idl" / f"m0_{each}.json", out, str(address))


@app.command()
def verify(
    cluster: ClusterName = "",
    rpc: Rpc = "",
    folder: Folder = None,
    programs: Built = None,
    name: Name = None,
    as_json: Json = False,
) -> None:
    """Compare the bytes that run on chain with the built ones and the registry; exit 1 when anything differs."""
    from m0deploy.built import built  # noqa: PLC0415 - help needs no library of the chain

    with one_sentence("programs verify", as_json):
        place = Place(cluster, rpc, folder, programs)
        code = chosen(built(programs_of(place)), name)

        async def work(there: "ClusterPrograms", genesis: str) -> None:
            found = await there.verify(code)
            ok = all(each.ok for each in found)
            if as_json:
                rows = [each._asdict() for each in found]
                print(json.dumps({"cluster": there.known.cluster, "genesis_hash": genesis, "ok": ok, "programs": rows}))
            else:
                for each in found:
                    print(f"{each.name} {each.id}: {each.evidence}")
            if not ok:
                raise typer.Exit(EXIT_FAILED)

        on(place, work)


@app.command()
def deploy(
    cluster: ClusterName = "",
    rpc: Rpc = "",
    folder: Folder = None,
    programs: Built = None,
    name: Name = None,
    authority: Authority = None,
    apply: Apply = None,
    as_json: Json = False,
) -> None:
    """Deploy the programs that are not there, under the addresses of the deployment's key files.

    Whoever deploys may upgrade, and pays. On localnet keys that are missing are made.
    """
    _bring("deploy", Place(cluster, rpc, folder, programs, authority), name, apply, as_json)


@app.command()
def upgrade(
    cluster: ClusterName = "",
    rpc: Rpc = "",
    folder: Folder = None,
    programs: Built = None,
    name: Name = None,
    authority: Authority = None,
    apply: Apply = None,
    as_json: Json = False,
) -> None:
    """Upgrade the programs that run other bytes than the built ones; addresses and accounts stay."""
    _bring("upgrade", Place(cluster, rpc, folder, programs, authority), name, apply, as_json)


@app.command()
def buffers(
    cluster: ClusterName = "",
    rpc: Rpc = "",
    folder: Folder = None,
    authority: Authority = None,
    close: Annotated[bool, typer.Option("--close", help="Close them; their lamports go to the authority.")] = False,
    apply: Apply = None,
    as_json: Json = False,
) -> None:
    """Buffers of the authority that interrupted deployments have left.

    `deploy` and `upgrade` go on with one that holds a part of the very bytes.
    """
    from m0deploy import loader_accounts  # noqa: PLC0415 - as above
    from m0deploy.loader import Loader, sol  # noqa: PLC0415

    with one_sentence("programs buffers", as_json):
        place = Place(cluster, rpc, folder, authority=authority)

        async def work(there: "ClusterPrograms", who: "Keypair", changes: "Changes") -> None:
            loader = Loader(there.client, who, changes)
            for buffer in await loader_accounts.buffers(there.client, who.pubkey()):
                if close:
                    await loader.close(buffer)
                else:
                    held = f"buffer {buffer.address} has room for {len(buffer.code)} bytes and holds"
                    changes.note(f"{held} {sol(buffer.lamports)} SOL: --close gives them back")

        change(place, apply if close else False, as_json, work)


@app.command(name="authority")
def hand_over(
    cluster: ClusterName = "",
    rpc: Rpc = "",
    folder: Folder = None,
    name: Name = None,
    authority: Authority = None,
    new_authority: Annotated[
        Path | None, typer.Option(help="The key file of who is to upgrade from now on; it signs as well.")
    ] = None,
    apply: Apply = None,
    as_json: Json = False,
) -> None:
    """Show who may upgrade each program, or hand that over to another key: by `--apply` alone, on localnet too."""
    from m0chain.keyfile import plain_key  # noqa: PLC0415 - as above
    from m0deploy.keys import PROGRAMS  # noqa: PLC0415
    from m0deploy.loader_accounts import deployed  # noqa: PLC0415

    with one_sentence("programs authority", as_json):
        place = Place(cluster, rpc, folder, authority=authority)
        names = list(chosen(dict.fromkeys(PROGRAMS, b""), name))
        heir = None if new_authority is None else plain_key(new_authority)

        async def show(there: "ClusterPrograms", _: str) -> None:
            found = {each: await deployed(there.client, key) for each, key in there.known.needed(names).items()}
            rows = {
                each: None if program is None or program.authority is None else str(program.authority)
                for each, program in found.items()
            }
            lines = [f"{each}: {'nobody' if found[each] else 'not deployed'}" if key is None else f"{each}: {key}"
                     for each, key in rows.items()]  # fmt: skip
            print(json.dumps(rows) if as_json else "\n".join(lines))

        async def give(there: "ClusterPrograms", who: "Keypair", changes: "Changes") -> None:
            if heir is not None:
                await there.hand_over(names, who, heir, changes)

        if heir is None:
            on(place, show)
        else:
            change(place, bool(apply), as_json, give)


def _bring(
    verb: Literal["deploy", "upgrade"], place: Place, names: list[str] | None, apply: bool | None, as_json: bool
) -> None:
    """Deploy or upgrade the built programs that are asked for."""
    from m0deploy.built import built  # noqa: PLC0415 - as above

    with one_sentence(f"programs {verb}", as_json):
        code = chosen(built(programs_of(place)), names)

        async def work(there: "ClusterPrograms", who: "Keypair", changes: "Changes") -> None:
            await (there.deploy if verb == "deploy" else there.upgrade)(code, who, changes)

        change(place, apply, as_json, work)


def _write_idl(source: Path, out: Path, address: str) -> None:
    """An IDL with the program's address. Raises SettingsError."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        made = json.loads(source.read_text()) | {"address": address}
        (out / source.name).write_text(json.dumps(made, indent=2) + "\n")
    except OSError as error:
        raise SettingsError(f"{out / source.name} cannot be written: {error.strerror}") from error
    print(f"wrote {out / source.name} for {address}")
