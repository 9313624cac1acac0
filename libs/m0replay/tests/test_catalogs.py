"""From an operator's two files to a `catalog_set`: what is taken over, and what is refused with its name."""

from pathlib import Path

import msgspec
import pytest
from m0common.errors import SettingsError
from m0lanes.control import GROUPS_MAX, Certificate, SourceRule
from m0replay.catalog_files import names, read
from m0replay.catalogs import Installed, compose
from m0replay.installed import installed_domains

RELEASE = "ab" * 32
CLOCK, REGISTRY = "11" * 32, "22" * 32
DOMAINS = {
    "sports": Installed(
        "sports", "m0domains", 3, RELEASE, frozenset({"football"}), frozenset({"match_result", "quote"})
    )
}
TEXT = """
[catalog]
domain = "sports"
model = "football"
epoch_ms = 20000
horizon_ms = 600000
groups = ["eng.1", "at.1"]
[catalog.sources]
clock = { kinds = ["epoch_end"], key = true }
registry = { kinds = ["market_open", "market_close"], key = true, dense = true }
football = { kinds = ["quote", "match_result"], dense = true }
[catalog.params]
signer_set_id = 1
[connector]
anything = "is the connector's own business"
"""


@pytest.fixture
def composed(tmp_path):
    (tmp_path / "markets").mkdir()
    (tmp_path / "risk").mkdir()

    def make(text=TEXT, risk=None, keys=None, name="sports", **rest):
        (tmp_path / "markets" / f"{name}.toml").write_text(text)
        if risk is not None:
            (tmp_path / "risk" / f"{name}.toml").write_text(risk)
        given = {"clock": CLOCK, "registry": REGISTRY} if keys is None else keys
        return compose(read(tmp_path, name), DOMAINS, given, 8, **rest)

    return make


def test_both_files_the_domain_and_the_keys_become_one_set(composed):
    certificate = Certificate("33" * 32, "44" * 32, "55" * 64)
    found = composed(risk="wide_interval_ppb = 350000000", generation=4, certificates=[certificate])
    assert (found.catalog, found.generation, found.partitions, found.epoch_ms) == ("sports", 4, 8, 20_000)
    assert (found.domain.name, found.domain.distribution, found.domain.version) == ("sports", "m0domains", 3)
    assert (found.release, found.model, found.horizon_ms) == (RELEASE, "football", 600_000)
    assert found.groups == ("at.1", "eng.1")
    assert found.params == {"signer_set_id": 1, "wide_interval_ppb": 350_000_000}
    assert found.sources == {
        "clock": SourceRule(("epoch_end",), CLOCK),
        "football": SourceRule(("match_result", "quote"), None, dense=True),
        "registry": SourceRule(("market_close", "market_open"), REGISTRY, dense=True),
    }
    assert found.certificates == (certificate,)
    assert not found.retired


def test_the_same_files_in_another_order_are_the_same_bytes(composed):
    one = composed(risk="a = 1\nb = 2")
    other = composed(TEXT.replace('["eng.1", "at.1"]', '["at.1", "eng.1"]'), risk="b = 2\na = 1")
    assert msgspec.json.encode(one) == msgspec.json.encode(other)


def test_a_release_and_a_key_may_stand_in_the_file(composed):
    text = TEXT.replace('model = "football"', f'model = "football"\nrelease = "{"cd" * 32}"')
    found = composed(text.replace('["epoch_end"], key = true', f'["epoch_end"], key = "{"66" * 32}"'))
    assert found.release == "cd" * 32
    assert found.sources["clock"].key == "66" * 32


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('domain = "sports"', 'domain = "sport"', r"catalog\.domain = 'sport' is not installed: did you mean sports\?"),
        (
            '"football"',
            '"footbal"',
            r"catalog\.model = 'footbal' is no model of domain sports: did you mean football\?",
        ),
        ("epoch_ms", "epoc_ms", r"catalog\.epoc_ms is not a setting: did you mean epoch_ms\?"),
        ('domain = "sports"', 'domain = "dice"', r"catalog\.domain = 'dice' is not installed: there is sports$"),
        ('"quote", "match_result"', '"x"', r"kinds: 'x' is no kind of domain sports: there is .*match_result, quote"),
        ("epoch_ms = 20000", "epoch_ms = 20000.5", r"catalog\.epoch_ms = 20000\.5"),
        ("epoch_ms = 20000", "epoch_ms = 10", r"catalog\.epoch_ms = 10: .*>= 1000"),
        ("horizon_ms = 600000", "", r"catalog\.horizon_ms: .*required"),
        (
            '"match_result"], dense = true',
            '"match_result"], dense = "yes"',
            r"catalog\.sources\.football\.dense = 'yes': .*boolean",
        ),
        ("horizon_ms", f'release = "{"0" * 64}"\nhorizon_ms', r"catalog\.release = '0{64}'"),
        ('["eng.1", "at.1"]', "[]", r"catalog\.groups = \[\]"),
        ('["eng.1", "at.1"]', '["eng.1", "eng.1"]', r"catalog\.groups names 'eng\.1' twice"),
        ('["eng.1", "at.1"]', '["Premier League"]', r"catalog\.groups\[0\] = 'Premier League'"),
        ("signer_set_id = 1", "signer_set_id = true", r"catalog\.params\.signer_set_id = True"),
        ("signer_set_id = 1", f"signer_set_id = {1 << 63}", r"catalog\.params"),
        ('"quote", "match_result"', '"qoute"', r"sources\.football\.kinds: 'qoute' is no kind .* did you mean quote\?"),
        (
            '"match_result"], dense',
            '"match_result"], dens',
            r"sources\.football\.dens is not a setting: did you mean dense\?",
        ),
        ('["epoch_end"], key = true', '["epoch_end"]', r"sources\.clock: epoch_end must be signed"),
        ("key = true, dense = true", "key = true", r"sources\.registry: market_open must be numbered"),
        ("key = true, dense = true", "dense = true", r"sources\.registry: market_open must be signed"),
        ('["epoch_end"], key = true', '["epoch_end"], key = "12"', r"sources\.clock\.key = '12' is no public key"),
        ('["epoch_end"], key = true', '["epoch_end"], key = false', r"catalog\.sources\.clock\.key"),
        ('["epoch_end"], key = true', '["epoch_end"], key = true, dense = true', r"sources\.clock: .*no group"),
        ("clock = {", "control = {", r"sources\.control: the control key is the deployment's own"),
        ('"market_close"', '"market_open"', r"no source may say market_close"),
        ("[catalog]", "[catalog", r"at the end of a table"),
    ],
)
def test_what_is_wrong_is_named_with_a_name_that_it_resembles_or_with_all(composed, old, new, sentence):
    assert old in TEXT
    with pytest.raises(SettingsError, match=r"sports\.toml.*" + sentence):
        composed(TEXT.replace(old, new, 1))


