"""Whatever befalls workers, each event is counted once: ten thousand schedules without Kafka.

A failing schedule says its seed and the fewest of its actions that still fail. Alone:
SCHEDULE=<seed> pytest tests/stream/schedules
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest

from tests.stream.schedules.check import check
from tests.stream.schedules.world import Action, World, plan

EACH, TURNS = 500, 20
ONLY = os.environ.get("SCHEDULE")
TURN_SEEDS = (
    [range(int(ONLY), int(ONLY) + 1)]
    if ONLY
    else [range(turn * EACH, (turn + 1) * EACH) for turn in range(TURNS)]
)


def fails(seed: int, actions: list[Action]) -> str | None:
    """What is wrong after these actions."""
    world = World(seed)
    try:
        world.run(actions)
        check(world)
    except Exception as error:  # of any kind: a crash that nobody planned is a failure too
        return f"{type(error).__name__}: {error}"
    return None


def fewest(seed: int, actions: list[Action]) -> list[Action]:
    """Leave out one action after another as long as it still fails."""
    at = len(actions) - 1
    while at >= 0:
        shorter = actions[:at] + actions[at + 1 :]
        if fails(seed, shorter):
            actions = shorter
        at -= 1
    return actions


def first_failure(seeds: range) -> int | None:
    """The first of these schedules that fails."""
    return next((seed for seed in seeds if fails(seed, plan(seed))), None)


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    """A process for each core: ten thousand schedules take one of them two minutes."""
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as processes:
        yield processes


@pytest.mark.parametrize("seeds", TURN_SEEDS, ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
def test_each_event_is_counted_once_whatever_befalls_the_workers(
    pool: ProcessPoolExecutor, seeds: range
) -> None:
    n = os.cpu_count() or 1
    for seed in pool.map(first_failure, [seeds[at::n] for at in range(n)]):
        if seed is not None:
            actions = plan(seed)
            left = fewest(seed, actions)
            names = ", ".join(f"{name}:{number}" for name, number in left)
            why = f"SCHEDULE={seed}: {fails(seed, actions)}"
            pytest.fail(f"{why}\n{len(left)} actions: {names}\n{fails(seed, left)}")
