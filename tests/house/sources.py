"""Sources: this repository in, its files, modules and functions out. For the house tests.

In    the folder above
Out   tracked files, parsed modules by name, functions with their sizes
Not   what is asked of them (test_*.py)
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("kernels", "stream")


@dataclass(frozen=True)
class Module:
    """One source file of ours."""

    name: str  # dotted
    path: Path
    text: str
    tree: ast.Module

    @property
    def place(self) -> str:
        return self.path.relative_to(ROOT).as_posix()


@cache
def project_files() -> tuple[Path, ...]:
    """Every file that is tracked or would be: ignored ones are left out."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:  # an unpacked archive: everything but caches and environments
        hidden = re.compile(r"(^|/)(\.(?!ci/|gitignore)|__pycache__)")
        names = [path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*")]
        listed.stdout = "\0".join(name for name in names if not hidden.search(name))
    paths = (ROOT / name for name in sorted(set(listed.stdout.split("\0"))) if name)
    return tuple(path for path in paths if path.is_file())


@cache
def python_files(*folders: str) -> tuple[Path, ...]:
    """Python files below these top-level folders."""
    return tuple(
        path
        for path in project_files()
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in folders
    )


@cache
def modules() -> tuple[Module, ...]:
    """The modules of our packages."""
    return tuple(parse(path) for path in python_files(*PACKAGES))


def parse(path: Path) -> Module:
    """One file as a module."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    text = path.read_text(encoding="utf-8")
    return Module(name, path, text, ast.parse(text))


def imports(tree: ast.AST) -> Iterator[str]:
    """Dotted names of everything imported anywhere in a module; relative ones start with a dot."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def functions(tree: ast.AST) -> Iterator[tuple[str, int, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Name, lines of the body without its docstring, and node of every function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            yield node.name, lines, node


def calls(tree: ast.AST) -> Iterator[str]:
    """Dotted names of everything called: `print`, `datetime.now`, `self.clock.now_ms`."""
    return (ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call))
