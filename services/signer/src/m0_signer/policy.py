"""What a claimed epoch must be before this signer considers it, whoever said it: pure checks of what it says."""

from dataclasses import dataclass

from m0chain.accounts import Catalog, SignerSet
from m0common.canonical import BundleHeader, input_root, state_root
from m0common.errors import InvalidValue
from m0common.ids import epoch_window
from m0common.messages import HeaderMessage
from solders.pubkey import Pubkey

AHEAD_EPOCHS = 8
"""So many epochs may a header's window end after the chain's clock."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an epoch is not signed: `rule` is a short stable name, `detail` is for people."""

    rule: str
    detail: str


def check_header(claim: HeaderMessage) -> BundleHeader | Refusal:
    """The canonical header when the claim is consistent in itself. Its leaves are checked by computing them."""
    try:
        header = BundleHeader.decode(claim.header)
    except InvalidValue as error:
        return Refusal("malformed", str(error))
    if (header.catalog, header.epoch_id) != (claim.catalog, claim.epoch_id):
        return Refusal("malformed", f"message of {claim.catalog} {claim.epoch_id} carries another epoch's header")
    if bool(header.leaf_count) != bool(claim.pieces):
        return Refusal("pieces", f"{len(claim.pieces)} pieces hold {header.leaf_count} leaves")
    if input_root({lane.partition: lane.input_digest for lane in claim.lanes}) != header.input_root:
        return Refusal("input_root", "the lanes' input digests do not lead to the header's input root")
    states = {(lane.partition, s): digest for lane in claim.lanes for s, digest in enumerate(lane.stage_digests, 1)}
    if state_root(states) != header.state_root:
        return Refusal("state_root", "the stages' state digests do not lead to the header's state root")
    return header


def check_time(header: BundleHeader, epoch_ms: int, now_ms: int) -> Refusal | None:
    """Whether a header may wait: its window is that of its epoch, and over by the chain's clock, or so in a moment.

    Nobody can know an epoch whose window is not over; a clock that is `AHEAD_EPOCHS` behind is allowed for.
    """
    if epoch_window(header.epoch_id, epoch_ms) != (header.window_start_ms, header.window_end_ms):
        return Refusal("window", f"window {header.window_start_ms} to {header.window_end_ms} is not that of the epoch")
    if header.window_end_ms > now_ms + AHEAD_EPOCHS * epoch_ms:
        return Refusal("early", f"its window ends at {header.window_end_ms}, the chain's clock says {now_ms}")
    return None


def check_chain(header: BundleHeader, catalog: Catalog, signer_set: SignerSet, me: Pubkey) -> Refusal | None:
    """Whether the chain would take this header from this signer now; None when it would.

    `signer_set` is the catalog's set.
    """
    if epoch_window(header.epoch_id, catalog.epoch_ms) != (header.window_start_ms, header.window_end_ms):
        return Refusal("window", f"window {header.window_start_ms} to {header.window_end_ms} is not that of the epoch")
    if header.signer_set_id != catalog.signer_set_id or signer_set.id != catalog.signer_set_id:
        return Refusal("signer_set", f"header names set {header.signer_set_id}, the catalog {catalog.signer_set_id}")
    if signer_set.retired or signer_set.activation_epoch > header.epoch_id:
        return Refusal("signer_set", f"set {signer_set.id} is retired or not active at epoch {header.epoch_id}")
    if signer_set.index(me) is None:
        return Refusal("not_a_member", f"{me} is not in set {signer_set.id}")
    if catalog.finalized_count and header.epoch_id <= catalog.last_finalized_epoch:
        return Refusal("not_newer", f"epoch {catalog.last_finalized_epoch} is finalized already")
    return None
