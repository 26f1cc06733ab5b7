# SPDX-License-Identifier: Apache-2.0
"""Small mistakes that tests must notice: in Python by its syntax tree, in Lua by its guards."""

from __future__ import annotations

import ast
import copy
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Mutant:
    """The *text* of a file with one mistake, and *what* it is and where."""

    line: int
    what: str
    text: str


#: Operator -> the one it is mistaken for.
_SWAPS: Final[dict[type[ast.AST], type[ast.AST]]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift, ast.Break: ast.Continue, ast.Continue: ast.Break,
}  # fmt: skip
_LUA_SWAPS: Final = {
    " ~= ": " == ", " == ": " ~= ", " > ": " >= ", " >= ": " > ", " < ": " <= ", " and ": " or ", " or ": " and ",
}  # fmt: skip
#: What holds words for people or names of modules: no behaviour to mistake.
_WORDS: Final = (ast.JoinedStr, ast.Import, ast.ImportFrom, ast.Raise)


def python_mutants(path: Path) -> Iterator[Mutant]:
    """Yield each mutant of a Python module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node, field, at in list(_places(tree)):
        old = getattr(node, field) if at is None else getattr(node, field)[at]
        for new in _mistakes(old):
            _put(node, field, at, new)
            what = f"{_shown(old)} -> {_shown(new)}"
            yield Mutant(_line(node, old), what, ast.unparse(ast.fix_missing_locations(copy.deepcopy(tree))))
            _put(node, field, at, old)


def lua_mutants(path: Path) -> Iterator[Mutant]:
    """Yield the script with each guard removed or turned round, each operator mistaken, each demand forgotten."""
    text = path.read_text(encoding="utf-8")
    for match in re.finditer(r"\b(?:else)?if (.+?) then", text):
        for mistaken in ("false", f"not ({match[1]})"):
            yield _lua(text, match.start(1), match[1], mistaken)
    for match in re.finditer("|".join(_LUA_SWAPS), text):
        before = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
        if "--" not in before and before.count("'") % 2 == 0:  # neither in a comment nor in words for people
            yield _lua(text, match.start(), match[0], _LUA_SWAPS[match[0]])
    for match in re.finditer(r"\{'[A-Z]+', [^{}]*\},?|\[[A-Z_]+\] = '\w+',?", text):
        yield _lua(text, match.start(), match[0], "")


def _lua(text: str, start: int, old: str, new: str) -> Mutant:
    return Mutant(text.count("\n", 0, start) + 1, f"{old} -> {new}", text[:start] + new + text[start + len(old) :])


def _places(node: ast.AST) -> Iterator[tuple[ast.AST, str, int | None]]:
    """Yield where behaviour may be mistaken: parent, field, and place in it when the field is a list."""
    for field, value in ast.iter_fields(node):
        if field in {"annotation", "returns", "decorator_list", "type_params"}:
            continue
        children = enumerate(value) if isinstance(value, list) else [(None, value)]
        for at, child in children:
            if not isinstance(child, ast.AST) or isinstance(child, _WORDS) or _is_type_checking(child):
                continue
            yield node, field, at
            yield from _places(child)


def _is_type_checking(node: ast.AST) -> bool:
    """Say whether it is the block of imports for types, or a docstring."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _mistakes(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Constant):
        yield from (ast.Constant(value) for value in _other_values(node.value))
    elif type(node) in _SWAPS:
        yield _SWAPS[type(node)]()
    elif isinstance(node, ast.UnaryOp):
        yield node.operand
    elif isinstance(node, ast.IfExp):
        yield ast.IfExp(node.test, node.orelse, node.body)
    elif isinstance(node, ast.Name) and node.id in {"min", "max"}:
        yield ast.Name("max" if node.id == "min" else "min", node.ctx)
    elif (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)) or isinstance(node, ast.AugAssign):
        yield ast.Pass()
    elif isinstance(node, ast.Return) and node.value is not None and not isinstance(node.value, ast.Constant):
        yield ast.Return(ast.Constant(None))


def _other_values(value: Any) -> list[Any]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, (int, float)):
        return [value + 1, value - 1] if isinstance(value, int) else [value * 1.5 or 1.0]
    return [f"X{value}"] if isinstance(value, str) else [b"X" + value] if isinstance(value, bytes) else []


def _put(node: ast.AST, field: str, at: int | None, new: ast.AST) -> None:
    if at is None:
        setattr(node, field, new)
    else:
        getattr(node, field)[at] = new


def _line(parent: ast.AST, node: ast.AST) -> int:
    return getattr(node, "lineno", 0) or getattr(parent, "lineno", 0)


def _shown(node: ast.AST) -> str:
    return (ast.unparse(node) if isinstance(node, (ast.expr, ast.stmt)) else type(node).__name__)[:80]
