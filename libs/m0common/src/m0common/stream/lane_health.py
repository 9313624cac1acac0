"""What is not well with the lanes of a stage: those that are parked, that are behind, and that nobody runs.

A process passes over lanes whose release it does not have, and somebody else runs them. It hears of that: whoever runs
a lane writes a manifest of it at every marker. Where markers go by and no manifest comes, nobody does.
"""

from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

from m0common.canonical import ZERO
from m0common.ids import Lane
from m0common.messages import Manifest
from m0common.stream.core import LaneReport
from m0common.stream.lags import Lags

TOLD_MAX: Final = 16
"""Of so many lanes the notes say what is not well; of more they say how many there are."""


class _Heard(NamedTuple):
    """Of a lane that is passed over: the newest epoch that it closed, when anything of it was heard last, and the
    release that goes on from its newest manifest.
    """

    epoch_id: int
    at_s: float
    stands: tuple[int, int] = (0, -1)
    release: bytes = ZERO


class LaneHealth:
    """Knows what was heard of lanes that others run, and how far the log is; everything else is in the reports."""

    def __init__(self, silent_s: float, behind_s: float) -> None:
        """Args: `silent_s` is how long a lane must be silent, beside the markers that went by, until nobody runs it;
        `behind_s` how long its messages may wait until it is behind.
        """
        self._silent_s = silent_s
        self.lags = Lags(behind_s)
        self._heard: dict[Lane, _Heard] = {}
        self._now_s = 0.0

    def hear(self, lanes: Collection[Lane], manifests: Iterable[Manifest], now_s: float) -> None:
        """Take the manifests that are new; `lanes` are those that are passed over."""
        self._now_s = now_s
        self._heard = {lane: self._heard.get(lane, _Heard(-1, now_s)) for lane in lanes}
        for manifest in manifests:
            lane = Lane(manifest.catalog, manifest.partition)
            known = self._heard.get(lane)
            if known is not None:
                closed = -1 if manifest.epoch_id is None else manifest.epoch_id
                stands, release = known.stands, known.release
                if (manifest.life, manifest.position) >= stands:
                    stands, release = (manifest.life, manifest.position), manifest.runner
                self._heard[lane] = _Heard(max(known.epoch_id, closed), now_s, stands, release)

    def nobody_runs(self, reports: Iterable[LaneReport]) -> list[LaneReport]:
        """Those that are passed over, and of which nobody closes the epochs whose markers go by."""
        return [report for report in reports if self._is_silent(report)]

    def ready(self, reports: Iterable[LaneReport]) -> str | None:
        """Why the stage is not ready: every lane is parked."""
        lanes = [report for report in reports if not report.retired]
        if lanes and all(report.parked is not None for report in lanes):
            return f"every lane is parked: {lanes[0].parked}"
        return None

    def notes(self, reports: Collection[LaneReport]) -> str | None:
        """What is not well although work goes on: lanes that are parked, and why, lanes that are behind, and
        what to install for others.
        """
        parked = [report for report in reports if report.parked is not None]
        parked.sort(key=lambda report: report.seq == 0)  # those that never said anything come last
        said = [f"{_name(report)}: {report.parked}" for report in parked]
        waiting = self.lags.behind()
        for report in reports:
            seconds = waiting.get(report.lane.partition)
            if seconds is not None and report.parked is None and report.lacks is None and not report.retired:
                said.append(f"{_name(report)}: it is {seconds} s behind its input: see what writes so much to it")
        for report in self.nobody_runs(reports):
            assert report.lacks is not None
            heard = self._heard[report.lane].release
            release = report.lacks if heard == ZERO else heard
            said.append(
                f"{_name(report)}: nobody runs it: install release {release.hex()} (catalog {report.lane.catalog})"
            )
        if len(said) > TOLD_MAX:
            said = [*said[:TOLD_MAX], f"and {len(said) - TOLD_MAX} lanes more"]
        return "; ".join(said) or None

    def _is_silent(self, report: LaneReport) -> bool:
        heard = self._heard.get(report.lane)
        if heard is None or report.lacks is None or report.due is None:
            return False
        return heard.epoch_id < report.due and self._now_s - heard.at_s >= self._silent_s


def _name(report: LaneReport) -> str:
    return f"{report.lane.catalog}/{report.lane.partition}"
