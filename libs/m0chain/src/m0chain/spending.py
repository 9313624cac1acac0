"""What an account has spent lately, out of the chain's history of it."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from solana.rpc.commitment import Commitment
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from m0chain.rpc import ChainClient, SignatureInfo

DAY_S = 86_400
LATELY_S = 7 * DAY_S
PAGES_MAX = 5
"""So many pages of the history are read; of a busy account they are less than a week."""
SAMPLES = 5
"""Balances that are looked at between then and now."""


class Spending(NamedTuple):
    """`spent` lamports in `over_s` seconds, and `lamports` that are left."""

    lamports: int
    spent: int
    over_s: float

    @property
    def days_left(self) -> float | None:
        """How many days the rest lasts at this rate, None when nothing was spent."""
        return self.lamports / self.spent * self.over_s / DAY_S if self.spent else None


class Balance(NamedTuple):
    """What an account held at a time."""

    time_s: int
    lamports: int


async def spending(client: ChainClient, address: Pubkey, now_s: int) -> Spending:
    """What `address` has spent in the last week, or as far as PAGES_MAX pages of its history go. Raises ChainError.

    Between two balances that grew somebody sent it more: that time does not count. A history that begins within this
    week counts for a day at least, for what is paid once at the beginning is no rate.
    """
    history, begins = await _history(client, address, now_s - LATELY_S)
    step = max(1, len(history) // SAMPLES)
    seen = [await _behind(client, info, address) for info in history[::-1][::step][:SAMPLES]]
    balances = [*filter(None, seen), Balance(now_s, await client.balance(address))]
    return spent(balances, begins=begins)


def spent(balances: Sequence[Balance], *, begins: bool) -> Spending:
    """The same of balances, oldest first; `begins`: the account has no history before them."""
    falling = [(before, after) for before, after in pairwise(balances) if after.lamports <= before.lamports]
    paid = sum(before.lamports - after.lamports for before, after in falling)
    over_s = sum(after.time_s - before.time_s for before, after in falling)
    return Spending(balances[-1].lamports, paid, max(over_s, DAY_S if begins else 1))


async def _history(client: ChainClient, address: Pubkey, since_s: int) -> tuple[list[SignatureInfo], bool]:
    """What has a time and happened since, newest first; and whether the account's history begins there."""
    found: list[SignatureInfo] = []
    before: str | None = None
    for _ in range(PAGES_MAX):
        page = await client.signatures_page(address, before=before, until=None)
        lately = [info for info in page if info.block_time_s is not None and info.block_time_s >= since_s]
        found += lately
        if not page:
            return found, True
        if len(lately) < len(page):
            return found, False
        before = page[-1].signature
    return found, False


async def _behind(client: ChainClient, info: SignatureInfo, address: Pubkey) -> Balance | None:
    """What the account held behind a transaction, None where the node does not tell."""
    answer = await client.call(
        lambda c: c.get_transaction(
            Signature.from_string(info.signature),
            encoding="base64",
            commitment=Commitment.CONFIRMED,
            max_supported_transaction_version=0,
        )
    )
    wrapped = None if answer.value is None else answer.value.transaction
    if wrapped is None or wrapped.meta is None or not isinstance(wrapped.transaction, VersionedTransaction):
        return None
    keys = list(wrapped.transaction.message.account_keys)
    if address not in keys or info.block_time_s is None:
        return None
    return Balance(info.block_time_s, wrapped.meta.post_balances[keys.index(address)])
