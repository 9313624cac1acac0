"""What is wrong with a settings file and the files of its catalogs, every fault with file, key, value and remedy."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from m0common.addresses import PLACEHOLDER
from m0common.errors import SettingsError, nearest
from m0common.preflight import flat
from m0common.secret import Secret
from m0common.settings import Settings, load, read_file
from m0replay import catalog_files
from m0replay.catalogs import compose
from m0replay.installed import installed_domains

if TYPE_CHECKING:
    from m0deploy.program_registry import Registry

_ANY_KEY = "0" * 64
"""In the place of a source's public key, which is not the files' business."""


class Checked(NamedTuple):
    """`to_fill_in` are settings that still hold what stands in an operator's place."""

    faults: list[str]
    to_fill_in: list[str]


def check(file: Path, registry: "Registry") -> Checked:
    """Every fault that the files alone show. Raises SettingsError when `file` cannot be read at all."""
    faults: list[str] = []
    to_fill_in: list[str] = []
    written = read_file(file)
    try:
        settings = load({}, file)
    except SettingsError as error:
        faults += error.faults
        partitions = Settings().kafka.partitions
    else:
        faults += (f"{file}: {fault}" for fault in registry.differing_settings(settings))
        partitions = settings.kafka.partitions
        to_fill_in = [".".join(place) for place, value in flat(settings) if _is_placeholder(value)]
    folder, named = written.get("catalogs_dir") or file.parent, written.get("catalogs", {})
    if isinstance(folder, str | Path) and isinstance(named, dict):
        faults += _catalogs(Path(folder), list(named), partitions)
    return Checked(faults, to_fill_in)


def _is_placeholder(value: object) -> bool:
    text = value.reveal() if isinstance(value, Secret) and value.file is None else value
    return isinstance(text, str) and text.startswith(PLACEHOLDER)


def _catalogs(folder: Path, names: list[str], partitions: int) -> Iterator[str]:
    """Faults of the markets and risk files of these catalogs; and risk files that nobody reads."""
    for name in names:
        try:
            files = catalog_files.read(folder, name)
            keys = dict.fromkeys(files.table.sources, _ANY_KEY)
            compose(files, installed_domains(), keys, partitions)
        except SettingsError as error:
            yield from error.faults
            continue
        if "signer_set_id" not in files.table.params:
            yield f"{files.path}: catalog.params.signer_set_id is missing: write that of the signer set on chain"
    known = catalog_files.names(folder)
    for path in sorted((folder / "risk").glob("*.toml")):
        if path.stem not in known:
            yield f"{path} belongs to no file of markets/{nearest(path.stem, known)}"
