"""First bytes of entity keys. A tag is never used for anything else."""

from typing import Final

LANE: Final = 1
"""What a stage knows of its lane as a whole."""
SET: Final = 2
"""A generation of the catalog that was defined, by number and hash."""
MARKET: Final = 3
"""An open market."""
SEQ_HIGH: Final = 4
"""The highest number of a dense source in a group."""
SEQ_SEEN: Final = 5
"""A chunk of the bitmap of numbers seen below it."""
ID_NEXT: Final = 6
"""How many event ids of a source were seen in a group."""
ID_SEEN: Final = 7
"""A chunk of the newest of them."""
CLOSING: Final = 8
"""What a lane has said of an epoch that is not closed: its marker."""
LEAF: Final = 9
"""What a lane has said of an epoch that is not closed: a prediction."""
SOURCE: Final = 10
"""A lane that a bundle is made of: its digests at its last marker."""
BORN: Final = 11
"""The signed rebase that began the life of such a lane."""
JOINS: Final = 12
"""The set that a lane behind a gap goes on with, until it does."""
DOMAIN: Final = 16
"""Entities of a domain: name, version, kind, then its own parts."""
MODEL: Final = 17
"""Entities of a model: name and version of its domain, its own name and version, kind, then its own parts."""
