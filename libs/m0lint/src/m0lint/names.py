"""Dotted names of what a file calls, with its imports resolved."""

import ast
from collections.abc import Iterator


def imports(tree: ast.AST) -> dict[str, str]:
    """Local name to the dotted name it stands for."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.asname or alias.name.split(".")[0]
                found[name] = alias.name if alias.asname else name
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return found


def dotted(node: ast.AST, known: dict[str, str]) -> str:
    """The dotted name of an expression such as `time.sleep`; empty when it is not one."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    parts.append(known.get(node.id, node.id))
    return ".".join(reversed(parts))


def defined(tree: ast.Module) -> dict[str, str]:
    """Functions and classes of the file itself, which hide built-ins of the same name."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return {node.name: f"here.{node.name}" for node in tree.body if isinstance(node, kinds)}


def references(tree: ast.AST) -> Iterator[tuple[ast.expr, str]]:
    """Every dotted name that is read, called or not: `map(math.exp, xs)` reads `math.exp`."""
    known = imports(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
            name = dotted(node, known)
            if name:
                yield node, name
