"""What the signer counts and measures."""

from typing import Final

from m0common.telemetry.definition import Label
from m0common.telemetry.labels import CATALOG, ERROR, TOPIC
from m0common.telemetry.metrics import counter, gauge

from m0_signer.flow import Do

ACTION: Final = Label("action", among=tuple(Do))

BUNDLES: Final = counter(
    "m0_signer_bundles_total", "bundles", "Epochs decided on, by what was decided.",
    Label("how", among=("signed", "empty", "disagreed", "refused", "unmatched")),
    failures=("disagreed", "refused", "unmatched"),
)  # fmt: skip
DISAGREEMENTS: Final = counter(
    "m0_signer_disagreements_total", "disagreements", "Epochs that differ from what was computed here.", CATALOG,
    failures=True,
)  # fmt: skip
REFUSALS: Final = counter(
    "m0_signer_refusals_total", "refusals", "Headers that broke a rule, by the rule.", Label("rule", at_most=32),
    failures=True,
)  # fmt: skip
ACTIONS: Final = counter("m0_signer_transactions_total", "transactions", "Transactions that landed.", ACTION)
RACES: Final = counter(
    "m0_signer_races_total", "races", "Steps that somebody else had done, or for which the chain's clock had moved on.",
    ACTION,
)  # fmt: skip
FAILURES: Final = counter(
    "m0_signer_failures_total", "failures", "Steps of an epoch that failed, by the name of the error.", ACTION, ERROR,
    failures=True,
)  # fmt: skip
FINISHED: Final = counter(
    "m0_signer_epochs_total", "epochs", "Epochs no longer in flight, by how they ended for this signer.",
    Label(
        "how",
        among=(
            "finalized", "superseded", "expired", "not_opened_in_time", "missed_commit", "missed_reveal", "no_quorum",
            "signer_set_changed", "foreign_commitment_hash", "not_a_member",
        ),
    ),
    failures=("expired", "not_opened_in_time", "missed_commit", "missed_reveal", "no_quorum", "foreign_commitment_hash",
              "not_a_member"),
)  # fmt: skip
IN_FLIGHT: Final = gauge("m0_signer_in_flight_epochs", "epochs", "Epochs decided and not yet over.")
DEAD_LETTERS: Final = counter(
    "m0_signer_dead_letters_total", "letters", "Messages that could not be read.", TOPIC, failures=True
)
GAPS: Final = counter(
    "m0_signer_gaps_total", "gaps", "Times that a log was cut in front of a reader.", TOPIC, failures=True
)
WORKERS_LOST: Final = counter(
    "m0_signer_lost_workers_total", "workers", "Worker processes that ended by themselves.", failures=True
)
