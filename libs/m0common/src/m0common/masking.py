"""What of a value may be shown, and what of it may never be: pure functions over the text of a setting."""

import json
import re
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qsl, quote, quote_plus, unquote, unquote_plus, urlsplit, urlunsplit

MASK = "***"

PART_MIN = 6
WORD_MIN = 12
"""Shorter parts are hidden where the value is shown, but not looked for in other text: a part of a path or a query like
`v2` or `confirmed` would take an ordinary word out of the logs; keys of providers are longer."""

_KEYWORD_SECRET = re.compile(r"(\b\w*(?:password|secret)\s*=\s*)('(?:[^'\\]|\\.)*'|(?:\\.|\S)+)", re.IGNORECASE)
"""A password among libpq's `key=value` words: in quotes, or with a backslash before each blank."""
_QUERY_SECRET = re.compile(r"([?&]\w*(?:password|secret)=)([^&#]*)", re.IGNORECASE)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_HOST = re.compile(r"(?:\[[^\]]*\]|[^:\[\]@]*)(?::\d*)?")
_BETWEEN = re.compile(r"[/:@?#&=,]")
"""What parts of an address may stand between."""


@dataclass(frozen=True, slots=True)
class Masked:
    """`shown` stands for the whole value; each of `hidden` is a part that no other text may hold."""

    shown: str
    hidden: tuple[str, ...] = ()


def opaque(value: str) -> Masked:
    """Nothing of a value is shown."""
    return Masked(MASK, _forms(value)) if value else Masked("")


def url(value: str) -> Masked:
    """Scheme, host and port are shown: credentials, path and query of a provider's address hold its key."""
    parts = _split(value)
    if parts is None:
        return opaque(value)
    if "@" in parts.path + parts.fragment:
        return _in_pieces(value)
    user, _, host = parts.netloc.rpartition("@")
    path = parts.path if parts.path in {"", "/"} else f"/{MASK}"
    query, fragment = MASK if parts.query else "", MASK if parts.fragment else ""
    shown = urlunsplit((parts.scheme, f"{MASK}@{host}" if user else host, path, query, fragment))
    asked = [value or name for name, value in parse_qsl(parts.query, keep_blank_values=True)]
    words = [word for word in (*parts.path.split("/"), *asked, parts.fragment) if len(word) >= WORD_MIN]
    return Masked(shown, _forms(*user.split(":", 1), *words))


def dsn(value: str) -> Masked:
    """All but passwords is shown, of a URL as of libpq's `key=value` words: user and database are no secret. Nothing is
    of an address that `dsn_fault` finds wrong.
    """
    parts = _database(value)
    if parts is None:
        if "=" not in value:
            return opaque(value)
        words = [word for match in _KEYWORD_SECRET.finditer(value) for word in _unquoted(match[2])]
        return Masked(_KEYWORD_SECRET.sub(rf"\1{MASK}", value), _forms(*words))
    if dsn_fault(value) is not None:
        return _in_pieces(value)
    name, colon, password = parts.user.partition(":")
    user = f"{name}:{MASK}" if password else name + colon
    words = [match[2] for match in _QUERY_SECRET.finditer(parts.rest)]
    shown = f"{parts.scheme}://{user}{'@' if parts.user else ''}{parts.hosts}"
    return Masked(shown + _QUERY_SECRET.sub(rf"\1{MASK}", parts.rest), _forms(password, *words))


def dsn_fault(value: str) -> str | None:
    """Why nobody can tell where the password of a database's address ends, None when that is clear: libpq ends it at
    the first `@` in front of a `/`, others at the last one.
    """
    parts = _database(value)
    if parts is None:
        return None
    path = re.split(r"[?#]", parts.rest, maxsplit=1)[0]
    if "@" in path or not all(_HOST.fullmatch(host) for host in parts.hosts.split(",")):
        return "user, password or host hold an '@', ':' or '/' of their own: percent-encode it (%40, %3A, %2F)"
    return None


def scrub(text: str, value: str, masked: Masked) -> str:
    """`text` with the value and its hidden parts replaced."""
    if value and value != masked.shown:
        text = text.replace(value, masked.shown)
    for part in masked.hidden:
        text = text.replace(part, MASK)
    return text


def _split(value: str) -> SplitResult | None:
    try:
        parts = urlsplit(value)
    except ValueError:
        return None
    return parts if parts.scheme and parts.netloc else None


class _Database(NamedTuple):
    """An address as libpq takes it apart; `rest` begins with what ends the hosts."""

    scheme: str
    user: str
    hosts: str
    rest: str


def _database(value: str) -> _Database | None:
    """The parts of a database's URL, None when it is none."""
    scheme, found, rest = value.partition("://")
    if not found or not _SCHEME.fullmatch(scheme):
        return None
    user, at, behind = rest.partition("@")
    if not at or "/" in user:
        user, behind = "", rest
    hosts = re.split(r"[/?#]", behind, maxsplit=1)[0]
    return _Database(scheme, user, hosts, behind[len(hosts) :])


def _unquoted(word: str) -> tuple[str, str]:
    """What a word of libpq's says, as written and as meant."""
    inner = word[1:-1] if word.startswith("'") else word
    return inner, re.sub(r"\\(.)", r"\1", inner)


def _in_pieces(value: str) -> Masked:
    """Nothing is shown of an address whose parts nobody can tell, and every piece may be the secret."""
    return Masked(MASK, _forms(value, *_BETWEEN.split(value)))


def _forms(*parts: str) -> tuple[str, ...]:
    """The parts long enough to look for, the longest first (one may lie in another): as written, percent-decoded and
    -encoded, and each as JSON and Python write it.
    """
    plain = {form for part in parts for form in (part, unquote(part), unquote_plus(part))}
    plain |= {form for part in plain for form in (quote(part), quote(part, safe=""), quote_plus(part))}
    plain |= {json.dumps(part, ensure_ascii=ascii_only)[1:-1] for part in plain for ascii_only in (True, False)}
    forms = {form for form in plain | {repr(part)[1:-1] for part in plain} if len(form) >= PART_MIN}
    return tuple(sorted(forms, key=lambda form: (-len(form), form)))
