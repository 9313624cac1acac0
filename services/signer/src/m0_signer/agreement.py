"""Whether what is computed here still meets headers that say the same: epochs running that did not, by catalog."""

EPOCHS_RUNNING = 3
"""After so many epochs without a match the signer says so."""


class Agreement:
    """Hears of every epoch computed, of headers that differ, and of matches, which end what was running."""

    def __init__(self) -> None:
        self._running: dict[str, dict[int, str | None]] = {}
        """Epochs computed since the last match, with the first difference where a header of the epoch had one."""

    def computed(self, catalog: str, epoch_id: int) -> None:
        """An epoch was computed here and no header that waited says the same."""
        epochs = self._of(catalog)
        epochs.setdefault(epoch_id, None)
        while len(epochs) > EPOCHS_RUNNING + 1:
            del epochs[min(epochs)]

    def differed(self, catalog: str, epoch_id: int, difference: str) -> None:
        """A header of an epoch that was computed here says something else."""
        self.computed(catalog, epoch_id)
        if epoch_id in self._of(catalog):
            self._of(catalog)[epoch_id] = difference

    def matched(self, catalog: str) -> None:
        """A header says what was computed here."""
        self._of(catalog).clear()

    def notes(self) -> str | None:
        """Catalogs that have not met a header of their own for some epochs running, and what to do."""
        said = (_note(catalog, epochs) for catalog, epochs in sorted(self._running.items()))
        return "; ".join(note for note in said if note is not None) or None

    def _of(self, catalog: str) -> dict[int, str | None]:
        return self._running.setdefault(catalog, {})


def _note(catalog: str, epochs: dict[int, str | None]) -> str | None:
    newest = max(epochs, default=0)
    # the header of the newest one may still be on its way
    over = [epoch_id for epoch_id, differs in epochs.items() if differs is not None or epoch_id < newest]
    if len(over) < EPOCHS_RUNNING:
        return None
    last = max(over)
    difference = epochs[last]
    found = "no header of it came" if difference is None else f"headers differ in {difference}"
    return (
        f"catalog {catalog}: no header has matched what is computed here for {EPOCHS_RUNNING} epochs running, up "
        f"to epoch {last} ({found}): see that the bundle service runs and nobody else writes m0.headers, and "
        f"compare this signer's build with the others'"
    )
