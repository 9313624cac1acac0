"""Sites for the doctor: an API that says what it is told to, servers that are ill, and a chain with real programs."""

import asyncio
import contextlib
import json
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from m0chain import ChainClient, Oracle, Sender, idl, pda
from m0chain.keystore import open_key_file, read_passphrase
from m0cli.doctor.site import Site
from m0common.canonical import BundleHeader, attestation_digest, commitment_hash
from m0common.secret import SecretUrl
from m0common.settings import Settings
from m0deploy import keys as key_files
from m0deploy.accounts import Accounts, ChainCatalog
from m0deploy.changes import Changes
from m0deploy.loader import Loader
from m0deploy.site import Site as Folder

PROGRAMS = Path(__file__).parents[3] / "programs/deploy"
CATALOG = "sports"
EPOCH_MS = 10_000
PHASE_MS = 150_000
SALT = bytes(range(32))


class Served:
    """A server on loopback. `answers` maps a path to an object, text or `(status, body)`; what is not there is 404."""

    def __init__(self, answers=None, every=None):
        self.answers = answers or {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                parts = urlsplit(self.path)
                answer = every or outer.answers.get(parts.path, (404, {"code": "not_found"}))
                if callable(answer):
                    answer = answer(parse_qs(parts.query))
                status, body = answer if isinstance(answer, tuple) else (200, answer)
                text = body if isinstance(body, str) else json.dumps(body)
                self.send_response(status)
                self.send_header("content-length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            do_POST = do_GET

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@contextlib.contextmanager
def served(answers=None, every=None):
    server = Served(answers, every)
    try:
        yield server
    finally:
        server.close()


def site(api="http://127.0.0.1:1", rpc=None, **changed):
    """A site of which nothing more is known."""
    made = Site(
        api=api, settings=Settings(), rpc=None if rpc is None else SecretUrl(rpc), oracle=None, registry=None,
        genesis_hash=None, kafka=False,
    )  # fmt: skip
    return replace(made, **changed)


def epoch_json(epoch_id, header=None, **changed):
    """A final epoch as the API lists it."""
    return {
        "catalog": CATALOG, "epoch_id": epoch_id, "status": "finalized", "window_start_ms": epoch_id * EPOCH_MS,
        "window_end_ms": (epoch_id + 1) * EPOCH_MS,
        "bundle_hash": "00" * 32 if header is None else header.bundle_hash.hex(),
        "merkle_root": "00" * 32 if header is None else header.merkle_root.hex(),
    } | changed  # fmt: skip


def market_json(market_id="EPL_1", state="ACTIVE", **changed):
    return {
        "market_id": market_id, "catalog": CATALOG, "title": "t", "outcomes": ["a", "b"], "state": state,
        "schema_version": 1, "opens_ms": 0, "resolves_after_ms": 1,
    } | changed  # fmt: skip


def page(*items):
    return {"items": list(items), "next_cursor": None}


class OnChain:
    """Both programs on a chain of their own, with one catalog and three signers who do what a test says."""

    def __init__(self, url, home):
        self.url = url
        self.folder = Folder(home / "keys", home / "control", home / "record.json", PROGRAMS)
        key_files.ensure(self.folder, 3)
        self.keys = key_files.read(self.folder, 3)
        self.oracle = Oracle(self.keys.oracle.pubkey())
        passphrase = read_passphrase(self.folder.passphrase)
        stores = [open_key_file(self.folder.keys / f"{name}.json", passphrase) for name in self.keys.signers]
        self.signers = sorted(stores, key=lambda store: bytes(store.public_key))
        self.previous = bytes(32)

    def client(self):
        return ChainClient(self.url, idls={self.oracle.program: idl.oracle()})

    async def provision(self):
        async with self.client() as client:
            changes = Changes(lambda _: None, apply=True)
            setup, loader = Accounts(client, self.keys, changes), Loader(client, self.keys.admin, changes)
            await setup.fund(test_cluster=True)
            for name, key in (("oracle", self.keys.oracle), ("registry", self.keys.registry)):
                await loader.deploy(name, key, (PROGRAMS / f"m0_{name}.so").read_bytes())
            await setup.roots()
            await setup.signer_set()
            await setup.catalogs({CATALOG: ChainCatalog(EPOCH_MS, PHASE_MS, PHASE_MS, 1)})
        # some boxes read what is final alone
        catalog = pda.catalog(self.oracle.program, CATALOG)
        async with ChainClient(self.url, commitment="finalized") as final, asyncio.timeout(60):
            while await final.account(catalog) is None:  # noqa: ASYNC110 - the chain tells nobody
                await asyncio.sleep(0.1)

    async def newest_over(self):
        """The newest epoch whose window is over on chain."""
        async with self.client() as client:
            return (await client.chain_time()).unix_ms // EPOCH_MS - 1

    def header(self, epoch_id):
        window = (epoch_id * EPOCH_MS, (epoch_id + 1) * EPOCH_MS)
        return BundleHeader(CATALOG, epoch_id, *window, 1, 1, bytes([1]) * 32, self.previous, *[bytes([2]) * 32] * 4)

    async def open(self, epoch_id):
        """Open an epoch."""
        payer = self.keys.admin
        async with self.client() as client:
            await Sender(client).send([self.oracle.open_epoch(payer.pubkey(), CATALOG, epoch_id, 1)], [payer])

    async def commit(self, epoch_id):
        """Open an epoch, and all commit to it."""
        await self.open(epoch_id)
        async with self.client() as client:
            sender, program = Sender(client), self.oracle.program
            address, bundle = bytes(pda.epoch(program, CATALOG, epoch_id)), self.header(epoch_id).bundle_hash

            async def one(signer):
                hidden = commitment_hash(bytes(program), address, bytes(signer.public_key), bundle, SALT)
                commit = self.oracle.commit(signer.public_key, CATALOG, epoch_id, 1, hidden)
                await sender.send([commit], [signer])

            await asyncio.gather(*map(one, self.signers))

    async def reveal(self, epoch_id, signers):
        """So many reveal an epoch; a quorum makes it final."""
        header, program = self.header(epoch_id), self.oracle.program
        async with self.client() as client:
            sender, members = Sender(client), await client.account(pda.signer_set(program, 1))
            digest = idl.oracle().decode_account("SignerSet", members.data)["digest"]

            async def one(signer):
                attested = attestation_digest(bytes(program), CATALOG, epoch_id, header.bundle_hash, digest)
                signature = await signer.sign(attested)
                who = signer.public_key
                reveal = self.oracle.reveal(who, CATALOG, epoch_id, 1, header.encode(), SALT, signature)
                await sender.send([reveal], [signer])

            await asyncio.gather(*map(one, self.signers[:signers]))
            if signers >= 2:
                await sender.send([self.oracle.finalize_epoch(CATALOG, epoch_id)], [self.keys.admin])
                self.previous = header.bundle_hash
        return header
