"""A registry ready for use: program deployed, root and one catalog created."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

from solders.keypair import Keypair
from solders.pubkey import Pubkey

from m0svm.call import Call
from m0svm.chain import SYSTEM, Chain, program_data
from m0svm.idl import Idl
from m0svm.oracle import CATALOG, built

START_MS = 1_800_000_000_000
MARKET = "EPL_2017_ARS_LEI"


def market_key(market_id: str) -> bytes:
    return hashlib.sha256(market_id.encode()).digest()


@dataclass
class Registry:
    """The deployed registry program. `ready` creates its root and catalog."""

    chain: Chain = field(default_factory=lambda: Chain(START_MS))
    idl: Idl = field(default_factory=lambda: Idl("m0_registry"))

    def __post_init__(self) -> None:
        self.admin, self.guardian, self.registrar, self.resolver, self.sponsor = (self.chain.funded() for _ in range(5))
        self.program = self.chain.deploy(built("m0_registry"), self.idl, self.admin)

    def pda(self, *seeds: bytes) -> Pubkey:
        return Pubkey.find_program_address(list(seeds), self.program)[0]

    @property
    def root(self) -> Pubkey:
        return self.pda(b"root")

    def catalog_at(self, name: bytes = CATALOG) -> Pubkey:
        return self.pda(b"catalog", name)

    def market_at(self, market_id: str = MARKET) -> Pubkey:
        return self.pda(b"market", market_key(market_id))

    def call(self, name: str, accounts: dict[str, Keypair | Pubkey], **args: Any) -> Call:
        known: dict[str, Keypair | Pubkey] = {
            "payer": self.sponsor,
            "root": self.root,
            "admin": self.admin,
            "registrar": self.registrar,
            "resolver": self.resolver,
            "system_program": SYSTEM,
            "program_data": program_data(self.program),
            "catalog": self.catalog_at(),
            "market": self.market_at(),
        }
        return Call(self.chain, self.idl, self.program, name, {**known, **accounts}, args)

    def roles(self) -> dict[str, Pubkey]:
        return {n: getattr(self, n).pubkey() for n in ("guardian", "registrar", "resolver")}

    def initialize(self) -> Call:
        return self.call("initialize_root", {}, **self.roles())

    def create_catalog(self, name: bytes = CATALOG) -> Call:
        return self.call("create_catalog", {"catalog": self.catalog_at(name)}, catalog=name)

    def create_market(self, market_id: str = MARKET, **changes: Any) -> Call:
        args = {
            "market_id": market_id,
            "group": "premier-league",
            "title": "Arsenal vs Leicester — 11 August 2017",
            "outcomes": ["home", "draw", "away"],
            "schema_version": 1,
            "opens_ms": START_MS,
            "resolves_after_ms": START_MS + 3_600_000,
        }
        return self.call("create_market", {"market": self.market_at(market_id)}, **{**args, **changes})

    def set_state(self, new_state: int, market_id: str = MARKET) -> Call:
        accounts = {"authority": self.registrar, "market": self.market_at(market_id)}
        return self.call("set_market_state", accounts, new_state=new_state)

    def resolve(self, outcome: int = 0, market_id: str = MARKET) -> Call:
        evidence = bytes([5]) * 32
        accounts = {"market": self.market_at(market_id)}
        return self.call("resolve_market", accounts, outcome=outcome, evidence_hash=evidence)

    def market(self, market_id: str = MARKET) -> dict[str, Any]:
        return self.chain.account("Market", self.market_at(market_id))

    def ready(self) -> "Registry":
        self.initialize().ok()
        self.create_catalog().ok()
        return self

    def active(self, market_id: str = MARKET) -> None:
        """Create a market and make it active."""
        self.create_market(market_id).ok()
        self.set_state(1, market_id).ok()
