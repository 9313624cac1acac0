"""Labels that several metrics have."""

from m0common.telemetry.definition import Label

STAGE = Label("stage", at_most=1_000)
"""A stage or a reader outside groups: names in code."""
TOPIC = Label("topic", at_most=1_000)
"""A topic of the catalogue."""
PARTITION = Label("partition", at_most=1_024)
CATALOG = Label("catalog", at_most=64)
"""A catalog, by its name in the log, on chain or in the settings."""
SOURCE = Label("source", at_most=256)
"""Who said a raw event."""
KIND = Label("kind", at_most=64)
"""Kind of a raw event: a domain's, or a control kind."""
ERROR = Label("error", at_most=64)
"""Why a message was refused, or the name of an exception."""
