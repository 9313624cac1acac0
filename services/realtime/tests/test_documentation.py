"""docs/api.md names the limits and codes that the code enforces."""

import re
from pathlib import Path

import pytest
from m0_realtime import limits, protocol
from m0_realtime.channel import RINGS
from m0common.settings import Realtime

TEXT = (Path(__file__).parents[3] / "docs" / "api.md").read_text()


@pytest.mark.parametrize(
    "phrase",
    [
        f"{Realtime().connections_max:,} connections",
        f"{Realtime().connections_per_address_max:,} per address",
        f"{limits.MAX_CHANNELS_PER_CLIENT} channels per connection",
        f"{limits.MAX_MESSAGE_BYTES // 1024} KiB per client message",
        f"{limits.REQUESTS_PER_S:.0f} requests a second after a burst of {limits.REQUEST_BURST}",
        f"{limits.MAX_BUFFERED_BYTES >> 20} MiB unread",
        f"code {limits.SLOW_CONSUMER_CODE}",
        f"{limits.SNAPSHOT_EPOCHS} newest",
        f"{limits.SNAPSHOT_ALERTS} newest",
        f"{1 / limits.CONFLATE_S:.0f} updates a second".replace("4", "four"),
    ],
)
def test_a_limit_is_documented_as_it_is(phrase):
    assert phrase in " ".join(TEXT.split())


def test_every_channel_is_documented_with_what_is_kept_for_resume():
    rows = re.findall(r"^\| `([a-z]+)[^`]*` \|.*\| ([0-9]+) \|$", TEXT, re.MULTILINE)
    assert {kind: int(kept) for kind, kept in rows} == {str(k): v for k, v in RINGS.items()}


def test_every_error_code_is_documented():
    source = "".join(path.read_text() for path in Path(protocol.__file__).parent.glob("*.py"))
    codes = set(re.findall(r'BadRequest\(\s*"([a-z_]+)"', source))
    assert codes == {"bad_json", "bad_request", "unknown_op", "unknown_channel", "too_many_channels", "binary_frame"}
    assert all(f"`{code}`" in TEXT for code in codes)
