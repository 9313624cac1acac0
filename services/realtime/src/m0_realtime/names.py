"""Channel names: `predictions`, `provisional` and `epochs` of a catalog, `market` of a market id, and `alerts`."""

import re
from dataclasses import dataclass
from enum import StrEnum

from m0common.errors import InvalidValue

_CATALOG = re.compile(r"[a-z0-9_-]{1,16}")
_MARKET = re.compile(r"[A-Z0-9_]{1,64}")
ANY = "*"


class Kind(StrEnum):
    """What a channel carries."""

    PREDICTIONS = "predictions"
    PROVISIONAL = "provisional"
    EPOCHS = "epochs"
    MARKET = "market"
    ALERTS = "alerts"


@dataclass(frozen=True, slots=True)
class Name:
    """A channel, or with key `*` every channel of a kind, also those to come."""

    kind: Kind
    key: str

    @property
    def is_pattern(self) -> bool:
        return self.key == ANY

    def __str__(self) -> str:
        return f"{self.kind}.{self.key}" if self.key else str(self.kind)


def parse(text: str) -> Name:
    """The channel that `text` names; InvalidValue says what would be valid."""
    if text == Kind.ALERTS:
        return Name(Kind.ALERTS, "")
    kind, _, key = text.partition(".")
    if kind == Kind.MARKET:
        if not _MARKET.fullmatch(key):
            raise InvalidValue(f"channel {text[:96]!r}: write market.MARKET_ID with 1 to 64 of A-Z, 0-9 and _")
        return Name(Kind.MARKET, key)
    if kind in (Kind.PREDICTIONS, Kind.PROVISIONAL, Kind.EPOCHS):
        if key != ANY and not _CATALOG.fullmatch(key):
            raise InvalidValue(f"channel {text[:96]!r}: write {kind}.CATALOG or {kind}.*")
        return Name(Kind(kind), key)
    raise InvalidValue(
        f"channel {text[:96]!r} does not exist: choose predictions.CATALOG, provisional.CATALOG, epochs.CATALOG, "
        "market.MARKET_ID or alerts"
    )
