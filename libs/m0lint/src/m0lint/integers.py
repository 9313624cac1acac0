"""What a function proves to be an integer: by its form, or by an annotation that `mypy --strict` holds it to."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

Function = ast.FunctionDef | ast.AsyncFunctionDef
_OPERATORS = (
    *(ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Mod),
    *(ast.LShift, ast.RShift, ast.BitAnd, ast.BitOr, ast.BitXor),
)
_CALLS = {"len", "int", "ord"}
_MAPPINGS = {"dict", "Mapping", "MutableMapping"}


def scopes(tree: ast.Module) -> Iterator[tuple["Integers", list[ast.AST]]]:
    """The module and every function: what is proven in it, and its own nodes, those of functions inside it left out."""
    for scope in ast.walk(tree):
        if isinstance(scope, ast.Module | Function):
            nodes = list(_own(scope))
            yield Integers.of(scope, nodes), nodes


def _own(scope: ast.Module | Function) -> Iterator[ast.AST]:
    queue: list[ast.AST] = list(scope.body)
    while queue:
        node = queue.pop()
        if not isinstance(node, Function):
            yield node
            queue.extend(ast.iter_child_nodes(node))


@dataclass(frozen=True, slots=True)
class Integers:
    """Names of a scope that are integers, iterables of them, and mappings to them."""

    scalars: frozenset[str]
    iterables: frozenset[str]
    mappings: frozenset[str]

    @classmethod
    def of(cls, scope: ast.Module | Function, nodes: list[ast.AST]) -> "Integers":
        """By the annotations of arguments and variables; a name with two that disagree is proven to be nothing."""
        found: dict[str, set[str]] = {}
        if isinstance(scope, Function):
            arguments = scope.args
            for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
                found.setdefault(each.arg, set()).add(_kind(each.annotation))
        for node in nodes:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found.setdefault(node.target.id, set()).add(_kind(node.annotation))
            elif isinstance(node, ast.arg):  # of a lambda
                found.setdefault(node.arg, set()).add("")
        kinds = {name: kind for name, (kind, *others) in found.items() if not others}
        return cls(*(frozenset(n for n, kind in kinds.items() if kind == each) for each in ("one", "many", "map")))

    def one(self, node: ast.AST) -> bool:
        """Whether an expression is an integer."""
        match node:
            case ast.Constant(value=int()) | ast.Compare() | ast.UnaryOp(op=ast.Not()):
                return True
            case ast.Name(id=name):
                return name in self.scalars
            case ast.Call(func=ast.Name(id=name)):
                return name in _CALLS
            case ast.UnaryOp(operand=inner):
                return self.one(inner)
            case ast.IfExp(body=one, orelse=other):
                return self.one(one) and self.one(other)
            case ast.BinOp(left=one, op=operator, right=other):
                return isinstance(operator, _OPERATORS) and self.one(one) and self.one(other)
            case _:
                return False

    def many(self, node: ast.AST) -> bool:
        """Whether an expression is an iterable of integers."""
        match node:
            case ast.Name(id=name):
                return name in self.iterables
            case ast.GeneratorExp() | ast.ListComp() | ast.SetComp():
                return self._inside(node.generators).one(node.elt)
            case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
                return all(map(self.one, items))
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="values")):
                return name in self.mappings
            case ast.Call(func=ast.Name(id="map"), args=[ast.Name(id=name), *_]):
                return name in _CALLS
            case ast.Call(func=ast.Name(id="range")):
                return True
            case _:
                return False

    def _inside(self, generators: list[ast.comprehension]) -> "Integers":
        """What holds in a comprehension, whose variables hide those outside."""
        scalars = self.scalars
        for each in generators:
            bound = frozenset(node.id for node in ast.walk(each.target) if isinstance(node, ast.Name))
            proven = isinstance(each.target, ast.Name) and self.many(each.iter)
            scalars = scalars | bound if proven else scalars - bound
        return Integers(scalars, self.iterables, self.mappings)


def _kind(annotation: ast.AST | None) -> str:
    """`one` for int, `many` for list[int] or tuple[int, ...], `map` for dict[str, int], else nothing."""
    match annotation:
        case ast.Name(id="int" | "bool"):
            return "one"
        case ast.Subscript(value=ast.Name(id=name), slice=ast.Tuple(elts=[_, value])) if name in _MAPPINGS:
            return "map" if _kind(value) == "one" else ""
        case ast.Subscript(value=ast.Name(id=name), slice=inside) if name not in _MAPPINGS:
            items = inside.elts if isinstance(inside, ast.Tuple) else [inside]
            real = [item for item in items if not (isinstance(item, ast.Constant) and item.value is ...)]
            return "many" if real and all(_kind(item) == "one" for item in real) else ""
        case _:
            return ""
