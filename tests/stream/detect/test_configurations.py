"""Configurations: each pane has one, a function of what was announced when, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stream.detect.configurations import NOTICE_MS, Configurations, InForce, changed_lengths
from stream.detect.specs import DetectorSpec, LimitSpec, ModelSpec, TimeSpec
from stream.detect.times import NEVER_MS

MINUTE_MS = 60_000
AHEAD_MS = 5 * MINUTE_MS
WRITTEN_MS = 1_700_000_000_000 // (60 * MINUTE_MS) * 60 * MINUTE_MS  # a full hour
FIRST_MS = WRITTEN_MS + AHEAD_MS + MINUTE_MS  # the border after max_ahead and the notice


def spec(name: str, *models: ModelSpec, time: TimeSpec | None = None) -> DetectorSpec:
    return DetectorSpec(
        time=time or TimeSpec(pane_ms=MINUTE_MS, max_ahead_ms=AHEAD_MS),
        models={model.name: model for model in models},
        config_hash=name,
    )


def of_minutes(*lengths: int, name: str = "m") -> ModelSpec:
    return ModelSpec(name=name, lengths_ms=tuple(n * MINUTE_MS for n in lengths))


def hashes(configs: Configurations, *at_ms: int) -> str:
    return "".join(configs.at(ms).config_hash for ms in at_ms)


def test_one_that_is_never_followed_counts_every_pane() -> None:
    assert hashes(Configurations(spec("a")), 2 * NEVER_MS, 0, WRITTEN_MS) == "aaa"


def test_a_change_counts_from_the_first_border_after_the_notice() -> None:
    configs = Configurations(spec("a"))
    assert configs.announce(spec("b"), WRITTEN_MS) == InForce(FIRST_MS, spec("b"))
    assert hashes(configs, WRITTEN_MS, FIRST_MS - MINUTE_MS, FIRST_MS, FIRST_MS + 1) == "aabb"


@pytest.mark.parametrize(
    ("after_ms", "from_ms"),
    [
        (MINUTE_MS - NOTICE_MS, FIRST_MS),
        (MINUTE_MS - NOTICE_MS + 1, FIRST_MS + MINUTE_MS),
        (-NOTICE_MS, FIRST_MS - MINUTE_MS),
    ],
)
def test_no_pane_begins_sooner_than_its_first_event_may_come(after_ms: int, from_ms: int) -> None:
    configs = Configurations(spec("a"))
    assert configs.announce(spec("b"), WRITTEN_MS + after_ms).from_ms == from_ms


def test_one_that_is_announced_before_the_last_is_in_force_replaces_it() -> None:
    configs = Configurations(spec("a"))
    configs.announce(spec("b"), WRITTEN_MS)
    configs.announce(spec("c"), WRITTEN_MS + 1)
    assert hashes(configs, FIRST_MS - 1, FIRST_MS) == "ac"
    configs.announce(spec("d"), FIRST_MS)
    assert hashes(configs, FIRST_MS - 1, FIRST_MS, FIRST_MS + AHEAD_MS + MINUTE_MS) == "acd"


def test_where_windows_change_the_border_is_one_of_all_of_them() -> None:
    configs = Configurations(spec("a", of_minutes(10, 60)))
    changed = configs.announce(spec("b", of_minutes(15)), WRITTEN_MS)
    assert changed.from_ms == WRITTEN_MS + 60 * MINUTE_MS
    assert configs.lengths("m", changed.from_ms - 1) == (10 * MINUTE_MS, 60 * MINUTE_MS)
    assert configs.lengths("m", changed.from_ms) == (15 * MINUTE_MS,)


def test_taking_back_a_change_of_windows_need_not_wait_for_it() -> None:
    configs = Configurations(spec("a", of_minutes(10, 60)))
    configs.announce(spec("b", of_minutes(15)), WRITTEN_MS)
    assert configs.announce(spec("c", of_minutes(10, 60)), WRITTEN_MS).from_ms == FIRST_MS
    assert hashes(configs, FIRST_MS - 1, FIRST_MS, WRITTEN_MS + 60 * MINUTE_MS) == "acc"


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ([of_minutes(10)], [of_minutes(10)], {}),
        ([of_minutes(10, 30)], [of_minutes(30, 10)], {"m": (10, 30)}),  # the main one
        ([of_minutes(10, 30, 60)], [of_minutes(10, 60, 30)], {}),
        ([], [of_minutes(5)], {}),  # as it was by default
        ([], [of_minutes(10)], {"m": (5, 10)}),
        ([of_minutes(10)], [], {"m": (5, 10)}),
    ],
)
def test_which_windows_change(
    before: list[ModelSpec], after: list[ModelSpec], changed: dict[str, tuple[int, ...]]
) -> None:
    minutes = {
        name: tuple(length // MINUTE_MS for length in lengths)
        for name, lengths in changed_lengths(spec("a", *before), spec("b", *after)).items()
    }
    assert minutes == changed


def test_windows_of_models_nobody_names_change_with_the_default() -> None:
    other = replace(spec("b"), default=of_minutes(10, name="*"))
    assert changed_lengths(spec("a"), other) == {"*": (5 * MINUTE_MS, 10 * MINUTE_MS)}


@pytest.mark.parametrize(
    "other",
    [
        spec("b", time=TimeSpec(pane_ms=30_000, max_ahead_ms=AHEAD_MS)),
        spec("b", time=TimeSpec(pane_ms=MINUTE_MS, max_ahead_ms=AHEAD_MS, grace_ms=1)),
        replace(spec("b"), limits=LimitSpec(max_text=99)),
        replace(spec("b"), hash_secret="other"),
    ],
)
def test_what_applies_before_a_pane_is_known_cannot_change(other: DetectorSpec) -> None:
    assert not Configurations(spec("a")).can_follow(other)


def test_what_a_pane_may_cost_and_what_is_judged_can() -> None:
    other = replace(spec("b", of_minutes(10)), limits=LimitSpec(max_segments=3, max_models=1))
    assert Configurations(spec("a")).can_follow(other)


def test_a_window_is_judged_under_the_configuration_of_its_last_pane() -> None:
    configs = Configurations(spec("a"))
    configs.announce(spec("b"), WRITTEN_MS)
    assert configs.judging(FIRST_MS).config_hash == "a"
    assert configs.judging(FIRST_MS + MINUTE_MS).config_hash == "b"
