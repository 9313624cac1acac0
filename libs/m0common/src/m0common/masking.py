"""What of a value may be shown, and what of it may never be: pure functions over the text of a setting."""

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit, urlunsplit

MASK = "***"

PART_MIN = 6
WORD_MIN = 12
"""Shorter parts are hidden where the value is shown, but not looked for in other text: a part of a path or a query like
`v2` or `confirmed` would take an ordinary word out of the logs; keys of providers are longer."""

_KEYWORD_PASSWORD = re.compile(r"(\b\w*password\s*=\s*)('(?:[^'\\]|\\.)*'|\S+)", re.IGNORECASE)


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
    user, _, host = parts.netloc.rpartition("@")
    path = parts.path if parts.path in {"", "/"} else f"/{MASK}"
    query, fragment = MASK if parts.query else "", MASK if parts.fragment else ""
    shown = urlunsplit((parts.scheme, f"{MASK}@{host}" if user else host, path, query, fragment))
    asked = [value or name for name, value in parse_qsl(parts.query, keep_blank_values=True)]
    words = [word for word in (*parts.path.split("/"), *asked, parts.fragment) if len(word) >= WORD_MIN]
    return Masked(shown, _forms(*user.split(":", 1), *words))


def dsn(value: str) -> Masked:
    """All but passwords is shown, of a URL as of libpq's `key=value` words: user and database are no secret."""
    parts = _split(value)
    if parts is None:
        if "=" not in value:
            return opaque(value)
        words = [match[2].strip("'") for match in _KEYWORD_PASSWORD.finditer(value)]
        return Masked(_KEYWORD_PASSWORD.sub(rf"\1{MASK}", value), _forms(*words))
    user, _, host = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    words = [match[2] for pair in parts.query.split("&") for match in _KEYWORD_PASSWORD.finditer(pair)]
    query = "&".join(_KEYWORD_PASSWORD.sub(rf"\1{MASK}", pair) for pair in parts.query.split("&"))
    shown = f"{name}:{MASK}@{host}" if password else parts.netloc
    return Masked(urlunsplit(parts._replace(netloc=shown, query=query)), _forms(password, *words))


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


def _forms(*parts: str) -> tuple[str, ...]:
    """The parts long enough to look for, as written and decoded, the longest first: one may lie in another."""
    forms = {form for part in parts for form in (part, unquote(part)) if len(form) >= PART_MIN}
    return tuple(sorted(forms, key=lambda form: (-len(form), form)))
