"""Sizes: no file and no function longer than one can read in one go."""

from __future__ import annotations

import ast
import re

import pytest

from tests.house.sources import ROOT, functions, modules, parse, python_files

FILE_LINES = 400
KERNEL_LINES = 45
FUNCTION_LINES = 40
PARAMETERS = 8  # 6 is the aim; beyond it a dataclass or a state is almost always better

# place::function -> why it is longer. A line here is a debt: split along a noun first.
LONGER: dict[str, str] = {
    "stream/app.py::build": "the composition root: one object after the other, no branch",
    "stream/detect/judge/alerts.py::_event": "one literal: the alert event of the contract",
    "stream/serve/metrics.py::__init__": "one declaration for each metric, a table in all but form",
}
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "misc", "core"}


def long_functions() -> dict[str, int]:
    """Every function of ours above its ceiling."""
    found = {}
    for module in modules():
        ceiling = KERNEL_LINES if module.name.startswith("kernels") else FUNCTION_LINES
        for name, lines, _ in functions(module.tree):
            if lines > ceiling:
                found[f"{module.place}::{name}"] = lines
    return found


def test_files_stay_below_the_ceiling() -> None:
    files = python_files("kernels", "stream", "tests", "benchmarks", "examples")
    lines = {path.relative_to(ROOT).as_posix(): path.read_text().count("\n") for path in files}
    assert {place: count for place, count in lines.items() if count > FILE_LINES} == {}


def test_functions_stay_below_the_ceiling() -> None:
    found = long_functions()
    assert {place: lines for place, lines in found.items() if place not in LONGER} == {}


def test_no_exception_has_outlived_its_function() -> None:
    assert set(LONGER) - set(long_functions()) == set()


def test_functions_take_few_parameters() -> None:
    found = {}
    for module in modules():
        if module.name.startswith("kernels"):
            continue  # a kernel takes arrays one by one; its state holds most of them
        for name, _, node in functions(module.tree):
            count = len(node.args.posonlyargs + node.args.args + node.args.kwonlyargs)
            if count > PARAMETERS:
                found[f"{module.place}::{name}"] = count
    assert found == {}


def test_modules_are_named_after_what_they_hold() -> None:
    named = [path for path in python_files("kernels", "stream") if path.stem in EMPTY_NAMES]
    assert named == []


@pytest.mark.parametrize("folder", ["kernels", "stream"])
def test_every_module_opens_with_what_it_is(folder: str) -> None:
    # A module of a command says which command it is.
    opening = re.compile(r"[A-Z][\w .,/`-]*: \S.*|driftline \w+.*|`python -m stream`.*")
    silent = []
    for path in python_files(folder):
        module = parse(path)
        first_line = (ast.get_docstring(module.tree) or "").partition("\n")[0]
        if module.text and not opening.match(first_line):
            silent.append(module.place)
    assert silent == []
