"""Imports: who may know whom. Import downward only; siblings are strangers."""

from __future__ import annotations

import ast
import sys

import pytest

from tests.house.sources import Module, calls, imports, modules

# From the top. Units on one line are siblings; a unit is the longest name that fits.
LAYERS = (
    ("stream.__main__",),
    ("stream.cli",),
    ("stream.app",),
    ("stream.watch", "stream.configured"),
    ("stream.agents",),
    ("stream.bus", "stream.broker", "stream.serve", "stream.replay", "stream.settings"),
    ("stream.detect", "stream.kafka"),
    ("stream.errors", "stream.clock", "stream.heap"),
    ("stream",),  # the package itself: a docstring
    ("kernels.warmup",),
    ("kernels.sketches", "kernels.measures"),
    ("kernels",),  # jit, hashing and all else at the bottom
)
DEPTH = {unit: depth for depth, units in enumerate(LAYERS) for unit in units}

# Which files alone may import a package; a name that ends in a dot is a whole folder.
ONLY_IMPORTED_BY = {
    "numba": ("kernels.jit", "kernels.memory"),
    "llvmlite": ("kernels.jit", "kernels.memory"),
    "faust": ("stream.app", "stream.agents", "stream.bus.lane", "stream.serve.pages"),
    "time": ("stream.clock",),
    "aiokafka": ("stream.bus.",),
    "prometheus_client": ("stream.serve.",),
    "kernels.warmup": ("stream.app",),
    "stream.broker": ("stream.cli",),
}
NEVER_IMPORTED_BY = {
    "stream.detect": (
        "aiokafka",
        "asyncio",
        "faust",
        "prometheus_client",
        "socket",
        "stream.clock",
    ),
    "stream.settings": ("aiokafka", "faust"),
    "stream.replay": ("aiokafka", "faust"),
}
KERNELS_MAY_IMPORT = {"__future__", "collections", "kernels", "math", "numpy", "typing"}


def unit_of(name: str) -> str | None:
    """The layer's unit a dotted name belongs to; None if it is not ours."""
    fitting = [unit for unit in DEPTH if name == unit or name.startswith(unit + ".")]
    return max(fitting, key=len, default=None)


def upward(name: str, tree: ast.AST) -> list[str]:
    """Imports of a module that go up, or to a sibling."""
    here = unit_of(name)
    assert here is not None, f"{name} is in no layer"
    found = {(target, unit_of(target)) for target in imports(tree)}
    return sorted(
        f"{name} -> {target}"
        for target, there in found
        if there is not None and there != here and DEPTH[there] <= DEPTH[here]
    )


def starts_with(name: str, package: str) -> bool:
    return name == package.rstrip(".") or name.startswith(package.rstrip(".") + ".")


def importers(package: str) -> set[str]:
    return {
        module.name
        for module in modules()
        if not starts_with(module.name, package)
        and any(starts_with(name, package) for name in imports(module.tree))
    }


def test_imports_go_downward_and_siblings_are_strangers() -> None:
    assert [line for module in modules() for line in upward(module.name, module.tree)] == []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("stream.detect.rules", "from stream.settings import load"),
        ("stream.detect.rules", "def f():\n    import stream.bus.lane"),
        ("stream.bus.lane", "from stream import serve"),
        ("kernels.measures.distances", "from kernels.sketches import moments"),
        ("kernels.jit", "from kernels import warmup"),
        ("stream.replay.player", "import stream.broker"),
    ],
)
def test_an_import_upward_or_sideways_is_noticed(name: str, source: str) -> None:
    assert upward(name, ast.parse(source)) != []


@pytest.mark.parametrize("package", sorted(ONLY_IMPORTED_BY))
def test_a_package_has_only_its_importers(package: str) -> None:
    allowed = ONLY_IMPORTED_BY[package]
    strangers = {
        name for name in importers(package) if not any(starts_with(name, unit) for unit in allowed)
    }
    assert strangers == set()


def test_numba_and_the_clock_have_exactly_their_importers() -> None:
    assert importers("numba") == {"kernels.jit", "kernels.memory"}
    assert importers("time") == {"stream.clock"}


@pytest.mark.parametrize("unit", sorted(NEVER_IMPORTED_BY))
def test_a_part_never_imports_what_it_must_not_know(unit: str) -> None:
    found = [
        f"{module.name} -> {name}"
        for module in modules()
        if starts_with(module.name, unit)
        for name in imports(module.tree)
        if any(starts_with(name, package) for package in NEVER_IMPORTED_BY[unit])
    ]
    assert found == []


def test_ingest_and_judge_share_partials_and_dead_letters_only() -> None:
    other = {"stream.detect.ingest": "stream.detect.judge"}
    other |= {there: here for here, there in other.items()}
    found = {
        name
        for module in modules()
        for here, there in other.items()
        if starts_with(module.name, here)
        for name in imports(module.tree)
        if starts_with(name, there)
    }
    shared = {"stream.detect.ingest.codec", "stream.detect.ingest.codec.DeadLetter"}
    assert found - shared == set()


def test_kernels_import_numpy_and_math_only() -> None:
    found = [
        f"{module.name} -> {name}"
        for module in modules()
        if starts_with(module.name, "kernels")
        and module.name not in {"kernels.jit", "kernels.memory"}
        for name in imports(module.tree)
        if name.split(".")[0] not in KERNELS_MAY_IMPORT
    ]
    assert found == []


def test_the_broker_needs_the_standard_library_alone() -> None:
    allowed = {"errors", "clock", "kafka"}
    found = [
        f"{module.name} -> {name}"
        for module in modules()
        if unit_of(module.name) in {"stream.broker", "stream.kafka"}
        for name in imports(module.tree)
        if name.split(".")[0] not in {*sys.stdlib_module_names, "stream"}
        or (name.startswith("stream.") and name.split(".")[1] not in allowed)
    ]
    assert found == []


def test_imports_are_absolute() -> None:
    found = [
        f"{module.name} -> {name}"
        for module in modules()
        for name in imports(module.tree)
        if name.startswith(".")
    ]
    assert found == []


def wall_clock_calls(module: Module) -> list[str]:
    """Calls that read the wall clock without importing `time`."""
    last_words = ("now", "utcnow", "today")
    return [
        f"{module.place}: {name}()"
        for name in calls(module.tree)
        if name.rpartition(".")[2] in last_words and "date" in name.rpartition(".")[0]
    ]


def test_only_the_clock_reads_the_wall_clock() -> None:
    found = [line for module in modules() for line in wall_clock_calls(module)]
    assert [line for line in found if not line.startswith("stream/clock.py")] == []


def test_only_the_command_line_prints() -> None:
    found = [module.place for module in modules() if "print" in calls(module.tree)]
    assert [place for place in found if not place.startswith("stream/cli")] == []
