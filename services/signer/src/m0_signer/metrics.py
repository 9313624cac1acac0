"""What the signer counts."""

from prometheus_client import Counter, Gauge

BUNDLES = Counter(
    "m0_signer_bundles_total", "Epochs decided on: signed, empty, disagreed, refused, unmatched", ["outcome"]
)
DISAGREEMENTS = Counter("m0_signer_disagreements_total", "Epochs that differ from what was computed", ["catalog"])
REFUSALS = Counter("m0_signer_refusals_total", "Epochs that broke a policy rule", ["rule"])
ACTIONS = Counter("m0_signer_actions_total", "Transactions that landed", ["action"])
FAILURES = Counter(
    "m0_signer_failures_total", "Steps of an epoch that failed, by the name of the error", ["action", "error"]
)
FINISHED = Counter("m0_signer_epochs_total", "Epochs no longer in flight, by how they ended for this signer", ["how"])
IN_FLIGHT = Gauge("m0_signer_epochs_in_flight", "Epochs decided and not yet over")
DEAD_LETTERS = Counter("m0_signer_dead_letters_total", "Messages that could not be read", ["topic"])
OVERTAKEN = Counter("m0_signer_overtaken_total", "Times that a log was cut in front of a reader", ["topic"])
WORKERS_LOST = Counter("m0_signer_workers_lost_total", "Worker processes that ended by themselves")
