"""What every domain of this package owes the heart."""

import ast
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path

import pytest

FOUND = {entry.name: entry for entry in entry_points(group="m0.domains") if entry.value.startswith("m0domains.")}
FILES = {
    "__init__.py",
    "bodies.py",
    "card.md",
    "data",
    "dataset.py",
    "features.py",
    "guardrails.py",
    "models.py",
    "normalization.py",
    "payloads.py",
    "samples.json",
}
BELOW = {"m0common", "m0lanes", "m0quant", "msgspec", "collections", "dataclasses", "operator", "typing"}
HEARTS_KINDS = {"generation", "market_opened", "market_closed", "feature_row", "prediction", "marker", "rebased"}
RAW_KINDS = {"epoch_end", "catalog_set", "rebase", "market_open", "market_close", "outcome", "artifact"}


def folder(name):
    return Path(str(files(f"m0domains.{name}")))


def test_every_folder_with_a_domain_is_found():
    root = Path(str(files("m0domains")))
    assert set(FOUND) == {path.parent.name for path in root.glob("*/payloads.py")} == {"crypto", "sports"}


@pytest.mark.parametrize("name", FOUND)
def test_a_domain_has_the_same_files_and_kinds_of_its_own(name):
    domain = FOUND[name].load()
    assert domain.name == name
    assert {path.name for path in folder(name).iterdir()} - {"__pycache__"} == FILES
    assert set(domain.deciding) == {file for file in FILES if file.endswith(".py")} - {"dataset.py"}
    assert not set(domain.payloads) & RAW_KINDS
    assert not set(domain.bodies) & HEARTS_KINDS
    assert all(model.name == key and model.artifact() for key, model in domain.models.items())


@pytest.mark.parametrize("name", FOUND)
def test_what_decides_a_leaf_imports_nothing_that_does_not(name):
    domain = FOUND[name].load()
    own = {f"m0domains.{name}"} | {f"m0domains.{name}.{Path(file).stem}" for file in domain.deciding}
    for file in domain.deciding:
        for node in ast.walk(ast.parse((folder(name) / file).read_text())):
            if isinstance(node, ast.Import):
                named = {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                named = {node.module}
            else:
                continue
            assert all(module in own or module.partition(".")[0] in BELOW for module in named), (file, named)
