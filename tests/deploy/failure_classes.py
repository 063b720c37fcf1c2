"""Every word that the code may put into a job's `failure_class`, found in its source.

A word is told by the argument named so, by its place in a call of a function or class of the same module that
has a parameter or field of that name, or by the key in a dictionary.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_FIELD = "failure_class"


def failure_classes() -> set[str]:
    """All of them."""
    files = [file for package in ("hosts", "jobs", "supervisor") for file in (ROOT / package).rglob("*.py")]
    trees = [ast.parse(file.read_text()) for file in files if "migrations" not in file.parts]
    constants = {name: text for tree in trees for name, text in _constants(tree)}
    return {word for tree in trees for place in _places(tree) for word in _words(place, constants) if word}


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text))):
                yield name, text


def _places(tree: ast.Module) -> Iterator[ast.expr]:
    """The expressions whose value becomes a failure's class."""
    positions = dict(_positions(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from (one.value for one in node.keywords if one.arg == _FIELD)
            called = node.func.id if isinstance(node.func, ast.Name) else ""
            if called in positions and len(node.args) > positions[called]:
                yield node.args[positions[called]]
        elif isinstance(node, ast.Dict):
            keyed = zip(node.keys, node.values, strict=True)
            yield from (
                value for key, value in keyed if isinstance(key, ast.Constant) and key.value == _FIELD
            )


def _positions(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            names = [argument.arg for argument in node.args.args]
        elif isinstance(node, ast.ClassDef):
            names = [
                field.target.id
                for field in node.body
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
            ]
        else:
            continue
        if _FIELD in names:
            yield node.name, names.index(_FIELD)


def _words(place: ast.expr, constants: dict[str, str]) -> Iterator[str]:
    match place:
        case ast.Constant(value=str(word)):
            yield word
        case ast.Name(id=name) if name in constants:
            yield constants[name]
        case ast.BoolOp(values=values):
            for value in values:
                yield from _words(value, constants)
