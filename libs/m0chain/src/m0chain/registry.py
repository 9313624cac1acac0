"""Builders of m0-registry's instructions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from m0common.ids import catalog_bytes
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from m0chain import idl, pda
from m0chain.build import build


@dataclass(frozen=True, slots=True)
class Registry:
    """Instructions of the m0-registry deployed at `program`."""

    program: Pubkey

    def _build(self, name: str, accounts: Mapping[str, Pubkey], args: Mapping[str, Any] | None = None) -> Instruction:
        root = {"root": pda.registry_root(self.program)}
        return build(idl.registry(), self.program, name, {**root, **accounts}, args)

    def initialize_root(
        self, payer: Pubkey, admin: Pubkey, guardian: Pubkey, registrar: Pubkey, resolver: Pubkey
    ) -> Instruction:
        """Create the root; `admin` must be the program's upgrade authority."""
        accounts = {"payer": payer, "admin": admin, "program_data": pda.program_data(self.program)}
        return self._build(
            "initialize_root", accounts, {"guardian": guardian, "registrar": registrar, "resolver": resolver}
        )

    def propose_admin(self, admin: Pubkey, new_admin: Pubkey) -> Instruction:
        """First step of handing the admin role over."""
        return self._build("propose_admin", {"admin": admin}, {"new_admin": new_admin})

    def accept_admin(self, new_admin: Pubkey) -> Instruction:
        """Second step: the proposed admin accepts."""
        return self._build("accept_admin", {"new_admin": new_admin})

    def set_roles(self, admin: Pubkey, guardian: Pubkey, registrar: Pubkey, resolver: Pubkey) -> Instruction:
        """Replace guardian, registrar and resolver."""
        return self._build(
            "set_roles", {"admin": admin}, {"guardian": guardian, "registrar": registrar, "resolver": resolver}
        )

    def set_paused(self, authority: Pubkey, paused: bool) -> Instruction:
        """Pause (guardian or admin) or resume (admin)."""
        return self._build("set_paused", {"authority": authority}, {"paused": paused})

    def create_catalog(self, payer: Pubkey, admin: Pubkey, catalog: str) -> Instruction:
        """Create a catalog that markets can belong to."""
        accounts = {"payer": payer, "admin": admin, "catalog": pda.catalog(self.program, catalog)}
        return self._build("create_catalog", accounts, {"catalog": catalog_bytes(catalog)})

    def create_market(
        self,
        payer: Pubkey,
        registrar: Pubkey,
        catalog: str,
        market_id: str,
        group: str,
        title: str,
        outcomes: Sequence[str],
        *,
        opens_ms: int,
        resolves_after_ms: int,
        schema_version: int = 1,
    ) -> Instruction:
        """Create a market in state DRAFT; limits are in docs/protocol.md."""
        accounts = {
            "payer": payer,
            "registrar": registrar,
            "catalog": pda.catalog(self.program, catalog),
            "market": pda.market(self.program, market_id),
        }
        args = {
            "market_id": market_id,
            "group": group,
            "title": title,
            "outcomes": list(outcomes),
            "schema_version": schema_version,
            "opens_ms": opens_ms,
            "resolves_after_ms": resolves_after_ms,
        }
        return self._build("create_market", accounts, args)

    def set_market_state(self, authority: Pubkey, market_id: str, new_state: int) -> Instruction:
        """Move a market to another state (`accounts.MarketState`)."""
        accounts = {"authority": authority, "market": pda.market(self.program, market_id)}
        return self._build("set_market_state", accounts, {"new_state": int(new_state)})

    def resolve_market(self, resolver: Pubkey, market_id: str, outcome: int, evidence_hash: bytes) -> Instruction:
        """Record the outcome (255: void) of a market, once."""
        accounts = {"resolver": resolver, "market": pda.market(self.program, market_id)}
        return self._build("resolve_market", accounts, {"outcome": outcome, "evidence_hash": evidence_hash})
