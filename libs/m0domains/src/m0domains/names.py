"""Names of people's alphabets in the letters of market ids, and a short hash of what they cannot tell apart."""

import hashlib
import unicodedata

HASH_CHARS = 8

# ambiguous to the eye on purpose: that is what the table is about
_LETTERS = (
    dict(zip("абвгдезийклмнопрстуфыэ", "abvgdeziiklmnoprstufye", strict=True))
    | {"ё": "e", "ж": "zh", "х": "kh", "ц": "ts", "ч": "ch", "ш": "sh", "щ": "shch", "ъ": "", "ь": "", "ю": "yu"}  # noqa: RUF001
    | {"я": "ya", "і": "i", "ї": "yi", "є": "ye", "ґ": "g", "ў": "u", "ј": "j", "љ": "lj", "њ": "nj", "ћ": "c"}  # noqa: RUF001
    | {"ђ": "dj", "џ": "dz", "ѓ": "gj", "ќ": "kj", "ѕ": "dz"}  # noqa: RUF001
    | dict(zip("αβγδεζηικλμνοπρστυφω", "avgdeziiklmnoprstyfo", strict=True))
    | {"θ": "th", "ξ": "x", "χ": "ch", "ψ": "ps", "ς": "s"}
    | {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i", "ħ": "h"}  # noqa: RUF001
)
"""Letters that Unicode does not decompose; others lose their marks."""


def slug(name: str, chars: int) -> str:
    """At most `chars` of A-Z and 0-9 that resemble a name; `X` when none do. Different names may share a slug."""
    folded = "".join(_letter(c) for c in name.casefold())
    plain = "".join(c for c in folded if c.isascii() and c.isalnum()).upper()
    return plain[:chars] or "X"


def _letter(char: str) -> str:
    if char in _LETTERS:
        return _LETTERS[char]
    return "".join(_LETTERS.get(c, c) for c in unicodedata.normalize("NFKD", char))


def short_hash(*parts: str) -> str:
    """HASH_CHARS of 0-9 and A-F that tell these texts, in this order, from any others."""
    raw = b"".join(len(part.encode()).to_bytes(4, "little") + part.encode() for part in parts)
    return hashlib.sha256(raw).hexdigest()[:HASH_CHARS].upper()
