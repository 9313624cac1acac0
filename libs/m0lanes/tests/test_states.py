"""A published state is taken only when it is whole and what its header commits to."""

import lanes_log as log
import msgspec
from m0common.canonical import BundleHeader, state_digest
from m0lanes.chain import Chain, Cut
from m0lanes.states import is_complete, why_untrusted


def made() -> tuple[Cut, BundleHeader]:
    chain = Chain()
    bundles = [bundle for record in log.season(2).records for bundle in chain.feed(record)]
    bundle = next(b for b in bundles if b.catalog == "sports")
    return chain.cut("sports", bundle.epoch_id), BundleHeader.decode(bundle.header)


def with_checkpoints(cut: Cut, checkpoints: list) -> Cut:
    return Cut(cut.catalog, cut.epoch_id, checkpoints)


def test_the_whole_state_behind_a_header_is_accepted():
    cut, header = made()
    assert is_complete(cut, log.PARTITIONS)
    assert why_untrusted(cut, header) is None


def test_a_missing_checkpoint_makes_it_incomplete():
    cut, header = made()
    for i, one in enumerate(cut.checkpoints):
        rest = with_checkpoints(cut, cut.checkpoints[:i] + cut.checkpoints[i + 1 :])
        assert not is_complete(rest, log.PARTITIONS)
        if one.stage < 4:
            assert "commits to" in why_untrusted(rest, header)


def test_a_changed_state_is_found_by_its_digest_and_a_consistent_forgery_by_the_header():
    cut, header = made()
    for i, one in enumerate(cut.checkpoints):
        changed = msgspec.structs.replace(one, entities=((b"x", b"y"), *one.entities))
        forged = with_checkpoints(cut, [*cut.checkpoints[:i], changed, *cut.checkpoints[i + 1 :]])
        assert "digest it claims" in why_untrusted(forged, header)
        if one.stage < 4:
            again = msgspec.structs.replace(changed, digest=state_digest(changed.entities))
            forged = with_checkpoints(cut, [*cut.checkpoints[:i], again, *cut.checkpoints[i + 1 :]])
            assert "commits to" in why_untrusted(forged, header)
