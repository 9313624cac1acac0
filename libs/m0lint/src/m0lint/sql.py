"""SQL in strings: columns that are not named, and migrations that take something away."""

import ast
import re
from collections.abc import Iterator

from m0lint.floats import Finding

_STAR = re.compile(r"\b(?:SELECT|RETURNING)\s+(?:DISTINCT\s+)?(?:\w+\s*\.\s*)?\*", re.IGNORECASE)
_TERMS = re.compile(r"\bUPDATE\s+schema_terms\s+SET\s+oldest\b", re.IGNORECASE)
_MADE = re.compile(r"\bCREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?(\w+)", re.IGNORECASE)
_ABOUT = re.compile(r"\b(?:(?:CREATE|ALTER)\s+TABLE|INDEX\s+\w+\s+ON)\s+(?:ONLY\s+)?(\w+)", re.IGNORECASE)
_WIDER = r"(?:bigint|text)\b"
_CONTRACTS = {
    r"\bDROP\s+(?!INDEX|CONSTRAINT)\w+": "takes away what the version before uses",
    r"\bRENAME\b": "takes away a name that the version before uses",
    rf"\bTYPE\s+(?!{_WIDER})\w+": "makes a type that need not hold what the version before writes",
    r"\bSET\s+NOT\s+NULL\b": "refuses what the version before may write",
    r"\bADD\s+(?:COLUMN\s+)?(?:(?!DEFAULT|GENERATED|,).)*\bNOT\s+NULL(?:(?!DEFAULT|GENERATED|,).)*(?:,|$)": (
        "adds a column that the version before does not fill: give it a DEFAULT"
    ),
    r"\bADD\s+(?:CONSTRAINT|CHECK|UNIQUE|PRIMARY|FOREIGN)\b": "refuses what the version before may write",
    r"\bCREATE\s+UNIQUE\s+INDEX\b": "refuses what the version before may write",
    r"\b(?:TRUNCATE|DELETE\s+FROM)\b": "takes away rows",
}


def unnamed_columns(tree: ast.Module) -> Iterator[Finding]:
    """A plan of `SELECT *` changes with every column that a migration adds."""
    for line, text in _texts(tree):
        if _STAR.search(text):
            yield line, "* stands for whatever columns a migration leaves: name them"


def contracting(tree: ast.Module) -> Iterator[Finding]:
    """A step of a migration only expands; one that does not says from which step on a version may use the schema."""
    steps = [node for node in tree.body if not (isinstance(node, ast.FunctionDef) and node.name == "downgrade")]
    texts = [found for node in steps for found in _texts(node)]
    if any(_TERMS.search(text) for _, text in texts):
        return
    made = {name for _, text in texts for name in _MADE.findall(text)}
    for line, text in texts:
        about = _ABOUT.search(text)
        if about is not None and about.group(1) in made:
            continue
        for pattern, why in _CONTRACTS.items():
            if re.search(pattern, text, re.IGNORECASE | re.DOTALL):
                yield line, f"{why}: do it a version later, and raise schema_terms.oldest there"


def _texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Strings that are no docstrings, with their lines; of an f-string its constant parts."""
    spoken = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in spoken:
            yield node.lineno, node.value
