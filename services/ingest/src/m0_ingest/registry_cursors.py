"""What the registry connector keeps in `m0.cursors`: open markets, generations they were opened in, numbers used."""

from dataclasses import dataclass
from typing import Self

import msgspec
from m0common.cursors import Cursors
from m0common.messages.types import CatalogName, Count, Group

MARKET = "registry:market:"
"""Begins the keys of open markets; the market id follows."""
GENERATION = "registry:generation:"
"""Begins the keys of generations; the catalog follows."""
NUMBER = "registry:number:"
"""Begins the keys of numbers; the group follows."""


class OpenMarket(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where an open market belongs."""

    catalog: CatalogName
    group: Group


@dataclass(slots=True)
class RegistryState:
    """The markets said to be open, the generation of each catalog that they were said in, and by group the
    highest number used.
    """

    open: dict[str, OpenMarket]
    generations: dict[str, int]
    numbers: dict[str, int]

    @classmethod
    def of(cls, cursors: Cursors) -> Self:
        """What the log says. Raises InvalidValue."""
        return cls(
            dict(cursors.under(MARKET, OpenMarket)),
            dict(cursors.under(GENERATION, Count)),
            dict(cursors.under(NUMBER, Count)),
        )


def is_open(cursors: Cursors, market_id: str) -> bool:
    """Whether the opening of a market is in the log, and not yet its close."""
    return cursors.has(MARKET + market_id)
