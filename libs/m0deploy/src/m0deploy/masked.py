"""What of a file that an operator wrote may lie in a backup: its text, with what looks like a secret masked.

A process knows its own secrets and takes them out of what it keeps. A values file may hold those of others: passwords
in addresses, keys of providers in paths and queries, variables and settings whose names say that they are secret.
"""

import re

from m0common import masking
from m0common.masking import MASK

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>,|\\]+")
_WEB = re.compile(r"(?i)(?:http|ws)s?://")
_NAMES = r"[\w.-]*(?:password|passwd|token|secret|credential|api[-_]?key|access[-_]?key|private[-_]?key)[\w.-]*"
_SETTING = re.compile(
    rf"""(?imx)
    ^(?P<before>[\s\-{{,]*["']?(?P<name>{_NAMES})["']?[\ \t]*[:=][\ \t]*)
    (?P<value>"(?:[^"\\]|\\.)*"|'[^']*'|[^\s\#\[{{|>&*"'][^\#\n,}}]*)
    """
)
_VARIABLE = re.compile(
    rf"""(?ix)
    (?P<before>["']?name["']?\s*:\s*["']?(?:{_NAMES}|[\w.-]*(?:DSN|KEY))["']?\s*(?:,|\n)\s*["']?value["']?\s*:\s*)
    (?P<value>"(?:[^"\\]|\\.)*"|'[^']*'|[^\s"'][^\n,}}]*)
    """
)
_NO_SECRET = re.compile(r"(?i)(?:name|prefix|file|path|dir|ref|namespace)$")
"""So end the names of settings that say where a secret is, and hold none."""


def masked(text: str) -> str:
    """The text as it may be kept."""
    text = _ADDRESS.sub(lambda found: _address(found[0]), text)
    text = _VARIABLE.sub(lambda found: f'{found["before"]}"{MASK}"', text)
    return _SETTING.sub(_setting, text)


def _address(value: str) -> str:
    """Of a provider's address scheme and host are kept, of others all but passwords."""
    return (masking.url if _WEB.match(value) else masking.dsn)(value).shown


def _setting(found: re.Match[str]) -> str:
    if _NO_SECRET.search(found["name"]) or found["value"].strip("\"' ") in {"", "true", "false", "null", MASK}:
        return found[0]
    return f'{found["before"]}"{MASK}"'
