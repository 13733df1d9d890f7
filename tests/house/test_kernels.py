"""Kernels: what `kernels/__init__.py` promises of every `@kernel`, as far as one can see it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.house.sources import Module, functions, modules

# Statements that compiled code of ours never needs: checks stand outside, in stream/detect.
REFUSED = (ast.Try, ast.Raise, ast.With, ast.Dict, ast.JoinedStr, ast.Yield, ast.Global)


def kernels() -> Iterator[tuple[Module, ast.FunctionDef]]:
    for module in modules():
        if not module.name.startswith("kernels"):
            continue
        for _, _, node in functions(module.tree):
            if any(ast.unparse(mark) == "kernel" for mark in node.decorator_list):
                assert isinstance(node, ast.FunctionDef)
                yield module, node


def test_there_are_kernels() -> None:
    assert len(list(kernels())) > 10


def test_no_kernel_raises_or_builds_what_is_not_an_array() -> None:
    found = [
        f"{module.place}:{inner.lineno}: {type(inner).__name__}"
        for module, node in kernels()
        for inner in ast.walk(node)
        if isinstance(inner, REFUSED)
    ]
    assert found == []


def test_every_public_kernel_is_compiled_before_a_worker_starts() -> None:
    [warmup] = [module for module in modules() if module.name == "kernels.warmup"]
    warmed = {
        ast.unparse(node) for node in ast.walk(warmup.tree) if isinstance(node, ast.Attribute)
    }
    public = {
        f"{module.name.rpartition('.')[2]}.{node.name}"
        for module, node in kernels()
        if not node.name.startswith("_")
    }
    assert public - warmed == set()


def test_every_public_kernel_says_what_it_does() -> None:
    found = [
        f"{module.place}::{node.name}"
        for module, node in kernels()
        if not node.name.startswith("_") and ast.get_docstring(node) is None
    ]
    assert found == []
