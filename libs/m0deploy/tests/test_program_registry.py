"""The registry of programs: what it refuses, and that the project's own files say the same."""

import re
from pathlib import Path

import pytest
from m0common.errors import SettingsError
from m0common.settings import Settings, load
from m0deploy.program_registry import Registry, read, registry_path

ROOT = Path(__file__).parents[3]
ONE, TWO = "J11251d2ZcR8eL2YNSv6PtR8LEnLD9tVYhTMk8QLpPP8", "ELteBoKMjhPbSQ742vAg8RGipmME6H53XMzHJYBBmANm"


def registry(tmp_path, text, anchor=None):
    path = tmp_path / "registry.toml"
    path.write_text(text)
    if anchor is not None:
        path.with_name("Anchor.toml").write_text(anchor)
    return path


@pytest.mark.parametrize("env", ["dev", "staging", "prod"])
def test_the_settings_of_every_environment_are_those_of_the_registry(env):
    known = read(ROOT / "programs" / "registry.toml")
    assert known.differing_settings(load({}, ROOT / "config" / f"{env}.toml")) == []


def test_the_projects_own_anchor_file_is_compared(tmp_path):
    assert read(ROOT / "programs" / "registry.toml").path.with_name("Anchor.toml").is_file()
    entry = f'[mainnet-beta.oracle]\nid = "{ONE}"\n'
    anchor = f'[programs.mainnet]\nm0_oracle = "{ONE}"\n'
    assert read(registry(tmp_path, entry, anchor)).of("mainnet-beta")["oracle"].id == ONE
    with pytest.raises(SettingsError, match=f"Anchor.toml has {TWO} for oracle on mainnet-beta, and .* has {ONE}"):
        read(registry(tmp_path, entry, anchor.replace(ONE, TWO)))
    with pytest.raises(SettingsError, match=f"Anchor.toml has nothing for oracle on mainnet-beta, and .* has {ONE}"):
        read(registry(tmp_path, entry, "[programs.mainnet]\n"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[devent]", "devent is not known: did you mean devnet?"),
        ("devnet = 3", "devnet is 3: write it as a table"),
        (f'[devnet.orcale]\nid = "{ONE}"', "devnet.orcale is not known: did you mean oracle?"),
        ('[devnet.oracle]\nid = "abc"', "devnet.oracle.id = 'abc' is no address: write 32 bytes in base58"),
        ("[devnet.oracle]", "devnet.oracle.id = None is no address"),
        (f'[devnet.oracle]\nid = "{ONE}"\nsha = ""', "devnet.oracle.sha is not known: did you mean sha256?"),
        (f'[devnet.oracle]\nid = "{ONE}"\nsha256 = "ab"', "sha256 = 'ab' is no hash: write 64 hex digits"),
        (
            "devnet = ",
            ": correct it, as a table for each cluster and program, or name another file by M0_PROGRAM_REGISTRY",
        ),
    ],
)
def test_what_is_wrong_in_it_is_named_with_its_place(tmp_path, text, sentence):
    with pytest.raises(SettingsError, match=re.escape(sentence)):
        read(registry(tmp_path, text))


def test_settings_that_say_another_address_are_named_with_both(tmp_path):
    known = read(registry(tmp_path, f'[devnet.oracle]\nid = "{ONE}"\n'))
    settings = Settings(solana={"cluster": "devnet"}, deployment={"oracle_program_id": TWO})
    [said] = known.differing_settings(settings)
    assert said.startswith(f"deployment.oracle_program_id is {TWO}, and {known.path} has {ONE} for oracle on devnet")
    elsewhere = settings.model_copy(update={"solana": Settings().solana})
    assert known.differing_settings(elsewhere) == []


def test_without_a_file_nothing_is_registered(tmp_path):
    assert registry_path({}, tmp_path / "deploy") is None
    assert read(None) == Registry()
    with pytest.raises(SettingsError, match=r"M0_PROGRAM_REGISTRY=.*is no file"):
        registry_path({"M0_PROGRAM_REGISTRY": str(tmp_path / "none")}, tmp_path)
