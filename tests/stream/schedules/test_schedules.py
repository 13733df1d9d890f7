"""Whatever befalls workers, each event is counted once: ten thousand schedules without Kafka.

A failing schedule says its seed and the fewest of its actions that still fail. Alone:
SCHEDULE=<seed> pytest tests/stream/schedules
"""

from __future__ import annotations

import os

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


@pytest.mark.parametrize("seeds", TURN_SEEDS, ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
def test_each_event_is_counted_once_whatever_befalls_the_workers(seeds: range) -> None:
    for seed in seeds:
        actions = plan(seed)
        if why := fails(seed, actions):
            left = fewest(seed, actions)
            names = ", ".join(f"{name}:{number}" for name, number in left)
            pytest.fail(
                f"SCHEDULE={seed}: {why}\n{len(left)} actions: {names}\n{fails(seed, left)}"
            )