def test_brackets_without_end_are_one_sentence(composed):
    deep = "[" * 200_000 + "]" * 200_000
    with pytest.raises(SettingsError, match=r"sports\.toml: brackets are nested too deep"):
        composed(TEXT.replace('["eng.1", "at.1"]', deep))
    with pytest.raises(SettingsError, match=r"risk/sports\.toml: brackets are nested too deep"):
        composed(risk=f"limit = {deep}")


def test_more_groups_than_a_catalog_has_are_counted_and_not_looked_at(composed):
    # the first is no group at all, and nobody has come to see that
    groups = [1, *(f"g{n}" for n in range(GROUPS_MAX))]
    with pytest.raises(SettingsError, match=rf"catalog\.groups has {GROUPS_MAX + 1} groups: .* {GROUPS_MAX}, divide"):
        composed(TEXT.replace('["eng.1", "at.1"]', str(groups)))
    composed(TEXT.replace('["eng.1", "at.1"]', str([f"g{n}" for n in range(GROUPS_MAX)])))


def test_a_file_without_the_table_is_told_the_nearest_one(composed):
    with pytest.raises(SettingsError, match=r"no table \[catalog\]: did you mean catalogue\?"):
        composed("[catalogue]\nepoch_ms = 20000")


def test_a_key_file_that_is_missing_is_named(composed):
    with pytest.raises(SettingsError, match=r"sources\.clock\.key = true, but there is no key file clock\.json"):
        composed(keys={"registry": REGISTRY})


def test_a_parameter_stands_in_one_of_both_files(composed):
    with pytest.raises(SettingsError, match=r"risk/sports\.toml: signer_set_id is in catalog\.params of .* too"):
        composed(risk="signer_set_id = 2")


@pytest.mark.parametrize("risk", ["limit = 1.5", "limit = 'x'", "limit = true", "[limits]\na = 1"])
def test_guardrails_are_integers(composed, risk):
    with pytest.raises(SettingsError, match=r"risk/sports\.toml: limits? = "):
        composed(risk=risk)


def test_a_catalog_without_a_file_is_told_the_nearest_one(composed, tmp_path):
    composed()
    with pytest.raises(SettingsError, match=r"catalog sport has no file: .*did you mean sports\?"):
        read(tmp_path, "sport")
    with pytest.raises(SettingsError, match=r"other\.toml does not exist"):
        read(tmp_path, "sports", tmp_path / "other.toml")


def test_the_committed_catalogs_compose_with_the_installed_domains():
    config = Path(__file__).parents[3] / "config"
    assert names(config) == ["crypto", "sports"]
    domains, groups = installed_domains(), {}
    for name in names(config):
        found = compose(read(config, name), domains, {"clock": CLOCK, "registry": REGISTRY}, 8)
        assert found.release == domains[name].release
        assert found.domain.distribution == "m0domains"
        assert found.params["signer_set_id"] == 1
        groups[name] = found.groups
    assert groups == {"crypto": ("btc",), "sports": ("at.1", "de.1", "eng.1", "es.1", "it.1")}


def test_a_set_that_no_lane_would_take_is_refused_with_its_size(composed):
    groups = ", ".join(f'"{number:032}"' for number in range(1_000))
    sources = "".join(f'source-{n:057} = {{ kinds = ["quote"], key = "{n:064x}" }}\n' for n in range(60))
    params = "".join(f"p{n:063} = {-(1 << 62)}\n" for n in range(250))
    text = TEXT.replace('"eng.1", "at.1"', groups).replace("[catalog.sources]\n", f"[catalog.sources]\n{sources}")
    with pytest.raises(SettingsError, match=r"sports\.toml: the set has \d+ bytes and 1000 groups: .*at most 65536"):
        composed(text.replace("signer_set_id = 1", f"signer_set_id = 1\n{params}"))
