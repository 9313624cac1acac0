"""An oracle's history, made of real bytes and signatures, on a ledger that can fork."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from m0chain import Programs, idl, pda
from m0chain.rpc import TransactionRecord
from m0common.canonical import (
    BundleHeader,
    LaneModel,
    MerkleTree,
    Outcome,
    PredictionLeaf,
    attestation_digest,
    commitment_hash,
    input_root,
    leaf_hash,
    model_manifest_hash,
    signer_set_digest,
    state_root,
)
from m0common.ids import catalog_bytes, market_key
from m0common.messages import BundlePiece, HeaderLane, HeaderMessage, encode
from m0common.stream.restored import LANE_STAGES
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature

EPOCH_MS = 20_000
PHASE_MS = 40_000
PPB = 1_000_000_000


def digest(*parts: object) -> bytes:
    """A 32-byte value that follows from `parts`."""
    return hashlib.sha256(repr(parts).encode()).digest()


def event_line(interface: idl.Idl, name: str, fields: Mapping[str, Any]) -> str:
    """The log line of an event."""
    data = bytearray(interface.events[name])
    interface.codec(name).write(dict(fields), data)
    return "Program data: " + base64.b64encode(bytes(data)).decode()


@dataclass(frozen=True, slots=True)
class Said:
    """A bundle as the bundle service says it: pieces of `m0.bundles.v1`, then a header of `m0.headers.v1`."""

    message: HeaderMessage
    pieces: tuple[bytes, ...]

    @property
    def catalog(self) -> str:
        return self.message.catalog

    @property
    def epoch_id(self) -> int:
        return self.message.epoch_id

    @property
    def header(self) -> bytes:
        return self.message.header

    def _read(self) -> list[BundlePiece]:
        return [msgspec.msgpack.decode(value, type=BundlePiece) for value in self.pieces]

    @property
    def leaves(self) -> tuple[bytes, ...]:
        return tuple(leaf for piece in self._read() for leaf in piece.leaves)

    @property
    def market_ids(self) -> tuple[str, ...]:
        return tuple(market_id for piece in self._read() for market_id in piece.market_ids)


@dataclass(frozen=True, slots=True)
class Landed:
    """A transaction in a block; `final` is set once its block is."""

    record: TransactionRecord
    final: bool = False


@dataclass(slots=True)
class Ledger:
    """Transactions in the order they landed; `drop` takes them out, as a fork does."""

    landed: list[Landed] = field(default_factory=list)
    height: int = 1
    final_slot: int = 0

    def add(self, program: Pubkey, lines: Sequence[str], *, error: str | None = None, slot: int | None = None) -> str:
        """Land a transaction of one instruction; returns its signature."""
        self.height = self.height + 1 if slot is None else slot
        seed = digest("transaction", len(self.landed), self.height)
        signature = str(Signature.from_bytes(seed + seed))
        logs = [f"Program {program} invoke [1]", *lines, f"Program {program} success"]
        record = TransactionRecord(signature, self.height, 1_700_000_000 + self.height, error, [program], logs)
        self.landed.append(Landed(record))
        return signature

    def finalize(self, up_to: int | None = None) -> None:
        """Make everything up to a slot final (None: everything)."""
        limit = self.final_slot = self.height if up_to is None else up_to
        self.landed = [replace(each, final=each.final or each.record.slot <= limit) for each in self.landed]

    def drop(self, signature: str) -> Landed:
        """Take a transaction out of the chain."""
        gone = next(each for each in self.landed if each.record.signature == signature)
        assert not gone.final, "what is final stays"
        self.landed.remove(gone)
        return gone


@dataclass(slots=True)
class Scene:
    """An oracle with three signers, threshold two, on a ledger."""

    chain: Ledger = field(default_factory=Ledger)
    programs: Programs = field(
        default_factory=lambda: Programs(
            Pubkey.from_bytes(digest("oracle")),
            Pubkey.from_bytes(digest("registry")),
        )
    )
    signers: list[Keypair] = field(
        default_factory=lambda: sorted(
            (Keypair.from_seed(digest("signer", i)) for i in range(3)), key=lambda k: bytes(k.pubkey())
        )
    )
    previous: dict[str, bytes] = field(default_factory=dict)

    def oracle(self, name: str, /, **fields: Any) -> str:  # event fields
        """Land a transaction with one event of m0-oracle."""
        return self.chain.add(self.programs.oracle, [event_line(idl.oracle(), name, fields)])

    def registry(self, name: str, /, **fields: Any) -> str:  # event fields
        """Land a transaction with one event of m0-registry."""
        return self.chain.add(self.programs.registry, [event_line(idl.registry(), name, fields)])

    def set_up(self, catalogs: Sequence[str] = ("sports",)) -> None:
        """The signer set and the catalogs."""
        self.oracle(
            "SignerSetCreated",
            id=1,
            threshold=2,
            activation_epoch=0,
            digest=self.set_digest,
            keys=[s.pubkey() for s in self.signers],
        )
        for catalog in catalogs:
            self.oracle(
                "CatalogCreated",
                catalog=catalog_bytes(catalog),
                signer_set_id=1,
                epoch_ms=EPOCH_MS,
                commit_ms=PHASE_MS,
                reveal_ms=PHASE_MS,
            )

    @property
    def set_digest(self) -> bytes:
        """The digest of the signer set."""
        return signer_set_digest(1, 2, [bytes(s.pubkey()) for s in self.signers])

    def market(
        self, market_id: str, catalog: str = "sports", outcomes: Sequence[str] = ("home", "draw", "away")
    ) -> str:
        """Create and activate a market; returns the signature of its creation."""
        created = self.registry(
            "MarketCreated",
            market_key=market_key(market_id),
            catalog=catalog_bytes(catalog),
            market_id=market_id,
            group="EPL",
            title=f"Title of {market_id}",
            outcomes=list(outcomes),
            schema_version=1,
            opens_ms=1_000,
            resolves_after_ms=2_000,
        )
        self.state(market_id, 0, 1)
        return created

    def state(self, market_id: str, old: int, new: int) -> str:
        """Move a market."""
        return self.registry("MarketStateChanged", market_key=market_key(market_id), old_state=old, new_state=new)

    def resolve(self, market_id: str, outcome: int) -> str:
        """Resolve a market."""
        return self.registry(
            "MarketResolved",
            market_key=market_key(market_id),
            outcome=outcome,
            evidence_hash=digest("evidence", market_id),
            resolved_ms=3_000,
        )

    def bundle(
        self, epoch_id: int, markets: Mapping[str, Sequence[int]], catalog: str = "sports", *, piece_leaves: int = 2
    ) -> Said:
        """A bundle of the markets with their probabilities in ppb; an empty sequence is a blocked market."""
        ids = sorted(markets, key=market_key)
        leaves = tuple(
            PredictionLeaf(
                market_key(market_id),
                epoch_id,
                (epoch_id + 1) * EPOCH_MS,
                1,
                tuple(Outcome(p, max(0, p - 1000), min(PPB, p + 1000)) for p in markets[market_id]),
                1234,
                0b101 if markets[market_id] else 0b1000_0001,
                digest("model"),
                digest("features", market_id, epoch_id),
            ).encode()
            for market_id in ids
        )
        pieces = tuple(
            encode(BundlePiece(catalog, leaves[at:end], tuple(ids[at:end]), ("elo_dc",) * len(ids[at:end])))
            for at, end in ((at, at + piece_leaves) for at in range(0, len(ids), piece_leaves))
        )
        lane = HeaderLane(
            0,
            0,
            digest("lane", epoch_id),
            tuple(digest("stage", stage, epoch_id) for stage in LANE_STAGES),
            (),
            digest("release"),
            digest("model"),
            bytes(32),
        )
        header = BundleHeader(
            catalog,
            epoch_id,
            epoch_id * EPOCH_MS,
            (epoch_id + 1) * EPOCH_MS,
            1,
            len(leaves),
            MerkleTree([leaf_hash(leaf) for leaf in leaves]).root if leaves else hashlib.sha256(b"").digest(),
            self.previous.get(catalog, bytes(32)),
            model_manifest_hash([LaneModel(lane.partition, lane.release, lane.model_key)]),
            digest("config"),
            input_root({lane.partition: lane.input_digest}),
            state_root({(lane.partition, at): d for at, d in zip(LANE_STAGES, lane.stage_digests, strict=True)}),
        )
        if leaves:
            self.previous[catalog] = header.bundle_hash
        names = tuple(hashlib.sha256(piece).digest() for piece in pieces)
        message = HeaderMessage(
            catalog, 1, header.encode(), (), (lane,), names, epoch_id, digest("set"), digest("state", epoch_id - 1)
        )
        return Said(message, pieces)

    def open(self, epoch_id: int, catalog: str = "sports") -> str:
        """Open an epoch."""
        end = (epoch_id + 1) * EPOCH_MS
        return self.oracle(
            "EpochOpened",
            catalog=catalog_bytes(catalog),
            epoch_id=epoch_id,
            signer_set_id=1,
            window_start_ms=epoch_id * EPOCH_MS,
            window_end_ms=end,
            commit_deadline_ms=end + PHASE_MS,
            reveal_deadline_ms=end + 2 * PHASE_MS,
        )

    def commit(self, bundle: Said, signer: int) -> str:
        """One signer commits."""
        key = self.signers[signer].pubkey()
        epoch = pda.epoch(self.programs.oracle, bundle.catalog, bundle.epoch_id)
        hidden = commitment_hash(
            bytes(self.programs.oracle), bytes(epoch), bytes(key), self.hash_of(bundle), digest("salt", signer)
        )
        return self.oracle(
            "Committed",
            catalog=catalog_bytes(bundle.catalog),
            epoch_id=bundle.epoch_id,
            signer=key,
            commitment=hidden,
        )

    def reveal(self, bundle: Said, signer: int, attestation: bytes | None = None) -> str:
        """One signer reveals."""
        key = self.signers[signer]
        signed = attestation_digest(
            bytes(self.programs.oracle), bundle.catalog, bundle.epoch_id, self.hash_of(bundle), self.set_digest
        )
        return self.oracle(
            "Revealed",
            catalog=catalog_bytes(bundle.catalog),
            epoch_id=bundle.epoch_id,
            signer=key.pubkey(),
            bundle_hash=self.hash_of(bundle),
            attestation=attestation or bytes(key.sign_message(signed)),
            header=bundle.header,
        )

    def finalize(self, bundle: Said, mask: int = 0b11) -> str:
        """The finalize transaction."""
        header = BundleHeader.decode(bundle.header)
        return self.oracle(
            "EpochFinalized",
            catalog=catalog_bytes(bundle.catalog),
            epoch_id=bundle.epoch_id,
            bundle_hash=header.bundle_hash,
            merkle_root=header.merkle_root,
            leaf_count=header.leaf_count,
            signers_mask=mask,
            signer_set_id=1,
            window_end_ms=header.window_end_ms,
        )

    def expire(self, epoch_id: int, catalog: str = "sports") -> str:
        """The expire transaction."""
        return self.oracle("EpochExpired", catalog=catalog_bytes(catalog), epoch_id=epoch_id, committed=0, revealed=0)

    def whole_epoch(self, bundle: Said) -> str:
        """Open, commit and reveal by the first two signers, finalize; returns the finalize signature."""
        self.open(bundle.epoch_id, bundle.catalog)
        for signer in (0, 1):
            self.commit(bundle, signer)
        for signer in (0, 1):
            self.reveal(bundle, signer)
        return self.finalize(bundle)

    @staticmethod
    def hash_of(bundle: Said) -> bytes:
        """The bundle's content address."""
        return BundleHeader.decode(bundle.header).bundle_hash
