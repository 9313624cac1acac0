"""Whether whoever decodes bytes of others catches everything that a decoder raises for them."""

import ast
from collections.abc import Iterator

from m0lint.floats import Finding
from m0lint.names import dotted, imports

PARTIAL = {"msgspec.MsgspecError", "msgspec.DecodeError", "msgspec.ValidationError"}
"""What a decoder raises for most bytes; for broken UTF-8 and for deep nesting it raises errors of Python."""
WHOLE = "UNDECODABLE"
SUPPRESS = {"contextlib.suppress"}


def caught_in_part(tree: ast.Module) -> Iterator[Finding]:
    """Errors of msgspec are caught beside what else a decoder raises, or around `msgspec.convert` alone.

    A handler for one of them may stand before another one of the same `try` that catches UNDECODABLE.
    """
    known = imports(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Try | ast.TryStar):
            yield from _handlers(node, known)
        elif isinstance(node, ast.Call) and dotted(node.func, known) in SUPPRESS:
            yield from _findings(node.lineno, [name for each in node.args for name in _names(each, known)])


def _handlers(node: ast.Try | ast.TryStar, known: dict[str, str]) -> Iterator[Finding]:
    if _only_converts(node.body, known):
        return
    whole = False
    for handler in reversed(node.handlers):
        names = [] if handler.type is None else _names(handler.type, known)
        whole = whole or _is_whole(names)
        if not whole:
            yield from _findings(handler.lineno, names)


def _only_converts(body: list[ast.stmt], known: dict[str, str]) -> bool:
    called = {dotted(n.func, known) for each in body for n in ast.walk(each) if isinstance(n, ast.Call)}
    return "msgspec.convert" in called and called <= {"msgspec.convert", "msgspec.to_builtins", "type"}


def _names(caught: ast.expr, known: dict[str, str]) -> list[str]:
    """The exceptions that `except` names: one, or those in a tuple, starred or not."""
    if isinstance(caught, ast.Tuple):
        return [name for each in caught.elts for name in _names(each, known)]
    return [dotted(caught.value if isinstance(caught, ast.Starred) else caught, known)]


def _is_whole(names: list[str]) -> bool:
    return any(name.rpartition(".")[2] == WHOLE for name in names)


def _findings(line: int, names: list[str]) -> Iterator[Finding]:
    if not _is_whole(names):
        for name in names:
            if name in PARTIAL:
                yield line, f"{name} is not all a decoder raises: catch {WHOLE} of m0common.messages.codec (m0client)"
