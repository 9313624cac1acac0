"""Both programs in LiteSVM behind the jobs' port, and the rows an indexer would have written."""

import hashlib
from pathlib import Path

from m0chain import Oracle, Registry, RpcUnavailable, accounts, idl, pda
from m0chain.accounts import MarketState
from m0chain.vm import Vm
from m0common.canonical import BundleHeader, MerkleTree, Outcome, PredictionLeaf, commitment_hash, leaf_hash
from m0common.ids import market_key
from m0common.store.postgres import transaction
from solders.keypair import Keypair

DEPLOYED = Path(__file__).parents[3] / "programs/deploy"
EPOCH_MS, COMMIT_MS, REVEAL_MS = 20_000, 40_000, 40_000
FIRST = 85_000_000
BASE_MS = FIRST * EPOCH_MS
SET_ID = 1


class House(Vm):
    def __init__(self, pool, now_ms):
        super().__init__(now_ms)
        self.pool = pool
        self.resolver = Keypair()
        self.keys = sorted((Keypair() for _ in range(3)), key=lambda k: bytes(k.pubkey()))
        for key in (self.resolver, *self.keys):
            self.fund(key.pubkey())
        self.oracle = Oracle(self.deploy(DEPLOYED / "m0_oracle.so", idl.oracle()))
        self.registry = Registry(self.deploy(DEPLOYED / "m0_registry.so", idl.registry()))
        me = self.admin.pubkey()
        self.do(self.registry.initialize_root(me, me, me, me, self.resolver.pubkey()))
        self.do(self.registry.create_catalog(me, me, "sports"))
        self.do(self.oracle.initialize(me, me, me, self.registry.program))
        self.do(self.oracle.create_signer_set(me, me, SET_ID, 2, [k.pubkey() for k in self.keys]))
        self.do(self.oracle.create_catalog(me, me, "sports", SET_ID, EPOCH_MS, COMMIT_MS, REVEAL_MS))
        self.chain = HouseChain(self)

    # --- the chain ---

    def create_market(self, market_id, resolves_after_ms, outcomes=("HOME", "DRAW", "AWAY"), active=True):
        me = self.admin.pubkey()
        self.do(
            self.registry.create_market(
                me,
                me,
                "sports",
                market_id,
                "eng.1",
                market_id,
                outcomes,
                opens_ms=0,
                resolves_after_ms=resolves_after_ms,
            )
        )
        if active:
            self.do(self.registry.set_market_state(me, market_id, MarketState.ACTIVE))

    def market(self, market_id):
        data = self.data(pda.market(self.registry.program, market_id))
        return None if data is None else accounts.market(data)

    def epoch(self, epoch_id):
        data = self.data(pda.epoch(self.oracle.program, "sports", epoch_id))
        return None if data is None else accounts.epoch(data)

    def catalog(self):
        return accounts.catalog(self.data(pda.catalog(self.oracle.program, "sports")))

    def header(self, epoch_id, root=b"r" * 32):
        start = epoch_id * EPOCH_MS
        zero = bytes(32)
        return BundleHeader("sports", epoch_id, start, start + EPOCH_MS, SET_ID, 3, root, zero, zero, zero, zero, zero)

    def open_epoch(self, epoch_id, committed=0, revealed=0):
        """Open an epoch at its end; the first `committed` signers commit and the first `revealed` of them reveal."""
        self.set_time((epoch_id + 1) * EPOCH_MS)
        opener = self.keys[0]
        self.do(self.oracle.open_epoch(opener.pubkey(), "sports", epoch_id, SET_ID), signer=opener)
        header, salt = self.header(epoch_id), b"s" * 32
        at = bytes(pda.epoch(self.oracle.program, "sports", epoch_id))
        for key in self.keys[:committed]:
            me = key.pubkey()
            hidden = commitment_hash(bytes(self.oracle.program), at, bytes(me), header.bundle_hash, salt)
            self.do(self.oracle.commit(me, "sports", epoch_id, SET_ID, hidden), signer=key)
        if revealed and committed < 3:
            self.set_time((epoch_id + 1) * EPOCH_MS + COMMIT_MS + 1000)
        for key in self.keys[:revealed]:
            me = key.pubkey()
            made = self.oracle.reveal(me, "sports", epoch_id, SET_ID, header.encode(), salt, b"a" * 64)
            self.do(made, signer=key)

    def after_commits(self, epoch_id, ms):
        self.set_time((epoch_id + 1) * EPOCH_MS + COMMIT_MS + ms)

    def after_reveals(self, epoch_id, ms):
        self.set_time((epoch_id + 1) * EPOCH_MS + COMMIT_MS + REVEAL_MS + ms)

    # --- what an indexer would have written ---

    async def execute(self, sql, *args):
        async with transaction(self.pool) as connection:
            return await connection.execute(sql, args)

    async def rows(self, sql, *args):
        async with transaction(self.pool) as connection:
            return await (await connection.execute(sql, args)).fetchall()

    async def index_catalog(self):
        await self.execute(
            "INSERT INTO catalogs VALUES ('sports', %s, %s, %s, %s, 1, 'finalized')",
            SET_ID,
            EPOCH_MS,
            COMMIT_MS,
            REVEAL_MS,
        )

    async def index_market(self, market_id, resolves_after_ms, outcomes=("HOME", "DRAW", "AWAY"), **changes):
        row = {"state": "ACTIVE", "resolution": None, "resolved_ms": None, "commitment": "finalized", **changes}
        await self.execute(
            """
            INSERT INTO markets (market_id, market_key, catalog, market_group, title, outcomes, state, schema_version,
                opens_ms, resolves_after_ms, resolution, resolved_ms, slot, commitment)
            VALUES (%s, %s, 'sports', 'eng.1', 't', %s, %s, 1, 0, %s, %s, %s, 1, %s)
            """,
            market_id, market_key(market_id), list(outcomes), row["state"], resolves_after_ms, row["resolution"],
            row["resolved_ms"], row["commitment"],
        )  # fmt: skip

    async def index_epoch(self, epoch_id, status, bundle_hash=None, commitment="finalized"):
        start = epoch_id * EPOCH_MS
        end = start + EPOCH_MS
        await self.execute(
            """
            INSERT INTO epochs (catalog, epoch_id, status, signer_set_id, window_start_ms, window_end_ms,
                commit_deadline_ms, reveal_deadline_ms, bundle_hash, slot, commitment)
            VALUES ('sports', %s, %s, %s, %s, %s, %s, %s, %s, 1, %s)
            """,
            epoch_id, status, SET_ID, start, end, end + COMMIT_MS, end + COMMIT_MS + REVEAL_MS, bundle_hash, commitment,
        )  # fmt: skip

    async def index_leaf(self, epoch_id, market_id, p, model="football"):
        """A bundle of one leaf; returns its hash."""
        outcomes = tuple(Outcome(each, 0, 10**9) for each in p)
        zero = bytes(32)
        end = (epoch_id + 1) * EPOCH_MS
        leaf = PredictionLeaf(
            market_key(market_id), epoch_id, end, 1, outcomes, 0, 0 if p else 1 << 7, zero, zero
        ).encode()
        root = MerkleTree([leaf_hash(leaf)]).root
        bundle_hash = hashlib.sha256(root).digest()
        await self.execute(
            "INSERT INTO bundles VALUES (%s, 'sports', %s, %s, %s, %s, 1, %s, %s, '[]', '[]', 0)",
            bundle_hash, epoch_id, b"h", root, zero, end - EPOCH_MS, end,
        )  # fmt: skip
        await self.execute(
            "INSERT INTO leaves VALUES (%s, 0, %s, %s, 'sports', %s, %s, %s)",
            bundle_hash, market_id, epoch_id, leaf, leaf_hash(leaf), model,
        )  # fmt: skip
        return bundle_hash


class HouseChain:
    """See m0_jobs.chain.ChainPort."""

    def __init__(self, house):
        self.house = house
        self.sent = 0

    @property
    def payer(self):
        return self.house.resolver.pubkey()

    async def now_ms(self):
        if self.house.down:
            raise RpcUnavailable("the node is away")
        return self.house.now_ms

    async def markets(self, market_ids):
        return [self.house.market(m) for m in market_ids]

    async def epochs(self, catalog, epoch_ids):
        return [self.house.epoch(i) for i in epoch_ids]

    async def catalog(self, name):
        return self.house.catalog()

    async def send(self, instruction):
        self.sent += 1
        return await self.house.send(instruction, self.house.resolver)
