"""How two settings files differ, or a file and a running deployment."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from m0client import Client, M0ClientError
from m0common.deployment_record import PROGRAMS
from m0common.errors import Unavailable
from m0common.preflight import flat
from m0common.secret import Secret
from m0common.settings import load, read_file


class Difference(NamedTuple):
    """A setting that two say differently, as it may be shown; None where one does not know it."""

    setting: str
    before: object
    after: object
    note: str = ""


def differences(before: str, after: str) -> list[Difference]:
    """What differs, by name of setting. An address is asked for what it publishes, and that alone is compared.

    Raises SettingsError for a file that cannot be used, or Unavailable.
    """
    one, other = _said(before), _said(after)
    published = [said for said, name in ((one, before), (other, after)) if _is_address(name)]
    names = set.intersection(*map(set, published)) if published else {*one, *other}
    return [
        Difference(name, _shown(one.get(name)), _shown(other.get(name)), _note(one.get(name), other.get(name)))
        for name in sorted(names)
        if one.get(name) != other.get(name)
    ]


def _said(name: str) -> Mapping[str, object]:
    return _of_api(name) if _is_address(name) else _of_file(Path(name))


def _is_address(name: str) -> bool:
    return name.startswith(("http://", "https://"))


def _of_file(file: Path) -> Mapping[str, object]:
    found = {".".join(place): value for place, value in flat(load({}, file))}
    # where the file lies is nothing that it says
    return found | {"catalogs_dir": read_file(file).get("catalogs_dir", "")}


def _of_api(address: str) -> Mapping[str, object]:
    """What /v1/info says, as settings."""
    try:
        with Client(address) as client:
            info = client.info()
    except M0ClientError as error:
        raise Unavailable(f"{address} does not say its settings: {error}: name the address of an API") from error
    programs = {f"deployment.{name}_program_id": getattr(info.programs, name, None) or "" for name in PROGRAMS}
    solana = {"cluster": info.cluster, "public_rpc_url": info.rpc_url or "", "public_ws_url": info.ws_url or ""}
    return programs | {f"solana.{name}": value for name, value in solana.items()}


def _shown(value: object) -> object:
    if isinstance(value, Secret):
        return str(value)
    if isinstance(value, tuple):
        return [str(each) for each in value]
    return value


def _note(before: object, after: object) -> str:
    """What tells two secrets apart that look the same."""
    return " (not the same secret)" if isinstance(before, Secret) and str(before) == str(after) else ""
