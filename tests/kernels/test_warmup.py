"""Warmup: no kernel without an entry, nothing left to compile afterwards."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import numpy as np
import pytest

import kernels
from kernels import warmup
from kernels.jit import IS_COMPILED
from tests.laws import LAWS
from tests.registry import SKETCHES

ROOT = Path(kernels.__file__).parent
MODULES = sorted(path for path in ROOT.rglob("*.py") if path.name != "__init__.py")


def kernels_in(path: Path) -> list[str]:
    """Full names of the public functions of a file that are decorated with @kernel."""
    module = ".".join(("kernels", *path.relative_to(ROOT).with_suffix("").parts))
    return [
        f"{module}.{node.name}"
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef)
        and not node.name.startswith("_")
        and any(isinstance(mark, ast.Name) and mark.id == "kernel" for mark in node.decorator_list)
    ]


ALL = [name for path in MODULES for name in kernels_in(path)]


@pytest.mark.parametrize("name", ALL)
def test_kernel_has_a_warmup_entry(name: str) -> None:
    entered = {f"{function.__module__}.{function.__name__}" for function, _ in warmup.entries()}
    assert name in entered


def test_compile_all_returns_the_number_of_kernels() -> None:
    assert warmup.compile_all() == len(ALL)


@pytest.mark.skipif(not IS_COMPILED, reason="nothing is compiled")
def test_no_sketch_compiles_anything_after_the_warmup(rng: np.random.Generator) -> None:
    warmup.compile_all()
    before = {name: _signatures(name) for name in ALL}
    for law in LAWS:
        for sketch in SKETCHES:
            law(sketch, rng)
    assert {name: _signatures(name) for name in ALL} == before


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_only_jit_and_memory_import_numba(path: Path) -> None:
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else _names(node))
    }
    assert ("numba" in imported) == (path.name in {"jit.py", "memory.py"})


def _names(node: ast.Import) -> list[str]:
    return [alias.name for alias in node.names]


def _signatures(name: str) -> int:
    module, _, function = name.rpartition(".")
    return len(getattr(importlib.import_module(module), function).signatures)
